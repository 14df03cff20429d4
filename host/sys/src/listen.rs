//! Listening sockets.

mod holder;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;

pub use holder::Holder;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, SockFilter, SockRef, Socket, Type};

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct ListenError {
    pub address: SocketAddr,
    pub source: io::Error,
    /// Who has the port, where that is why.
    pub holder: Option<Holder>,
}

impl ListenError {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        let holder = (source.kind() == io::ErrorKind::AddrInUse).then(|| Holder::of(address));
        Self { address, source, holder }
    }

    fn of_udp(address: SocketAddr, source: io::Error) -> Self {
        let holder = (source.kind() == io::ErrorKind::AddrInUse).then_some(Holder::Datagrams);
        Self { address, source, holder }
    }
}

/// Opens `sockets` listeners on one address, one for each worker; the kernel spreads connections over
/// them by the hash of their addresses (`SO_REUSEPORT`). With port 0 the kernel chooses one port for
/// all of them.
///
/// The sockets are non-blocking and closed on exec. One on `[::]` takes IPv6 only, so that what is
/// written is what is bound, and `0.0.0.0` can stand beside it. `backlog` is how many connections may
/// wait for accept on each; the kernel cuts it to `net.core.somaxconn`.
///
/// An address that is in use is refused even where its holder allows sharing: another Shunt of the
/// same user would, and each would get an unknown part of the traffic.
///
/// # Errors
///
/// [`ListenError`]; no socket stays open then.
pub fn tcp_group(address: SocketAddr, sockets: usize, backlog: u32) -> Result<Vec<TcpListener>, ListenError> {
    let open = || {
        let first = listener(address, backlog, Sharing::CheckedFirst)?;
        let bound = first.local_addr()?;
        let mut group = vec![first];
        while group.len() < sockets {
            group.push(listener(bound, backlog, Sharing::Shared)?);
        }
        Ok(group)
    };
    open().map_err(|source| ListenError::new(address, source))
}

/// Opens one more listener beside those that this process holds on the same address or on one that
/// covers it (`0.0.0.0:80` beside `10.0.0.1:80`).
///
/// # Errors
///
/// [`ListenError`].
pub fn tcp_join(address: SocketAddr, backlog: u32) -> Result<TcpListener, ListenError> {
    listener(address, backlog, Sharing::Shared).map_err(|source| ListenError::new(address, source))
}

/// Opens `sockets` sockets for datagrams on one address, as [`tcp_group`] does. The kernel gives all datagrams of one sender to
/// one of them.
///
/// # Errors
///
/// [`ListenError`]; no socket stays open then.
pub fn udp_group(address: SocketAddr, sockets: usize) -> Result<Vec<UdpSocket>, ListenError> {
    let open = || {
        let first = datagrams(address, Sharing::CheckedFirst)?;
        let bound = first.local_addr()?;
        let mut group = vec![first];
        while group.len() < sockets {
            group.push(datagrams(bound, Sharing::Shared)?);
        }
        Ok(group)
    };
    open().map_err(|source| ListenError::of_udp(address, source))
}

/// Opens one more beside those that this process holds, as [`tcp_join`] does.
///
/// # Errors
///
/// [`ListenError`].
pub fn udp_join(address: SocketAddr) -> Result<UdpSocket, ListenError> {
    datagrams(address, Sharing::Shared).map_err(|source| ListenError::of_udp(address, source))
}

/// Lets a listener take no more connections than those that have begun: the kernel drops each SYN without ACK that comes
/// for it, and the client sends it again a second later, to who listens then. Handshakes that have begun come to their end.
///
/// # Errors
///
/// The kernel takes no filter; the listener is as it was.
pub fn ignore_new_connections(listener: &impl AsFd) -> io::Result<()> {
    // What a filter of a TCP socket sees begins with the TCP header; the 14th octet has the flags (RFC 9293 section 3.1).
    const FLAGS: u32 = 13;
    const SYN_ACK: u32 = 0x12;
    const SYN: u32 = 0x02;
    let code = |code: u32| u16::try_from(code).unwrap_or_default();
    let filter = [
        SockFilter::new(code(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS), 0, 0, FLAGS),
        SockFilter::new(code(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K), 0, 0, SYN_ACK),
        SockFilter::new(code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K), 0, 1, SYN),
        SockFilter::new(code(libc::BPF_RET | libc::BPF_K), 0, 0, 0),
        SockFilter::new(code(libc::BPF_RET | libc::BPF_K), 0, 0, u32::MAX),
    ];
    SockRef::from(listener).attach_filter(&filter)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// The address must be free of others when the socket is bound.
    CheckedFirst,
    Shared,
}

