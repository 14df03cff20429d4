//! The watch of one monitor over one member: probes at their times, and what follows from them.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use shunt_config::monitors::{Monitor, Start};
use shunt_engine::health::{Change, Health};
use tokio::time::{Instant, sleep_until};

use super::behind;
use super::probe::{Failure, Good};
use super::verdict::{Side, Verdict};

/// What a watch is over, and where it writes.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) pool: String,
    pub(super) address: SocketAddr,
    /// The virtual on whose service path; `None`: at the member's own address.
    pub(super) on_path_of: Option<String>,
    pub(super) settings: Monitor,
    pub(super) side: Arc<Side>,
    pub(super) verdict: Arc<Verdict>,
    /// Its place among all watches, which tells its times apart from theirs.
    pub(super) place: Place,
    /// Its place among those behind the same interface.
    pub(super) behind: Option<behind::Place>,
    /// How long silence decides nothing when it is the interface's.
    pub(super) convergence: Option<Duration>,
}

/// What is known of a member when a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Never,
    /// By another monitor on the same path, which found it up or down: that is no guess.
    Same(bool),
    /// On another path, or by other monitors, where it is up or not.
    Elsewhere(bool),
}

impl Known {
    /// The side that a member begins on.
    pub(super) fn up(self, settings: &Monitor) -> bool {
        match self {
            Known::Never => settings.start == Start::Up,
            Known::Same(up) | Known::Elsewhere(up) => up,
        }
    }
}

/// A fraction of one: where in the interval a watch has its probes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(u32);

/// First probes are spread over this much time, so that a thousand members do not cost a thousand
/// connects in one instant. Short enough to count as "at once" for a person.
pub(super) const SPREAD: Duration = Duration::from_millis(100);

impl Place {
    /// That of the n-th watch. Multiples of the golden ratio lie evenly in the interval however many there are (Knuth,
    /// The Art of Computer Programming, volume 3, section 6.4).
    pub(super) const fn of(number: u32) -> Place {
        Place(number.wrapping_mul(0x9e37_79b9))
    }

    pub(super) fn part_of(self, time: Duration) -> Duration {
        time.mul_f64(f64::from(self.0) / f64::from(u32::MAX))
    }

    /// The first comes soon.
    pub(super) fn first(self, interval: Duration) -> Duration {
        self.part_of(SPREAD.min(interval))
    }

    /// The second comes early, so that from then on all are spread over the whole interval.
    pub(super) fn second(self, interval: Duration) -> Duration {
        let early = self.part_of(interval) + self.first(interval);
        // The last of the interval come after a whole one more.
        if early <= interval { interval - early } else { interval + interval - early }
    }
}

/// Probes of long intervals begin at multiples of this, so that one wake-up of the thread sends those of many members.
const TICK: Duration = Duration::from_millis(10);

/// The next multiple from here, where that is little beside the interval.
fn on_tick(at: Instant, interval: Duration) -> Instant {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let begin = *BEGIN.get_or_init(Instant::now);
    let past = at.duration_since(begin).as_nanos() % TICK.as_nanos();
    match u64::try_from(past) {
        Ok(past @ 1..) if interval >= 100 * TICK => at + (TICK - Duration::from_nanos(past)),
        _ => at,
    }
}

/// Probes for ever, each time an interval after the last probe was due, and not before that one ended.
pub(super) async fn run<F>(watched: &Watched, known: Known, mut probe: impl FnMut() -> F)
where
    F: Future<Output = Result<Good, Failure>>,
{
    let Watched { settings, side, place, .. } = watched;
    let count = |probes| NonZeroU32::new(probes).unwrap_or(NonZeroU32::MIN);
    let (rise, fall) = (count(settings.rise), count(settings.fall));
    let mut health = match known {
        Known::Same(up) => Health::resume(rise, fall, up),
        Known::Never | Known::Elsewhere(_) => Health::guess(rise, fall, known.up(settings)),
    };
    let mut at = on_tick(Instant::now() + place.first(settings.interval), settings.interval);
    let mut number: u32 = 0;
    let mut warned = None;
    loop {
        sleep_until(at).await;
        let begun = Instant::now();
        let outcome = probe().await;
        if outcome.is_ok() {
            watched.verdict.took(begun.elapsed());
        }
        watched.warn(&outcome, &mut warned);
        watched.heed(&outcome);
        let held = watched.held(&outcome);
        match judged(outcome, settings.inverse) {
            Ok((false, text)) if health.is_up() && held.is_some() => {
                let interface = held.unwrap_or_default();
                side.record(
                    true,
                    format!("{text}, as of most members behind {interface}: held for `convergence`"),
                );
            }
            Ok((good, text)) => {
                let change = health.observe(good);
                side.record(health.is_up(), with_flapping(text, &health));
                watched.tell(change);
            }
            Err(failure) => {
                let Watched { pool, address, on_path_of, .. } = watched;
                let on_path_of = on_path_of.as_ref().map(tracing::field::display);
                // It says nothing about the member, and to take all of them down for it would
                // make a small trouble a great one.
                tracing::warn!(%pool, member = %address, on_path_of, reason = %failure, "probe not sent");
                // What took it down stays true; that it is up is not known any more.
                if health.is_up() {
                    side.record(true, format!("not probed: {failure}"));
                }
            }
        }
        number = number.wrapping_add(1);
        let steady = settings.interval(health.is_up(), health.is_changing());
        let interval = if number == 1 { place.second(steady) } else { steady };
        let early = early(*place, number, interval, settings.jitter);
        // What was late keeps its times, for else all that one pause made late would come together ever after; but it makes
        // up for one interval alone.
        let now = Instant::now();
        at = on_tick((at + interval - early).max(now.checked_sub(steady).unwrap_or(now)), steady);
    }
}

