//! ICMP errors about a packet, and answers to echo requests (RFC 792, RFC 4443).

use crate::bytes::{put, u16_at};
use crate::checksum::{Delta, Sum};
use crate::ip::{self, Header};
use crate::layout::Part;
use crate::names::{V4_REDIRECT, V4_SOURCE_QUENCH, V6_REDIRECT};
use crate::{Address, Family, Frame, Layout, ethernet, identification};

pub use crate::names::{
    V4_ECHO_REPLY, V4_ECHO_REQUEST, V4_PARAMETER_PROBLEM, V4_TIME_EXCEEDED, V4_UNREACHABLE, V6_ECHO_REPLY,
    V6_ECHO_REQUEST, V6_PARAMETER_PROBLEM, V6_TIME_EXCEEDED, V6_TOO_BIG, V6_UNREACHABLE,
};

/// The header of an error, in front of what it quotes.
const HEADER_LEN: usize = 8;
/// The longest ICMP error over IPv4 (RFC 1812 section 4.3.2.3).
const V4_MAX_LEN: usize = 576;

/// What is reported to the sender of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The sender may send datagrams of `mtu` bytes (RFC 1191 section 4, RFC 4443 section 3.2).
    TooBig { mtu: u16 },
    /// The hop limit ended here (RFC 792 and RFC 4443 section 3.3).
    HopLimit,
    /// The port is closed.
    PortUnreachable,
    /// The next hop does not answer.
    HostUnreachable,
    /// Policy forbids the packet (RFC 1812 section 5.2.7.1, RFC 4443 section 3.1).
    Prohibited,
    /// The packet says by which way it wants to go, and cannot (RFC 7915 sections 4.1 and 5.1). In IPv6,
    /// `pointer` is where it says that.
    SourceRoute { pointer: u16 },
}

/// Why no error is sent about a packet (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 e).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It is an ICMP error or a redirect.
    AboutError,
    /// It is a fragment, but not the first one.
    LaterFragment,
    /// It went to more than one station.
    ToGroup,
    /// Its source address does not name one host.
    FromNobody,
    /// The buffer has too little room in front: [`crate::frame::HEADROOM`] is enough.
    NoRoom,
    /// The frame is shorter than its layout says, or the reporter's address is of the other family.
    Mismatch,
}

/// Makes of a packet an ICMP error about it, from `source` to its sender, back over the link that it came
/// by. Quotes as much of the packet as the RFCs allow.
///
/// Who calls limits how many are sent (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 f).
///
/// # Errors
///
/// Why there must be no error; the frame is then as it was.
pub fn report(
    frame: &mut Frame<'_>,
    layout: &Layout,
    source: Address,
    report: Report,
) -> Result<(), Silence> {
    let sender = may_answer(frame.bytes(), layout)?;
    if source.family() != layout.family {
        return Err(Silence::Mismatch);
    }
    let overhead = ip::header_len(layout.family) + HEADER_LEN;
    if frame.headroom() < overhead {
        return Err(Silence::NoRoom);
    }
    write_report(frame, layout, source, sender, report).ok_or(Silence::Mismatch)
}

