//! What packet virtuals say of themselves, in the shapes that the admin interface sends.

use shunt_api::packets::{
    DropStatus, InterfaceStatus, ModeStatus, PacketMemberStatus, PacketStatus, PacketVirtualStatus,
    SnatPoolStatus, TrafficStatus, TranslatorStatus,
};
use shunt_engine::datapath::{Counters, DropReason, FlowCounters, ModeName, TranslatorCounters};
use shunt_sys::xsk::Statistics;
use shunt_wire::Address;

use super::Control;
use shunt_config::model::{SnatPool, Translator};
use shunt_packets::report::{InterfaceTotals, Totals};
use shunt_runtime::PacketVirtual;

impl Control {
    /// `None`: there are no packet virtuals.
    pub(super) async fn packet_status(&self) -> Option<PacketStatus> {
        let Totals { workers, counters, interfaces, outcomes } =
            self.planes.packets.running()?.totals().await;
        let snapshot = self.snapshot.load_full();
        let virtuals = snapshot.packet_virtuals.iter().map(|it| self.packet_virtual_status(it, &counters));
        let translators = snapshot.translators.iter().map(|it| translator_status(it, &counters));
        let members = counters.members.iter().map(|((pool, member), flows)| PacketMemberStatus {
            pool: pool.to_string(),
            member: member.to_string(),
            traffic: traffic(flows),
        });
        let modes = ModeName::ALL
            .iter()
            .zip(&counters.modes)
            .map(|(mode, flows)| ModeStatus { mode: mode.as_str().to_owned(), traffic: traffic(flows) });
        let snat_pools = self.config.snat_pools.iter().map(|pool| snat_pool_status(pool, &counters));
        Some(PacketStatus {
            workers,
            flows: counters.flows,
            memory: counters.memory,
            held: counters.pending,
            fragments_held: counters.fragments_pending,
            received: counters.frames.received,
            handed_over: counters.frames.handed_over,
            answered: counters.frames.answered,
            answers_withheld: counters.frames.answers_withheld,
            checksums_finished: counters.frames.checksums_finished,
            virtuals: virtuals.collect(),
            translators: translators.collect(),
            members: members.collect(),
            modes: modes.collect(),
            drops: drops(&counters),
            snat_pools: snat_pools.collect(),
            snat_exhausted: counters.leases.exhausted,
            interfaces: interfaces.iter().map(interface_status).collect(),
            steering: outcomes.into_iter().map(|(outcome, frames)| (outcome.to_owned(), frames)).collect(),
        })
    }

    fn packet_virtual_status(&self, virtual_: &PacketVirtual, counters: &Counters) -> PacketVirtualStatus {
        let settings = &virtual_.settings;
        let counted = counters.virtuals.get(settings.name.as_str()).copied().unwrap_or_default();
        PacketVirtualStatus {
            name: settings.name.clone(),
            listen: settings.listen.to_string(),
            transport: settings.transport.as_str().to_owned(),
            interfaces: settings.interfaces.clone(),
            mode: settings.mode.as_str().to_owned(),
            pool: settings.pool.clone(),
            rules: self.rule_statuses(&settings.name, &settings.rules),
            refused: counted.refused,
            traffic: traffic(&counted.traffic),
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
        reason: reason.as_str().to_owned(),
        count,
        remedy: reason.remedy().to_owned(),
    };
    drops.into_iter().map(status).collect()
}

fn traffic(counters: &FlowCounters) -> TrafficStatus {
    TrafficStatus {
        active: counters.active,
        flows: counters.flows,
        packets_to_server: counters.to_server.packets,
        bytes_to_server: counters.to_server.bytes,
        packets_to_client: counters.to_client.packets,
        bytes_to_client: counters.to_client.bytes,
    }
}

fn interface_status(interface: &InterfaceTotals) -> InterfaceStatus {
    let InterfaceTotals { name, mode, queues, statistics } = interface;
    let Statistics { received, sent, copied, send_full, receive_full, no_buffer, dropped } = *statistics;
    InterfaceStatus {
        name: name.clone(),
        mode: (*mode).to_owned(),
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