/// Whether a probe speaks for its member, and what it says.
///
/// # Errors
/// It says nothing about the member.
pub(super) fn judged(outcome: Result<Good, Failure>, inverse: bool) -> Result<(bool, String), Failure> {
    match outcome {
        Err(failure) if failure.is_ours() => Err(failure),
        Ok(good) if inverse => Ok((false, format!("{good}, which `inverse` counts as failed"))),
        Err(failure) if inverse => Ok((true, format!("{failure}, which `inverse` counts as good"))),
        Ok(good) => Ok((true, good.to_string())),
        Err(failure) => Ok((false, failure.to_string())),
    }
}

fn with_flapping(text: String, health: &Health) -> String {
    match health.is_flapping() && !health.is_up() {
        true => format!("{text} (flapping: {} good probes in a row bring it up)", health.rise_needed()),
        false => text,
    }
}

/// By how much a probe comes early.
fn early(place: Place, number: u32, interval: Duration, percent: u32) -> Duration {
    if percent == 0 {
        return Duration::ZERO;
    }
    // It need not be unforeseeable, only different at each time and in each process.
    let seed = [place.0, number, std::process::id()].map(u32::to_be_bytes).concat();
    let random = shunt_engine::hash::stable(&seed);
    // 16 bits of it are a fraction of the most.
    interval * percent / 100 * u32::from(random as u16) / u32::from(u16::MAX)
}

impl Watched {
    /// Logs what will be a trouble later, once.
    fn warn(&self, outcome: &Result<Good, Failure>, warned: &mut Option<String>) {
        let Ok(Good { warning, .. }) = outcome else { return };
        if let Some(warning) = warning.as_ref().filter(|it| warned.as_ref() != Some(it)) {
            let Watched { pool, address, .. } = self;
            tracing::warn!(%pool, member = %address, "{warning}");
        }
        warned.clone_from(warning);
    }

    /// The interface whose trouble a failed probe is, if it is that.
    fn held(&self, outcome: &Result<Good, Failure>) -> Option<&str> {
        // There silence is what is wanted.
        let behind = self.behind.as_ref().filter(|_| !self.settings.inverse)?;
        let is_silent = outcome.as_ref().err().is_some_and(Failure::is_silence);
        behind.observe(is_silent, self.convergence).filter(|_| is_silent)
    }

    /// Does what an agent says beside that its member is up.
    fn heed(&self, outcome: &Result<Good, Failure>) {
        let Ok(Good { agent: Some(said), .. }) = outcome else { return };
        let (state, Watched { pool, address, .. }) = (&self.verdict.state, self);
        if let Some(admin) = said.admin.filter(|it| *it != state.agent()) {
            tracing::info!(%pool, member = %address, from = %state.agent(), to = %admin, "agent of the member");
            state.set_agent(admin);
        }
        if let Some(percent) = said.percent {
            state.set_share(percent);
        }
    }

    /// Logs that the member went up or down; of one monitor among several also that its own finding changed.
    fn tell(&self, own: Option<Change>) {
        let Watched { pool, address, on_path_of, settings, side, verdict, .. } = self;
        let on_path_of = on_path_of.as_ref().map(tracing::field::display);
        let result = side.found().result.unwrap_or_default();
        let changed = verdict.settle();
        let monitor = settings.probe.as_str();
        match changed {
            Some((Change::Up, lasted)) => {
                tracing::info!(%pool, member = %address, on_path_of, monitor, result = %result, ?lasted, "member up");
            }
            Some((Change::Down, lasted)) => {
                tracing::warn!(%pool, member = %address, on_path_of, reason = %result, monitor, ?lasted, "member down");
            }
            None => match own.filter(|_| verdict.monitors() > 1) {
                Some(Change::Up) => {
                    tracing::info!(%pool, member = %address, on_path_of, monitor, result = %result, "monitor up");
                }
                Some(Change::Down) => {
                    tracing::info!(%pool, member = %address, on_path_of, monitor, reason = %result, "monitor down");
                }
                None => {
                    tracing::trace!(%pool, member = %address, on_path_of, monitor, result = %result, "probe");
                }
            },
        }
    }
}
