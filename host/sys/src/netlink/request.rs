//! Asking the kernel.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage,
};
use netlink_packet_route::route::{RouteHeader, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::read;
use super::state::{InterfaceAddress, Link, Neighbour, Route};

/// How often a list is asked for that changed while it was sent. Changes come as messages as well, so
/// that the last one sent will do.
const ATTEMPTS: u32 = 5;

/// Asks, and waits for the answer.
pub(super) struct Requests {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
    undecodable: u64,
}

impl Requests {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { socket: open()?, sequence: 0, buffer: vec![0; 64 << 10], undecodable: 0 })
    }

    pub(super) fn links(&mut self) -> io::Result<BTreeMap<u32, Link>> {
        let links =
            self.list(RouteNetlinkMessage::GetLink(LinkMessage::default()), |message| match message {
                RouteNetlinkMessage::NewLink(message) => read::link(message),
                _ => None,
            })?;
        Ok(links.into_iter().map(|link| (link.index, link)).collect())
    }

    pub(super) fn addresses(&mut self) -> io::Result<Vec<InterfaceAddress>> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let mut addresses = self.list(request, |message| match message {
            RouteNetlinkMessage::NewAddress(message) => read::address(message),
            _ => None,
        })?;
        addresses.sort_unstable();
        Ok(addresses)
    }

    pub(super) fn neighbours(&mut self) -> io::Result<BTreeMap<(u32, IpAddr), Neighbour>> {
        let request = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        let neighbours = self.list(request, |message| match message {
            RouteNetlinkMessage::NewNeighbour(message) => read::neighbour(message),
            _ => None,
        })?;
        Ok(neighbours.into_iter().collect())
    }

    /// The main table of both families.
    pub(super) fn routes(&mut self) -> io::Result<Vec<Route>> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RouteMessage::default();
            request.header.address_family = family;
            request.header.table = RouteHeader::RT_TABLE_MAIN;
            let listed = self.list(RouteNetlinkMessage::GetRoute(request), |message| match message {
                RouteNetlinkMessage::NewRoute(message) => read::route(message),
                _ => None,
            });
            match listed {
                Ok(listed) => routes.extend(listed),
                // The family is switched off, or its main table has never had a route.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOENT)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(routes)
    }

    /// How many messages could not be read since this was last called.
    pub(super) fn take_undecodable(&mut self) -> u64 {
        std::mem::take(&mut self.undecodable)
    }

    pub(super) fn list<T>(
        &mut self,
        request: RouteNetlinkMessage,
        read: impl Fn(&RouteNetlinkMessage) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        let mut attempt = 1;
        loop {
            let (items, interrupted) = self.list_once(request.clone(), &read)?;
            if !interrupted || attempt == ATTEMPTS {
                return Ok(items);
            }
            attempt += 1;
        }
    }

    /// What an answer of one message says.
    pub(super) fn one<T>(
        &mut self,
        request: RouteNetlinkMessage,
        read: impl Fn(&RouteNetlinkMessage) -> Option<T>,
    ) -> io::Result<Option<T>> {
        self.sequence = self.sequence.wrapping_add(1);
        send(&self.socket, request, NLM_F_REQUEST, self.sequence)?;
        let length = self.socket.recv(&mut self.buffer.as_mut_slice(), 0)?;
        let datagram = self.buffer.get(..length).unwrap_or(&self.buffer);
        let mut found = Ok(None);
        self.undecodable += messages(datagram, |_, payload| match payload {
            NetlinkPayload::InnerMessage(message) => found = Ok(read(&message)),
            NetlinkPayload::Error(error) => found = Err(error.to_io()),
            _ => {}
        });
        found
    }

    /// The list, and whether it changed meanwhile.
    fn list_once<T>(
        &mut self,
        request: RouteNetlinkMessage,
        read: &impl Fn(&RouteNetlinkMessage) -> Option<T>,
    ) -> io::Result<(Vec<T>, bool)> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        send(&self.socket, request, NLM_F_REQUEST | NLM_F_DUMP, sequence)?;
        let (mut items, mut interrupted, mut end) = (Vec::new(), false, None);
        while end.is_none() {
            let length = self.socket.recv(&mut self.buffer.as_mut_slice(), 0)?;
            let datagram = self.buffer.get(..length).unwrap_or(&self.buffer);
            self.undecodable += messages(datagram, |header, payload| {
                if header.sequence_number != sequence {
                    // The rest of an answer that was given up.
                    return;
                }
                interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
                match payload {
                    NetlinkPayload::InnerMessage(message) => items.extend(read(&message)),
                    NetlinkPayload::Done(done) if done.code < 0 => {
                        end = Some(Err(io::Error::from_raw_os_error(-done.code)));
                    }
                    NetlinkPayload::Done(_) => end = Some(Ok(())),
                    NetlinkPayload::Error(error) => end = Some(Err(error.to_io())),
                    _ => {}
                }
            });
        }
        end.unwrap_or(Ok(())).map(|()| (items, interrupted))
    }
}

