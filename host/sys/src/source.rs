//! Sockets whose connections come from a chosen address of this host.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// A socket that is bound to an address, and not connected yet. Its port is chosen when it connects, so that one port
/// serves connections to several members at a time (ip(7): `IP_BIND_ADDRESS_NO_PORT`).
///
/// # Errors
/// `AddrNotAvailable`: it is no address of this host.
pub fn bound(from: IpAddr) -> io::Result<TcpStream> {
    let from = SocketAddr::new(from, 0);
    let socket =
        Socket::new(Domain::for_address(from), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.bind(&from.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn connections_come_from_it_and_its_ports_serve_several_members() {
        let from: IpAddr = "127.0.0.77".parse().unwrap();
        let listeners = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        for listener in &listeners {
            let socket = Socket::from(bound(from).unwrap());
            assert_eq!(socket.local_addr().unwrap().as_socket().unwrap().port(), 0);
            socket.set_nonblocking(false).unwrap();
            socket.connect(&listener.local_addr().unwrap().into()).unwrap();
            assert_eq!(listener.accept().unwrap().1.ip(), from);
        }
    }

    #[test]
    fn an_address_of_another_host_is_refused() {
        let error = bound("192.0.2.1".parse().unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
