//! IPv4 packets made IPv6 packets, and the other way round (RFC 7915), one frame at a time.
//!
//! Nothing is kept from packet to packet and no address is chosen here: who calls knows what each one becomes
//! (RFC 7915 section 6). [`FamilyTranslation`](crate::rewrite::FamilyTranslation) does it for the flows of a load balancer, with
//! ports; [`translate`] for single packets, without.
//!
//! What is not translated: IPv4 options and the IPv6 extension headers that mean nothing to IPv4 are left out,
//! messages of one hop (IGMP, MLD, neighbour discovery) and fragmented ICMP are refused (RFC 7915 sections
//! 1.2, 4.1, 4.2, 5.1 and 5.2).

mod error;
mod head;
mod message;
mod subject;
mod transport;

pub use subject::Subject;

use head::Head;
use transport::Kind;

use crate::bytes::{array_at, put};
use crate::ethernet::{self, EtherType};
use crate::layout::Part;
use crate::{Address, Endpoint, Family, Frame, Hop, Layout, RewriteError, ip, tcp};

/// What the addresses of a packet become, all of the other family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    pub source: Address,
    pub destination: Address,
    /// Source and destination of the packet that an ICMP error is about.
    pub inner: Option<(Address, Address)>,
}

/// What the ways in and out allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest datagram of the new family that the way out carries.
    pub mtu: u16,
    /// The longest datagram of the old family that the way to the packet's source carries. An ICMP error
    /// reports no larger one (RFC 7915 sections 4.2 and 5.2).
    pub mtu_back: u16,
    /// The longest IPv6 datagram that comes of an IPv4 packet that may be fragmented (RFC 7915 section 4.1).
    pub lowest_ipv6_mtu: u16,
    pub hop: Hop,
}

/// The value of `lowest-ipv6-mtu` unless another is known (RFC 7915 section 4.1).
pub const LOWEST_IPV6_MTU: u16 = ip::V6_MIN_MTU;

/// Makes of a packet one of the other family. [`Subject::read`] gives its layout, of which the start and the end of
/// the datagram and its family are used.
///
/// # Errors
///
/// Why it cannot be; the frame is then as it was.
pub fn translate(
    frame: &mut Frame<'_>,
    layout: &Layout,
    mapped: &Mapped,
    limits: &Limits,
) -> Result<(), RewriteError> {
    relay(frame, layout, &mapped.outer(), mapped.about(), &limits.way(Fit::Whole)).map(|_| ())
}

/// The same for a packet that [`translate`] refused with [`RewriteError::MustFragment`]: what comes of it is too long
/// for the way out, and fit to be [`cut`](crate::fragment::cut) into datagrams of the length that is returned.
///
/// # Errors
///
/// Why it cannot be; the frame is then as it was.
pub fn translate_to_cut(
    frame: &mut Frame<'_>,
    layout: &Layout,
    mapped: &Mapped,
    limits: &Limits,
) -> Result<u16, RewriteError> {
    relay(frame, layout, &mapped.outer(), mapped.about(), &limits.way(Fit::Cut))
}

impl Mapped {
    const fn outer(&self) -> Pair {
        Pair::without_ports(self.source, self.destination)
    }

    const fn about(&self) -> About {
        match self.inner {
            Some((source, destination)) => About::Other(Pair::without_ports(source, destination)),
            None => About::Nothing,
        }
    }
}

impl Way {
    /// The hop limit that a packet leaves with.
    const fn hop_limit(&self, head: &Head) -> u8 {
        match self.hop {
            Hop::Decrement => head.hop_limit.saturating_sub(1),
            Hop::Keep => head.hop_limit,
        }
    }
}

impl Limits {
    const fn way(&self, fit: Fit) -> Way {
        let Self { mtu, mtu_back, lowest_ipv6_mtu, hop } = *self;
        Way { mtu, mtu_back, lowest_ipv6_mtu, hop, mss: 0, fit }
    }
}

/// Where a packet comes from and goes to, in its new family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Pair {
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    /// Are the ports new too? In an ICMP echo the port of the side that asked is the identifier.
    pub(crate) with_ports: bool,
}

impl Pair {
    const fn without_ports(source: Address, destination: Address) -> Self {
        Self {
            source: Endpoint { address: source, port: 0 },
            destination: Endpoint { address: destination, port: 0 },
            with_ports: false,
        }
    }

