//! The maps by which the program classifies frames.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::{HashMap, MapData};
use aya::{Ebpf, Pod};
use shunt_wire::Address;
use shunt_wire::steering::{self, Interface, Owner, ReturnEndpoint, Segment, Takes, TunnelEnd};

use super::XdpError;
use super::error::is_full;

/// What the program shall know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The addresses of virtuals and SNAT pools.
    pub owned: BTreeSet<Address>,
    /// The kernel's own addresses, of all interfaces. One that is owned as well is Shunt's.
    pub host: BTreeSet<Address>,
    /// The endpoints of members whose replies pass through Shunt.
    pub return_endpoints: BTreeSet<ReturnEndpoint>,
    /// Where tunnels lead.
    pub tunnels: BTreeSet<TunnelEnd>,
    /// The segments that Shunt takes whole.
    pub whole: BTreeSet<Segment>,
}

pub(super) struct Tables {
    addresses: Mirror<Address>,
    return_endpoints: Mirror<ReturnEndpoint>,
    tunnels: Mirror<TunnelEnd>,
    segments: Mirror<Segment>,
    interfaces: HashMap<MapData, u32, Shared<Interface>>,
}

/// A map of the program's that is kept equal to one that user space remembers.
struct Mirror<K> {
    what: &'static str,
    /// How many entries fit.
    most: u32,
    map: HashMap<MapData, Shared<K>, u32>,
    /// What is in the map.
    known: BTreeMap<Shared<K>, u32>,
}

/// A type of [`steering`], read by the kernel byte by byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
struct Shared<T>(T);

// SAFETY: `Address` is `repr(C)`, two integers of the same size, so that no byte of it is padding.
unsafe impl Pod for Shared<Address> {}
// SAFETY: `ReturnEndpoint` is `repr(C)`, made of integers, its padding written out as its own test says.
unsafe impl Pod for Shared<ReturnEndpoint> {}
// SAFETY: `TunnelEnd` is `repr(C)`, made of integers, its padding written out as its own test says.
unsafe impl Pod for Shared<TunnelEnd> {}
// SAFETY: `Segment` is `repr(C)`, made of integers, its padding written out as its own test says.
unsafe impl Pod for Shared<Segment> {}
// SAFETY: `Interface` is `repr(C)`, made of integers, its padding written out as its own test says.
unsafe impl Pod for Shared<Interface> {}

impl Tables {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, XdpError> {
        let interfaces = ebpf.take_map(steering::INTERFACES).ok_or(XdpError::Object)?;
        Ok(Self {
            addresses: Mirror::take(ebpf, "addresses", steering::ADDRESSES, steering::MAX_ADDRESSES)?,
            return_endpoints: Mirror::take(
                ebpf,
                "members' endpoints",
                steering::RETURN_ENDPOINTS,
                steering::MAX_RETURN_ENDPOINTS,
            )?,
            tunnels: Mirror::take(ebpf, "ends of tunnels", steering::TUNNELS, steering::MAX_TUNNELS)?,
            segments: Mirror::take(ebpf, "segments", steering::SEGMENTS, steering::MAX_SEGMENTS)?,
            interfaces: interfaces.try_into().map_err(XdpError::Map)?,
        })
    }

    pub(super) fn admits(&self, wanted: &Wanted) -> Result<(), XdpError> {
        let of_shunt = wanted.owned.iter().filter(|address| !wanted.host.contains(address));
        self.addresses.admits(wanted.host.len() + of_shunt.count())?;
        let any: BTreeSet<Address> = wanted.return_endpoints.iter().map(ReturnEndpoint::address).collect();
        self.return_endpoints.admits(wanted.return_endpoints.len() + any.len())?;
        self.tunnels.admits(wanted.tunnels.len())?;
        self.segments.admits(wanted.whole.len())
    }

    pub(super) fn steer(&mut self, wanted: &Wanted) -> Result<(), XdpError> {
        let host = wanted.host.iter().map(|address| (Shared(*address), Owner::Host as u32));
        let owned = wanted.owned.iter().map(|address| (Shared(*address), Owner::Shunt as u32));
        // Of equal keys the later one counts.
        let addresses: BTreeMap<_, _> = host.chain(owned).collect();
        let exact = wanted.return_endpoints.iter().copied();
        let any = wanted.return_endpoints.iter().map(|endpoint| ReturnEndpoint::any(endpoint.address()));
        let return_endpoints: BTreeMap<_, _> =
            exact.chain(any).map(|endpoint| (Shared(endpoint), 1)).collect();

        let tunnels: BTreeMap<_, _> = wanted.tunnels.iter().map(|end| (Shared(*end), 1)).collect();
        let whole = wanted.whole.iter().map(|segment| (Shared(*segment), Takes::All as u32));
        let segments: BTreeMap<_, _> = whole.collect();

        self.addresses.admits(addresses.len())?;
        self.return_endpoints.admits(return_endpoints.len())?;
        self.tunnels.admits(tunnels.len())?;
        self.segments.admits(segments.len())?;
        self.addresses.set(addresses)?;
        self.return_endpoints.set(return_endpoints)?;
        self.tunnels.set(tunnels)?;
        self.segments.set(segments)
    }

    pub(super) fn set_interface(&mut self, index: u32, interface: Interface) -> Result<(), XdpError> {
        self.interfaces.insert(index, Shared(interface), 0).map_err(|error| {
            if is_full(&error) {
                XdpError::Full { what: "interfaces", most: steering::MAX_INTERFACES }
            } else {
                XdpError::Map(error)
            }
        })
    }

    pub(super) fn remove_interface(&mut self, index: u32) {
        // It is not there where attaching did not come so far.
        let _ = self.interfaces.remove(&index);
    }
}

impl<K: Copy + Ord + 'static> Mirror<K>
where
    Shared<K>: Pod,
{
    fn take(ebpf: &mut Ebpf, what: &'static str, name: &str, most: u32) -> Result<Self, XdpError> {
        let map = ebpf.take_map(name).ok_or(XdpError::Object)?;
        Ok(Self { what, most, map: map.try_into().map_err(XdpError::Map)?, known: BTreeMap::new() })
    }

    fn admits(&self, count: usize) -> Result<(), XdpError> {
        let Self { what, most, .. } = *self;
        if count > most as usize { Err(XdpError::Full { what, most }) } else { Ok(()) }
    }

    fn set(&mut self, wanted: BTreeMap<Shared<K>, u32>) -> Result<(), XdpError> {
        let gone: Vec<_> = self.known.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        // Additions first, unless old and new together do not fit.
        let fits = wanted.len() + gone.len() <= self.most as usize;
        if !fits {
            self.remove(&gone)?;
        }
        for (key, value) in wanted {
            if self.known.get(&key) != Some(&value) {
                self.map.insert(key, value, 0).map_err(XdpError::Map)?;
                self.known.insert(key, value);
            }
        }
        if fits { self.remove(&gone) } else { Ok(()) }
    }

    fn remove(&mut self, keys: &[Shared<K>]) -> Result<(), XdpError> {
        for key in keys {
            self.map.remove(key).map_err(XdpError::Map)?;
            self.known.remove(key);
        }
        Ok(())
    }
}
