//! Changing what the kernel has.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::Socket;

use super::request;

/// Changes interfaces, addresses and routes. Meant for interfaces that Shunt made itself: what it changes
/// of others it leaves as it is. Asking for what is so already is no error.
pub struct Editor {
    socket: Socket,
}

impl Editor {
    /// # Errors
    ///
    /// As the kernel gives them.
    pub fn open() -> io::Result<Self> {
        let socket = request::open()?;
        socket.set_non_blocking(true)?;
        Ok(Self { socket })
    }

    /// Switches an interface on.
    ///
    /// # Errors
    ///
    /// As each here: `PermissionDenied` without CAP_NET_ADMIN, else as the kernel gives them.
    pub fn bring_up(&self, interface: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = interface;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.order(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Sets the largest IP datagram that an interface carries, in bytes.
    ///
    /// # Errors
    ///
    /// As [`bring_up`](Self::bring_up); `InvalidInput` where the driver takes no such MTU.
    pub fn set_mtu(&self, interface: u32, mtu: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = interface;
        message.attributes.push(LinkAttribute::Mtu(mtu));
        self.order(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Gives an interface an address, of whose bits the first `prefix` are on link. An IPv6 address is
    /// good at once, without duplicate address detection.
    ///
    /// # Errors
    ///
    /// As [`bring_up`](Self::bring_up).
    pub fn add_address(&self, interface: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = prefix;
        message.header.index = interface;
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes = vec![
            AddressAttribute::Local(address),
            AddressAttribute::Address(address),
            AddressAttribute::Flags(AddressFlags::Nodad),
        ];
        self.order(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Takes an address off an interface.
    ///
    /// # Errors
    ///
    /// As [`bring_up`](Self::bring_up); of code `EADDRNOTAVAIL` where it is not there.
    pub fn remove_address(&self, interface: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = prefix;
        message.header.index = interface;
        message.attributes = vec![AddressAttribute::Local(address)];
        self.order(RouteNetlinkMessage::DelAddress(message), 0)
    }

    /// Routes the addresses whose first `prefix` bits are those of `destination` to an interface, where
    /// they are on link. Of the routes to a destination this is the first choice in IPv4 and before most
    /// in IPv6 (metric 0, and 1). Another one that is there stays, and counts again when this one goes: VIPs
    /// are announced by routes that are not to be followed.
    ///
    /// # Errors
    ///
    /// As [`bring_up`](Self::bring_up).
    pub fn add_route(&self, destination: IpAddr, prefix: u8, interface: u32) -> io::Result<()> {
        let message = route(destination, prefix, interface);
        // Without a word of others it is put before them (rtnetlink(7); `ip route prepend`).
        match self.order(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    }

    /// Removes such a route.
    ///
    /// # Errors
    ///
    /// As [`bring_up`](Self::bring_up); of code `ESRCH` where it is not there.
    pub fn remove_route(&self, destination: IpAddr, prefix: u8, interface: u32) -> io::Result<()> {
        self.order(RouteNetlinkMessage::DelRoute(route(destination, prefix, interface)), 0)
    }

    fn order(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        request::order(&self.socket, message, flags)
    }
}

fn route(destination: IpAddr, prefix: u8, interface: u32) -> RouteMessage {
    let (address, metric) = match destination {
        IpAddr::V4(v4) => (RouteAddress::Inet(v4), 0),
        // 0 would be taken for the default, 1024.
        IpAddr::V6(v6) => (RouteAddress::Inet6(v6), 1),
    };
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: family(destination),
        destination_prefix_length: prefix,
        table: RouteHeader::RT_TABLE_MAIN,
        protocol: RouteProtocol::Static,
        scope: RouteScope::Link,
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    };
    message.attributes = vec![
        RouteAttribute::Destination(address),
        RouteAttribute::Oif(interface),
        RouteAttribute::Priority(metric),
    ];
    message
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}