fn listener(address: SocketAddr, backlog: u32, sharing: Sharing) -> io::Result<TcpListener> {
    if sharing == Sharing::CheckedFirst && address.port() != 0 {
        // Binding without SO_REUSEPORT fails where anyone listens, shared or not. The socket closes
        // before the real one opens; who comes in between shares, which the kernel cannot prevent.
        bound(address, Type::STREAM, false)?;
    }
    let socket = bound(address, Type::STREAM, true)?;
    // Connections inherit it, which saves each of them the call. Without it small writes wait for the
    // peer's delayed ACK.
    socket.set_tcp_nodelay(true)?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Bytes that the kernel holds for a socket until the worker comes to it; without CAP_NET_ADMIN it gives no more than
/// `net.core.rmem_max` (socket(7)).
pub const RECEIVE_BUFFER: usize = 4 << 20;

fn datagrams(address: SocketAddr, sharing: Sharing) -> io::Result<UdpSocket> {
    if sharing == Sharing::CheckedFirst && address.port() != 0 {
        bound(address, Type::DGRAM, false)?;
    }
    let socket = bound(address, Type::DGRAM, true)?;
    // Best effort: with less room, more is lost when many come at once. Who may, takes it whatever the kernel's limit is.
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    }
    crate::datagrams::prepare(&socket, address)?;
    Ok(socket.into())
}

