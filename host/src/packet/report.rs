//! What the workers counted, put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use shunt_engine::datapath::{Counters, DropReason, FlowCounters, ModeName, Traffic};
use shunt_engine::snat::AddressOccupancy;
use shunt_sys::xsk::Statistics;
use shunt_wire::{Address, Endpoint};

/// What one worker counted.
pub(super) struct Report {
    pub(super) counters: Counters,
    pub(super) sockets: Vec<SocketCounts>,
}

/// What went through one socket.
#[derive(Clone, Debug)]
pub struct SocketCounts {
    pub interface: u32,
    pub queue: u32,
    pub statistics: Statistics,
}

/// What all workers counted.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub workers: usize,
    /// By the virtual's name: what it carried, and first packets that became no flow.
    pub virtuals: BTreeMap<Arc<str>, (FlowCounters, u64)>,
    /// Of virtuals of mode `siit`, by name: what became IPv4, what became IPv6, and what was not translated.
    pub translators: BTreeMap<Arc<str>, (Traffic, Traffic, u64)>,
    /// By pool and member.
    pub members: BTreeMap<(Arc<str>, Endpoint), FlowCounters>,
    /// In the order of [`ModeName::ALL`].
    pub modes: Vec<(ModeName, FlowCounters)>,
    /// In the order of [`DropReason::ALL`].
    pub drops: Vec<(DropReason, u64)>,
    /// By SNAT address; those of which all ports are free are left out.
    pub snat: BTreeMap<Address, Snat>,
    /// Leases that could not be had.
    pub leases_exhausted: u64,
    pub flows: u64,
    /// Bytes that flows, their timers and ports take, and fragments.
    pub memory: u64,
    pub held: u64,
    pub fragments_held: u64,
    pub received: u64,
    pub handed_over: u64,
    pub answered: u64,
    pub answers_withheld: u64,
    pub interfaces: Vec<InterfaceTotals>,
    /// What the XDP program did with frames, by name.
    pub outcomes: Vec<(&'static str, u64)>,
}

/// How full a SNAT address is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snat {
    pub leased: u64,
    pub resting: u64,
    /// In one worker's share, toward the member endpoint that has the fewest left.
    pub least_free: Option<u32>,
}

/// An interface that the XDP program runs on, or a TUN device, with all its sockets together.
#[derive(Clone, Debug, Default)]
pub struct InterfaceTotals {
    pub name: String,
    /// `native`, `generic` where the driver runs no XDP program, or `tun`.
    pub mode: &'static str,
    pub queues: u32,
    pub statistics: Statistics,
}

impl Totals {
    pub(super) fn add(&mut self, counters: &Counters) {
        self.workers += 1;
        for it in &counters.virtuals {
            let (carried, refused) = self.virtuals.entry(Arc::clone(&it.name)).or_default();
            add(carried, &it.carried);
            *refused += it.refused;
        }
        for it in &counters.translators {
            let (to_v4, to_v6, refused) = self.translators.entry(Arc::clone(&it.name)).or_default();
            add_traffic(to_v4, &it.to_v4);
            add_traffic(to_v6, &it.to_v6);
            *refused += it.refused;
        }
        for it in &counters.members {
            add(self.members.entry((Arc::clone(&it.pool), it.member)).or_default(), &it.carried);
        }
        if self.modes.is_empty() {
            self.modes = ModeName::ALL.map(|mode| (mode, FlowCounters::default())).to_vec();
            self.drops = DropReason::ALL.map(|reason| (reason, 0)).to_vec();
        }
        for ((_, total), count) in self.modes.iter_mut().zip(&counters.modes) {
            add(total, count);
        }
        for ((_, total), count) in self.drops.iter_mut().zip(&counters.drops) {
            *total += count;
        }
        for (address, AddressOccupancy { free, leased, quarantined }) in &counters.snat {
            let total = self.snat.entry(*address).or_default();
            total.leased += u64::from(*leased);
            total.resting += u64::from(*quarantined);
            total.least_free = Some(total.least_free.map_or(*free, |least| least.min(*free)));
        }
        self.leases_exhausted += counters.leases.exhausted;
        self.memory += counters.memory;
        self.flows += counters.flows;
        self.held += counters.held;
        self.fragments_held += counters.fragments_held;
        self.received += counters.received;
        self.handed_over += counters.handed_over;
        self.answered += counters.answered;
        self.answers_withheld += counters.answers_withheld;
    }
}

impl InterfaceTotals {
    pub(super) fn add(&mut self, more: &Statistics) {
        let total = &mut self.statistics;
        total.received += more.received;
        total.sent += more.sent;
        total.copied += more.copied;
        total.send_full += more.send_full;
        total.receive_full += more.receive_full;
        total.no_buffer += more.no_buffer;
        total.dropped += more.dropped;
    }
}

fn add(total: &mut FlowCounters, more: &FlowCounters) {
    total.active += more.active;
    total.flows += more.flows;
    add_traffic(&mut total.to_server, &more.to_server);
    add_traffic(&mut total.to_client, &more.to_client);
}

const fn add_traffic(total: &mut Traffic, more: &Traffic) {
    total.packets += more.packets;
    total.bytes += more.bytes;
}
