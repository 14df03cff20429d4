//! Segments that Shunt itself sends, and the one option that it changes (RFC 9293).

use crate::bytes::{put, u16_at, u32_at};
use crate::checksum::Delta;
use crate::ethernet::{self, EtherType};
use crate::ip::{self, Header};
use crate::layout::Part;
use crate::{Family, FlowKey, Frame, Layout, Mac};

/// Bits of the flags octet (RFC 9293 section 3.1).
pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

/// A header without options.
const HEADER_LEN: usize = 20;
/// Where the flags octet and the checksum stand.
const FLAGS_AT: usize = 13;
const CHECKSUM_AT: usize = 16;

/// Kinds of options (RFC 9293 section 3.1): two of a single octet, and the one that matters here.
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;

/// Lowers the maximum segment size that a SYN announces to `mss`, and mends the checksum. True if it was
/// larger. The size counts neither IP nor TCP options (RFC 6691 section 2).
///
/// Never raises it, and adds no option where there is none: such a sender takes 536 bytes over IPv4 and 1220
/// over IPv6 (RFC 9293 section 3.7.1).
pub fn clamp_mss(bytes: &mut [u8], layout: &Layout, mss: u16) -> bool {
    lower_mss(bytes, layout, mss).is_some()
}

fn lower_mss(bytes: &mut [u8], layout: &Layout, mss: u16) -> Option<()> {
    let segment = segment(bytes, layout)?;
    if segment.get(FLAGS_AT)? & SYN == 0 {
        return None;
    }
    let at = mss_option(segment)?;
    let old = u16_at(segment, at)?;
    if old <= mss {
        return None;
    }
    let delta =
        if at.is_multiple_of(2) { Delta::none().u16(old, mss) } else { Delta::none().u16_at_odd(old, mss) };
    let segment = bytes.get_mut(usize::from(layout.l4)..)?;
    let check = delta.apply(u16_at(segment, CHECKSUM_AT)?);
    put(segment, at, mss.to_be_bytes())?;
    put(segment, CHECKSUM_AT, check.to_be_bytes())
}

/// Where in the segment the value of the maximum segment size stands.
fn mss_option(segment: &[u8]) -> Option<usize> {
    let header = segment.get(..header_len(segment)?)?;
    let mut at = HEADER_LEN;
    loop {
        match *header.get(at)? {
            END_OF_OPTIONS => return None,
            NO_OPERATION => at += 1,
            kind => {
                let len = usize::from(*header.get(at + 1)?);
                if kind == MAXIMUM_SEGMENT_SIZE && len == 4 {
                    header.get(at + 2..at + 4)?;
                    return Some(at + 2);
                }
                // A length below two would never end.
                if len < 2 {
                    return None;
                }
                at += len;
            }
        }
    }
}

/// Makes of a segment the reset that answers it as a closed port does (RFC 9293 section 3.10.7.1), back over
/// the link that it came by. None, and nothing done, if it is a reset itself, no whole segment, or
/// went to more than one station.
pub fn refuse(frame: &mut Frame<'_>, layout: &Layout) -> Option<()> {
    let bytes = frame.bytes();
    let segment = segment(bytes, layout)?;
    let flags = *segment.get(FLAGS_AT)?;
    if flags & RST != 0 || layout.part != Part::Whole || ethernet::destination(bytes)?.is_group() {
        return None;
    }
    let l3 = usize::from(layout.l3);
    let (source, destination) = ip::addresses(bytes.get(l3..)?, layout.family)?;
    let payload = segment.len().checked_sub(header_len(segment)?)?;
    let answer = Segment {
        ip: Header::new(destination, source, ip::TCP),
        source_port: u16_at(segment, 2)?,
        destination_port: u16_at(segment, 0)?,
        seq: if flags & ACK != 0 { u32_at(segment, 8)? } else { 0 },
        // Acknowledges the whole of a segment that acknowledges nothing, so that its sender takes the reset.
        ack: if flags & ACK != 0 {
            None
        } else {
            let controls = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
            let len = u32::try_from(payload).ok()?.wrapping_add(controls);
            Some(u32_at(segment, 4)?.wrapping_add(len))
        },
    };
    // The answer is no longer than the shortest segment, so nothing below fails half way.
    answer.write(frame.bytes_mut().get_mut(l3..)?)?;
    ethernet::turn_round(frame.bytes_mut())?;
    frame.set_len(l3 + answer.len())
}