    const fn reversed(&self) -> Self {
        Self { source: self.destination, destination: self.source, with_ports: self.with_ports }
    }

    /// The family of the source.
    pub(crate) const fn family(&self) -> Family {
        self.source.address.family()
    }

    /// Are both ends of the family?
    fn is_of(&self, family: Family) -> bool {
        self.family() == family && self.destination.address.family() == family
    }
}

/// What the packet becomes that an ICMP error is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About {
    /// It went the other way between the same ends.
    Reversed,
    Other(Pair),
    /// Not known.
    Nothing,
}

impl About {
    const fn pair(self, outer: &Pair) -> Option<Pair> {
        match self {
            Self::Reversed => Some(outer.reversed()),
            Self::Other(pair) => Some(pair),
            Self::Nothing => None,
        }
    }
}

/// What is done beside the translation, and how long its result may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) mtu: u16,
    pub(crate) mtu_back: u16,
    pub(crate) lowest_ipv6_mtu: u16,
    pub(crate) hop: Hop,
    /// The largest TCP maximum segment size that a SYN may announce; 0 leaves it.
    pub(crate) mss: u16,
    pub(crate) fit: Fit,
}

/// What becomes of a packet that is too long and may be fragmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It is refused.
    Whole,
    /// It is translated, to be cut.
    Cut,
}

/// Translates a packet, or an ICMP error with the packet in it. Returns how long a datagram of the result may be.
#[inline]
pub(crate) fn relay(
    frame: &mut Frame<'_>,
    layout: &Layout,
    pair: &Pair,
    about: About,
    way: &Way,
) -> Result<u16, RewriteError> {
    if layout.family == pair.family() || !pair.is_of(pair.family()) {
        return Err(RewriteError::Mismatch);
    }
    let (l3, end) = (usize::from(layout.l3), usize::from(layout.end));
    if l3 < ethernet::HEADER_LEN {
        return Err(RewriteError::Mismatch);
    }
    let datagram = frame.bytes().get(l3..end).ok_or(RewriteError::Mismatch)?;
    let head = head::read(datagram, layout.family)?;
    let payload = datagram.get(head.len..head.len + head.payload_len).ok_or(RewriteError::Mismatch)?;
    // RFC 7915 sections 4.1 and 5.1: the translator is a router, so the hop limit counts it, and what would
    // leave with zero is answered.
    if way.hop == Hop::Decrement && head.hop_limit <= 1 {
        return Err(RewriteError::HopLimit);
    }
    let kind = transport::kind(payload, &head)?;
    if kind == Kind::Error {
        error::translate(frame, l3, &head, pair, about, way)?;
        return Ok(way.mtu);
    }
    // RFC 7915 sections 4.1 and 5.1: an illegal source is for silence (RFC 1812 section 5.3.7), but for that
    // of an ICMP error.
    if head.has_illegal_source() {
        return Err(RewriteError::Untranslatable);
    }
    transport::check(payload, &head, kind)?;
    let longest = longest(&head, datagram.len(), way)?;
    rewrite(frame, l3, head, kind, pair, way, longest.cut)?;
    Ok(longest.datagram)
}

/// How long what leaves may be, and whether it is to be cut to that.
#[derive(Clone, Copy, Debug)]
struct Longest {
    datagram: u16,
    cut: bool,
}

/// Does what comes of the packet fit the way out?
fn longest(head: &Head, len: usize, way: &Way) -> Result<Longest, RewriteError> {
    let new_len = head.new_len() + head.payload_len;
    let mtu = usize::from(way.mtu);
    match head.family {
        Family::V4 if head.dont_fragment => {
            if new_len > mtu {
                return Err(RewriteError::TooBig { mtu: report_v4(head, len, way.mtu) });
            }
        }
        Family::V4 => {
            // RFC 7915 section 4.1: a packet that may be fragmented is, so that no IPv6 link of the way is
            // too narrow for it.
            let lowest = way.mtu.min(way.lowest_ipv6_mtu);
            if new_len > usize::from(lowest) {
                return must_cut(lowest, way);
            }
        }
        Family::V6 => {
            if new_len > mtu {
                // RFC 7915 section 5.1.1: IPv6 never fragments what every link carries, so that is fragmented
                // here.
                if len <= usize::from(ip::V6_MIN_MTU) {
                    return must_cut(way.mtu, way);
                }
                // RFC 7915 sections 1.4 and 5.1.1: more than that its sender can make smaller, and gets an ICMP error.
                let mtu = way.mtu.saturating_add(GROWTH).max(ip::V6_MIN_MTU);
                return Err(RewriteError::TooBig { mtu });
            }
        }
    }
    Ok(Longest { datagram: way.mtu, cut: false })
}

