//! Routes, found by the longest prefix.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use shunt_wire::{Address, Family};

use super::prefix::{Prefix, first_bits};
use crate::hash;

/// A route as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub destination: Prefix,
    /// `None`: the route says that nothing goes there (unreachable, prohibit, blackhole).
    pub hop: Option<Hop>,
    /// Of routes with the same destination the lowest counts.
    pub metric: u32,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// `None`: the destination is on link.
    pub gateway: Option<Address>,
    pub interface: u32,
}

/// All routes of both families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Routes {
    ipv4: Prefixes,
    ipv6: Prefixes,
}

/// The routes of one family: for each length that occurs, longest first, the prefixes of it. A lookup
/// asks each length once, and few lengths occur.
type Prefixes = BTreeMap<Reverse<u8>, BTreeMap<u128, Vec<Route>>>;

impl Routes {
    pub(super) fn add(&mut self, route: Route) {
        let prefix = route.destination;
        let lengths = self.of(prefix.family());
        let routes = lengths.entry(Reverse(prefix.length())).or_default().entry(prefix.bits()).or_default();
        if !routes.contains(&route) {
            let place = routes.partition_point(|other| other.metric <= route.metric);
            routes.insert(place, route);
        }
    }

    pub(super) fn remove(&mut self, route: &Route) {
        let prefix = route.destination;
        let lengths = self.of(prefix.family());
        let Some(prefixes) = lengths.get_mut(&Reverse(prefix.length())) else { return };
        if let Some(routes) = prefixes.get_mut(&prefix.bits()) {
            routes.retain(|other| other != route);
            if routes.is_empty() {
                prefixes.remove(&prefix.bits());
            }
        }
        if prefixes.is_empty() {
            lengths.remove(&Reverse(prefix.length()));
        }
    }

    /// Where the longest prefix that holds the address leads. Routes of one prefix and metric share
    /// the destinations out by their hash, so that packets of one flow stay in order.
    pub(super) fn find(&self, destination: Address) -> Option<Hop> {
        let lengths = match destination.family() {
            Family::V4 => &self.ipv4,
            Family::V6 => &self.ipv6,
        };
        let routes = lengths
            .iter()
            .find_map(|(Reverse(length), prefixes)| prefixes.get(&first_bits(destination, *length)))?;
        let lowest = routes.first()?.metric;
        let equal = routes.partition_point(|route| route.metric == lowest);
        let turn = if equal == 1 { 0 } else { hash::stable(&destination.octets()) as usize % equal };
        routes.get(turn)?.hop
    }

    const fn of(&mut self, family: Family) -> &mut Prefixes {
        match family {
            Family::V4 => &mut self.ipv4,
            Family::V6 => &mut self.ipv6,
        }
    }
}