/// Writes into an empty frame a reset of the flow `key`, as its source would send it: at `seq`, the next
/// number that its destination expects, acknowledging `ack` if that is known. The Ethernet addresses are
/// zero: the flow's [`Rewrite`](crate::Rewrite) sets them. `vlan` is the tag control information of a tag.
///
/// None if the buffer is too short behind the frame's start, or the key's families differ.
pub fn reset(
    frame: &mut Frame<'_>,
    key: &FlowKey,
    vlan: Option<u16>,
    seq: u32,
    ack: Option<u32>,
) -> Option<Layout> {
    let (source, destination) = (key.source(), key.destination());
    if source.address.family() != destination.address.family() {
        return None;
    }
    let family = key.family();
    let segment = Segment {
        ip: Header::new(source.address, destination.address, ip::TCP),
        source_port: source.port,
        destination_port: destination.port,
        seq,
        ack,
    };
    let ether_type = match family {
        Family::V4 => EtherType::IPV4,
        Family::V6 => EtherType::IPV6,
    };
    let l3 = ethernet::start(frame, Mac::default(), Mac::default(), vlan, ether_type)?;
    let end = l3 + segment.len();
    frame.set_len(end)?;
    segment.write(frame.bytes_mut().get_mut(l3..)?)?;
    Some(Layout {
        l3: u16::try_from(l3).ok()?,
        l4: u16::try_from(end - HEADER_LEN).ok()?,
        end: u16::try_from(end).ok()?,
        family,
        protocol: ip::TCP,
        part: Part::Whole,
    })
}

/// A reset with its IP header.
struct Segment {
    ip: Header,
    source_port: u16,
    destination_port: u16,
    seq: u32,
    ack: Option<u32>,
}

impl Segment {
    const fn len(&self) -> usize {
        ip::header_len(self.ip.source.family()) + HEADER_LEN
    }

    fn write(&self, bytes: &mut [u8]) -> Option<()> {
        let mut header = [0; HEADER_LEN];
        header[..2].copy_from_slice(&self.source_port.to_be_bytes());
        header[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
        header[4..8].copy_from_slice(&self.seq.to_be_bytes());
        header[8..12].copy_from_slice(&self.ack.unwrap_or(0).to_be_bytes());
        // The header's length in words of four bytes.
        header[12] = 5 << 4;
        header[FLAGS_AT] = if self.ack.is_some() { RST | ACK } else { RST };
        let check = self.ip.pseudo(HEADER_LEN).bytes(&header).checksum();
        header[16..18].copy_from_slice(&check.to_be_bytes());
        put(bytes, ip::header_len(self.ip.source.family()), header)?;
        self.ip.write(bytes, HEADER_LEN)
    }
}

/// The segment with its payload, if there is one with a whole fixed header.
fn segment<'a>(bytes: &'a [u8], layout: &Layout) -> Option<&'a [u8]> {
    if layout.protocol != ip::TCP || !layout.has_transport() {
        return None;
    }
    let segment = bytes.get(usize::from(layout.l4)..usize::from(layout.end))?;
    (segment.len() >= HEADER_LEN && layout.holds_headers()).then_some(segment)
}

/// The length of the segment's header, options included.
fn header_len(segment: &[u8]) -> Option<usize> {
    let len = usize::from(*segment.get(12)? >> 4) * 4;
    (len >= HEADER_LEN).then_some(len)
}
