//! The live state of a member: what workers read for each choice, and what they count.

mod apart;
mod response_time;
mod tunnel;

pub use response_time::ResponseTime;
pub use tunnel::{Trouble, Troubles, TunnelPath};

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use crate::at_once::AtOnce;
use crate::balance::groups::Priority;
use crate::ejection::Ejection;
use crate::queue::Queue;
use crate::retry::Budget;

/// One member of one pool, shared by the workers and the control thread. It outlives reloads: a
/// member that stays in the configuration keeps its state.
///
/// Everything is relaxed: each value is read for itself, and a choice that is a few nanoseconds
/// late is the same as one made a few nanoseconds earlier.
#[derive(Debug, Default)]
pub struct MemberState {
    /// Read by every choice, seldom written: kept apart from the counters, whose line moves between
    /// cores with every request.
    standing: CacheLine<Standing>,
    load: CacheLine<Load>,
}

/// What the operator wants of a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Admin {
    #[default]
    Enabled = 0,
    /// Takes no new clients; those that are bound to it stay.
    Draining = 1,
    /// Takes nothing.
    Disabled = 2,
}

impl MemberState {
    /// A member that is up and enabled.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A member of a pool, likewise.
    #[must_use]
    pub fn of(pool: &Arc<PoolState>) -> Arc<Self> {
        let standing = Standing { pool: Some(Arc::clone(pool)), ..Standing::default() };
        Arc::new(Self { standing: CacheLine(standing), ..Self::default() })
    }

    /// The same member, up or down by itself: as the clients of one virtual find it. What the operator wants
    /// of it and the count of what is in flight stay one.
    #[must_use]
    pub fn view(self: &Arc<Self>) -> Arc<Self> {
        let whole = Arc::clone(self.standing.whole.as_ref().unwrap_or(self));
        let standing = Standing { whole: Some(whole), ..Standing::default() };
        Arc::new(Self { standing: CacheLine(standing), ..Self::default() })
    }

    /// What its monitor says; up where there is no monitor.
    #[must_use]
    pub fn is_up(&self) -> bool {
        match self.standing.side.load(Relaxed) {
            UP => true,
            AS_A_WHOLE => self.whole().standing.side.load(Relaxed) == UP,
            _ => false,
        }
    }

    pub fn set_up(&self, up: bool) {
        let before = self.standing.side.swap(if up { UP } else { DOWN }, Relaxed);
        if up && before == DOWN {
            self.standing.came.fetch_add(1, Relaxed);
            self.call_waiting();
        }
    }

    /// Those that wait for a member may find this one.
    fn call_waiting(&self) {
        if let Some(pool) = &self.whole().standing.pool {
            pool.queue.call_all();
        }
    }

    /// Takes in the most requests and connections at once, of the member and of its pool; 0: any number.
    pub fn limit(&self, most: u32, most_of_pool: u32) {
        let whole = self.whole();
        whole.load.most.store(most, Relaxed);
        if let Some(pool) = &whole.standing.pool {
            pool.load.most.store(most_of_pool, Relaxed);
        }
        whole.standing.is_limited.store(most > 0 || most_of_pool > 0, Relaxed);
        self.call_waiting();
    }

