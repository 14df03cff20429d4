//! Sockets whose connections come from a chosen address: one of this host, or a client's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// A socket that is bound to an address of this host, and not connected yet. Its port is chosen when it connects, so that
/// one port serves connections to several members at a time (ip(7): `IP_BIND_ADDRESS_NO_PORT`).
///
/// # Errors
/// `AddrNotAvailable`: it is no address of this host.
pub fn bound(from: IpAddr) -> io::Result<TcpStream> {
    bind(socket(from)?, from)
}

/// The same for any address (ip(7): `IP_TRANSPARENT`). What comes back reaches it where policy routing says so.
///
/// # Errors
/// `PermissionDenied` without CAP_NET_ADMIN or CAP_NET_RAW.
pub fn bound_as(client: IpAddr) -> io::Result<TcpStream> {
    let socket = socket(client)?;
    set_transparent(&socket, client)?;
    bind(socket, client)
}

/// A socket that is not bound, toward such an address.
///
/// # Errors
/// As the kernel gives them.
pub fn unbound(toward: IpAddr) -> io::Result<TcpStream> {
    socket(toward).map(TcpStream::from)
}

/// Whether this process may send from addresses that are none of this host's.
///
/// # Errors
/// `PermissionDenied` where it may not.
pub fn may_be_transparent() -> io::Result<()> {
    let any = Ipv4Addr::UNSPECIFIED.into();
    set_transparent(&socket(any)?, any)
}

/// Lets a socket send from an address that is none of this host, and receive for it.
///
/// # Errors
/// `PermissionDenied` without CAP_NET_ADMIN or CAP_NET_RAW.
pub fn set_transparent(socket: &impl AsFd, of: IpAddr) -> io::Result<()> {
    let socket = SockRef::from(socket);
    match of {
        IpAddr::V4(_) => socket.set_ip_transparent_v4(true),
        IpAddr::V6(_) => socket.set_ip_transparent_v6(true),
    }
}

fn socket(from: IpAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(SocketAddr::new(from, 0));
    Socket::new(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))
}

fn bind(socket: Socket, from: IpAddr) -> io::Result<TcpStream> {
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
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

    #[test]
    fn a_clients_address_can_be_used_where_that_is_permitted() {
        for client in ["192.0.2.1", "2001:db8::1"] {
            let client: IpAddr = client.parse().unwrap();
            match (may_be_transparent(), bound_as(client)) {
                (Ok(()), Ok(socket)) => assert_eq!(socket.local_addr().unwrap().ip(), client),
                (Err(_), Err(error)) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
                (may, bound) => assert!(bound.is_err() && client.is_ipv6(), "{may:?}, {bound:?}"),
            }
        }
    }
}