/// Makes of an echo request its reply (RFC 792, RFC 4443 section 4.2), back over the link that it came by.
/// None, and nothing done, if it is no whole echo request to one station.
pub fn echo_reply(frame: &mut Frame<'_>, layout: &Layout) -> Option<()> {
    let (l3, l4) = (usize::from(layout.l3), usize::from(layout.l4));
    let bytes = frame.bytes();
    may_answer(bytes, layout).ok()?;
    if layout.part != Part::Whole || protocol_of(layout.family) != layout.protocol {
        return None;
    }
    if echo(layout.family, *bytes.get(l4)?)? != Echo::Request {
        return None;
    }
    let (source, destination) = ip::addresses(bytes.get(l3..)?, layout.family)?;
    let bytes = frame.bytes_mut();
    // Addresses that change places change no sum.
    match layout.family {
        Family::V4 => {
            put(bytes, l3 + 12, ip::v4_octets(destination))?;
            put(bytes, l3 + 16, ip::v4_octets(source))?;
            let old = u16_at(bytes, l3 + 8)?;
            let [_, protocol] = old.to_be_bytes();
            let new = u16::from_be_bytes([ip::DEFAULT_HOP_LIMIT, protocol]);
            put(bytes, l3 + 8, new.to_be_bytes())?;
            let check = Delta::none().u16(old, new).apply(u16_at(bytes, l3 + 10)?);
            put(bytes, l3 + 10, check.to_be_bytes())?;
        }
        Family::V6 => {
            put(bytes, l3 + 8, destination.octets())?;
            put(bytes, l3 + 24, source.octets())?;
            put(bytes, l3 + 7, [ip::DEFAULT_HOP_LIMIT])?;
        }
    }
    let (request, reply) = match layout.family {
        Family::V4 => (V4_ECHO_REQUEST, V4_ECHO_REPLY),
        Family::V6 => (V6_ECHO_REQUEST, V6_ECHO_REPLY),
    };
    let delta = Delta::none().u16(u16::from(request) << 8, u16::from(reply) << 8);
    put(bytes, l4, [reply])?;
    put(bytes, l4 + 2, delta.apply(u16_at(bytes, l4 + 2)?).to_be_bytes())?;
    ethernet::turn_round(bytes)
}

/// Which half of an echo exchange a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    Request,
    Reply,
}

/// None if messages of the type are no part of an echo exchange.
#[must_use]
pub const fn echo(family: Family, icmp_type: u8) -> Option<Echo> {
    match (family, icmp_type) {
        (Family::V4, V4_ECHO_REQUEST) | (Family::V6, V6_ECHO_REQUEST) => Some(Echo::Request),
        (Family::V4, V4_ECHO_REPLY) | (Family::V6, V6_ECHO_REPLY) => Some(Echo::Reply),
        _ => None,
    }
}

/// Does a message of the type say that something went wrong with a packet, or that another way is better?
#[must_use]
pub const fn is_error(family: Family, icmp_type: u8) -> bool {
    match family {
        // RFC 1122 section 3.2.2.
        Family::V4 => matches!(
            icmp_type,
            V4_UNREACHABLE | V4_SOURCE_QUENCH | V4_REDIRECT | V4_TIME_EXCEEDED | V4_PARAMETER_PROBLEM
        ),
        // Errors have the high bit clear (RFC 4443 section 2.1); the redirect is RFC 4861's (section 4.5).
        Family::V6 => icmp_type < V6_ECHO_REQUEST || icmp_type == V6_REDIRECT,
    }
}

/// The protocol number of the family's ICMP.
#[must_use]
pub const fn protocol_of(family: Family) -> u8 {
    match family {
        Family::V4 => ip::ICMP,
        Family::V6 => ip::ICMPV6,
    }
}

/// May an ICMP error about the packet be sent? Returns its sender.
fn may_answer(bytes: &[u8], layout: &Layout) -> Result<Address, Silence> {
    let datagram = bytes.get(usize::from(layout.l3)..usize::from(layout.end)).ok_or(Silence::Mismatch)?;
    let (source, destination) = ip::addresses(datagram, layout.family).ok_or(Silence::Mismatch)?;
    if !layout.holds_headers() {
        return Err(Silence::Mismatch);
    }
    if layout.part == Part::Later {
        return Err(Silence::LaterFragment);
    }
    if layout.protocol == protocol_of(layout.family) {
        let kind = bytes.get(usize::from(layout.l4)).ok_or(Silence::Mismatch)?;
        if is_error(layout.family, *kind) {
            return Err(Silence::AboutError);
        }
    }
    if ethernet::destination(bytes).is_none_or(|mac| mac.is_group()) || is_group(destination) {
        return Err(Silence::ToGroup);
    }
    if is_group(source) || is_nobody(source) {
        return Err(Silence::FromNobody);
    }
    Ok(source)
}

/// Multicast, and what IPv4 reserves next to it, broadcast included.
fn is_group(address: Address) -> bool {
    match address.to_ipv4() {
        Some(v4) => v4.octets()[0] >= 224,
        None => address.to_ip().is_multicast(),
    }
}