    /// Whether it or its pool has a limit.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.whole().standing.is_limited.load(Relaxed)
    }

    /// Whether neither it nor its pool is at its limit.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let whole = self.whole();
        !whole.standing.is_limited.load(Relaxed)
            || whole.load.has_room() && whole.standing.pool.as_ref().is_none_or(|pool| pool.load.has_room())
    }

    /// How often it came up or back, or was enabled after it was disabled: what has another number now starts anew.
    #[must_use]
    pub fn came(&self) -> u32 {
        let own = self.standing.came.load(Relaxed);
        // A view's member is no view.
        self.standing.whole.as_ref().map_or(own, |whole| own.wrapping_add(whole.standing.came.load(Relaxed)))
    }

    /// The moving average of the time that it takes to answer a probe, in microseconds; 0 before the first.
    #[must_use]
    pub fn probe_time(&self) -> u32 {
        match self.standing.probe_time.load(Relaxed) {
            0 => self.standing.whole.as_ref().map_or(0, |whole| whole.standing.probe_time.load(Relaxed)),
            time => time,
        }
    }

    /// A probe was answered after so many microseconds. One at a time says so.
    pub fn record_probe(&self, took: u32) {
        let average = match self.standing.probe_time.load(Relaxed) {
            0 => took,
            before => before - before / 4 + took / 4,
        };
        self.standing.probe_time.store(average.max(1), Relaxed);
    }

    /// The time that it takes to answer requests, over all workers.
    #[must_use]
    pub fn response_time(&self) -> &ResponseTime {
        &self.whole().load.response_time
    }

    /// From now on a view is up or down as the member is: nobody looks at it by itself any more, but flows may
    /// still go by it.
    pub fn follow(&self) {
        if self.standing.whole.is_some() {
            self.standing.side.store(AS_A_WHOLE, Relaxed);
        }
    }

    /// The member that this is a view of; else itself.
    #[must_use]
    pub fn whole(&self) -> &Self {
        self.standing.whole.as_deref().unwrap_or(self)
    }

    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::of(self.whole().standing.admin.load(Relaxed))
    }

    pub fn set_admin(&self, admin: Admin) {
        let standing = &self.whole().standing;
        let before = standing.admin.swap(admin as u8, Relaxed);
        if admin == Admin::Enabled && before == Admin::Disabled as u8 {
            standing.came.fetch_add(1, Relaxed);
        }
        self.call_waiting();
    }

    /// What it wants of itself, as its agent says.
    #[must_use]
    pub fn agent(&self) -> Admin {
        Admin::of(self.whole().standing.agent.load(Relaxed))
    }

    pub fn set_agent(&self, agent: Admin) {
        if self.whole().standing.agent.swap(agent as u8, Relaxed) != agent as u8 {
            self.call_waiting();
        }
    }

    /// What the operator and its agent leave of it together.
    #[must_use]
    pub fn limits(&self) -> Admin {
        self.admin().max(self.agent())
    }

    /// Its weight, of which its agent may take a part: at least 1 as long as that leaves anything.
    #[must_use]
    pub fn weight(&self, configured: u32) -> u32 {
        match self.whole().standing.withheld.load(Relaxed) {
            0 => configured,
            withheld @ 1..100 => (configured * (100 - u32::from(withheld)) / 100).max(configured.min(1)),
            _ => 0,
        }
    }

    /// Its agent leaves it so many percent of its weight, at most 100.
    pub fn set_share(&self, percent: u8) {
        self.whole().standing.withheld.store(100 - percent.min(100), Relaxed);
    }

    /// May a flow that it has continue? Also while it drains, is ejected or is at its limit.
    #[must_use]
    pub fn serves_on(&self) -> bool {
        self.is_up() && self.limits() != Admin::Disabled
    }

    /// May it be chosen for a client that is not bound to it?
    #[must_use]
    pub fn usable_for_new(&self) -> bool {
        self.is_up() && self.limits() == Admin::Enabled && !self.ejection().is_ejected() && self.has_room()
    }

    /// May a client that is bound to it continue? Also while it drains.
    #[must_use]
    pub fn usable_for_persistent(&self) -> bool {
        self.serves_on() && !self.ejection().is_ejected() && self.has_room()
    }

    /// Its priority: the operator's, else as configured.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.whole().standing.priority.load(Relaxed) as Priority
    }

    /// Whether the operator has set its priority.
    #[must_use]
    pub fn has_set_priority(&self) -> bool {
        self.whole().standing.priority.load(Relaxed) & SET != 0
    }

    /// Sets its priority as the operator wants it, whatever is configured.
    pub fn set_priority(&self, priority: Priority) {
        self.whole().standing.priority.store(u32::from(priority) | SET, Relaxed);
    }

    /// Gives it the configured priority, in the place of the operator's too.
    pub fn reset_priority(&self, configured: Priority) {
        self.whole().standing.priority.store(configured.into(), Relaxed);
    }

    /// Takes in the configured priority; what the operator has set stays. Gives whether it is another now.
    pub fn configure_priority(&self, configured: Priority) -> bool {
        let changes = !self.has_set_priority() && self.priority() != configured;
        if changes {
            self.reset_priority(configured);
        }
        changes
    }

    /// Passive health.
    #[must_use]
    pub fn ejection(&self) -> &Ejection {
        &self.whole().standing.ejection
    }

    /// Takes its ejection back where its time is over; gives whether it did.
    pub fn end_ejection(&self, now: u64) -> bool {
        let ends = self.ejection().is_over(now);
        if ends {
            self.whole().standing.came.fetch_add(1, Relaxed);
            self.call_waiting();
        }
        ends
    }

    /// The way into the tunnel to it, in modes that have one.
    #[must_use]
    pub fn tunnel(&self) -> &TunnelPath {
        &self.whole().standing.tunnel
    }

    /// Counts a request or connection as in flight until the guard is dropped.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Active {
        Active { in_pool: self.enter(), member: Arc::clone(self) }
    }

    /// As [`begin`](Self::begin), unless it or its pool is at its limit: over all workers there are never more.
    #[must_use]
    pub fn try_begin(self: &Arc<Self>) -> Option<Active> {
        Some(Active { in_pool: self.try_enter()?, member: Arc::clone(self) })
    }

    /// One more in flight; gives whether it counts for the pool too. Who calls this calls [`leave`](Self::leave) with
    /// that.
    #[must_use]
    pub(crate) fn enter(&self) -> bool {
        let whole = self.whole();
        whole.load.active.fetch_add(1, Relaxed);
        let in_pool = whole.standing.pool.as_ref().filter(|_| self.is_limited());
        if let Some(pool) = in_pool {
            pool.load.active.fetch_add(1, Relaxed);
        }
        in_pool.is_some()
    }

    /// As [`enter`](Self::enter), unless it or its pool is at its limit.
    #[must_use]
    pub(crate) fn try_enter(&self) -> Option<bool> {
        let whole = self.whole();
        if !self.is_limited() {
            return Some(self.enter());
        }
        let pool = whole.standing.pool.as_ref();
        if pool.is_some_and(|pool| !pool.load.take()) {
            return None;
        }
        if !whole.load.take() {
            if let Some(pool) = pool {
                pool.load.active.fetch_sub(1, SeqCst);
                pool.queue.call_next();
            }
            return None;
        }
        Some(pool.is_some())
    }

    /// One less in flight.
    pub(crate) fn leave(&self, in_pool: bool) {
        let whole = self.whole();
        whole.load.active.fetch_sub(1, SeqCst);
        let Some(pool) = &whole.standing.pool else { return };
        if in_pool {
            pool.load.active.fetch_sub(1, SeqCst);
        }
        if in_pool || whole.standing.is_limited.load(Relaxed) {
            pool.queue.call_next();
        }
    }

    /// Requests and connections in flight, over all workers.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.whole().load.active.load(Relaxed)
    }
}

