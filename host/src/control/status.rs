//! What the process says of itself, in the shapes that the admin interface sends.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

use shunt_api::counts::{MemberCounts, VirtualCounts};
use shunt_api::packets::PacketStatus;
use shunt_api::rules::{HookStatus, RuleStatus, RuleVersion, Signer, Times};
use shunt_api::status::{
    CertificateStatus, GroupStatus, MemberStatus, OnPathStatus, PersistenceStatus, PoolStatus, QueueStatus,
    RevocationStatus, Status, VirtualStatus,
};

use crate::control::Control;
use shunt_engine::balance::groups::InUse;
use shunt_engine::queue::Queue;
use shunt_rules::stats::{HookReading, bucket_bound};
use shunt_rules::{FaultKind, Hook};

use super::bindings;
use super::flags;
use super::history::{History, Version};
use super::packs::Loaded;
use super::rules::RuleName;
use crate::monitor::OnPath;
use shunt_config::RuleOwner;
use shunt_config::model::RuleUse;
use shunt_runtime::counters::Count;
use shunt_runtime::tls::{Revocation, Served, rfc3339};
use shunt_runtime::{Member, Pool, Virtual, log};

impl Control {
    pub async fn status(&self) -> Status {
        let packets = self.packet_status().await;
        let snapshot = self.snapshot.load();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: snapshot.epoch,
            uptime_seconds: self.started.elapsed().as_secs(),
            workers: self.planes.proxies.workers(),
            draining: self.is_draining(),
            differences: self.differences(),
            log_lines_lost: log::lost(),
            virtuals: snapshot.virtuals.iter().map(|it| self.virtual_status(it)).collect(),
            pools: snapshot.pools.iter().map(|it| self.pool_status(it, packets.as_ref())).collect(),
            packets,
        }
    }

    /// The rules of one virtual.
    pub(super) fn rule_statuses(&self, virtual_name: &str, rules: &[RuleUse]) -> Vec<RuleStatus> {
        let status = |rule: &RuleUse| {
            let name = RuleName { virtual_name: virtual_name.to_owned(), rule: rule.name.clone() };
            Some(rule_status(&name, self.rules.get(&name)?))
        };
        rules.iter().filter_map(status).collect()
    }

    /// The rules of a pool's monitors.
    fn monitor_rules(&self, pool: &Pool) -> Vec<RuleStatus> {
        let owner = RuleOwner::Pool(&pool.settings.name).name();
        let rules = pool.settings.monitors.iter().filter_map(|it| it.probe.rule());
        let rules: Vec<RuleUse> = rules.map(|it| it.rule.clone()).collect();
        self.rule_statuses(&owner, &rules)
    }

    fn virtual_status(&self, virtual_: &Virtual) -> VirtualStatus {
        let settings = &virtual_.settings;
        VirtualStatus {
            name: settings.name.clone(),
            listen: settings.listen.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", "),
            protocol: settings.protocol.as_str().to_owned(),
            tls: virtual_.tls.is_some() || settings.pass_through,
            certificates: virtual_
                .tls
                .iter()
                .flat_map(|tls| &tls.certificates)
                .map(certificate_status)
                .collect(),
            revocation: virtual_.tls.iter().flat_map(|tls| &tls.revocation).map(revocation_status).collect(),
            pool: settings.pool.clone(),
            rules: self.rule_statuses(&settings.name, &settings.rules),
            counts: VirtualCounts::sum(virtual_.counters.shards(), Count::get),
        }
    }

    pub(super) fn pool_status(&self, pool: &Pool, packets: Option<&PacketStatus>) -> PoolStatus {
        let in_use = super::groups::in_use(pool);
        PoolStatus {
            name: pool.settings.name.clone(),
            balance: pool.settings.balance.as_str().to_owned(),
            usable: pool.members.iter().filter(|it| it.state.usable_for_new()).count(),
            active: pool.state.active(),
            max_connections: pool.settings.max_connections,
            queue: queue_status(&pool.state.queue),
            groups: group_statuses(pool, in_use),
            members: pool.members.iter().map(|it| self.member_status(pool, it, in_use, packets)).collect(),
            names: pool.settings.names.iter().map(|it| self.names.status(&it.name)).collect(),
            persistence: PersistenceStatus { counts: bindings::counts(pool) },
            rules: self.monitor_rules(pool),
        }
    }

    pub(super) fn member_status(
        &self,
        pool: &Pool,
        member: &Member,
        in_use: Option<InUse>,
        packets: Option<&PacketStatus>,
    ) -> MemberStatus {
        let address = member.settings.address.to_string();
        let counted = packets.and_then(|packets| {
            packets.members.iter().find(|it| it.pool == pool.settings.name && it.member == address)
        });
        MemberStatus {
            address,
            name: member.settings.name.as_ref().map(ToString::to_string),
            weight: member.settings.weight,
            priority: member.state.priority(),
            health: health(member.state.is_up()),
            reason: self.monitors.reason(&pool.settings.name, member.settings.address),
            on_path: self
                .monitors
                .on_path(&pool.settings.name, member.settings.address)
                .into_iter()
                .map(|OnPath { virtual_, mode, up, reason }| OnPathStatus {
                    virtual_name: virtual_,
                    mode: mode.to_string(),
                    health: health(up),
                    reason,
                })
                .collect(),
            admin: member.state.admin().as_str().to_owned(),
            active: member.state.active(),
            max_connections: member.settings.max_connections,
            ejected: member.state.ejection().is_ejected(),
            ineligible: member
                .state
                .ineligible_among(member.settings.weight, in_use)
                .map(|why| why.as_str().to_owned()),
            flows: counted.map(|it| it.traffic.active),
            ports: self.ports.status(&pool.settings, member.settings.address),
            counts: MemberCounts::sum(member.counters.shards(), Count::get),
        }
    }
}