/// Unspecified ("this network" in IPv4, RFC 1122 section 3.2.1.3) or loopback.
fn is_nobody(address: Address) -> bool {
    match address.to_ipv4() {
        Some(v4) => v4.octets()[0] == 0 || v4.is_loopback(),
        None => address.to_ip().is_unspecified() || address.to_ip().is_loopback(),
    }
}

fn write_report(
    frame: &mut Frame<'_>,
    layout: &Layout,
    source: Address,
    destination: Address,
    report: Report,
) -> Option<()> {
    let l3 = usize::from(layout.l3);
    let network_len = ip::header_len(layout.family);
    let overhead = network_len + HEADER_LEN;
    let quoted = usize::from(layout.datagram_len()).min(max_len(layout.family) - overhead);
    frame.set_len(l3 + quoted)?;
    frame.grow_front(overhead)?;
    let bytes = frame.bytes_mut();
    bytes.copy_within(overhead..overhead + l3, 0);
    ethernet::turn_round(bytes)?;

    let bytes = bytes.get_mut(l3..)?;
    let ip = Header {
        traffic_class: traffic_class(layout.family),
        ..Header::new(source, destination, protocol_of(layout.family))
    };
    let (kind, code, word) = message(layout.family, report);
    let message = bytes.get_mut(network_len..)?;
    put(message, 0, [kind, code, 0, 0])?;
    put(message, 4, u32::from(word).to_be_bytes())?;
    let len = message.len();
    let sum = match layout.family {
        Family::V4 => Sum::new(),
        Family::V6 => ip.pseudo(len),
    };
    let check = sum.bytes(message).checksum();
    put(message, 2, check.to_be_bytes())?;
    // A path that is too narrow for an error must not swallow it, for no error is sent about an error.
    let about = HEADER_LEN + usize::from(layout.l4 - layout.l3);
    let identification = identification::of(message.get(about..).unwrap_or_default());
    Header { may_fragment: Some(identification), ..ip }.write(bytes, len)
}

/// Type, code and the end of the header's second word: an MTU, in both families, or a pointer.
const fn message(family: Family, report: Report) -> (u8, u8, u16) {
    match (family, report) {
        (Family::V4, Report::TooBig { mtu }) => (V4_UNREACHABLE, 4, mtu),
        (Family::V4, Report::HopLimit) => (V4_TIME_EXCEEDED, 0, 0),
        (Family::V4, Report::PortUnreachable) => (V4_UNREACHABLE, 3, 0),
        (Family::V4, Report::HostUnreachable) => (V4_UNREACHABLE, 1, 0),
        (Family::V4, Report::Prohibited) => (V4_UNREACHABLE, 13, 0),
        (Family::V4, Report::SourceRoute { .. }) => (V4_UNREACHABLE, 5, 0),
        (Family::V6, Report::TooBig { mtu }) => (V6_TOO_BIG, 0, mtu),
        (Family::V6, Report::HopLimit) => (V6_TIME_EXCEEDED, 0, 0),
        (Family::V6, Report::PortUnreachable) => (V6_UNREACHABLE, 4, 0),
        (Family::V6, Report::HostUnreachable) => (V6_UNREACHABLE, 3, 0),
        (Family::V6, Report::Prohibited) => (V6_UNREACHABLE, 1, 0),
        (Family::V6, Report::SourceRoute { pointer }) => (V6_PARAMETER_PROBLEM, 0, pointer),
    }
}

/// The length of the longest error: 1280 bytes over IPv6 (RFC 4443 section 2.4 c).
pub(crate) const fn max_len(family: Family) -> usize {
    match family {
        Family::V4 => V4_MAX_LEN,
        Family::V6 => ip::V6_MIN_MTU as usize,
    }
}

/// Over IPv4 errors have the precedence of internetwork control (RFC 1812 section 4.3.2.5).
const fn traffic_class(family: Family) -> u8 {
    match family {
        Family::V4 => 6 << 5,
        Family::V6 => 0,
    }
}
