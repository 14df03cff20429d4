//! IPv4 and IPv6: headers, options, extension headers, fragments.

use std::net::Ipv6Addr;

use etherparse::{
    IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice, err,
    ip_number,
};
use shunt_wire::layout::Part;
use shunt_wire::{Address, Family, Layout, checksum};

use super::Unreadable;
use crate::mapping::packet::Pair;

/// What IP says of a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram {
    pub(super) layout: Layout,
    pub(super) source: Address,
    pub(super) destination: Address,
    pub(super) ttl: u8,
    pub(super) traffic_class: u8,
    pub(super) dont_fragment: bool,
    /// Meaningful in fragments only.
    pub(super) piece: Piece,
}

/// Which part of a packet a fragment is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece {
    pub(super) identification: u32,
    /// Where the identification stands in the frame.
    pub(super) identification_at: u16,
    /// Where the fragmentable part begins in the frame: in IPv6, headers of the packet may stand before its
    /// transport header.
    pub(super) start: u16,
    /// In bytes.
    pub(super) offset: u16,
    pub(super) more: bool,
}

impl Piece {
    const fn part(self) -> Part {
        match (self.offset, self.more) {
            // In IPv6, a fragment header on a whole packet means nothing (RFC 6946).
            (0, false) => Part::Whole,
            (0, true) => Part::First,
            _ => Part::Later,
        }
    }
}

/// Where the identification stands in an IPv4 header (RFC 791 section 3.1), and in a fragment header, which
/// ends with it (RFC 8200 section 4.5).
const V4_IDENTIFICATION: usize = 4;
const V6_IDENTIFICATION: usize = 4;

/// Extension headers at most. RFC 8200 section 4.1 has six that may come once and one that may come twice.
const MAX_EXTENSIONS: usize = 8;

/// Options that name the way to go (RFC 791 section 3.1).
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

/// Reads the datagram at `l3`, which must be whole and fit to be forwarded.
#[inline]
pub(super) fn read(bytes: &[u8], l3: usize, family: Family) -> Result<Datagram, Unreadable> {
    match family {
        Family::V4 => read_v4(bytes, l3),
        Family::V6 => read_v6(bytes, l3),
    }
}

/// Reads the start of a datagram at `l3` that an ICMP error quotes, and that may end anywhere. Routers change
/// what they forward, so its checksum may be wrong by now.
pub(super) fn read_quoted(bytes: &[u8], l3: usize, family: Family) -> Result<Datagram, Unreadable> {
    let datagram = bytes.get(l3..).unwrap_or_default();
    match family {
        Family::V4 => {
            let header = v4_header(datagram)?;
            let end = l3 + usize::from(header.total_len()).max(header.slice().len());
            v4_datagram(&header, l3, end.min(bytes.len()))
        }
        Family::V6 => {
            let header = v6_header(datagram)?;
            let end = l3 + header.slice().len() + usize::from(header.payload_length());
            v6_datagram(&header, bytes, l3, end.min(bytes.len()))
        }
    }
}

/// Reads no more of the datagram at `l3` than where it is and between whom, and leaves the rest to be judged by
/// who translates it.
pub(super) fn read_routed(bytes: &[u8], l3: usize, family: Family) -> Result<(Layout, Pair), Unreadable> {
    let start = bytes.get(l3..).unwrap_or_default();
    let (layout, ends) = match family {
        Family::V4 => {
            let header = v4_header(start)?;
            if checksum::sum(header.slice()) != 0xffff {
                return Err(Unreadable::IpChecksum);
            }
            let total = usize::from(header.total_len());
            if total < header.slice().len() {
                return Err(Unreadable::IpLength);
            }
            let datagram = v4_datagram(&header, l3, l3 + total)?;
            (datagram.layout, Pair { source: datagram.source, destination: datagram.destination })
        }
        Family::V6 => {
            let header = v6_header(start)?;
            let (source, destination) = (header.source_addr(), header.destination_addr());
            if is_mapped(source) || is_mapped(destination) {
                return Err(Unreadable::Mapped);
            }
            let l4 = l3 + header.slice().len();
            let end = l4 + usize::from(header.payload_length());
            let chain =
                Extensions::skip(header.next_header(), bytes.get(l4..end).ok_or(Unreadable::IpLength)?);
            let layout = Layout {
                l3: offset(l3)?,
                l4: offset(l4 + chain.len)?,
                end: offset(end)?,
                family,
                protocol: chain.next.0,
                part: chain.piece.part(),
            };
            (layout, Pair { source: source.into(), destination: destination.into() })
        }
    };
    if usize::from(layout.end) > bytes.len() { Err(Unreadable::IpLength) } else { Ok((layout, ends)) }
}