fn queue_status(queue: &Queue) -> QueueStatus {
    let counts = &queue.counts;
    QueueStatus {
        waiting: queue.waiting(),
        served: counts.served.load(Relaxed),
        waited_ms: counts.waited_ms.load(Relaxed),
        full: counts.full.load(Relaxed),
        timed_out: counts.timed_out.load(Relaxed),
    }
}

fn group_statuses(pool: &Pool, in_use: Option<InUse>) -> Vec<GroupStatus> {
    let mut groups: BTreeMap<u16, GroupStatus> = BTreeMap::new();
    for member in &pool.members {
        let priority = member.state.priority();
        let group = groups.entry(priority).or_default();
        group.priority = priority;
        group.members += 1;
        group.usable += usize::from(member.state.usable_for_new());
        group.in_use = in_use.is_some_and(|it| it.has(priority));
    }
    groups.into_values().rev().collect()
}

fn certificate_status(served: &Served) -> CertificateStatus {
    CertificateStatus {
        file: served.file.display().to_string(),
        names: served.names.clone(),
        not_after: rfc3339(served.not_after),
        not_after_seconds: served.not_after.try_into().unwrap_or_default(),
    }
}

fn revocation_status(it: &Revocation) -> RevocationStatus {
    RevocationStatus {
        kind: it.kind.as_str().to_owned(),
        file: it.file.display().to_string(),
        next_update: rfc3339(it.next_update),
        next_update_seconds: it.next_update.try_into().unwrap_or_default(),
    }
}

fn health(up: bool) -> String {
    if up { "up" } else { "down" }.to_owned()
}

fn rule_status(name: &RuleName, history: &History) -> RuleStatus {
    let running = history.running();
    RuleStatus {
        name: name.to_string(),
        running: running.map(|it| it.number),
        versions: history.versions().iter().map(rule_version).collect(),
        hooks: running.map(|it| hook_statuses(&it.attachment)).unwrap_or_default(),
        tables: running.map(|it| super::tables::statuses(&it.attachment).collect()).unwrap_or_default(),
        not_granted: running
            .map(|it| it.attachment.stats().denied().iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
        log: running.and_then(|it| Some(it.attachment.log().get()?.name().to_owned())),
        flags: running.map(|it| flags::statuses(&it.attachment)).unwrap_or_default(),
        breaker: running.map(|it| if it.attachment.breaker_is_open() { "open" } else { "closed" }.to_owned()),
    }
}

fn rule_version(version: &Version) -> RuleVersion {
    let Loaded { rule, provenance, .. } = &version.content;
    let manifest = rule.manifest();
    RuleVersion {
        number: version.number,
        pack: manifest.name.clone(),
        version: manifest.version.to_string(),
        digest: rule.digest().to_string(),
        source: provenance.source.clone(),
        pack_digest: provenance.digest.map(|digest| digest.to_string()),
        policy: provenance.judgement.policy.clone(),
        signers: provenance.judgement.signers.iter().map(signer).collect(),
        loaded_unix_ms: version.loaded_unix_ms,
        hooks: rule.hooks().iter().map(|hook| hook.to_string()).collect(),
        faulty: version.faulty,
    }
}

fn signer(signer: &shunt_rules::trust::Signer) -> Signer {
    Signer { file: signer.file.clone(), key: signer.key.to_string() }
}

fn hook_statuses(attachment: &shunt_rules::Attachment) -> Vec<HookStatus> {
    let reading = attachment.stats().read();
    let status = |hook: Hook| {
        let read = reading.hook(hook);
        let faults = FaultKind::ALL.into_iter().map(|kind| (kind.to_string(), read.fault(kind)));
        HookStatus {
            hook: hook.to_string(),
            calls: read.calls,
            faults: faults.filter(|(_, count)| *count > 0).collect(),
            not_granted: read.not_granted,
            p50_ns: quantile_ns(read, 0.5),
            p99_ns: quantile_ns(read, 0.99),
            times: Times {
                count: read.timed,
                seconds: read.time.as_secs_f64(),
                buckets: (0..)
                    .zip(&read.buckets)
                    .map(|(bucket, count)| {
                        (bucket_bound(bucket).map_or(f64::MAX, |bound| bound.as_secs_f64()), *count)
                    })
                    .collect(),
            },
        }
    };
    attachment.hooks().iter().map(status).collect()
}

/// The upper bound of the bucket that a quantile falls into; `None` without a timed call, and past the
/// last bound.
fn quantile_ns(reading: &HookReading, share: f64) -> Option<u64> {
    // Counts are far below 2^52, where a float stops being exact.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rank = (reading.timed as f64 * share).ceil() as u64;
    let mut below = 0;
    let bucket = reading.buckets.iter().position(|count| {
        below += count;
        below >= rank.max(1)
    })?;
    u64::try_from(bucket_bound(bucket)?.as_nanos()).ok()
}
