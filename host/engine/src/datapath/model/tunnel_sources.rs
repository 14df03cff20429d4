//! Where tunnels to members start.

use shunt_wire::{Address, Family};

/// The outer sources of a virtual's tunnels, by family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TunnelSources {
    v4: Vec<Address>,
    v6: Vec<Address>,
}

impl TunnelSources {
    #[must_use]
    pub fn new(addresses: impl IntoIterator<Item = Address>) -> Self {
        let (v4, v6) = addresses.into_iter().partition(|address| address.family() == Family::V4);
        Self { v4, v6 }
    }

    /// All of them.
    pub fn addresses(&self) -> impl Iterator<Item = Address> {
        self.v4.iter().chain(&self.v6).copied()
    }

    /// The one for a flow, by 16 bits that vary with it; `None` where there is none of the family.
    pub(in crate::datapath) fn of(&self, family: Family, entropy: u16) -> Option<Address> {
        let of_family = match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        of_family.get((of_family.len() * usize::from(entropy)) >> 16).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sources_of_a_family_are_used_alike() {
        let of = |text: &str| text.parse::<std::net::IpAddr>().unwrap().into();
        let sources = TunnelSources::new(["10.0.0.32", "2001:db8::1", "10.0.0.33", "10.0.0.34"].map(of));
        let mut used = std::collections::BTreeMap::<Address, u32>::new();
        for entropy in 0..=u16::MAX {
            *used.entry(sources.of(Family::V4, entropy).unwrap()).or_default() += 1;
            assert_eq!(sources.of(Family::V6, entropy), Some(of("2001:db8::1")));
        }
        assert!(used.len() == 3 && used.values().all(|count| count.abs_diff(21_845) <= 1), "{used:?}");
        assert_eq!(TunnelSources::default().of(Family::V4, 7), None);
    }
}
