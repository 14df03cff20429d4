//! Packet virtuals in a change: what can fail, and what follows from the new snapshot.

use std::sync::Arc;

use super::apply::{running, same_rules};
use super::{ApplyError, Control};
use shunt_api::status::ReloadSummary;
use shunt_config::model;
use shunt_packets::{Change, Packets};
use shunt_runtime::{PacketVirtual, Pool, Snapshot};

/// What a change means to the threads that carry packets.
pub(super) enum PacketPlan {
    /// There are no packet virtuals any more.
    Close,
    /// They are the first.
    Open(Packets, Change),
    Change(Change),
    /// The interfaces stay as they are.
    Keep,
}

impl Control {
    /// Opens what packet virtuals need.
    pub(super) fn plan_packets(&self, config: &model::Config) -> Result<PacketPlan, ApplyError> {
        let refused = ApplyError::Resources;
        if !config.carries_packets() {
            return Ok(PacketPlan::Close);
        }
        if let Some(packets) = &self.packets {
            return packets.prepare(config).map(PacketPlan::Change).map_err(refused);
        }
        let packets =
            Packets::open(config, self.workers.len(), self.flow_key, &self.probes).map_err(refused)?;
        let change = packets.prepare(config).map_err(refused)?;
        Ok(PacketPlan::Open(packets, change))
    }

    /// The packet virtual of the next snapshot.
    pub(super) fn packet_virtual(
        &mut self,
        settings: &model::PacketVirtual,
        before: &Snapshot,
        pools: &[Arc<Pool>],
        summary: &mut ReloadSummary,
    ) -> Arc<PacketVirtual> {
        let rules = running(&self.rules, &settings.name, &settings.rules);
        let on_path = self.registry.on_path(settings, pools);
        let old = before.packet_virtual(&settings.name);
        if let Some(old) = old.filter(|old| old.settings == *settings && same_rules(&rules, &old.rules)) {
            summary.unchanged += 1;
            let same_path = old.on_path.len() == on_path.len()
                && old.on_path.iter().zip(&on_path).all(|(old, new)| old.is(new));
            if same_path {
                return Arc::clone(old);
            }
            return Arc::new(PacketVirtual { settings: settings.clone(), rules, on_path });
        }
        let list = if old.is_some() { &mut summary.changed } else { &mut summary.added };
        list.push(format!("virtual {}", settings.name));
        Arc::new(PacketVirtual { settings: settings.clone(), rules, on_path })
    }

    /// Gives the packet workers the snapshot in force. Returns when every one has it.
    pub(super) async fn swap_packets(&mut self, plan: PacketPlan) {
        let change = match plan {
            PacketPlan::Close => {
                self.packets = None;
                return;
            }
            PacketPlan::Open(packets, change) => {
                self.packets = Some(packets);
                change
            }
            PacketPlan::Change(change) => change,
            PacketPlan::Keep => Change::default(),
        };
        if let Some(packets) = &mut self.packets {
            packets.apply(change, &self.snapshot.load_full(), &self.config.snat_pools).await;
        }
    }
}

/// The virtual of mode `siit` of the next snapshot.
pub(super) fn translator(
    settings: &model::Translator,
    before: &Snapshot,
    summary: &mut ReloadSummary,
) -> Arc<model::Translator> {
    let old = before.translators.iter().find(|old| old.name == settings.name);
    if let Some(old) = old.filter(|old| ***old == *settings) {
        summary.unchanged += 1;
        return Arc::clone(old);
    }
    let list = if old.is_some() { &mut summary.changed } else { &mut summary.added };
    list.push(format!("virtual {}", settings.name));
    Arc::new(settings.clone())
}