#[inline]
fn read_v4(bytes: &[u8], l3: usize) -> Result<Datagram, Unreadable> {
    let header = v4_header(bytes.get(l3..).unwrap_or_default())?;
    if checksum::sum(header.slice()) != 0xffff {
        return Err(Unreadable::IpChecksum);
    }
    let total = usize::from(header.total_len());
    if total < header.slice().len() || l3 + total > bytes.len() {
        return Err(Unreadable::IpLength);
    }
    if !header.options().is_empty() {
        check_options(header.options())?;
    }
    let source = header.source_addr();
    // RFC 1812 sections 4.2.2.11 and 5.3.7.
    if source.octets()[0] == 0 || source.octets()[0] >= 224 || source.is_loopback() {
        return Err(Unreadable::Source);
    }
    let datagram = v4_datagram(&header, l3, l3 + total)?;
    check_fragment(&datagram)?;
    Ok(datagram)
}

#[inline]
fn v4_header(datagram: &[u8]) -> Result<Ipv4HeaderSlice<'_>, Unreadable> {
    use err::ipv4::{HeaderError, HeaderSliceError};
    Ipv4HeaderSlice::from_slice(datagram).map_err(|error| match error {
        HeaderSliceError::Content(HeaderError::UnexpectedVersion { .. }) => Unreadable::IpVersion,
        HeaderSliceError::Content(HeaderError::HeaderLengthSmallerThanHeader { .. })
        | HeaderSliceError::Len(_) => Unreadable::IpHeader,
    })
}

#[inline]
fn v4_datagram(header: &Ipv4HeaderSlice<'_>, l3: usize, end: usize) -> Result<Datagram, Unreadable> {
    let l4 = offset(l3 + header.slice().len())?;
    let piece = Piece {
        identification: header.identification().into(),
        identification_at: offset(l3 + V4_IDENTIFICATION)?,
        start: l4,
        offset: header.fragments_offset().value() << 3,
        more: header.more_fragments(),
    };
    Ok(Datagram {
        layout: Layout {
            l3: offset(l3)?,
            l4,
            end: offset(end)?,
            family: Family::V4,
            protocol: header.protocol().0,
            part: piece.part(),
        },
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        ttl: header.ttl(),
        traffic_class: header.dcp().value() << 2 | header.ecn().value(),
        dont_fragment: header.dont_fragment(),
        piece,
    })
}

/// Walks the options: all but two kinds are forwarded as they are.
fn check_options(mut options: &[u8]) -> Result<(), Unreadable> {
    loop {
        match *options {
            // The end of the list, or of the header.
            [] | [0, ..] => return Ok(()),
            // No operation.
            [1, ref rest @ ..] => options = rest,
            [LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE, ..] => return Err(Unreadable::SourceRoute),
            [_, len, ..] if len >= 2 => {
                options = options.get(usize::from(len)..).ok_or(Unreadable::IpHeader)?;
            }
            _ => return Err(Unreadable::IpHeader),
        }
    }
}

#[inline]
fn read_v6(bytes: &[u8], l3: usize) -> Result<Datagram, Unreadable> {
    let header = v6_header(bytes.get(l3..).unwrap_or_default())?;
    let end = l3 + header.slice().len() + usize::from(header.payload_length());
    if end > bytes.len() {
        return Err(Unreadable::IpLength);
    }
    let (source, destination) = (header.source_addr(), header.destination_addr());
    if is_mapped(source) || is_mapped(destination) {
        return Err(Unreadable::Mapped);
    }
    // RFC 4291 sections 2.5.3 and 2.7. The unspecified address asks for neighbours, and nothing else.
    if source.is_multicast() || source.is_loopback() {
        return Err(Unreadable::Source);
    }
    let datagram = v6_datagram(&header, bytes, l3, end)?;
    if source.is_unspecified() && datagram.layout.protocol != ip_number::IPV6_ICMP.0 {
        return Err(Unreadable::Source);
    }
    check_fragment(&datagram)?;
    Ok(datagram)
}

#[inline]
fn v6_header(datagram: &[u8]) -> Result<Ipv6HeaderSlice<'_>, Unreadable> {
    use err::ipv6::{HeaderError, HeaderSliceError};
    Ipv6HeaderSlice::from_slice(datagram).map_err(|error| match error {
        HeaderSliceError::Content(HeaderError::UnexpectedVersion { .. }) => Unreadable::IpVersion,
        HeaderSliceError::Len(_) => Unreadable::IpHeader,
    })
}

#[inline]
fn v6_datagram(
    header: &Ipv6HeaderSlice<'_>,
    bytes: &[u8],
    l3: usize,
    end: usize,
) -> Result<Datagram, Unreadable> {
    let start = l3 + header.slice().len();
    let payload = bytes.get(start..end).ok_or(Unreadable::IpLength)?;
    let extensions = Extensions::read(header.next_header(), payload, start)?;
    Ok(Datagram {
        layout: Layout {
            l3: offset(l3)?,
            l4: offset(start + extensions.len)?,
            end: offset(end)?,
            family: Family::V6,
            protocol: extensions.next.0,
            part: extensions.piece.part(),
        },
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        ttl: header.hop_limit(),
        traffic_class: header.traffic_class(),
        dont_fragment: true,
        piece: extensions.piece,
    })
}

