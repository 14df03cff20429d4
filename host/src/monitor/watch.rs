//! The watch over one member: probes at their times, and what follows from them.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shunt_engine::health::{Change, Health};
use shunt_engine::member::MemberState;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::probe::{Failure, Good};
use crate::config::model;

/// What a watch is over, and where it writes.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) pool: String,
    pub(super) address: SocketAddr,
    pub(super) settings: model::Monitor,
    pub(super) state: Arc<MemberState>,
    pub(super) said: Arc<Said>,
}

/// What the last probe said.
#[derive(Debug, Default)]
pub(super) struct Said(Mutex<Option<String>>);

impl Said {
    pub(super) fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn say(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }
}

/// Probes for ever: the first time after `delay`, then once each interval, counted from start to
/// start. `seen`: another monitor has probed the member before, so that its side is not a guess.
pub(super) async fn run<F>(watched: &Watched, seen: bool, delay: Duration, mut probe: impl FnMut() -> F)
where
    F: Future<Output = Result<Good, Failure>>,
{
    let Watched { pool, address, settings, state, said } = watched;
    let count = |probes| NonZeroU32::new(probes).unwrap_or(NonZeroU32::MIN);
    let (rise, fall) = (count(settings.rise), count(settings.fall));
    let mut health = if seen { Health::resume(rise, fall, state.is_up()) } else { Health::new(rise, fall) };
    state.set_up(health.is_up());

    let mut times = interval_at(Instant::now() + delay, settings.interval);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        let (good, text) = match probe().await {
            Ok(good) => (true, good.to_string()),
            Err(failure) if failure.is_ours() => {
                // It tells nothing about the member, and to take all of them down for it would
                // make a small trouble a great one.
                tracing::warn!(%pool, member = %address, reason = %failure, "probe not sent");
                continue;
            }
            Err(failure) => (false, failure.to_string()),
        };
        let change = health.observe(good);
        state.set_up(health.is_up());
        match change {
            Some(Change::Up) => tracing::info!(%pool, member = %address, "member up"),
            Some(Change::Down) => tracing::warn!(%pool, member = %address, reason = %text, "member down"),
            None => tracing::trace!(%pool, member = %address, result = %text, "probe"),
        }
        said.say(text);
    }
}
