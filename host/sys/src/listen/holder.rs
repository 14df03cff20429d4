//! Who has a TCP port that cannot be bound: what `/proc/net/tcp` says (proc_net_tcp(5)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Who has a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A listening socket.
    Listener,
    /// A connection whose own port it is.
    Connection,
    /// Connections that have ended, of a program that did not allow others to take the port meanwhile.
    TimeWait(usize),
    /// None of them: a socket that is bound, and neither listens nor is connected.
    Bound,
    /// A socket for datagrams.
    Datagrams,
}

/// The states of sockets, by their numbers in `include/net/tcp_states.h` of Linux.
const TIME_WAIT: u8 = 6;
const LISTEN: u8 = 10;

impl Holder {
    pub(super) fn of(address: SocketAddr) -> Holder {
        let read = |name| std::fs::read_to_string(name).unwrap_or_default();
        Holder::among(&[read("/proc/net/tcp"), read("/proc/net/tcp6")].concat(), address)
    }

    fn among(table: &str, address: SocketAddr) -> Holder {
        let states: Vec<u8> = table
            .lines()
            .filter_map(socket)
            .filter(|(local, _)| overlap(*local, address))
            .map(|it| it.1)
            .collect();
        let waiting = states.iter().filter(|state| **state == TIME_WAIT).count();
        if states.contains(&LISTEN) {
            Holder::Listener
        } else if waiting < states.len() {
            Holder::Connection
        } else if waiting > 0 {
            Holder::TimeWait(waiting)
        } else {
            Holder::Bound
        }
    }

    /// What is wrong, and what to do.
    pub(super) fn told(self, port: u16) -> String {
        match self {
            Holder::Listener => {
                format!(
                    "port {port} is in use; stop the process that `ss -ltnp 'sport = :{port}'` shows, or use another port"
                )
            }
            Holder::Datagrams => format!(
                "port {port} is in use; stop the process that `ss -lunp 'sport = :{port}'` shows, or use another port"
            ),
            Holder::Connection => format!(
                "port {port} is in use as the own port of a connection; `ss -tanp 'sport = :{port}'` shows whose. Keep such \
                 ports for listeners with the sysctl net.ipv4.ip_local_reserved_ports"
            ),
            Holder::TimeWait(count) => {
                let (what, them) = if count == 1 {
                    ("a connection that has".to_owned(), "it")
                } else {
                    (format!("{count} connections that have"), "them")
                };
                format!(
                    "port {port} is held by {what} ended (TIME_WAIT), for a minute at most; \
                     `ss -tan state time-wait 'sport = :{port}'` shows {them}. Wait until it ends"
                )
            }
            Holder::Bound => format!(
                "port {port} is in use by a socket that does not listen; `ss -tanp --bound-inactive 'sport = :{port}'` shows it, \
                 or `lsof -nP -iTCP:{port}`"
            ),
        }
    }
}

/// Whether a socket at one address keeps another from being bound.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() == other.port()
        && (a == b
            || a.is_unspecified() && (a.is_ipv6() || b.is_ipv4())
            || b.is_unspecified() && a.is_ipv4() == b.is_ipv4())
}

/// The local address and the state of a line; addresses are words of four bytes in the host's order.
fn socket(line: &str) -> Option<(SocketAddr, u8)> {
    let mut columns = line.split_ascii_whitespace().skip(1);
    let (address, port) = columns.next()?.split_once(':')?;
    let state = u8::from_str_radix(columns.nth(1)?, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?))
        }
        _ => return None,
    };
    Some((SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?), state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    fn of(table: &str, address: &str) -> Holder {
        Holder::among(table, address.parse().unwrap())
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_the_kernel_are_read() {
        let line =
            |address: &str, state: &str| format!("   1: {address} 00000000:0000 {state} 0:0 00:00 0 0 0 1\n");
        let head = "  sl  local_address rem_address   st tx_queue rx_queue\n";
        let table =
            [head, &line("0100007F:1F90", "06"), &line("0100007F:1F90", "06"), &line("0200007F:1F91", "01")]
                .concat();
        assert_eq!(of(&table, "127.0.0.1:8080"), Holder::TimeWait(2));
        assert_eq!(of(&table, "0.0.0.0:8080"), Holder::TimeWait(2));
        assert_eq!(of(&table, "127.0.0.2:8080"), Holder::Bound);
        assert_eq!(of(&table, "127.0.0.2:8081"), Holder::Connection);
        assert_eq!(of(&table, "[::]:8080"), Holder::Bound);
        // One listens on every address of both families.
        let any = [table, line("00000000000000000000000000000000:1F90", "0A")].concat();
        assert_eq!(of(&any, "127.0.0.1:8080"), Holder::Listener);
        let mapped = line("0000000000000000FFFF00000100007F:1F90", "01");
        assert_eq!(of(&mapped, "127.0.0.1:8080"), Holder::Connection);
    }

    #[test]
    fn this_process_finds_its_own() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(Holder::of(address), Holder::Listener);
        let client = TcpStream::connect(address).unwrap();
        assert_eq!(Holder::of(client.local_addr().unwrap()), Holder::Connection);
    }

    #[test]
    fn each_says_what_shows_it() {
        for holder in
            [Holder::Listener, Holder::Connection, Holder::TimeWait(1), Holder::TimeWait(3), Holder::Bound]
        {
            assert!(holder.told(80).contains("'sport = :80'`"), "{}", holder.told(80));
        }
        assert!(
            Holder::TimeWait(1)
                .told(80)
                .starts_with("port 80 is held by a connection that has ended (TIME_WAIT)")
        );
    }
}
