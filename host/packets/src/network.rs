//! The kernel's interfaces, neighbours and routes: followed on a thread of their own, and given to the
//! workers as values.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shunt_engine::datapath::Filter;
use shunt_engine::flow::Cursor;
use shunt_engine::network::{self as engine, Network, NextHop, Prefix};
use shunt_sys::netlink::{InterfaceAddress, Link, Neighbour, Netlink, NetworkState, Solicitor};
use shunt_sys::waker::Waker;
use shunt_wire::{Address, Mac};
use tokio::sync::oneshot;

use crate::control::ports::{Steered, chain};
use crate::control::probe_link::ProbeWay;
use crate::restarts::Restarts;
use crate::worker::{Command, Handle};
use shunt_runtime::clock;

/// How often a neighbour that packets go to is confirmed. The kernel asks only about what it uses itself,
/// and a member that changed its MAC without saying so would be lost until its entry is gone.
const FRESHEN_EVERY: Duration = Duration::from_secs(10);

/// How soon something that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The thread that follows the network.
pub(crate) struct Follower {
    ends: Arc<AtomicBool>,
    watched: Arc<Mutex<Watched>>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
    #[cfg(test)]
    pub(crate) fails: Arc<AtomicBool>,
}

/// What the configuration makes of the network.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    /// Addresses that packets are sent to: whose next hops are to be known before they are needed.
    pub(crate) destinations: Vec<Address>,
    /// The TUN devices whose ends Shunt has: routes by them lead somewhere.
    pub(crate) tuns: BTreeSet<u32>,
    /// The probe interface.
    pub(crate) probes: Option<ProbeWay>,
}

