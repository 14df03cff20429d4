//! The interfaces of this host, by their addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// Those that are not loopback, as they were when asked.
#[derive(Clone, Debug)]
pub struct Interfaces(Vec<(IpAddr, String)>);

impl Interfaces {
    /// # Errors
    /// As the kernel gives them.
    pub fn read() -> io::Result<Self> {
        let all = getifaddrs()?.filter(|it| !it.flags.contains(InterfaceFlags::IFF_LOOPBACK));
        let known = all.filter_map(|it| {
            let address = it.address?;
            let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
                (Some(v4), _) => v4.ip().into(),
                (_, Some(v6)) => v6.ip().into(),
                _ => return None,
            };
            Some((ip, it.interface_name))
        });
        Ok(Interfaces(known.collect()))
    }

    /// The interface that packets to an address leave by, as the routes are now; `None`: there is no route, or it is an
    /// address of this host.
    #[must_use]
    pub fn toward(&self, to: IpAddr) -> Option<&str> {
        let any: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        // Connecting sends nothing, but chooses. The port is that of discard.
        socket.connect(SocketAddr::new(to, 9)).ok()?;
        let own = socket.local_addr().ok()?.ip();
        let known = self.0.iter().find(|(address, _)| *address == own && own != to)?;
        Some(&known.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_none() {
        let interfaces = Interfaces::read().unwrap();
        assert_eq!(interfaces.toward(Ipv4Addr::LOCALHOST.into()), None);
        for (own, _) in &interfaces.0 {
            assert_eq!(interfaces.toward(*own), None, "{own} is here");
        }
    }
}
