//! Ports that connections over TCP have toward servers, asked of the kernel (sock_diag(7)): those that are open, whichever
//! process has them, and those in TIME-WAIT, which only the kernel knows.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use netlink_sys::{Socket, SocketAddr as Kernel, protocols::NETLINK_SOCK_DIAG};

/// linux/sock_diag.h, linux/netlink.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NLM_F_REQUEST` and `NLM_F_DUMP`.
const REQUEST_DUMP: u16 = 0x001 | 0x300;
/// `struct nlmsghdr`
const HEADER: usize = 16;
/// `struct inet_diag_req_v2` of linux/inet_diag.h
const REQUEST: usize = 56;
/// As far as `struct inet_diag_msg` says which connection it is.
const CONNECTION: usize = 40;
/// `TCP_LISTEN` of net/tcp_states.h: the one state of sockets that are no connections.
const LISTEN: u32 = 10;

/// How many ports are in use, by server and by the address that they are of.
pub type InUse = HashMap<SocketAddr, HashMap<IpAddr, u32>>;

/// The ports that the kernel chooses from for connections.
#[derive(Clone, Debug)]
pub struct LocalPorts {
    range: RangeInclusive<u16>,
    reserved: Vec<RangeInclusive<u16>>,
}

impl LocalPorts {
    /// As the kernel has them now: `ip_local_port_range` without `ip_local_reserved_ports`, for IPv6 too (ip-sysctl of the
    /// kernel's documentation).
    ///
    /// # Errors
    /// Procfs is not there, or says something else.
    pub fn read() -> io::Result<Self> {
        let of = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
        Self::parse(&of("ip_local_port_range")?, &of("ip_local_reserved_ports")?)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn parse(range: &str, reserved: &str) -> Option<Self> {
        let mut ends = range.split_whitespace().map(str::parse);
        let range = ends.next()?.ok()?..=ends.next()?.ok()?;
        let one = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some(first.parse().ok()?..=last.parse().ok()?)
        };
        let reserved = reserved.trim().split(',').filter(|it| !it.is_empty()).map(one);
        Some(Self { range, reserved: reserved.collect::<Option<_>>()? })
    }

    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.range.contains(&port) && !self.reserved.iter().any(|it| it.contains(&port))
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.range.clone().map(|port| u32::from(self.contains(port))).sum()
    }
}

/// Of these ports, those that connections toward these servers have. Needs no privilege. The kernel walks through all
/// connections of the host, about a microsecond for each.
///
/// # Errors
/// As the kernel gives them; `NotFound` where it lacks `tcp_diag`.
pub fn in_use(servers: &HashSet<SocketAddr>, ports: &LocalPorts) -> io::Result<InUse> {
    let mut in_use = InUse::new();
    for (family, is_asked) in [
        (libc::AF_INET, servers.iter().any(SocketAddr::is_ipv4)),
        (libc::AF_INET6, servers.iter().any(SocketAddr::is_ipv6)),
    ] {
        if is_asked {
            ask(family, |from, to| {
                if ports.contains(from.port()) && servers.contains(&to) {
                    *in_use.entry(to).or_default().entry(from.ip()).or_default() += 1;
                }
            })?;
        }
    }
    Ok(in_use)
}

/// Gives both ends of each connection of a family.
fn ask(family: i32, mut each: impl FnMut(SocketAddr, SocketAddr)) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.send_to(&request(family), &Kernel::new(0, 0), 0)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = socket.recv(&mut buffer.as_mut_slice(), 0)?;
        if take(buffer.get(..length).unwrap_or_default(), &mut each)? {
            return Ok(());
        }
    }
}

