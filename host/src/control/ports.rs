//! Ports that are left for connections of proxies to members. The kernel has some 28,000 for each source address toward each
//! member, and connections that wait in TIME-WAIT keep theirs.

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex as Lock, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shunt_api::status::PortsStatus;
use shunt_config::model::{self, ConnectFrom, Protocol};
use shunt_runtime::Snapshot;
use shunt_sys::ports::{InUse, LocalPorts, in_use};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::{ApplyError, Control, off_thread};

/// Between two looks at least, however often the status is asked for.
const AT_LEAST: Duration = Duration::from_secs(5);

/// Between two looks for the log.
const EVERY: Duration = Duration::from_secs(60);

/// Time between two looks, by what one takes: at most a hundredth of a core.
const PER_LOOK: u32 = 100;

/// A percentage of the ports: with less it is time to do something, and with more it is over.
const LOW: u32 = 10;
const OVER: u32 = 20;

/// What was found last.
#[derive(Default)]
pub(super) struct Ports(Lock<Found>);

#[derive(Default)]
struct Found {
    /// When the next look may be.
    due: Option<Instant>,
    /// Ports of one address toward one member; 0: that is not known.
    all: u32,
    in_use: InUse,
    low: BTreeSet<Pair>,
    is_told_unknown: bool,
}

/// A pool, a member of it, and an address that connections come from.
type Pair = (String, SocketAddr, IpAddr);

impl Ports {
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of one member of a pool, by the addresses of the pool, else by those that connections come from.
    pub(super) fn status(&self, pool: &model::Pool, member: SocketAddr) -> Vec<PortsStatus> {
        let found = self.lock();
        let status = |(source, in_use): (IpAddr, u32)| PortsStatus {
            source: source.to_string(),
            in_use,
            left: found.all.saturating_sub(in_use),
        };
        found.toward(pool, member).into_iter().map(status).collect()
    }
}

impl Found {
    /// Ports in use, by address.
    fn toward(&self, pool: &model::Pool, member: SocketAddr) -> Vec<(IpAddr, u32)> {
        if self.all == 0 {
            return Vec::new();
        }
        let in_use = self.in_use.get(&member);
        let mut toward: Vec<_> = match &pool.source {
            ConnectFrom::Client => Vec::new(),
            ConnectFrom::Addresses(all) => {
                let of_family = all.iter().filter(|it| it.is_ipv4() == member.is_ipv4());
                of_family.map(|it| (*it, in_use.and_then(|all| all.get(it)).copied().unwrap_or(0))).collect()
            }
            ConnectFrom::Routed => {
                in_use.into_iter().flatten().map(|(from, count)| (*from, *count)).collect()
            }
        };
        toward.sort_unstable();
        toward
    }

    /// Pairs whose ports became few, with how many are left, and pairs where that is over.
    fn changes(&mut self, snapshot: &Snapshot) -> (Vec<(Pair, u32)>, Vec<Pair>) {
        let (mut low, mut begun) = (BTreeSet::new(), Vec::new());
        for pool in &snapshot.pools {
            for member in pool.members.iter().map(|it| it.settings.address) {
                for (source, in_use) in self.toward(&pool.settings, member) {
                    let left = self.all.saturating_sub(in_use);
                    let pair = (pool.settings.name.clone(), member, source);
                    let was_low = self.low.contains(&pair);
                    if left * 100 < self.all * if was_low { OVER } else { LOW } {
                        if !was_low {
                            begun.push((pair.clone(), left));
                        }
                        low.insert(pair);
                    }
                }
            }
        }
        let over = self.low.difference(&low).cloned().collect();
        self.low = low;
        (begun, over)
    }
}

/// Has a look at the ports each minute, and logs where they become few. For ever.
pub async fn follow_ports(control: &Mutex<Control>) {
    loop {
        look_at_ports(control).await;
        sleep(EVERY).await;
    }
}

/// Asks the kernel for the ports in use, if that was not done a moment ago.
pub async fn look_at_ports(control: &Mutex<Control>) {
    let (snapshot, ports) = {
        let control = control.lock().await;
        (control.snapshot.load_full(), std::sync::Arc::clone(&control.ports))
    };
    let now = Instant::now();
    {
        let mut found = ports.lock();
        if found.due.is_some_and(|due| now < due) {
            return;
        }
        found.due = Some(now + AT_LEAST);
    }
    let servers = servers(&snapshot);
    let asked = off_thread(move || {
        let begun = Instant::now();
        let all = LocalPorts::read().and_then(|ports| Ok((ports.count(), in_use(&servers, &ports)?)));
        let (all, in_use) = all.map_err(|error| ApplyError::System(error.to_string()))?;
        Ok::<_, ApplyError>((all, in_use, begun.elapsed()))
    });
    let asked = asked.await;
    let mut found = ports.lock();
    match asked {
        Ok((all, in_use, took)) => {
            (found.all, found.in_use) = (all, in_use);
            found.due = Some(now + AT_LEAST.max(took * PER_LOOK));
        }
        Err(error) => {
            (found.all, found.in_use) = (0, InUse::new());
            if !std::mem::replace(&mut found.is_told_unknown, true) {
                tracing::info!(event = "member-ports-unknown", %error, "the kernel does not tell which ports are in use");
            }
        }
    }
    let (begun, over) = found.changes(&snapshot);
    for ((pool, member, source), left) in begun {
        tracing::warn!(
            event = "member-ports-low", pool, %member, %source, left,
            "few ports are left from this address toward the member: add addresses to `source` of the pool, keep connections \
             open, or widen net.ipv4.ip_local_port_range"
        );
    }
    for (pool, member, source) in over {
        tracing::info!(event = "member-ports-low-over", pool, %member, %source, "ports are left again");
    }
}

/// Members that proxies connect to over TCP from addresses that are not their clients'.
fn servers(snapshot: &Snapshot) -> HashSet<SocketAddr> {
    let is_connected_to = |pool: &model::Pool| {
        pool.source != ConnectFrom::Client
            && snapshot
                .virtuals
                .iter()
                .any(|it| it.settings.protocol != Protocol::Udp && it.settings.reaches(&pool.name))
    };
    let pools = snapshot.pools.iter().filter(|it| is_connected_to(&it.settings));
    pools.flat_map(|pool| &pool.members).map(|it| it.settings.address).collect()
}
