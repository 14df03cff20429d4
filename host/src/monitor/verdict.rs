//! What the monitors of a pool say together about one member on one path.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shunt_engine::health::Change;
use shunt_engine::member::MemberState;
use tokio::time::Instant;

/// What one monitor finds.
#[derive(Debug)]
pub(super) struct Side(Mutex<Found>);

/// What a monitor found last.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The kind of the monitor.
    pub(super) kind: &'static str,
    pub(super) up: bool,
    /// The result of the last probe; `None` before the first has come back.
    pub(super) result: Option<String>,
}

impl Side {
    pub(super) fn new(kind: &'static str, up: bool) -> Arc<Side> {
        Arc::new(Side(Mutex::new(Found { kind, up, result: None })))
    }

    pub(super) fn found(&self) -> Found {
        self.lock().clone()
    }

    pub(super) fn record(&self, up: bool, result: String) {
        let mut found = self.lock();
        (found.up, found.result) = (up, Some(result));
    }

    /// Whether it is more than a guess.
    pub(super) fn is_probed(&self) -> bool {
        self.lock().result.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A member on one path, and what follows from its monitors.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) state: Arc<MemberState>,
    parts: Mutex<Parts>,
}

#[derive(Debug)]
struct Parts {
    sides: Vec<Arc<Side>>,
    /// How many of them must find it up.
    needed: usize,
    whole: Option<AggregateHealth>,
    /// Since when it is on the side that it is on.
    since: Instant,
}

/// A member that is watched on service paths only: it is up as long as it is for anybody's clients.
#[derive(Clone, Debug)]
pub(super) struct AggregateHealth {
    pub(super) state: Arc<MemberState>,
    pub(super) views: Vec<Arc<MemberState>>,
}

impl Parts {
    fn settle_whole(&self) {
        if let Some(AggregateHealth { state, views }) = &self.whole {
            state.set_up(views.iter().any(|view| view.is_up()));
        }
    }
}

impl Verdict {
    pub(super) fn new(state: Arc<MemberState>) -> Arc<Verdict> {
        let parts = Parts { sides: Vec::new(), needed: 1, whole: None, since: Instant::now() };
        Arc::new(Verdict { state, parts: Mutex::new(parts) })
    }

    /// From now on it follows from these.
    pub(super) fn set(&self, sides: Vec<Arc<Side>>, needed: usize) {
        let mut parts = self.lock();
        let same = |(one, other): (&Arc<Side>, &Arc<Side>)| Arc::ptr_eq(one, other);
        let are_same = parts.sides.len() == sides.len() && parts.sides.iter().zip(&sides).all(same);
        if are_same && parts.needed == needed {
            return;
        }
        (parts.sides, parts.needed) = (sides, needed);
        drop(parts);
        self.settle();
    }

    /// From now on the member as a whole follows from this.
    pub(super) fn belong(&self, whole: Option<AggregateHealth>) {
        let mut parts = self.lock();
        parts.whole = whole;
        parts.settle_whole();
    }

    /// A probe was answered after this time.
    pub(super) fn took(&self, time: Duration) {
        self.state.record_probe(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    /// Does what follows from what the monitors found; returns whether the member went up or down, and how long it
    /// was on the other side.
    pub(super) fn settle(&self) -> Option<(Change, Duration)> {
        let mut parts = self.lock();
        let up = parts.sides.iter().filter(|side| side.found().up).count() >= parts.needed;
        let before = self.state.is_up();
        self.state.set_up(up);
        parts.settle_whole();
        if before == up {
            return None;
        }
        let lasted = Duration::from_secs_f64((parts.since.elapsed().as_secs_f64() * 1e3).round() / 1e3);
        parts.since = Instant::now();
        Some((if up { Change::Up } else { Change::Down }, lasted))
    }

    /// The last result of its monitor; of several what those say that speak against it, and what else they found.
    pub(super) fn text(&self) -> Option<String> {
        let parts = self.lock();
        let found: Vec<Found> = parts.sides.iter().map(|side| side.found()).collect();
        if let [only] = found.as_slice() {
            return only.result.clone();
        }
        if found.iter().all(|it| it.result.is_none()) {
            return None;
        }
        let up = found.iter().filter(|it| it.up).count();
        // An agent says more than up or down.
        let against = found.iter().filter(|it| !it.up || it.kind == "agent").filter_map(|it| {
            let result = it.result.as_ref()?;
            Some(format!("{}: {result}", it.kind))
        });
        let mut text = format!("{up} of {} monitors up, {} needed", found.len(), parts.needed);
        for said in against {
            text.push_str("; ");
            text.push_str(&said);
        }
        Some(text)
    }

    /// How many monitors there are.
    pub(super) fn monitors(&self) -> usize {
        self.lock().sides.len()
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
