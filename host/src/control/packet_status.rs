//! What packet virtuals say of themselves, in the shapes that the admin interface sends.

use std::collections::BTreeMap;
use std::sync::Arc;

use shunt_api::counts::{
    InterfaceCounts, PacketCounts, PacketVirtualCounts, SnatCounts, SnatPoolCounts, TrafficCounts,
    TranslatorCounts,
};
use shunt_api::packets::{
    DropStatus, InterfaceStatus, ModeStatus, PacketMemberStatus, PacketStatus, PacketVirtualStatus,
    SnatPoolStatus, TranslatorStatus,
};
use shunt_engine::datapath::{
    Counters, DropReason, FlowCounters, FrameCounters, ModeName, TranslatorCounters, VirtualCounters,
};
use shunt_engine::snat::{self, AddressOccupancy};
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
        // Each is named here and in the functions below, so that none is forgotten.
        let Counters {
            virtuals,
            translators,
            members,
            modes,
            drops,
            snat,
            leases,
            flows,
            memory,
            pending,
            fragments_pending,
            frames,
        } = counters;
        let FrameCounters { received, handed_over, answered, answers_withheld, checksums_finished } = frames;
        let snat::Counts { leases: _, exhausted, dropped: _ } = leases;
        let snapshot = self.snapshot.load_full();
        let packet_virtual = |it: &Arc<PacketVirtual>| {
            let counted = virtuals.get(it.settings.name.as_str()).copied().unwrap_or_default();
            self.packet_virtual_status(it, counted)
        };
        let translator = |it: &Arc<Translator>| {
            translator_status(it, translators.get(it.name.as_str()).copied().unwrap_or_default())
        };
        let members = members.iter().map(|((pool, member), flows)| PacketMemberStatus {
            pool: pool.to_string(),
            member: member.to_string(),
            traffic: traffic(flows),
        });
        let modes = ModeName::ALL
            .iter()
            .zip(&modes)
            .map(|(mode, flows)| ModeStatus { mode: mode.as_str().to_owned(), traffic: traffic(flows) });
        Some(PacketStatus {
            workers,
            counts: PacketCounts {
                flows,
                memory,
                held: pending,
                fragments_held: fragments_pending,
                received,
                handed_over,
                answered,
                answers_withheld,
                checksums_finished,
            },
            virtuals: snapshot.packet_virtuals.iter().map(packet_virtual).collect(),
            translators: snapshot.translators.iter().map(translator).collect(),
            members: members.collect(),
            modes: modes.collect(),
            drops: drop_statuses(drops),
            snat_pools: self.config.snat_pools.iter().map(|pool| snat_pool_status(pool, &snat)).collect(),
            snat: SnatCounts { snat_exhausted: exhausted },
            interfaces: interfaces.iter().map(interface_status).collect(),
            steering: outcomes.into_iter().map(|(outcome, frames)| (outcome.to_owned(), frames)).collect(),
        })
    }

    fn packet_virtual_status(
        &self,
        virtual_: &PacketVirtual,
        counted: VirtualCounters,
    ) -> PacketVirtualStatus {
        let settings = &virtual_.settings;
        let VirtualCounters { traffic: flows, refused, persistence_down } = counted;
        PacketVirtualStatus {
            name: settings.name.clone(),
            listen: settings.listen.to_string(),
            transport: settings.transport.as_str().to_owned(),
            interfaces: settings.interfaces.clone(),
            mode: settings.mode.as_str().to_owned(),
            pool: settings.pool.clone(),
            rules: self.rule_statuses(&settings.name, &settings.rules),
            counts: PacketVirtualCounts { refused, persistence_down },
            traffic: traffic(&flows),
        }
    }
}

fn translator_status(translator: &Translator, counted: TranslatorCounters) -> TranslatorStatus {
    let TranslatorCounters { to_v4, to_v6, refused } = counted;
    TranslatorStatus {
        name: translator.name.clone(),
        interfaces: translator.interfaces.clone(),
        counts: TranslatorCounts {
            packets_to_v4: to_v4.packets,
            bytes_to_v4: to_v4.bytes,
            packets_to_v6: to_v6.packets,
            bytes_to_v6: to_v6.bytes,
            refused,
        },
    }
}

fn snat_pool_status(pool: &SnatPool, occupancy: &BTreeMap<Address, AddressOccupancy>) -> SnatPoolStatus {
    let used = || pool.addresses.iter().filter_map(|address| occupancy.get(&Address::from(*address)));
    SnatPoolStatus {
        name: pool.name.clone(),
        addresses: pool.addresses.len(),
        counts: SnatPoolCounts {
            leased: used().map(|it| u64::from(it.leased)).sum(),
            resting: used().map(|it| u64::from(it.quarantined)).sum(),
        },
        least_free: used().map(|it| it.free).min(),
    }
}

/// Those that occurred, the most frequent first.
fn drop_statuses(counted: [u64; DropReason::ALL.len()]) -> Vec<DropStatus> {
    let all = DropReason::ALL.into_iter().zip(counted);
    let mut drops: Vec<(DropReason, u64)> = all.filter(|(_, count)| *count > 0).collect();
    drops.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let status = |(reason, count): (DropReason, u64)| DropStatus {
        reason: reason.as_str().to_owned(),
        count,
        remedy: reason.remedy().to_owned(),
    };
    drops.into_iter().map(status).collect()
}

fn traffic(counters: &FlowCounters) -> TrafficCounts {
    let FlowCounters { active, flows, to_server, to_client } = *counters;
    TrafficCounts {
        active,
        flows,
        packets_to_server: to_server.packets,
        bytes_to_server: to_server.bytes,
        packets_to_client: to_client.packets,
        bytes_to_client: to_client.bytes,
    }
}

fn interface_status(interface: &InterfaceTotals) -> InterfaceStatus {
    let InterfaceTotals { name, mode, queues, statistics } = interface;
    let Statistics { received, sent, copied, send_full, receive_full, no_buffer, dropped } = *statistics;
    InterfaceStatus {
        name: name.clone(),
        mode: (*mode).to_owned(),
        queues: *queues,
        counts: InterfaceCounts { received, sent, copied, send_full, receive_full, no_buffer, dropped },
    }
}
