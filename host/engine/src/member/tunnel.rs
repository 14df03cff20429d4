//! What ICMP errors said about the path of the tunnel to a member: the soft state of RFC 2003 section 5.1.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use shunt_wire::{Family, ip};

/// How long a path MTU is believed, in milliseconds: RFC 1191 section 6.3 proposes ten minutes, and never
/// less than five. Then a larger packet tries again.
const BELIEVED: u64 = 600_000;
/// No path MTU below this is believed over IPv4: what is smaller no link of today has, and who forges errors
/// would make every packet too big. Over IPv6 it is what each link carries (RFC 8200 section 5).
const LEAST_V4: u16 = 576;

/// The path of the tunnel to one member, as ICMP errors about it said. Shared by all workers, for an error comes
/// to any of them.
#[derive(Debug, Default)]
pub struct TunnelPath {
    /// The path MTU in the lower 16 bits, 0 for none; above them when it was learned, in milliseconds.
    mtu: AtomicU64,
    /// The last [`Trouble`] in the lower 8 bits, 0 for none; above them when it came, in milliseconds.
    trouble: AtomicU64,
    troubles: AtomicU32,
}

/// Why packets did not go through the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Trouble {
    /// The member has no such tunnel: it knows neither the protocol nor the port.
    Refused = 1,
    /// A router has no way there, or a filter forbids it.
    Unreachable = 2,
}

/// Errors about a tunnel, so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Troubles {
    /// What the last error said.
    pub last: Trouble,
    /// When it came, in milliseconds of the datapath's clock.
    pub at: u64,
    /// How many came.
    pub count: u32,
}

impl TunnelPath {
    /// The longest outer datagram that reaches the member, in bytes; `None` as far as is known the
    /// link's MTU alone counts.
    #[must_use]
    pub fn mtu(&self, now: u64) -> Option<u16> {
        let learned = self.mtu.load(Relaxed);
        let mtu = learned as u16;
        (mtu != 0 && now.saturating_sub(learned >> 16) < BELIEVED).then_some(mtu)
    }

    /// Errors other than too big.
    #[must_use]
    pub fn troubles(&self) -> Option<Troubles> {
        let last = self.trouble.load(Relaxed);
        let kind = match last as u8 {
            0 => return None,
            kind if kind == Trouble::Refused as u8 => Trouble::Refused,
            _ => Trouble::Unreachable,
        };
        Some(Troubles { last: kind, at: last >> 8, count: self.troubles.load(Relaxed) })
    }

    /// An ICMP error named the size that fits; 0 from a router that names none (before RFC 1191). A larger
    /// MTU than is known is not believed (RFC 1191 section 6.3, RFC 8201 section 4).
    pub fn narrow(&self, now: u64, mtu: u32, family: Family) {
        let least = match family {
            Family::V4 => LEAST_V4,
            Family::V6 => ip::V6_MIN_MTU,
        };
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX).max(least);
        if self.mtu(now).is_none_or(|known| mtu <= known) {
            self.mtu.store(now << 16 | u64::from(mtu), Relaxed);
        }
    }

    /// An ICMP error said that packets do not get into the tunnel.
    pub fn trouble(&self, now: u64, trouble: Trouble) {
        self.trouble.store(now << 8 | trouble as u64, Relaxed);
        self.troubles.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000_000;

    #[test]
    fn a_path_mtu_only_falls_until_it_is_forgotten() {
        let path = TunnelPath::default();
        assert_eq!(path.mtu(START), None);
        path.narrow(START, 1_400, Family::V4);
        path.narrow(START + 1, 1_500, Family::V4);
        assert_eq!(path.mtu(START + 1), Some(1_400));
        path.narrow(START + 2, 1_300, Family::V4);
        assert_eq!(path.mtu(START + 1 + BELIEVED), Some(1_300));
        assert_eq!(path.mtu(START + 2 + BELIEVED), None);
        path.narrow(START + 2 + BELIEVED, 1_500, Family::V4);
        assert_eq!(path.mtu(START + 2 + BELIEVED), Some(1_500));
    }

    #[test]
    fn what_no_link_has_is_not_believed() {
        for (told, family, believed) in [
            (0, Family::V4, 576),
            (68, Family::V4, 576),
            (1_000, Family::V6, 1_280),
            (1 << 20, Family::V4, 65_535),
        ] {
            let path = TunnelPath::default();
            path.narrow(START, told, family);
            assert_eq!(path.mtu(START), Some(believed), "{told}");
        }
    }

    #[test]
    fn the_last_trouble_is_kept_and_all_are_counted() {
        let path = TunnelPath::default();
        assert_eq!(path.troubles(), None);
        path.trouble(START, Trouble::Refused);
        path.trouble(START + 5, Trouble::Unreachable);
        let expected = Troubles { last: Trouble::Unreachable, at: START + 5, count: 2 };
        assert_eq!(path.troubles(), Some(expected));
    }
}
