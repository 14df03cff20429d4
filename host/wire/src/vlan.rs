//! The VLAN tag of a frame that leaves: kept, or changed where the next hop is on another VLAN.

use crate::Frame;
use crate::ethernet::{EtherType, VLAN_LEN};

/// Where the tag stands: behind the two MACs.
const TAG: usize = 12;
/// The bits of the tag control information that are the VLAN's number (IEEE 802.1Q section 9.6).
const NUMBER: u16 = 0x0fff;

/// The number of the VLAN that a tag names. 0 is no VLAN: such a tag carries a priority only.
#[must_use]
pub const fn number(tci: u16) -> Option<u16> {
    match tci & NUMBER {
        0 => None,
        number => Some(number),
    }
}

/// The tag control information of a frame's tag.
#[must_use]
#[inline]
pub fn of(frame: &[u8]) -> Option<u16> {
    match *frame.get(TAG..TAG + VLAN_LEN)? {
        [a, b, high, low] if EtherType(u16::from_be_bytes([a, b])) == EtherType::VLAN => {
            Some(u16::from_be_bytes([high, low]))
        }
        _ => None,
    }
}

/// Makes the frame, which has the tag `tci`, one of VLAN `to`, or an untagged one. Priority bits stay.
/// None if there is no room for a tag; the frame is then as it was.
pub fn change(frame: &mut Frame<'_>, tci: Option<u16>, to: Option<u16>) -> Option<()> {
    match (tci, to) {
        (None, None) => Some(()),
        (Some(tci), Some(to)) => write(frame, tci & !NUMBER | to),
        (None, Some(to)) => {
            frame.grow_front(VLAN_LEN)?;
            frame.bytes_mut().copy_within(VLAN_LEN..VLAN_LEN + TAG, 0);
            write(frame, to)
        }
        // A tag that carries a priority only is not the wrong one on an untagged link.
        (Some(tci), None) if number(tci).is_none() => Some(()),
        (Some(_), None) => {
            frame.bytes_mut().copy_within(..TAG, VLAN_LEN);
            frame.shrink_front(VLAN_LEN)
        }
    }
}

fn write(frame: &mut Frame<'_>, tci: u16) -> Option<()> {
    let tag = frame.bytes_mut().get_mut(TAG..TAG + VLAN_LEN)?;
    let (kind, control) = tag.split_at_mut(2);
    kind.copy_from_slice(&EtherType::VLAN.0.to_be_bytes());
    control.copy_from_slice(&tci.to_be_bytes());
    Some(())
}
