//! What was counted: plain numbers of one worker.

use std::sync::Arc;

use shunt_wire::Endpoint;

use super::mode::ModeName;
use super::reason::DropReason;
use super::world::Traffic;

/// A copy of everything that one worker counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Of the virtuals of the snapshot, in its order.
    pub virtuals: Vec<VirtualCounters>,
    /// Of the members of its pools, in their order.
    pub members: Vec<MemberCounters>,
    /// By [`ModeName`] as index.
    pub modes: [FlowCounters; ModeName::ALL.len()],
    /// By [`DropReason`] as index.
    pub drops: [u64; DropReason::ALL.len()],
    /// Of the SNAT addresses of its pools, in their order.
    pub snat: Vec<SnatCounters>,
    /// Flows in the table now.
    pub flows: u64,
    /// Packets that wait for a next hop now.
    pub held: u64,
    /// Frames received.
    pub received: u64,
    /// Frames handed over to other workers.
    pub handed_over: u64,
    /// Answers to questions for Shunt's addresses: ARP, neighbour discovery, echo.
    pub answered: u64,
    /// Resets and ICMP errors that were not sent, because too many had been.
    pub answers_withheld: u64,
}

/// What flows carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// Flows now.
    pub active: u64,
    /// Flows ever.
    pub flows: u64,
    pub to_server: Traffic,
    /// Only of modes in which answers come through Shunt.
    pub to_client: Traffic,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualCounters {
    pub name: Arc<str>,
    pub carried: FlowCounters,
    /// First packets that became no flow, whatever the reason.
    pub refused: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberCounters {
    pub pool: Arc<str>,
    pub member: Endpoint,
    pub carried: FlowCounters,
}

/// How full one SNAT address is, as this worker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnatCounters {
    pub pool: Arc<str>,
    /// Ports leased now, over all member endpoints.
    pub leased: u64,
    /// Ports that rest until they may be used again.
    pub resting: u64,
    /// Leases that could not be had.
    pub exhausted: u64,
}

impl Traffic {
    /// Counts one packet.
    pub const fn add(&mut self, bytes: u16) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}
