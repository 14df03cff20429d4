//! Packet virtuals, and the threads that forward packets.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::RuleStatus;

/// Counted since the first packet virtual was there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct PacketStatus {
    /// Threads that forward packets.
    pub workers: usize,
    /// Flows now.
    pub flows: u64,
    /// Bytes that flows, their timers and ports take, and fragments.
    pub memory: u64,
    /// Packets that wait for a next hop now.
    pub held: u64,
    /// Fragments that wait for the first one of their packet now.
    pub fragments_held: u64,
    /// Frames received.
    pub received: u64,
    /// Frames handed over from one worker to another.
    pub handed_over: u64,
    /// Questions for Shunt's addresses answered: ARP, neighbour discovery, echo.
    pub answered: u64,
    /// Refusals that were not sent because too many had been.
    pub answers_withheld: u64,
    /// Frames whose checksum the sender had left to its device, and that Shunt completed.
    pub checksums_finished: u64,
    pub virtuals: Vec<PacketVirtualStatus>,
    /// Virtuals of mode `siit`.
    pub translators: Vec<TranslatorStatus>,
    /// Members that packets can go to.
    pub members: Vec<PacketMemberStatus>,
    pub modes: Vec<ModeStatus>,
    /// Reasons that occurred, the most frequent first.
    pub drops: Vec<DropStatus>,
    pub snat_pools: Vec<SnatPoolStatus>,
    /// Leases that could not be had, of all SNAT pools.
    pub snat_exhausted: u64,
    pub interfaces: Vec<InterfaceStatus>,
    /// What the XDP program did with frames.
    pub steering: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct PacketVirtualStatus {
    pub name: String,
    pub listen: String,
    pub transport: String,
    pub interfaces: Vec<String>,
    pub mode: String,
    pub pool: Option<String>,
    pub rules: Vec<RuleStatus>,
    /// First packets that became no flow.
    pub refused: u64,
    #[serde(flatten)]
    pub traffic: TrafficStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct TranslatorStatus {
    pub name: String,
    pub interfaces: Vec<String>,
    /// Became IPv4.
    pub packets_to_v4: u64,
    pub bytes_to_v4: u64,
    /// Became IPv6.
    pub packets_to_v6: u64,
    pub bytes_to_v6: u64,
    /// Packets that were not translated.
    pub refused: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct PacketMemberStatus {
    pub pool: String,
    pub member: String,
    #[serde(flatten)]
    pub traffic: TrafficStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct ModeStatus {
    pub mode: String,
    #[serde(flatten)]
    pub traffic: TrafficStatus,
}

/// Traffic of flows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct TrafficStatus {
    /// Flows now.
    pub active: u64,
    /// Flows ever.
    pub flows: u64,
    pub packets_to_server: u64,
    pub bytes_to_server: u64,
    /// 0 in modes in which answers do not come through Shunt.
    pub packets_to_client: u64,
    pub bytes_to_client: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct DropStatus {
    pub reason: String,
    pub count: u64,
    /// What the operator can do about it.
    pub remedy: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct SnatPoolStatus {
    pub name: String,
    pub addresses: usize,
    /// Ports leased now, over all members.
    pub leased: u64,
    /// Ports that rest until they may be used again.
    pub resting: u64,
    /// Ports left where they are fewest: toward one member, in one worker's share of one address.
    /// `null` while all are free.
    pub least_free: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct InterfaceStatus {
    pub name: String,
    /// `native`, `generic` where its driver runs no XDP program, `tun`, or `gone` where it is not there any more.
    pub mode: String,
    pub queues: u32,
    pub received: u64,
    pub sent: u64,
    /// Of those sent, copied from elsewhere in memory.
    pub copied: u64,
    /// Not sent: the interface took no more.
    pub send_full: u64,
    /// Lost: the workers did not take frames fast enough.
    pub receive_full: u64,
    /// Lost: no buffer was free.
    pub no_buffer: u64,
    /// Lost: larger than a buffer.
    pub dropped: u64,
}
