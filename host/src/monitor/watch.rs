//! The watch over one member: probes at their times, and what follows from them.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shunt_engine::health::{Change, Health};
use shunt_engine::member::MemberState;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::probe::{Failure, Good};
use shunt_config::model;

/// What a watch is over, and where it writes.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) pool: String,
    pub(super) address: SocketAddr,
    /// The virtual on whose service path; `None`: at the member.s own address.
    pub(super) on_path_of: Option<String>,
    pub(super) settings: model::Monitor,
    pub(super) state: Arc<MemberState>,
    pub(super) last: Arc<LastResult>,
}

/// The result of the last probe, and what follows from it beyond the watch.
#[derive(Debug, Default)]
pub(super) struct LastResult {
    text: Mutex<Option<String>>,
    whole: Mutex<Option<AggregateHealth>>,
}

/// A member that is watched on service paths only: it is up as long as it is for anybody's clients.
#[derive(Clone, Debug)]
pub(super) struct AggregateHealth {
    pub(super) state: Arc<MemberState>,
    pub(super) views: Vec<Arc<MemberState>>,
}

impl LastResult {
    pub(super) fn text(&self) -> Option<String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on the member as a whole follows from this.
    pub(super) fn belong(&self, whole: Option<AggregateHealth>) {
        *self.whole.lock().unwrap_or_else(PoisonError::into_inner) = whole;
        self.settle();
    }

    fn record(&self, text: String) {
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    fn settle(&self) {
        if let Some(AggregateHealth { state, views }) =
            &*self.whole.lock().unwrap_or_else(PoisonError::into_inner)
        {
            state.set_up(views.iter().any(|view| view.is_up()));
        }
    }
}

/// What is known of a member when its watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Never,
    /// By another monitor on the same path: its state is no guess.
    Same,
    /// On another path, where it is up or not.
    Elsewhere(bool),
}

/// Probes for ever: the first time after `delay`, then once each interval, counted from start to
/// start.
pub(super) async fn run<F>(watched: &Watched, known: Known, delay: Duration, mut probe: impl FnMut() -> F)
where
    F: Future<Output = Result<Good, Failure>>,
{
    let Watched { pool, address, on_path_of, settings, state, last } = watched;
    let on_path_of = on_path_of.as_ref().map(tracing::field::display);
    let count = |probes| NonZeroU32::new(probes).unwrap_or(NonZeroU32::MIN);
    let (rise, fall) = (count(settings.rise), count(settings.fall));
    let mut health = match known {
        Known::Never => Health::new(rise, fall),
        Known::Same => Health::resume(rise, fall, state.is_up()),
        Known::Elsewhere(up) => Health::guess(rise, fall, up),
    };
    state.set_up(health.is_up());
    last.settle();

    let mut times = interval_at(Instant::now() + delay, settings.interval);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        let (good, text) = match probe().await {
            Ok(good) => (true, good.to_string()),
            Err(failure) if failure.is_ours() => {
                // It says nothing about the member, and to take all of them down for it would
                // make a small trouble a great one.
                tracing::warn!(%pool, member = %address, on_path_of, reason = %failure, "probe not sent");
                // What took it down stays true; that it is up is not known any more.
                if health.is_up() {
                    last.record(format!("not probed: {failure}"));
                }
                continue;
            }
            Err(failure) => (false, failure.to_string()),
        };
        let change = health.observe(good);
        state.set_up(health.is_up());
        last.settle();
        match change {
            Some(Change::Up) => tracing::info!(%pool, member = %address, on_path_of, "member up"),
            Some(Change::Down) => {
                tracing::warn!(%pool, member = %address, on_path_of, reason = %text, "member down");
            }
            None => tracing::trace!(%pool, member = %address, on_path_of, result = %text, "probe"),
        }
        last.record(text);
    }
}
