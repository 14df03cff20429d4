//! Which packets come to sockets of this host: those for its own addresses, and those that marks send there, whatever their
//! destination is.

use std::io;
use std::net::IpAddr;

use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::request::Requests;

/// Marks of packets that this host takes as its own, in one address family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalMarks {
    pub v4: Vec<u32>,
    pub v6: Vec<u32>,
}

impl LocalMarks {
    /// Those that a rule (`ip rule add fwmark 1 lookup 100`) sends to a table in which every address is local
    /// (`ip route add local default dev lo table 100`). Needs no privilege.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub fn read() -> io::Result<Self> {
        let mut requests = Requests::open()?;
        let v4 = requests.local_marks(AddressFamily::Inet)?;
        Ok(LocalMarks { v4, v6: requests.local_marks(AddressFamily::Inet6)? })
    }

    /// Those of the family of this address.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> &[u32] {
        if address.is_ipv4() { &self.v4 } else { &self.v6 }
    }
}

/// Whether an address is this host's own, by its routes. Binding to it says something else: `net.ipv4.ip_nonlocal_bind`
/// permits any.
///
/// # Errors
/// As the kernel gives them; that there is no route is none.
pub fn is_own(address: IpAddr) -> io::Result<bool> {
    let mut request = RouteMessage::default();
    let (family, bits, destination) = match address {
        IpAddr::V4(address) => (AddressFamily::Inet, 32, RouteAddress::Inet(address)),
        IpAddr::V6(address) => (AddressFamily::Inet6, 128, RouteAddress::Inet6(address)),
    };
    request.header.address_family = family;
    request.header.destination_prefix_length = bits;
    request.attributes.push(RouteAttribute::Destination(destination));
    let found = Requests::open()?.one(RouteNetlinkMessage::GetRoute(request), |message| match message {
        RouteNetlinkMessage::NewRoute(message) => Some(message.header.kind == RouteType::Local),
        _ => None,
    });
    match found {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENETUNREACH | libc::EHOSTUNREACH)) => {
            Ok(false)
        }
        found => found.map(|it| it.unwrap_or(false)),
    }
}

impl Requests {
    fn local_marks(&mut self, family: AddressFamily) -> io::Result<Vec<u32>> {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        let tables = self.list(RouteNetlinkMessage::GetRoute(request), |message| match message {
            RouteNetlinkMessage::NewRoute(message) => table_of_local(message),
            _ => None,
        });
        let mut request = RuleMessage::default();
        request.header.family = family;
        let marked = self.list(RouteNetlinkMessage::GetRule(request), |message| match message {
            RouteNetlinkMessage::NewRule(message) => marked(message),
            _ => None,
        });
        let (tables, marked) = match (tables, marked) {
            (Ok(tables), Ok(marked)) => (tables, marked),
            // The family is switched off.
            (Err(error), _) | (_, Err(error)) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                return Ok(Vec::new());
            }
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let local = marked.into_iter().filter(|(_, table)| tables.contains(table));
        Ok(local.map(|(mark, _)| mark).collect())
    }
}

/// The table of a route that makes every address local.
fn table_of_local(message: &RouteMessage) -> Option<u32> {
    let header = &message.header;
    let table = message.attributes.iter().find_map(|it| match it {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    let everything = header.kind == RouteType::Local && header.destination_prefix_length == 0;
    everything.then_some(table.unwrap_or(header.table.into()))
}

/// The mark that a rule goes by, and the table that it sends to.
fn marked(message: &RuleMessage) -> Option<(u32, u32)> {
    let (mut mark, mut table) = (None, u32::from(message.header.table));
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::FwMark(it) => mark = Some(*it),
            RuleAttribute::Table(it) => table = *it,
            _ => {}
        }
    }
    let mark = mark.filter(|mark| *mark != 0 && message.header.action == RuleAction::ToTable)?;
    Some((mark, table))
}
