//! What packet virtuals say of themselves, in the shapes that the admin interface sends.

use serde::Serialize;
use shunt_engine::datapath::{Counters, DropReason, FlowCounters, ModeName, TranslatorCounters};
use shunt_sys::xsk::Statistics;
use shunt_wire::Address;

use super::Control;
use super::status::RuleStatus;
use shunt_config::model::{SnatPool, Translator};
use shunt_packets::report::{InterfaceTotals, Totals};
use shunt_runtime::PacketVirtual;

/// Counted since the first packet virtual was there.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PacketStatus {
    /// Threads that carry packets.
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
    pub steering: std::collections::BTreeMap<&'static str, u64>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PacketVirtualStatus {
    pub name: String,
    pub listen: String,
    pub transport: &'static str,
    pub interfaces: Vec<String>,
    pub mode: &'static str,
    pub pool: Option<String>,
    pub rules: Vec<RuleStatus>,
    /// First packets that became no flow.
    pub refused: u64,
    #[serde(flatten)]
    pub carried: CarriedStatus,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
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

#[derive(Clone, Debug, Serialize)]
pub struct PacketMemberStatus {
    pub pool: String,
    pub member: String,
    #[serde(flatten)]
    pub carried: CarriedStatus,
}

#[derive(Clone, Debug, Serialize)]
pub struct ModeStatus {
    pub mode: &'static str,
    #[serde(flatten)]
    pub carried: CarriedStatus,
}

/// What flows carried.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CarriedStatus {
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

#[derive(Clone, Debug, Serialize)]
pub struct DropStatus {
    pub reason: &'static str,
    pub count: u64,
    /// What the operator can do about it.
    pub remedy: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SnatPoolStatus {
    pub name: String,
    pub addresses: usize,
    /// Ports leased now, over all members.
    pub leased: u64,
    /// Ports that rest until they may be used again.
    pub resting: u64,
    /// Ports left where they are fewest: toward one member, in one worker's share of one address.
    /// `None` while all are free.
    pub least_free: Option<u32>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InterfaceStatus {
    pub name: String,
    /// `native`, `generic` where its driver runs no XDP program, `tun`, or `gone` where it is not there any more.
    pub mode: &'static str,
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

impl Control {
    /// `None`: there are no packet virtuals.
    pub(super) async fn packet_status(&self) -> Option<PacketStatus> {
        let Totals { workers, counters, interfaces, outcomes } = self.packets.as_ref()?.totals().await;
        let snapshot = self.snapshot.load_full();
        let virtuals = snapshot.packet_virtuals.iter().map(|it| self.packet_virtual_status(it, &counters));
        let translators = snapshot.translators.iter().map(|it| translator_status(it, &counters));
        let members = counters.members.iter().map(|((pool, member), carried)| PacketMemberStatus {
            pool: pool.to_string(),
            member: member.to_string(),
            carried: carried.into(),
        });
        let modes = ModeName::ALL
            .iter()
            .zip(&counters.modes)
            .map(|(mode, carried)| ModeStatus { mode: mode.as_str(), carried: carried.into() });
        let snat_pools = self.config.snat_pools.iter().map(|pool| snat_pool_status(pool, &counters));
        Some(PacketStatus {
            workers,
            flows: counters.flows,
            memory: counters.memory,
            held: counters.held,
            fragments_held: counters.fragments_held,
            received: counters.received,
            handed_over: counters.handed_over,
            answered: counters.answered,
            answers_withheld: counters.answers_withheld,
            checksums_finished: counters.checksums_finished,
            virtuals: virtuals.collect(),
            translators: translators.collect(),
            members: members.collect(),
            modes: modes.collect(),
            drops: drops(&counters),
            snat_pools: snat_pools.collect(),
            snat_exhausted: counters.leases.exhausted,
            interfaces: interfaces.iter().map(InterfaceStatus::from).collect(),
            steering: outcomes.into_iter().collect(),
        })
    }

    fn packet_virtual_status(&self, virtual_: &PacketVirtual, counters: &Counters) -> PacketVirtualStatus {
        let settings = &virtual_.settings;
        let counted = counters.virtuals.get(settings.name.as_str()).copied().unwrap_or_default();
        PacketVirtualStatus {
            name: settings.name.clone(),
            listen: settings.listen.to_string(),
            transport: settings.transport.as_str(),
            interfaces: settings.interfaces.clone(),
            mode: settings.mode.as_str(),
            pool: settings.pool.clone(),
            rules: self.rule_statuses(&settings.name, &settings.rules),
            refused: counted.refused,
            carried: (&counted.traffic).into(),
        }
    }
}

fn translator_status(translator: &Translator, counters: &Counters) -> TranslatorStatus {
    let counted = counters.translators.get(translator.name.as_str()).copied().unwrap_or_default();
    let TranslatorCounters { to_v4, to_v6, refused } = counted;
    TranslatorStatus {
        name: translator.name.clone(),
        interfaces: translator.interfaces.clone(),
        packets_to_v4: to_v4.packets,
        bytes_to_v4: to_v4.bytes,
        packets_to_v6: to_v6.packets,
        bytes_to_v6: to_v6.bytes,
        refused,
    }
}

fn snat_pool_status(pool: &SnatPool, counters: &Counters) -> SnatPoolStatus {
    let used = || pool.addresses.iter().filter_map(|address| counters.snat.get(&Address::from(*address)));
    SnatPoolStatus {
        name: pool.name.clone(),
        addresses: pool.addresses.len(),
        leased: used().map(|it| u64::from(it.leased)).sum(),
        resting: used().map(|it| u64::from(it.quarantined)).sum(),
        least_free: used().map(|it| it.free).min(),
    }
}

/// Those that occurred, the most frequent first.
fn drops(counters: &Counters) -> Vec<DropStatus> {
    let all = DropReason::ALL.into_iter().zip(counters.drops);
    let mut drops: Vec<(DropReason, u64)> = all.filter(|(_, count)| *count > 0).collect();
    drops.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let status = |(reason, count): (DropReason, u64)| DropStatus {
        reason: reason.as_str(),
        count,
        remedy: reason.remedy(),
    };
    drops.into_iter().map(status).collect()
}

impl From<&FlowCounters> for CarriedStatus {
    fn from(counters: &FlowCounters) -> CarriedStatus {
        CarriedStatus {
            active: counters.active,
            flows: counters.flows,
            packets_to_server: counters.to_server.packets,
            bytes_to_server: counters.to_server.bytes,
            packets_to_client: counters.to_client.packets,
            bytes_to_client: counters.to_client.bytes,
        }
    }
}

impl From<&InterfaceTotals> for InterfaceStatus {
    fn from(interface: &InterfaceTotals) -> InterfaceStatus {
        let InterfaceTotals { name, mode, queues, statistics } = interface;
        let Statistics { received, sent, copied, send_full, receive_full, no_buffer, dropped } = *statistics;
        InterfaceStatus {
            name: name.clone(),
            mode,
            queues: *queues,
            received,
            sent,
            copied,
            send_full,
            receive_full,
            no_buffer,
            dropped,
        }
    }
}