/// Such an address means IPv4 inside of programs and is not to be seen on a wire (RFC 5156 section 2.2).
/// Taken as it is, it would be the IPv4 flow's.
fn is_mapped(address: Ipv6Addr) -> bool {
    Address::from(address).to_ipv4().is_some()
}

/// A chain of extension headers (RFC 8200 section 4).
struct Extensions {
    /// What follows them.
    next: IpNumber,
    /// How long they are together.
    len: usize,
    piece: Piece,
}

impl Extensions {
    /// Reads the chain up to what is no extension header, or hides what follows: the authentication header
    /// (whose packets may not be changed) and a fragment header in a fragment that is not the first. `payload`
    /// stands at `start` in the frame.
    #[inline]
    fn read(first: IpNumber, payload: &[u8], start: usize) -> Result<Self, Unreadable> {
        let mut chain = Self { next: first, len: 0, piece: Piece::default() };
        for position in 0..=MAX_EXTENSIONS {
            let rest = payload.get(chain.len..).unwrap_or_default();
            match chain.next {
                ip_number::IPV6_HOP_BY_HOP if position > 0 => return Err(Unreadable::IpHeader),
                ip_number::IPV6_HOP_BY_HOP | ip_number::IPV6_DEST_OPTIONS | ip_number::IPV6_ROUTE => {
                    let header = Ipv6RawExtHeaderSlice::from_slice(rest).map_err(|_| Unreadable::IpHeader)?;
                    // Segments left is the fourth octet (RFC 8200 section 4.4).
                    if chain.next == ip_number::IPV6_ROUTE && rest.get(3) != Some(&0) {
                        return Err(Unreadable::SourceRoute);
                    }
                    chain.len += header.slice().len();
                    chain.next = header.next_header();
                }
                ip_number::IPV6_FRAG => {
                    let header =
                        Ipv6FragmentHeaderSlice::from_slice(rest).map_err(|_| Unreadable::IpHeader)?;
                    let at = start + chain.len;
                    chain.len += header.slice().len();
                    chain.next = header.next_header();
                    chain.piece = Piece {
                        identification: header.identification(),
                        identification_at: offset(at + V6_IDENTIFICATION)?,
                        start: offset(start + chain.len)?,
                        offset: header.fragment_offset().value() << 3,
                        more: header.more_fragments(),
                    };
                    if chain.piece.part() == Part::Later {
                        return Ok(chain);
                    }
                }
                _ => return Ok(chain),
            }
        }
        Err(Unreadable::IpHeader)
    }
}

impl Extensions {
    /// The chain as far as it can be read, up to a fragment header and with it.
    fn skip(first: IpNumber, payload: &[u8]) -> Self {
        let mut chain = Self { next: first, len: 0, piece: Piece::default() };
        loop {
            let rest = payload.get(chain.len..).unwrap_or_default();
            match chain.next {
                ip_number::IPV6_HOP_BY_HOP | ip_number::IPV6_DEST_OPTIONS | ip_number::IPV6_ROUTE => {
                    let Ok(header) = Ipv6RawExtHeaderSlice::from_slice(rest) else { return chain };
                    chain.len += header.slice().len();
                    chain.next = header.next_header();
                }
                ip_number::IPV6_FRAG => {
                    let Ok(header) = Ipv6FragmentHeaderSlice::from_slice(rest) else { return chain };
                    chain.len += header.slice().len();
                    chain.next = header.next_header();
                    chain.piece = Piece {
                        identification: header.identification(),
                        offset: header.fragment_offset().value() << 3,
                        more: header.more_fragments(),
                        ..Piece::default()
                    };
                    return chain;
                }
                _ => return chain,
            }
        }
    }
}

/// RFC 791 section 3.2, RFC 8200 section 4.5: all but the last are multiples of eight bytes, and the whole
/// is no longer than the length fields can say.
#[inline]
fn check_fragment(datagram: &Datagram) -> Result<(), Unreadable> {
    if datagram.layout.part == Part::Whole {
        return Ok(());
    }
    let len = datagram.layout.end - datagram.piece.start;
    let cut = datagram.piece.more && !len.is_multiple_of(8);
    if len == 0 || cut || datagram.piece.offset.checked_add(len).is_none() {
        return Err(Unreadable::Fragment);
    }
    Ok(())
}

#[inline]
fn offset(at: usize) -> Result<u16, Unreadable> {
    u16::try_from(at).map_err(|_| Unreadable::TooLong)
}
