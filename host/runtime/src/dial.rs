//! What a connection that Shunt opens has to be.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

/// Connects. What is written to it goes out at once.
///
/// # Errors
/// There is no connection.
pub async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    ready(TcpStream::connect(to).await?, to)
}

/// The same, over a socket that is there: not blocking, and bound where the connection is to come from.
///
/// # Errors
/// There is no connection.
pub async fn connect_over(socket: std::net::TcpStream, to: SocketAddr) -> io::Result<TcpStream> {
    ready(TcpSocket::from_std_stream(socket).connect(to).await?, to)
}

/// The same. `begun` gets to know where it comes from before anything can come back.
///
/// # Errors
/// There is no connection.
pub async fn connect_told(
    socket: std::net::TcpStream,
    to: SocketAddr,
    begun: impl FnOnce(SocketAddr),
) -> io::Result<TcpStream> {
    match SockRef::from(&socket).connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(EINPROGRESS) => return Err(error),
        _ => begun(socket.local_addr()?),
    }
    let stream = TcpStream::from_std(socket)?;
    stream.writable().await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => ready(stream, to),
    }
}

/// Of Linux (errno(3)): the connection is being made.
const EINPROGRESS: i32 = 115;

fn ready(stream: TcpStream, to: SocketAddr) -> io::Result<TcpStream> {
    refuse_itself(&stream, to)?;
    // Best effort: without it small writes wait for the peer's delayed ACK.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Refuses a connection to `to` that reached itself.
///
/// Where a port of this host is among those that the kernel chooses from and nothing listens on it, the kernel may
/// choose that very port to connect from. Then both ends send a SYN and open the connection (RFC 9293 section
/// 3.5), and both are this socket. It is reset, so that the port is not kept in TIME-WAIT from who is to listen on it.
///
/// # Errors
/// As if the connection had been refused, which it is where the kernel chooses any other port.
pub fn refuse_itself(stream: &TcpStream, to: SocketAddr) -> io::Result<()> {
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
    use std::net::Ipv4Addr;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_connection_to_itself_is_refused() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let own = socket.local_addr().unwrap();
        let stream = socket.connect(own).await.unwrap();
        let refused = refuse_itself(&stream, own).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        drop(stream);
        TcpListener::bind(own).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_to_another_is_not() {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let to = listener.local_addr().unwrap();
        refuse_itself(&TcpStream::connect(to).await.unwrap(), to).unwrap();
    }
}
