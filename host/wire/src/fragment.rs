//! A datagram cut into fragments (RFC 791 section 3.2, RFC 8200 section 4.5).

use crate::bytes::{array_at, put, u16_at};
use crate::checksum::checksum;
use crate::ethernet::{self, EtherType};
use crate::{Family, Frame, ip};

/// Fragments begin at multiples of this many bytes of the packet's payload.
const UNIT: usize = 8;
/// Flags: more fragments follow.
const V4_MORE: u16 = 0x2000;
const V6_MORE: u16 = 1;

/// Everything that is in front of each fragment: Ethernet with a tag, IPv6, and a fragment header.
const FRONT_LEN: usize =
    ethernet::HEADER_LEN + ethernet::VLAN_LEN + ip::V6_HEADER_LEN + ip::FRAGMENT_HEADER_LEN;

/// Cuts the datagram of a frame into fragments of `longest` bytes each at most. All but the last are handed to
/// `each`, in order, and the last is left in the frame. A datagram that is no longer than that stays as it is.
///
/// The datagram may be a fragment itself. An IPv4 header must be without options and may say that it must not be
/// fragmented, which is not asked; an IPv6 header must have a fragment header behind it. None, and nothing done, if
/// it is otherwise, or `longest` leaves no room for a fragment.
pub fn cut(frame: &mut Frame<'_>, longest: u16, mut each: impl FnMut(&[u8])) -> Option<()> {
    let mut front = Front::read(frame.bytes())?;
    frame.set_len(front.len + front.payload)?;
    if front.payload <= front.room(longest)? {
        return Some(());
    }
    let piece = front.room(longest)? / UNIT * UNIT;
    // RFC 791 section 3.1: no fragment ends beyond what the offset of another could say.
    let end = usize::from(front.offset) * UNIT + front.payload;
    if piece == 0 || end > usize::from(u16::MAX) {
        return None;
    }
    while front.payload > front.room(longest)? {
        let rest = front.payload - piece;
        front.write(frame.bytes_mut(), piece, true)?;
        each(frame.bytes().get(..front.len + piece)?);
        // The front of the next one lies over what was handed out.
        frame.shrink_front(piece)?;
        front.offset = front.offset.checked_add(u16::try_from(piece / UNIT).ok()?)?;
        front.payload = rest;
    }
    front.write(frame.bytes_mut(), front.payload, front.more)
}

/// What every fragment has in front.
struct Front {
    bytes: [u8; FRONT_LEN],
    len: usize,
    l3: usize,
    family: Family,
    /// How long what follows it is.
    payload: usize,
    /// Where that begins in the whole packet, in units.
    offset: u16,
    /// Is this not the end of the packet?
    more: bool,
}

impl Front {
    fn read(frame: &[u8]) -> Option<Self> {
        let mut l3 = ethernet::HEADER_LEN;
        let mut ether_type = u16_at(frame, l3 - 2)?;
        if ether_type == EtherType::VLAN.0 {
            l3 += ethernet::VLAN_LEN;
            ether_type = u16_at(frame, l3 - 2)?;
        }
        let datagram = frame.get(l3..)?;
        let (family, header_len, total, field) = match EtherType(ether_type) {
            EtherType::IPV4 if datagram.first() == Some(&0x45) => {
                let field = u16_at(datagram, 6)?;
                (Family::V4, ip::V4_HEADER_LEN, usize::from(u16_at(datagram, 2)?), field)
            }
            EtherType::IPV6 if datagram.get(6) == Some(&ip::FRAGMENT) => {
                let total = ip::V6_HEADER_LEN + usize::from(u16_at(datagram, 4)?);
                let field = u16_at(datagram, ip::V6_HEADER_LEN + 2)?;
                (Family::V6, ip::V6_HEADER_LEN + ip::FRAGMENT_HEADER_LEN, total, field)
            }
            _ => return None,
        };
        let (offset, more) = match family {
            Family::V4 => (field & 0x1fff, field & V4_MORE != 0),
            Family::V6 => (field >> 3, field & V6_MORE != 0),
        };
        datagram.get(..total)?;
        let len = l3 + header_len;
        let mut bytes = [0; FRONT_LEN];
        bytes.get_mut(..len)?.copy_from_slice(frame.get(..len)?);
        Some(Self { bytes, len, l3, family, payload: total.checked_sub(header_len)?, offset, more })
    }

    /// How many bytes may follow it in a datagram of `longest`.
    fn room(&self, longest: u16) -> Option<usize> {
        usize::from(longest).checked_sub(self.len - self.l3)
    }

    /// Writes it in front of `payload` bytes.
    fn write(&self, frame: &mut [u8], payload: usize, more: bool) -> Option<()> {
        let front = frame.get_mut(..self.len)?;
        front.copy_from_slice(self.bytes.get(..self.len)?);
        let datagram = front.get_mut(self.l3..)?;
        match self.family {
            Family::V4 => {
                put(datagram, 2, u16::try_from(ip::V4_HEADER_LEN + payload).ok()?.to_be_bytes())?;
                let flags = self.offset | if more { V4_MORE } else { 0 };
                put(datagram, 6, flags.to_be_bytes())?;
                put(datagram, 10, [0, 0])?;
                let check = checksum(&array_at::<{ ip::V4_HEADER_LEN }>(datagram, 0)?);
                put(datagram, 10, check.to_be_bytes())
            }
            Family::V6 => {
                let len = ip::FRAGMENT_HEADER_LEN + payload;
                put(datagram, 4, u16::try_from(len).ok()?.to_be_bytes())?;
                let field = self.offset << 3 | u16::from(more);
                put(datagram, ip::V6_HEADER_LEN + 2, field.to_be_bytes())
            }
        }
    }
}
