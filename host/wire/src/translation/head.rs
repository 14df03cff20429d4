//! IP headers, read in one family and written in the other (RFC 7915 sections 4.1 and 5.1).

use super::Pair;
use crate::bytes::{array_at, put};
use crate::checksum::Sum;
use crate::layout::Part;
use crate::{Address, Family, RewriteError, identification, ip};

/// An IPv4 packet that is no longer comes of an IPv6 packet that every IPv6 link carries (RFC 7915 section 5).
const NARROWEST: usize = ip::V6_MIN_MTU as usize + ip::V4_HEADER_LEN - ip::V6_HEADER_LEN;

/// The flags of an IPv4 header (RFC 791 section 3.1), and of a fragment header (RFC 8200 section 4.5).
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;
const V6_MORE_FRAGMENTS: u16 = 1;

/// Options of one octet, and those that name the way to go (RFC 791 section 3.1).
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

/// What the IP header of a packet says, with its options or extension headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) family: Family,
    /// The length of the header with all that is left out of the other family's, in bytes.
    pub(super) len: usize,
    /// The length of what follows, as the header has it. Less of it may be there.
    pub(super) payload_len: usize,
    /// What follows, in the numbers of this family.
    pub(super) protocol: u8,
    pub(super) traffic_class: u8,
    pub(super) hop_limit: u8,
    /// IPv6 knows no other packets.
    pub(super) dont_fragment: bool,
    /// IPv4 only; what it is in IPv6 stands in the fragment header.
    pub(super) identification: u16,
    /// What a fragment header says: there is one in IPv6, or would have to be.
    pub(super) fragment: Option<Fragment>,
    pub(super) source: Address,
    pub(super) destination: Address,
}

/// Which part of a packet a fragment is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment {
    pub(super) identification: u32,
    /// In units of eight bytes.
    pub(super) offset: u16,
    pub(super) more: bool,
}

/// Reads the header at the start of `datagram`.
#[inline]
pub(super) fn read(datagram: &[u8], family: Family) -> Result<Head, RewriteError> {
    match family {
        Family::V4 => read_v4(datagram),
        Family::V6 => read_v6(datagram),
    }
}

