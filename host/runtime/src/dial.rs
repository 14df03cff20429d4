//! What a connection that Shunt opens has to be.

use std::fs;
use std::io;
use std::net::{self, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Connects. What is written to it goes out at once, and with the first of it the last ACK of the handshake: where nothing is
/// to be written, see [`acknowledge`].
///
/// # Errors
/// There is no connection.
pub async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(to), kind, Some(Protocol::TCP))?;
    connect_over(socket.into(), to).await
}

/// The same, over a socket that is there: not blocking, and bound where the connection is to come from.
///
/// # Errors
/// There is no connection.
pub async fn connect_over(socket: net::TcpStream, to: SocketAddr) -> io::Result<TcpStream> {
    send_at_once(&socket);
    connect_plain(socket, to).await
}

/// The same. `begun` gets to know where it comes from before anything can come back.
///
/// # Errors
/// There is no connection.
pub async fn connect_told(
    socket: net::TcpStream,
    to: SocketAddr,
    begun: impl FnOnce(SocketAddr),
) -> io::Result<TcpStream> {
    send_at_once(&socket);
    begin(&socket, to)?;
    begun(socket.local_addr()?);
    made(socket, to).await
}

/// The same as [`connect_over`], where all is said by one write.
///
/// # Errors
/// There is no connection.
pub async fn connect_plain(socket: net::TcpStream, to: SocketAddr) -> io::Result<TcpStream> {
    begin(&socket, to)?;
    made(socket, to).await
}

/// Lets the peer know that the connection is made, where it may be the first to speak. Linux would tell it in 200 ms.
pub fn acknowledge(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_tcp_quickack(true);
}

/// Best effort: without the one small writes wait for the peer's delayed ACK, and the other saves a segment (tcp(7)).
fn send_at_once(socket: &net::TcpStream) {
    let _ = socket.set_nodelay(true);
    let _ = SockRef::from(socket).set_tcp_quickack(false);
}

fn begin(socket: &net::TcpStream, to: SocketAddr) -> io::Result<()> {
    match SockRef::from(socket).connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(EINPROGRESS) => Err(error),
        _ => Ok(()),
    }
}

/// Waits until a connection is made that was begun.
async fn made(socket: net::TcpStream, to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::from_std(socket)?;
    // The kernel says with the event whether it failed (epoll_ctl(2), EPOLLERR): it is asked for the error only then.
    let ready = stream.ready(Interest::WRITABLE | Interest::ERROR).await?;
    if ready.is_error()
        && let Some(error) = stream.take_error()?
    {
        return Err(error);
    }
    if may_connect_from(to.port()) {
        refuse_itself(&stream, to)?;
    }
    Ok(stream)
}

/// Of Linux (errno(3)): the connection is being made.
const EINPROGRESS: i32 = 115;

/// The ports that the kernel connects from, the first and the last of them, each in 16 bits. All of them until they are read.
static OWN_PORTS: AtomicU32 = AtomicU32::new(u16::MAX as u32);

/// Reads which ports the kernel connects from, which an operator may change. To be called now and then.
pub fn read_own_ports() {
    let read = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    OWN_PORTS.store(read.ok().as_deref().and_then(ports).unwrap_or(u16::MAX.into()), Relaxed);
}

fn ports(text: &str) -> Option<u32> {
    let mut numbers = text.split_whitespace().map(|it| it.parse::<u16>().ok());
    let (first, last) = (numbers.next()??, numbers.next()??);
    Some(u32::from(first) << 16 | u32::from(last))
}

/// Whether the kernel may choose this port to connect from.
pub fn may_connect_from(port: u16) -> bool {
    let ports = OWN_PORTS.load(Relaxed);
    (ports >> 16..=ports & 0xffff).contains(&port.into())
}

/// Refuses a connection to `to` that reached itself.
///
/// Where a port of this host is among those that the kernel chooses from and nothing listens on it, the kernel may
/// choose that very port to connect from. Then both ends send a SYN and open the connection (RFC 9293 section
/// 3.5), and both are this socket. It is reset, so that the port is not kept in TIME-WAIT from who is to listen on it.
///
/// # Errors
/// As if the connection had been refused, which it is where the kernel chooses any other port.
fn refuse_itself(stream: &TcpStream, to: SocketAddr) -> io::Result<()> {
    let own = stream.local_addr()?;
    if (own.ip(), own.port()) != (to.ip(), to.port()) {
        return Ok(());
    }
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    Err(io::ErrorKind::ConnectionRefused.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    fn bound() -> (net::TcpStream, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP)).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let own = socket.local_addr().unwrap().as_socket().unwrap();
        (socket.into(), own)
    }

    #[tokio::test]
    async fn a_connection_to_itself_is_refused() {
        for _ in 0..2 {
            let (socket, own) = bound();
            let refused = connect_over(socket, own).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            TcpListener::bind(own).unwrap();
            // The kernel chose the port, so that it is among those.
            read_own_ports();
        }
    }

    #[tokio::test]
    async fn a_connection_to_another_is_not() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        let stream = connect(to).await.unwrap();
        assert_eq!(listener.accept().unwrap().1, stream.local_addr().unwrap());
    }

    #[tokio::test]
    async fn who_does_not_listen_refuses() {
        let (_bound, to) = bound();
        let refused = connect(to).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn ports_are_read_as_the_kernel_writes_them() {
        assert_eq!(ports("32768\t60999\n"), Some(32_768 << 16 | 60_999));
        assert_eq!(ports("1\n"), None);
        assert_eq!(ports("1 70000"), None);
    }
}