fn bound(address: SocketAddr, kind: Type, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking().cloexec(), None)?;
    if kind == Type::STREAM {
        // Connections in TIME_WAIT from before a restart do not hold the port (ip(7), socket(7)).
        socket.set_reuse_address(true)?;
    }
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, source, .. } = self;
        let (ip, port) = (address.ip(), address.port());
        match source.kind() {
            io::ErrorKind::AddrInUse => {
                let holder = self.holder.unwrap_or(Holder::Bound);
                write!(f, "cannot listen on {address}: {}", holder.told(port))
            }
            io::ErrorKind::PermissionDenied => write!(
                f,
                "cannot listen on {address}: ports below 1024 need root or CAP_NET_BIND_SERVICE \
                 (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE), or a lower net.ipv4.ip_unprivileged_port_start"
            ),
            io::ErrorKind::AddrNotAvailable => {
                write!(
                    f,
                    "cannot listen on {address}: no interface has the address {ip}; `ip address` lists the addresses"
                )
            }
            _ if source.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
                write!(
                    f,
                    "cannot listen on {address}: this system has no {}",
                    if ip.is_ipv6() { "IPv6" } else { "IPv4" }
                )
            }
            _ if source.raw_os_error() == Some(libc::EMFILE) => {
                write!(
                    f,
                    "cannot listen on {address}: the limit of open files is reached; raise it (systemd: LimitNOFILE=)"
                )
            }
            _ => write!(f, "cannot listen on {address}: {source}"),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use std::sync::atomic::{AtomicU8, Ordering};

    /// A port that the kernel chooses on an address that no other test listens on: a test that gives its
    /// port up and asks for it again would else meet the listener of another, which got it meanwhile.
    fn own_address() -> SocketAddr {
        static TESTS: AtomicU8 = AtomicU8::new(1);
        SocketAddr::from(([127, 0, 83, TESTS.fetch_add(1, Ordering::Relaxed)], 0))
    }

    #[test]
    fn a_group_shares_one_port() {
        let group = tcp_group(own_address(), 3, 16).unwrap();
        let address = group[0].local_addr().unwrap();
        assert_eq!(group.len(), 3);
        assert!(group.iter().all(|listener| listener.local_addr().unwrap() == address));
        let joined = tcp_join(address, 16).unwrap();
        assert_eq!(joined.local_addr().unwrap(), address);
        assert_eq!(group[0].accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        TcpStream::connect(address).unwrap();
    }

    #[test]
    fn a_group_for_datagrams_shares_one_port() {
        let group = udp_group(own_address(), 3).unwrap();
        let address = group[0].local_addr().unwrap();
        assert!(group.iter().all(|socket| socket.local_addr().unwrap() == address));
        assert_eq!(udp_join(address).unwrap().local_addr().unwrap(), address);
        let error = udp_group(address, 1).unwrap_err().to_string();
        let port = address.port();
        assert!(error.contains(&format!("`ss -lunp 'sport = :{port}'` shows")), "{error}");
        // One of TCP has nothing to do with it.
        drop(tcp_group(address, 1, 16).unwrap());
        drop(group);
        udp_group(address, 1).unwrap();
    }

    #[test]
    fn a_port_in_use_is_named_even_where_its_holder_would_share() {
        let holder = tcp_group(own_address(), 1, 16).unwrap();
        let address = holder[0].local_addr().unwrap();
        let error = tcp_group(address, 1, 16).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        let port = address.port();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on {address}: port {port} is in use; stop the process that `ss -ltnp 'sport = :{port}'` shows, or use another port"
            )
        );
        drop(holder);
        tcp_group(address, 1, 16).unwrap();
    }

    #[test]
    fn a_port_comes_free_while_old_connections_are_in_time_wait() {
        let group = tcp_group(own_address(), 1, 16).unwrap();
        let address = group[0].local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        group[0].set_nonblocking(false).unwrap();
        let (server, _) = group[0].accept().unwrap();
        // The side that closes first waits.
        drop(server);
        drop(client);
        drop(group);
        tcp_group(address, 2, 16).unwrap();
    }

    /// Without SO_REUSEADDR a program keeps the port of its ended connections from everybody.
    #[test]
    fn a_port_that_time_wait_keeps_says_so() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(socket2::Protocol::TCP)).unwrap();
        socket.bind(&own_address().into()).unwrap();
        socket.listen(1).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert_eq!(tcp_group(address, 1, 16).unwrap_err().holder, Some(Holder::Listener));
        drop(listener);
        assert_eq!(tcp_group(address, 1, 16).unwrap_err().holder, Some(Holder::Connection));
        drop(server);
        io::copy(&mut client, &mut io::sink()).unwrap();
        drop(client);
        let error = tcp_group(address, 1, 16).unwrap_err();
        let port = address.port();
        assert!(
            error.to_string().contains(&format!("`ss -tan state time-wait 'sport = :{port}'` shows it")),
            "{error}"
        );
        assert_eq!(error.holder, Some(Holder::TimeWait(1)));
    }

    #[test]
    fn both_families_stand_side_by_side() {
        // Somebody else may have the port on an IPv4 address.
        let stood = (0..32).any(|_| {
            let Ok(v6) = tcp_group("[::]:0".parse().unwrap(), 1, 16) else {
                eprintln!("skipped: this system has no IPv6");
                return true;
            };
            let port = v6[0].local_addr().unwrap().port();
            tcp_group(SocketAddr::from(([0, 0, 0, 0], port)), 1, 16).is_ok()
        });
        assert!(stood, "no port of 32 could be had in both families");
    }

    #[test]
    fn errors_say_what_to_do() {
        let address: SocketAddr = "192.0.2.1:80".parse().unwrap();
        let text = |code| ListenError::new(address, io::Error::from_raw_os_error(code)).to_string();
        assert!(text(libc::EACCES).contains("CAP_NET_BIND_SERVICE"));
        assert!(text(libc::EADDRNOTAVAIL).contains("no interface has the address 192.0.2.1"));
        assert!(text(libc::EMFILE).contains("LimitNOFILE"));
        assert!(text(libc::EAFNOSUPPORT).contains("no IPv4"));
        assert!(text(libc::EIO).contains("192.0.2.1:80"));
    }
}