#[inline]
fn read_v4(datagram: &[u8]) -> Result<Head, RewriteError> {
    let header: [u8; ip::V4_HEADER_LEN] = array_at(datagram, 0).ok_or(RewriteError::Mismatch)?;
    let len = usize::from(header[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[0] >> 4 != 4 || len < ip::V4_HEADER_LEN || total < len {
        return Err(RewriteError::Mismatch);
    }
    if len > ip::V4_HEADER_LEN {
        // RFC 7915 section 4.1: options are ignored, but for a source route that is not at its end.
        let options = datagram.get(ip::V4_HEADER_LEN..len).ok_or(RewriteError::Mismatch)?;
        if has_source_route(options) {
            return Err(RewriteError::SourceRoute { pointer: 0 });
        }
    }
    let flags = u16::from_be_bytes([header[6], header[7]]);
    let identification = u16::from_be_bytes([header[4], header[5]]);
    let fragment = Fragment {
        // RFC 7915 section 4.1: the low-order half; the high-order half is zero.
        identification: identification.into(),
        offset: flags & OFFSET,
        more: flags & MORE_FRAGMENTS != 0,
    };
    let (source, destination) = ip::addresses(&header, Family::V4).ok_or(RewriteError::Mismatch)?;
    Ok(Head {
        family: Family::V4,
        len,
        payload_len: total - len,
        protocol: header[9],
        traffic_class: header[1],
        hop_limit: header[8],
        dont_fragment: flags & DONT_FRAGMENT != 0,
        identification,
        // RFC 7915 section 4: only what is fragmented already gets a fragment header, with or without DF.
        fragment: (fragment.part() != Part::Whole).then_some(fragment),
        source,
        destination,
    })
}

/// Is there an unexpired source route: one whose pointer still points into it (RFC 791 section 3.1)?
fn has_source_route(mut options: &[u8]) -> bool {
    loop {
        match *options {
            [] | [END_OF_OPTIONS, ..] => return false,
            [NO_OPERATION, ref rest @ ..] => options = rest,
            [LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE, len, pointer, ..] if pointer <= len => return true,
            [_, len, ..] if len >= 2 => options = options.get(usize::from(len)..).unwrap_or_default(),
            _ => return false,
        }
    }
}

#[inline]
fn read_v6(datagram: &[u8]) -> Result<Head, RewriteError> {
    let header: [u8; ip::V6_HEADER_LEN] = array_at(datagram, 0).ok_or(RewriteError::Mismatch)?;
    if header[0] >> 4 != 6 {
        return Err(RewriteError::Mismatch);
    }
    let total = ip::V6_HEADER_LEN + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let chain = Chain::read(datagram, header[6])?;
    let payload_len = total.checked_sub(chain.len).ok_or(RewriteError::Mismatch)?;
    let (source, destination) = ip::addresses(&header, Family::V6).ok_or(RewriteError::Mismatch)?;
    Ok(Head {
        family: Family::V6,
        len: chain.len,
        payload_len,
        protocol: chain.next,
        traffic_class: header[0] << 4 | header[1] >> 4,
        hop_limit: header[7],
        dont_fragment: true,
        identification: 0,
        fragment: chain.fragment,
        source,
        destination,
    })
}

/// An IPv6 header with the extension headers behind it that mean nothing to IPv4.
struct Chain {
    /// What follows.
    next: u8,
    len: usize,
    fragment: Option<Fragment>,
}

impl Chain {
    #[inline]
    fn read(datagram: &[u8], next: u8) -> Result<Self, RewriteError> {
        let mut chain = Self { next, len: ip::V6_HEADER_LEN, fragment: None };
        // Each header is eight bytes long at least, so the end of the datagram ends this.
        loop {
            match chain.next {
                // RFC 7915 section 5.1.1: behind a fragment header there is to be none (ESP is none for that).
                ip::HOP_BY_HOP
                | ip::ROUTING
                | ip::FRAGMENT
                | ip::AUTHENTICATION
                | ip::DESTINATION_OPTIONS
                | ip::MOBILITY
                | ip::HOST_IDENTITY
                | ip::SHIM6
                    if chain.fragment.is_some() =>
                {
                    return Err(RewriteError::ExtendedFragment);
                }
                // RFC 7915 section 5.1: skipped, as they mean nothing to IPv4, but for a routing header that
                // is not at its end.
                ip::HOP_BY_HOP | ip::ROUTING | ip::DESTINATION_OPTIONS => {
                    let [next, len, _, segments_left] =
                        array_at(datagram, chain.len).ok_or(RewriteError::Mismatch)?;
                    if chain.next == ip::ROUTING && segments_left != 0 {
                        let pointer = u16::try_from(chain.len + 3).map_err(|_| RewriteError::Mismatch)?;
                        return Err(RewriteError::SourceRoute { pointer });
                    }
                    chain.len += (usize::from(len) + 1) * 8;
                    chain.next = next;
                }
                ip::FRAGMENT => {
                    let header: [u8; ip::FRAGMENT_HEADER_LEN] =
                        array_at(datagram, chain.len).ok_or(RewriteError::Mismatch)?;
                    let [next, _, a, b, identification @ ..] = header;
                    let offset = u16::from_be_bytes([a, b]);
                    chain.len += ip::FRAGMENT_HEADER_LEN;
                    chain.next = next;
                    chain.fragment = Some(Fragment {
                        identification: u32::from_be_bytes(identification),
                        offset: offset >> 3,
                        more: offset & V6_MORE_FRAGMENTS != 0,
                    });
                }
                // RFC 7915 section 5.1: anything else is a transport to IPv4, also the authentication header.
                _ => return Ok(chain),
            }
        }
    }
}

impl Fragment {
    pub(super) const fn part(&self) -> Part {
        match (self.offset, self.more) {
            // A fragment header on a whole packet (RFC 6946).
            (0, false) => Part::Whole,
            (0, true) => Part::First,
            _ => Part::Later,
        }
    }
}

impl Head {
    pub(super) fn part(&self) -> Part {
        self.fragment.map_or(Part::Whole, |fragment| fragment.part())
    }

    /// The length of the header in the other family.
    #[inline]
    pub(super) const fn new_len(&self) -> usize {
        match (self.family, self.fragment) {
            (Family::V6, _) => ip::V4_HEADER_LEN,
            (Family::V4, None) => ip::V6_HEADER_LEN,
            (Family::V4, Some(_)) => ip::V6_HEADER_LEN + ip::FRAGMENT_HEADER_LEN,
        }
    }

    /// Gives an IPv4 packet that is to be cut the fragment header that its pieces need, with the identification
    /// that it has (RFC 7915 section 4.1). IPv4 headers say so much anyway.
    pub(super) fn become_fragment(&mut self) {
        if self.family == Family::V4 && self.fragment.is_none() {
            let identification = self.identification.into();
            self.fragment = Some(Fragment { identification, offset: 0, more: false });
        }
    }

    /// No host has such a source address (RFC 1812 section 5.3.7; RFC 4291 sections 2.5.2, 2.5.3 and 2.7). A
    /// v4-mapped one is of no wire.
    #[inline]
    pub(super) fn has_illegal_source(&self) -> bool {
        match (self.family, self.source.to_ipv4()) {
            (Family::V4, Some(v4)) => matches!(v4.octets()[0], 0 | 127 | 224..),
            (Family::V6, None) => {
                let first = self.source.hi >> 56;
                first == 0xff || self.source.hi == 0 && self.source.lo <= 1
            }
            (Family::V4, None) | (Family::V6, Some(_)) => true,
        }
    }

    /// The identification of the IPv4 packet that this IPv6 packet becomes, with the payload as it came.
    ///
    /// RFC 7915 section 5.1 wants a generator, and nothing is kept here. What tells packets of a flow apart is
    /// in the first bytes of their payload, so those are stirred (decision 0011). A packet that nobody may
    /// fragment needs none.
    #[inline]
    pub(super) fn identify(&self, payload: &[u8]) -> u16 {
        match self.fragment {
            // RFC 7915 section 5.1.1: the low-order half.
            Some(fragment) => fragment.identification as u16,
            None if self.must_not_be_fragmented() => 0,
            None => identification::of(payload),
        }
    }

    /// RFC 7915 sections 5 and 5.1.1: IPv4 routers may fragment fragments, and what the sender could not have
    /// made smaller.
    const fn must_not_be_fragmented(&self) -> bool {
        self.fragment.is_none() && ip::V4_HEADER_LEN + self.payload_len > NARROWEST
    }

    /// Writes the header in the other family at the start of `bytes`. None if there is no room, or the length
    /// is more than the other family can say.
    #[inline]
    pub(super) fn write(
        &self,
        bytes: &mut [u8],
        pair: &Pair,
        hop_limit: u8,
        identification: u16,
    ) -> Option<()> {
        match self.family {
            Family::V4 => self.write_v6(bytes, pair, hop_limit),
            Family::V6 => self.write_v4(bytes, pair, hop_limit, identification),
        }
    }

    /// RFC 7915 section 4.1: all eight bits of the type of service, a flow label of zero, and a length without options.
    #[inline]
    fn write_v6(&self, bytes: &mut [u8], pair: &Pair, hop_limit: u8) -> Option<()> {
        let next = if self.protocol == ip::ICMP { ip::ICMPV6 } else { self.protocol };
        let len = u16::try_from(self.new_len() - ip::V6_HEADER_LEN + self.payload_len).ok()?;
        let header = bytes.get_mut(..self.new_len())?;
        let version_and_class = 6 << 28 | u32::from(self.traffic_class) << 20;
        put(header, 0, version_and_class.to_be_bytes())?;
        let [a, b] = len.to_be_bytes();
        let first = if self.fragment.is_some() { ip::FRAGMENT } else { next };
        put(header, 4, [a, b, first, hop_limit])?;
        put(header, 8, pair.source.address.octets())?;
        put(header, 24, pair.destination.address.octets())?;
        // RFC 7915 section 4.1: offset, flag and identification go into a fragment header.
        if let Some(fragment) = self.fragment {
            let [a, b] = (fragment.offset << 3 | u16::from(fragment.more)).to_be_bytes();
            put(header, 40, [next, 0, a, b])?;
            put(header, 44, fragment.identification.to_be_bytes())?;
        }
        Some(())
    }

    /// RFC 7915 sections 5.1 and 5.1.1: all eight bits of the traffic class, no options; the flags of a fragment are
    /// those of its fragment header, without DF.
    #[inline]
    fn write_v4(&self, bytes: &mut [u8], pair: &Pair, hop_limit: u8, identification: u16) -> Option<()> {
        let total = u16::try_from(ip::V4_HEADER_LEN + self.payload_len).ok()?;
        let flags = match self.fragment {
            Some(fragment) => fragment.offset | if fragment.more { MORE_FRAGMENTS } else { 0 },
            None if self.must_not_be_fragmented() => DONT_FRAGMENT,
            None => 0,
        };
        let protocol = if self.protocol == ip::ICMPV6 { ip::ICMP } else { self.protocol };
        let header: &mut [u8; ip::V4_HEADER_LEN] = bytes.first_chunk_mut()?;
        // Five words, of which none is read back: the sum is that of the words.
        let first = u32::from_be_bytes([0x45, self.traffic_class, 0, 0]) | u32::from(total);
        let second = u32::from(identification) << 16 | u32::from(flags);
        let third = u32::from_be_bytes([hop_limit, protocol, 0, 0]);
        let [source, destination] =
            [pair.source, pair.destination].map(|end| u32::from_be_bytes(ip::v4_octets(end.address)));
        let sum = Sum::new().u32(first).u32(second).u32(third).u32(source).u32(destination);
        let third = third | u32::from(sum.checksum());
        for (word, value) in
            header.as_chunks_mut().0.iter_mut().zip([first, second, third, source, destination])
        {
            *word = value.to_be_bytes();
        }
        Some(())
    }
}