impl Follower {
    /// What the network is now is on its way to the workers when this returns.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub(crate) fn start(workers: Vec<Handle>, steered: Arc<Mutex<Steered>>) -> io::Result<Follower> {
        let netlink = Netlink::open()?;
        let waker = netlink.waker();
        let ends = Arc::<AtomicBool>::default();
        #[cfg(test)]
        let fails = Arc::<AtomicBool>::default();
        let watched = Arc::<Mutex<Watched>>::default();
        let mut following = Following {
            netlink,
            solicitor: Solicitor::open()?,
            workers,
            steered,
            watched: Arc::clone(&watched),
            tuns: BTreeSet::new(),
            probes: None,
            freshened: None,
            published: Vec::new(),
            #[cfg(test)]
            fails: Arc::clone(&fails),
        };
        // They have it before frames come.
        following.publish();
        let asked = Arc::clone(&ends);
        let thread = std::thread::Builder::new()
            .name("shunt-network".to_owned())
            .spawn(move || following.run(&asked))?;
        Ok(Follower {
            ends,
            watched,
            waker,
            thread: Some(thread),
            #[cfg(test)]
            fails,
        })
    }

    /// Another configuration is in force.
    pub(crate) fn watch(&self, watched: Watched) {
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = watched;
        self.waker.wake();
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.ends.store(true, Relaxed);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Following {
    netlink: Netlink,
    solicitor: Solicitor,
    workers: Vec<Handle>,
    steered: Arc<Mutex<Steered>>,
    watched: Arc<Mutex<Watched>>,
    /// The TUN devices that the workers know of.
    tuns: BTreeSet<u32>,
    /// The probe interface that they know of.
    probes: Option<ProbeWay>,
    /// The destinations whose next hops were last confirmed, and when.
    freshened: Option<(Vec<Address>, Instant)>,
    /// What the workers know, the latest last, as long as one of them may have it: it is freed here and not there.
    published: Vec<Arc<Network>>,
    #[cfg(test)]
    fails: Arc<AtomicBool>,
}

impl Following {
    /// Runs until the end is requested. A panic is a bug of Shunt's, and no reason for workers to forward by what the
    /// network was: it continues with what the network is now.
    fn run(mut self, ends: &AtomicBool) {
        let mut restarts = Restarts::default();
        while catch_unwind(AssertUnwindSafe(|| self.follow(ends))).is_err() {
            tracing::error!(
                "the thread that follows the network panicked, which is a bug in Shunt: report it. The thread continues"
            );
            if !restarts.allows(clock::monotonic_ms()) {
                tracing::error!("it panicked too often; Shunt ends, for its supervisor to restart it");
                shunt_runtime::log::flush();
                std::process::exit(1);
            }
        }
    }

    fn follow(&mut self, ends: &AtomicBool) {
        let mut network = self.publish();
        while !ends.load(Relaxed) {
            // What the kernel refused the XDP program for a moment is not left for ten seconds.
            let wait = if self.steered().catch_up() { FRESHEN_EVERY } else { AGAIN };
            match self.netlink.wait(Some(wait)) {
                Ok(changed) if changed || self.has_other_links() => network = self.publish(),
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot follow the network; trying again");
                    std::thread::sleep(AGAIN);
                }
            }
            #[cfg(test)]
            if self.fails.swap(false, Relaxed) {
                std::panic::resume_unwind(Box::new("as asked"));
            }
            if self.is_due() {
                self.freshen(&network);
                self.release();
            }
        }
    }

    fn steered(&self) -> MutexGuard<'_, Steered> {
        self.steered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the workers and the XDP program what the network is now. Neighbours are confirmed all the time: workers hear
    /// only of what is different.
    fn publish(&mut self) -> Arc<Network> {
        let Watched { tuns, probes, .. } = self.watched().clone();
        (self.tuns, self.probes) = (tuns, probes);
        let state = self.netlink.state();
        let mut network = network_of(state, &self.tuns);
        if let Some(probes) = &self.probes {
            probes.put_into(&mut network, state);
        }
        self.steered.lock().unwrap_or_else(PoisonError::into_inner).network_changed(state);
        if let Some(known) = self.published.last().filter(|known| ***known == network) {
            return Arc::clone(known);
        }
        let network = Arc::new(network);
        for worker in &self.workers {
            worker.send(Command::Network(Arc::clone(&network)));
        }
        self.published.retain(|known| Arc::strong_count(known) > 1);
        self.published.push(Arc::clone(&network));
        network
    }

    fn has_other_links(&self) -> bool {
        let watched = self.watched();
        watched.tuns != self.tuns || watched.probes != self.probes
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the XDP program forget members that left the configuration, once no flow goes to them.
    fn release(&self) {
        let steered = || self.steered.lock().unwrap_or_else(PoisonError::into_inner);
        if !steered().remembers() {
            return;
        }
        let in_use = self.workers.iter().flat_map(members_in_use).collect();
        if let Err(error) = steered().release(&in_use) {
            tracing::error!(error = %chain(&error), "cannot remove former members from the XDP program");
        }
    }

    /// Whether there are new destinations, or the old ones were confirmed long ago.
    fn is_due(&self) -> bool {
        match &self.freshened {
            Some((done, at)) => *done != self.watched().destinations || at.elapsed() >= FRESHEN_EVERY,
            None => true,
        }
    }

    /// Has the kernel confirm the next hops of all destinations.
    fn freshen(&mut self, network: &Network) {
        let wanted = self.watched().destinations.clone();
        let hops = wanted.iter().filter_map(|destination| match network.next_hop(*destination) {
            NextHop::Known(via, _) | NextHop::NeedsSolicitation(via) => Some((via.link, via.neighbour)),
            NextHop::NoRoute => None,
        });
        let has_neighbours = |link: u32| network.interface(link).is_some_and(|it| !it.point_to_point);
        let hops = hops.filter(|(link, _)| has_neighbours(*link));
        for (link, neighbour) in hops.collect::<BTreeSet<_>>() {
            // What was confirmed a moment ago needs no asking.
            let known = self.netlink.state().neighbours.get(&(link, neighbour.to_ip()));
            if !matches!(known, Some(Neighbour::Known { stale: false, .. }))
                && let Err(error) = self.solicitor.solicit(link, neighbour.to_ip())
            {
                tracing::debug!(%neighbour, %error, "cannot ask for a neighbour");
            }
        }
        self.freshened = Some((wanted, Instant::now()));
    }
}

/// The members that a worker's flows go to.
fn members_in_use(worker: &Handle) -> BTreeSet<Address> {
    let mut members = BTreeSet::new();
    let mut from = Some(Cursor::default());
    while let Some(cursor) = from {
        let (reply, answer) = oneshot::channel();
        worker.send(Command::Flows { filter: Filter::default(), from: cursor, reply });
        let Ok((flows, next)) = answer.blocking_recv() else { break };
        members.extend(flows.iter().map(|flow| flow.member.address));
        from = next;
    }
    members
}

/// A state as the engine has it. Interfaces without a MAC carry no Ethernet and are left out, and so
/// routes by them lead nowhere; but for these TUN devices, whose ends Shunt has.
pub fn network_of(state: &NetworkState, tuns: &BTreeSet<u32>) -> Network {
    let mut network = Network::default();
    let mut loopback = None;
    for link in state.links.values() {
        if is_ethernet(link) || tuns.contains(&link.index) {
            network.set_interface(interface(link, state));
        } else if link.name == "lo" {
            loopback = Some(link.index);
        }
    }
    for ((link, address), neighbour) in &state.neighbours {
        if let Neighbour::Known { mac, .. } = neighbour
            && Some(*link) != loopback
        {
            network.set_neighbour(*link, Address::from(*address), *mac);
        }
    }
    for route in &state.routes {
        let Some(destination) = Prefix::new(route.destination.into(), route.prefix) else { continue };
        let entry = |hop| engine::Route { destination, hop, metric: route.metric };
        if route.hops.is_empty() {
            network.add_route(entry(None));
        }
        for hop in &route.hops {
            let gateway = hop.gateway.map(Address::from);
            network.add_route(entry(Some(engine::Hop { gateway, interface: hop.interface })));
        }
    }
    ways_to_host(&mut network, state, tuns);
    network
}

/// The other end of a TUN device is this host, with all its addresses.
fn ways_to_host(network: &mut Network, state: &NetworkState, tuns: &BTreeSet<u32>) {
    let Some(first) = tuns.first() else { return };
    for own in state.addresses.iter().filter(|own| is_beyond_link(own.address)) {
        let interface = if tuns.contains(&own.interface) { own.interface } else { *first };
        let bits = if own.address.is_ipv4() { 32 } else { 128 };
        if let Some(destination) = Prefix::new(own.address.into(), bits) {
            let hop = Some(engine::Hop { gateway: None, interface });
            network.add_route(engine::Route { destination, hop, metric: 0 });
        }
    }
}

/// Whether an address means something on other links than its own.
fn is_beyond_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}

