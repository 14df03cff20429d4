//! Packet virtuals, and the threads that forward packets.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::counts::{
    InterfaceCounts, PacketCounts, PacketVirtualCounts, SnatCounts, SnatPoolCounts, TrafficCounts,
    TranslatorCounts,
};
use crate::rules::RuleStatus;

/// Counted since the first packet virtual was there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct PacketStatus {
    /// Threads that forward packets.
    pub workers: usize,
    #[serde(flatten)]
    pub counts: PacketCounts,
    pub virtuals: Vec<PacketVirtualStatus>,
    /// Virtuals of mode `siit`.
    pub translators: Vec<TranslatorStatus>,
    /// Members that packets can go to.
    pub members: Vec<PacketMemberStatus>,
    pub modes: Vec<ModeStatus>,
    /// Reasons that occurred, the most frequent first.
    pub drops: Vec<DropStatus>,
    pub snat_pools: Vec<SnatPoolStatus>,
    #[serde(flatten)]
    pub snat: SnatCounts,
    pub interfaces: Vec<InterfaceStatus>,
    /// What the XDP program did with frames.
    pub steering: BTreeMap<String, u64>,
}

/// A packet virtual.
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
    #[serde(flatten)]
    pub counts: PacketVirtualCounts,
    #[serde(flatten)]
    pub traffic: TrafficCounts,
}

/// A virtual of mode `siit`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct TranslatorStatus {
    pub name: String,
    pub interfaces: Vec<String>,
    #[serde(flatten)]
    pub counts: TranslatorCounts,
}

/// A member that packets can go to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct PacketMemberStatus {
    pub pool: String,
    pub member: String,
    #[serde(flatten)]
    pub traffic: TrafficCounts,
}

/// All flows of one mode.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct ModeStatus {
    pub mode: String,
    #[serde(flatten)]
    pub traffic: TrafficCounts,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct DropStatus {
    pub reason: String,
    pub count: u64,
    /// What the operator can do about it.
    pub remedy: String,
}

/// An SNAT pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct SnatPoolStatus {
    pub name: String,
    pub addresses: usize,
    #[serde(flatten)]
    pub counts: SnatPoolCounts,
    /// Free ports toward the member with the fewest: toward one member, in one worker's share of one address.
    /// `null` while all are free.
    pub least_free: Option<u32>,
}

/// An interface with packet workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct InterfaceStatus {
    pub name: String,
    /// `native`, `generic` where its driver runs no XDP program, `tun`, or `gone` where it no longer exists.
    pub mode: String,
    pub queues: u32,
    #[serde(flatten)]
    pub counts: InterfaceCounts,
}
