//! ICMP errors, by type, code and what else their header says (RFC 7915 sections 4.2 and 5.2).

use super::Way;
use super::head::Head;
use crate::icmp::{
    V4_PARAMETER_PROBLEM, V4_TIME_EXCEEDED, V4_UNREACHABLE, V6_PARAMETER_PROBLEM, V6_TIME_EXCEEDED,
    V6_TOO_BIG, V6_UNREACHABLE,
};
use crate::{Family, ip};

/// The smallest IPv4 datagram that every host takes whole (RFC 791 section 3.2).
const V4_MIN_MTU: u16 = 68;

/// Likely path MTUs, for routers that report none (RFC 1191 section 7.1): those that are not less than IPv6 is
/// told anyway.
const PLATEAUS: [u16; 6] = [32000, 17914, 8166, 4352, 2002, 1492];

/// The header of an ICMP error, without its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) code: u8,
    /// The last four bytes: unused, an MTU or a pointer.
    pub(super) word: u32,
}

impl Message {
    const fn new(kind: u8, code: u8) -> Self {
        Self { kind, code, word: 0 }
    }

    /// The message in the other family, about the packet `quoted`. None where the RFC drops it.
    pub(super) fn translate(self, quoted: &Head, way: &Way) -> Option<Self> {
        match quoted.family {
            Family::V4 => self.to_v6(quoted, way),
            Family::V6 => self.to_v4(quoted, way),
        }
    }

    /// RFC 7915 section 4.2.
    fn to_v6(self, quoted: &Head, way: &Way) -> Option<Self> {
        Some(match (self.kind, self.code) {
            // The protocol is unreachable: the next header is what was not understood.
            (V4_UNREACHABLE, 2) => Self { word: 6, ..Self::new(V6_PARAMETER_PROBLEM, 1) },
            (V4_UNREACHABLE, 3) => Self::new(V6_UNREACHABLE, 4),
            (V4_UNREACHABLE, 4) => Self { word: self.mtu_v6(quoted, way), ..Self::new(V6_TOO_BIG, 0) },
            (V4_UNREACHABLE, 0 | 1 | 5..=8 | 11 | 12) => Self::new(V6_UNREACHABLE, 0),
            (V4_UNREACHABLE, 9 | 10 | 13 | 15) => Self::new(V6_UNREACHABLE, 1),
            (V4_TIME_EXCEEDED, code) => Self::new(V6_TIME_EXCEEDED, code),
            (V4_PARAMETER_PROBLEM, 0 | 2) => {
                let [pointer, ..] = self.word.to_be_bytes();
                Self { word: pointer_v6(pointer)?, ..Self::new(V6_PARAMETER_PROBLEM, 0) }
            }
            // Other codes, source quenches and redirects.
            _ => return None,
        })
    }

    /// RFC 7915 section 5.2.
    fn to_v4(self, quoted: &Head, way: &Way) -> Option<Self> {
        Some(match (self.kind, self.code) {
            (V6_UNREACHABLE, 0 | 2 | 3) => Self::new(V4_UNREACHABLE, 1),
            (V6_UNREACHABLE, 1) => Self::new(V4_UNREACHABLE, 10),
            (V6_UNREACHABLE, 4) => Self::new(V4_UNREACHABLE, 3),
            (V6_TOO_BIG, _) => Self { word: self.mtu_v4(quoted, way), ..Self::new(V4_UNREACHABLE, 4) },
            (V6_TIME_EXCEEDED, code) => Self::new(V4_TIME_EXCEEDED, code),
            (V6_PARAMETER_PROBLEM, 0) => {
                let pointer = u32::from(pointer_v4(self.word)?) << 24;
                Self { word: pointer, ..Self::new(V4_PARAMETER_PROBLEM, 0) }
            }
            // The next header was not understood: the protocol is unreachable.
            (V6_PARAMETER_PROBLEM, 1) => Self::new(V4_UNREACHABLE, 2),
            _ => return None,
        })
    }

    /// What an IPv6 host may send, of what a router said of IPv4. RFC 7915 section 4.2: no more than the next links
    /// carry either, and never less than every IPv6 link carries.
    fn mtu_v6(self, quoted: &Head, way: &Way) -> u32 {
        let growth = super::GROWTH;
        let reported = match self.word as u16 {
            0 => plateau_below(quoted.len + quoted.payload_len),
            mtu => mtu,
        };
        let mtu = reported.saturating_add(growth).min(way.mtu).min(way.mtu_back.saturating_add(growth));
        mtu.max(ip::V6_MIN_MTU).into()
    }

    /// What an IPv4 host may send, of what a router said of IPv6. RFC 7915 section 5.2: no more than the next links
    /// carry either. A packet with a fragment header loses that too.
    fn mtu_v4(self, quoted: &Head, way: &Way) -> u32 {
        let reported = u16::try_from(self.word).unwrap_or(u16::MAX);
        let extension = if quoted.fragment.is_some() { ip::FRAGMENT_HEADER_LEN as u16 } else { 0 };
        let mtu = reported
            .saturating_sub(super::GROWTH + extension)
            .min(way.mtu)
            .min(way.mtu_back.saturating_sub(super::GROWTH));
        mtu.max(V4_MIN_MTU).into()
    }

    /// Where in the header the length of the quoted packet stands, and in what unit, if messages of the type say
    /// it (RFC 4884 sections 4.1 to 4.5).
    pub(super) const fn length(self, family: Family) -> Option<Length> {
        match (family, self.kind) {
            (Family::V4, V4_UNREACHABLE | V4_TIME_EXCEEDED | V4_PARAMETER_PROBLEM) => {
                Some(Length { at: 5, unit: 4 })
            }
            (Family::V6, V6_UNREACHABLE | V6_TIME_EXCEEDED) => Some(Length { at: 4, unit: 8 }),
            _ => None,
        }
    }
}

/// The octet that says how long the quoted packet is, where something follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    /// Where it stands in the ICMP header.
    pub(super) at: usize,
    /// How many bytes it counts as one.
    pub(super) unit: usize,
}

/// RFC 7915 section 4.2: the greatest plateau that is less than the length of the packet that was too big.
fn plateau_below(len: usize) -> u16 {
    PLATEAUS.into_iter().find(|plateau| usize::from(*plateau) < len).unwrap_or_default()
}

/// RFC 7915 section 4.2, figure 3: where in an IPv6 header stands what stands at `pointer` in an IPv4 header.
/// Identification, flags, offset and checksum stand nowhere.
const fn pointer_v6(pointer: u8) -> Option<u32> {
    Some(match pointer {
        0 => 0,
        1 => 1,
        2 | 3 => 4,
        8 => 7,
        9 => 6,
        12..=15 => 8,
        16..=19 => 24,
        _ => return None,
    })
}

/// RFC 7915 section 5.2, figure 6: the other way round. The flow label stands nowhere.
const fn pointer_v4(pointer: u32) -> Option<u8> {
    Some(match pointer {
        0 => 0,
        1 => 1,
        4 | 5 => 2,
        6 => 9,
        7 => 8,
        8..=23 => 12,
        24..=39 => 16,
        _ => return None,
    })
}