/// Has the kernel ask for neighbours, by ARP or neighbour discovery.
pub struct Solicitor {
    socket: Socket,
}

impl Solicitor {
    /// # Errors
    ///
    /// As the kernel gives them.
    pub fn open() -> io::Result<Self> {
        let socket = open()?;
        socket.set_non_blocking(true)?;
        Ok(Self { socket })
    }

    /// Has the kernel find out the MAC of a neighbour, or confirm it, as if it had a packet for it. The
    /// answer comes as a change of the network; where there is none, after about three seconds, the
    /// neighbour has failed. Does not wait.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without CAP_NET_ADMIN; as the kernel gives them where there is no such
    /// interface, or no room for neighbours (`net.ipv4.neigh.default.gc_thresh3`).
    pub fn solicit(&self, interface: u32, next_hop: IpAddr) -> io::Result<()> {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = interface;
        message.header.family = if next_hop.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.flags = NeighbourFlags::Use;
        let address = match next_hop {
            IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
            IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
        };
        message.attributes.push(NeighbourAttribute::Destination(address));
        let message = RouteNetlinkMessage::NewNeighbour(message);
        order(&self.socket, message, NLM_F_CREATE)
    }
}

/// Has the kernel do something, and hears whether it did: it has answered when the call that asked
/// returns.
pub(super) fn order(socket: &Socket, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
    send(socket, message, NLM_F_REQUEST | NLM_F_ACK | flags, 0)?;
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer.as_mut_slice(), 0)?;
    let mut outcome = Ok(());
    messages(buffer.get(..length).unwrap_or_default(), |_, payload| {
        // An error of code 0 is the acknowledgement (netlink(7)).
        if let NetlinkPayload::Error(error) = payload
            && error.code.is_some()
        {
            outcome = Err(error.to_io());
        }
    });
    outcome
}

pub(super) fn open() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    // Filters of a list count (from Linux 4.20); without it all tables come, and are left out here.
    let _ = socket.set_netlink_get_strict_chk(true);
    Ok(socket)
}

fn send(socket: &Socket, message: RouteNetlinkMessage, flags: u16, sequence: u32) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    Ok(())
}

/// Gives each message of a datagram to `each`. Returns how many could not be read.
pub(super) fn messages(
    mut datagram: &[u8],
    mut each: impl FnMut(&NetlinkHeader, NetlinkPayload<RouteNetlinkMessage>),
) -> u64 {
    /// `struct nlmsghdr`; its first field is the length of the message with it.
    const HEADER: usize = 16;
    let mut unreadable = 0;
    while let Some((length, _)) = datagram.split_first_chunk::<4>() {
        let length = u32::from_ne_bytes(*length) as usize;
        if length < HEADER || length > datagram.len() {
            return unreadable + 1;
        }
        let (message, _) = datagram.split_at(length);
        match NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) {
            Ok(message) => {
                let (header, payload) = message.into_parts();
                each(&header, payload);
            }
            Err(_) => unreadable += 1,
        }
        // Each begins at a multiple of four (netlink(3), `NLMSG_ALIGN`).
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    unreadable
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each cut and each wrong length is counted once, and nothing panics.
    #[test]
    fn what_is_no_message_is_counted() {
        let mut header = [0; 16];
        header[..4].copy_from_slice(&16u32.to_ne_bytes());
        // NLMSG_DONE.
        header[4..6].copy_from_slice(&3u16.to_ne_bytes());
        let count = |datagram: &[u8]| {
            let mut read = 0;
            let unread = messages(datagram, |_, _| read += 1);
            (read, unread)
        };
        assert_eq!(count(&[]), (0, 0));
        assert_eq!(count(&header[..12]), (0, 1));
        for length in [0u32, 15, 17, u32::MAX] {
            let mut wrong = header;
            wrong[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(count(&wrong), (0, 1), "a length of {length}");
        }
        // RTM_NEWLINK, cut short.
        let mut short = header;
        short[4..6].copy_from_slice(&16u16.to_ne_bytes());
        assert_eq!(count(&[short, short].concat()), (0, 2));
    }
}