/// Whether an interface carries Ethernet frames, as packet virtuals need it.
pub(crate) fn is_ethernet(link: &Link) -> bool {
    link.mac != Mac([0; 6])
}

pub(crate) fn interface(link: &Link, state: &NetworkState) -> engine::Interface {
    let own = |it: &&InterfaceAddress| it.interface == link.index;
    let mut addresses: Vec<&InterfaceAddress> = state.addresses.iter().filter(own).collect();
    // A line without an address speaks from another of this host's (RFC 1812 section 2.2.7: unnumbered lines).
    for is_of_family in [IpAddr::is_ipv4, IpAddr::is_ipv6] {
        let usable = |it: &&InterfaceAddress| is_of_family(&it.address) && is_beyond_link(it.address);
        if link.tun && !addresses.iter().any(usable) {
            addresses.extend(state.addresses.iter().find(usable));
        }
    }
    let addresses = addresses.into_iter().map(|own| (Address::from(own.address), own.prefix)).collect();
    engine::Interface {
        index: link.index,
        name: link.name.as_str().into(),
        mac: link.mac,
        mtu: u16::try_from(link.mtu).unwrap_or(u16::MAX),
        addresses,
        vlan: link.vlan.map(|vlan| engine::Vlan { parent: vlan.parent, id: vlan.id }),
        point_to_point: link.tun,
    }
}

/// The interface of this host that has an address.
pub fn holder(state: &NetworkState, address: IpAddr) -> Option<(&Link, u8)> {
    let held = state.addresses.iter().find(|own| own.address == address)?;
    Some((state.links.get(&held.interface)?, held.prefix))
}