/// A request or connection in flight; it is counted until this is dropped.
#[derive(Debug)]
pub struct Active {
    member: Arc<MemberState>,
    /// It is counted for the pool too.
    in_pool: bool,
}

impl Active {
    #[must_use]
    pub fn member(&self) -> &Arc<MemberState> {
        &self.member
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.member.leave(self.in_pool);
    }
}

/// What the members of a pool have in common while it runs. It outlives reloads.
#[derive(Debug, Default)]
pub struct PoolState {
    load: CacheLine<Load>,
    /// Those that wait for a member.
    pub queue: Arc<Queue>,
    /// Held by who ejects a member: the share of those that may be out is counted by one at a time.
    pub ejecting: Mutex<()>,
    pub retries: Budget,
    /// Requests that are at another member than their first.
    pub retrying: Arc<AtOnce>,
    /// Connections to members that are being made.
    pub connecting: Arc<AtOnce>,
}

impl PoolState {
    /// Requests and connections in flight that count for the limit of the pool.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.load.active.load(Relaxed)
    }
}

impl Admin {
    const fn of(number: u8) -> Admin {
        match number {
            0 => Admin::Enabled,
            1 => Admin::Draining,
            _ => Admin::Disabled,
        }
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Admin {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Enabled, Self::Draining, Self::Disabled]
            .into_iter()
            .find(|admin| admin.as_str() == text)
            .ok_or(())
    }
}

const UP: u8 = 0;
const DOWN: u8 = 1;
const AS_A_WHOLE: u8 = 2;

/// Beside a priority: the operator has set it.
const SET: u32 = 1 << 16;

#[derive(Debug, Default)]
struct Standing {
    /// [`UP`], [`DOWN`], or of a view [`AS_A_WHOLE`].
    side: AtomicU8,
    admin: AtomicU8,
    /// As `admin`, by its agent.
    agent: AtomicU8,
    /// How many percent of its weight its agent takes away.
    withheld: AtomicU8,
    /// A [`Priority`], with [`SET`] where it is the operator's.
    priority: AtomicU32,
    came: AtomicU32,
    probe_time: AtomicU32,
    /// It or its pool has a limit.
    is_limited: AtomicBool,
    ejection: Ejection,
    pool: Option<Arc<PoolState>>,
    /// Set in a [view](MemberState::view): who has the operator's will and the load.
    whole: Option<Arc<MemberState>>,
    tunnel: TunnelPath,
}

#[derive(Debug, Default)]
struct Load {
    active: AtomicU32,
    response_time: ResponseTime,
    /// 0: any number.
    most: AtomicU32,
}

impl Load {
    fn has_room(&self) -> bool {
        let most = self.most.load(Relaxed);
        most == 0 || self.active.load(SeqCst) < most
    }

    /// One more, if there is room.
    fn take(&self) -> bool {
        let most = self.most.load(Relaxed);
        let room = |active: u32| (most == 0 || active < most).then(|| active.saturating_add(1));
        self.active.fetch_update(SeqCst, SeqCst, room).is_ok()
    }
}

/// 128 bytes: x86 fetches lines of 64 in pairs, and newer Arm cores have lines of 128.
#[derive(Debug, Default)]
#[repr(align(128))]
struct CacheLine<T>(T);

impl<T> std::ops::Deref for CacheLine<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(test)]
mod tests;