/// All connections of TCP of the family.
fn request(family: i32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + REQUEST);
    bytes.extend(u32::try_from(HEADER + REQUEST).unwrap_or_default().to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST_DUMP.to_ne_bytes());
    bytes.extend([0; 8]);
    let tcp = shunt_wire::ip::TCP;
    bytes.extend([u8::try_from(family).unwrap_or_default(), tcp, 0, 0]);
    bytes.extend((!(1u32 << LISTEN)).to_ne_bytes());
    bytes.resize(HEADER + REQUEST, 0);
    bytes
}

/// Takes what a datagram of the kernel says; gives whether it was the last.
fn take(mut datagram: &[u8], each: &mut impl FnMut(SocketAddr, SocketAddr)) -> io::Result<bool> {
    while let Some((header, _)) = datagram.split_first_chunk::<HEADER>() {
        let [a, b, c, d, kind, kind_high, ..] = *header;
        let length = u32::from_ne_bytes([a, b, c, d]) as usize;
        let body = datagram.get(HEADER..length).ok_or(io::ErrorKind::InvalidData)?;
        match u16::from_ne_bytes([kind, kind_high]) {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                return Err(io::Error::from_raw_os_error(-code));
            }
            _ => {
                if let Some((from, to)) = connection(body) {
                    each(from, to);
                }
            }
        }
        // Each begins at a multiple of four (netlink(3), `NLMSG_ALIGN`).
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// Both ends of a connection.
fn connection(body: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let body = body.first_chunk::<CONNECTION>()?;
    let [family, _, _, _, from_high, from_low, to_high, to_low, ends @ ..] = *body;
    let (from, to) = ends.split_at(16);
    let ip = |bytes: &[u8]| -> Option<IpAddr> {
        Some(match i32::from(family) {
            libc::AF_INET => Ipv4Addr::from(*bytes.first_chunk::<4>()?).into(),
            _ => Ipv6Addr::from(*bytes.first_chunk::<16>()?).to_canonical(),
        })
    };
    let [from_port, to_port] = [[from_high, from_low], [to_high, to_low]].map(u16::from_be_bytes);
    Some((SocketAddr::new(ip(from)?, from_port), SocketAddr::new(ip(to)?, to_port)))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_and_what_is_left_of_them_are_counted() {
        for listen in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(listen).unwrap();
            let server = listener.local_addr().unwrap();
            let ports = LocalPorts::read().unwrap();
            let own = || {
                let found = in_use(&HashSet::from([server]), &ports).unwrap();
                found.get(&server).and_then(|it| it.get(&server.ip())).copied().unwrap_or(0)
            };
            assert_eq!(own(), 0);
            let clients = [(), ()].map(|()| TcpStream::connect(server).unwrap());
            assert!(clients.iter().all(|it| ports.contains(it.local_addr().unwrap().port())));
            assert_eq!(own(), 2);
            // The side that ends first is in TIME-WAIT.
            let [first, _second] = clients;
            let (accepted, _) = listener.accept().unwrap();
            drop(first);
            drop(accepted);
            assert_eq!(own(), 2);
        }
    }

    #[test]
    fn ports_are_those_of_the_range_that_are_not_reserved() {
        let ports = |range, reserved| LocalPorts::parse(range, reserved);
        let all = ports("32768\t60999\n", "\n").unwrap();
        assert_eq!((all.count(), all.contains(32768), all.contains(61000)), (28_232, true, false));
        let some = ports("40000 40015", "40001,40004-40006,50000").unwrap();
        assert_eq!((some.count(), some.contains(40005), some.contains(40007)), (12, false, true));
        assert!(ports("32768", "").is_none() && ports("1 2", "a").is_none());
    }

    #[test]
    fn what_the_kernel_does_not_send_is_an_error() {
        let mut none = |_, _| panic!("no connection");
        assert!(take(&[9; 20], &mut none).is_err());
        assert!(matches!(take(&[], &mut none), Ok(false)));
        // Shorter than its header.
        let short = [&4u32.to_ne_bytes()[..], &[0; 12]].concat();
        assert!(take(&short, &mut none).is_err());
    }
}
