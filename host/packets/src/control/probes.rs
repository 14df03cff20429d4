//! Probes on the service path, between the monitors that send them and the workers that forward them.
//!
//! A monitor opens a socket on the address that its virtual probes from, says by a [`ProbeGuard`] which member it
//! means by that socket's port, and connects to the virtual. The first packet comes to a worker by the
//! [`ProbeLink`](crate::control::probe_link::ProbeLink), which asks here for which probe a packet is, and reports here
//! what became of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shunt_config::model::PathMode;
use shunt_engine::datapath::{Notice, Probed};
use shunt_wire::{Endpoint, FlowKey};

use crate::control::snapshot::Loaded;

/// All probes in flight.
#[derive(Debug, Default)]
pub struct Probes {
    sent: Mutex<HashMap<(u8, Endpoint), Sent>>,
    begun: AtomicU64,
}

/// What one monitor probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeTarget {
    pub virtual_: String,
    pub pool: String,
    pub member: SocketAddr,
    /// In which mode.
    pub mode: PathMode,
    /// What the probe's packets are addressed to.
    pub to: SocketAddr,
}

#[derive(Debug)]
struct Sent {
    number: u64,
    target: ProbeTarget,
    notices: Vec<Notice>,
}

/// A probe in flight; dropping it ends what is known of it.
#[derive(Debug)]
pub struct ProbeGuard {
    probes: Arc<Probes>,
    key: (u8, Endpoint),
    /// The kernel gives a port to the next socket as soon as it is closed, and a guard is read later.
    number: u64,
}

/// Notices of a probe at most: each kind of notice once, so that this is more than any has.
const MOST_NOTICES: usize = 16;

impl Probes {
    /// Says what packets from this source are to be. `protocol` is an IP protocol number; of ICMP echo, the port
    /// of the source is the identifier.
    #[must_use]
    pub fn begin(self: &Arc<Self>, protocol: u8, from: SocketAddr, target: ProbeTarget) -> ProbeGuard {
        let key = (protocol, from.into());
        let number = self.begun.fetch_add(1, Relaxed);
        self.sent().insert(key, Sent { number, target, notices: Vec::new() });
        ProbeGuard { probes: Arc::clone(self), key, number }
    }

    /// Which member a packet is for, as the snapshot knows it.
    pub(crate) fn probed(&self, flow: &FlowKey, loaded: &Loaded) -> Option<Probed> {
        let sent = self.sent();
        let target = &sent.get(&(flow.protocol(), flow.source()))?.target;
        if Endpoint::from(target.to) != flow.destination() {
            return None;
        }
        Some(Probed {
            virtual_: loaded.virtual_(&target.virtual_)?,
            pool: loaded.pool(&target.pool)?,
            member: target.member.into(),
            mode: Some(target.mode.mode),
            snat_pool: match &target.mode.snat_pool {
                Some(name) => Some(loaded.snat_pool(name)?),
                None => None,
            },
        })
    }

    pub(crate) fn notice(&self, flow: &FlowKey, notice: Notice) {
        let mut sent = self.sent();
        let Some(sent) = sent.get_mut(&(flow.protocol(), flow.source())) else { return };
        if sent.notices.len() < MOST_NOTICES && !sent.notices.contains(&notice) {
            sent.notices.push(notice);
        }
    }

    fn sent(&self) -> MutexGuard<'_, HashMap<(u8, Endpoint), Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProbeGuard {
    /// What came of it so far, in order.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        let sent = self.probes.sent();
        let own = sent.get(&self.key).filter(|sent| sent.number == self.number);
        own.map(|sent| sent.notices.clone()).unwrap_or_default()
    }
}

impl Drop for ProbeGuard {
    fn drop(&mut self) {
        let mut sent = self.probes.sent();
        if sent.get(&self.key).is_some_and(|sent| sent.number == self.number) {
            sent.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use shunt_engine::datapath::ModeName;

    use super::*;

    #[test]
    fn what_is_noticed_of_a_probe_is_told_while_it_is_in_flight() {
        let probes = Arc::<Probes>::default();
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let target = ProbeTarget {
            virtual_: "web".to_owned(),
            pool: "web".to_owned(),
            member: address("10.0.0.1:80"),
            mode: PathMode { mode: ModeName::Nat, snat_pool: None },
            to: address("203.0.113.1:80"),
        };
        let guard = probes.begin(6, address("192.0.2.1:40000"), target.clone());
        let other = probes.begin(17, address("192.0.2.1:40000"), target.clone());
        let flow = FlowKey::new(address("192.0.2.1:40000").into(), address("203.0.113.1:80").into(), 6);
        for _ in 0..2 {
            probes.notice(&flow, Notice::Answered);
        }
        probes.notice(&flow.reversed(), Notice::Returned);
        assert_eq!((guard.notices(), other.notices()), (vec![Notice::Answered], Vec::new()));
        // The next probe from the same port is another one, however long the first is looked at.
        let next = probes.begin(6, address("192.0.2.1:40000"), target);
        drop((guard, other));
        probes.notice(&flow, Notice::Answered);
        assert_eq!(next.notices(), [Notice::Answered]);
        drop(next);
        probes.notice(&flow, Notice::Returned);
        assert!(probes.sent().is_empty());
    }
}