fn must_cut(datagram: u16, way: &Way) -> Result<Longest, RewriteError> {
    match way.fit {
        Fit::Whole => Err(RewriteError::MustFragment),
        Fit::Cut => Ok(Longest { datagram, cut: true }),
    }
}

/// By how much an IPv6 header is longer than an IPv4 header.
pub(crate) const GROWTH: u16 = (ip::V6_HEADER_LEN - ip::V4_HEADER_LEN) as u16;

/// The largest IPv4 datagram that the sender may send (RFC 7915 section 4.1). A fragment gets a fragment header
/// too: if it is for this alone that it does not fit, the size in the ICMP error allows for it.
fn report_v4(head: &Head, len: usize, mtu: u16) -> u16 {
    let room = mtu.saturating_sub(GROWTH);
    if head.fragment.is_some() && len <= usize::from(room) {
        room.saturating_sub(ip::FRAGMENT_HEADER_LEN as u16)
    } else {
        room
    }
}

/// Writes the packet that was found fit.
fn rewrite(
    frame: &mut Frame<'_>,
    l3: usize,
    mut head: Head,
    kind: Kind,
    pair: &Pair,
    way: &Way,
    cut: bool,
) -> Result<(), RewriteError> {
    if cut {
        head.become_fragment();
    }
    let (old_len, new_len) = (head.len, head.new_len());
    if frame.headroom() + old_len < new_len {
        return Err(RewriteError::NoRoom);
    }
    // Padding behind the packet is no part of it.
    frame.set_len(l3 + old_len + head.payload_len).ok_or(RewriteError::Mismatch)?;
    if way.mss != 0 && kind == Kind::Tcp {
        clamp(frame.bytes_mut(), &head, l3, way.mss);
    }
    let payload = frame.bytes_mut().get_mut(l3 + old_len..).ok_or(RewriteError::Mismatch)?;
    let identification = head.identify(payload);
    let to_sum = transport::lacks_checksum(payload, &head, kind);
    transport::rewrite(payload, &head, kind, pair);
    if to_sum {
        transport::sum_udp(payload, pair);
    }
    move_link_header(frame, l3, old_len, new_len).ok_or(RewriteError::Mismatch)?;
    let bytes = frame.bytes_mut();
    set_ether_type(bytes, l3, pair.family()).ok_or(RewriteError::Mismatch)?;
    let header = bytes.get_mut(l3..).ok_or(RewriteError::Mismatch)?;
    head.write(header, pair, way.hop_limit(&head), identification).ok_or(RewriteError::Mismatch)
}

fn clamp(bytes: &mut [u8], head: &Head, l3: usize, mss: u16) {
    let (Ok(at), Ok(l4), Ok(end)) =
        (u16::try_from(l3), u16::try_from(l3 + head.len), u16::try_from(bytes.len()))
    else {
        return;
    };
    let layout = Layout { l3: at, l4, end, family: head.family, protocol: ip::TCP, part: Part::Whole };
    tcp::clamp_mss(bytes, &layout, mss);
}

/// Moves what stands in front of a header of `old` bytes to where one of `new` bytes will be, which ends in the
/// same place.
fn move_link_header(frame: &mut Frame<'_>, l3: usize, old: usize, new: usize) -> Option<()> {
    let (from, to) = (new.saturating_sub(old), old.saturating_sub(new));
    frame.grow_front(from)?;
    let bytes = frame.bytes_mut();
    if l3 == ethernet::HEADER_LEN {
        // A length that is known beforehand is moved in two words.
        let link: [u8; ethernet::HEADER_LEN] = array_at(bytes, from)?;
        put(bytes, to, link)?;
    } else {
        bytes.copy_within(from..from + l3, to);
    }
    frame.shrink_front(to)
}

/// Says which family the datagram at `l3` is of.
fn set_ether_type(bytes: &mut [u8], l3: usize, family: Family) -> Option<()> {
    let ether_type = match family {
        Family::V4 => EtherType::IPV4,
        Family::V6 => EtherType::IPV6,
    };
    put(bytes, l3.checked_sub(2)?, ether_type.0.to_be_bytes())
}
