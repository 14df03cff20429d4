//! The queue of a pool: where a request or a connection that finds no member waits for one.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use shunt_config::model::OnEmpty;
use shunt_engine::queue::Place;
use shunt_runtime::clock;
use tokio::time::{Instant, timeout_at};

use crate::view::PoolView;

/// A place in the queue of a pool.
pub(crate) struct InQueue {
    place: Place,
    pool: Rc<PoolView>,
    since: Instant,
    pub(crate) until: Instant,
}

/// As many wait as may, or this one has waited as long as it may; both are counted.
pub(crate) struct NoTurn;

impl InQueue {
    /// A place in the queue of a pool, if it has a queue.
    pub(crate) fn enter(pool: &Rc<PoolView>) -> Result<Option<Self>, NoTurn> {
        let OnEmpty::Queue { most, timeout } = pool.pool.settings.on_empty else { return Ok(None) };
        let place = pool.pool.state.queue.enter(most, clock::monotonic_ms()).ok_or(NoTurn)?;
        let since = Instant::now();
        Ok(Some(InQueue { place, pool: Rc::clone(pool), since, until: since + timeout }))
    }

    pub(crate) fn is_of(&self, pool: &Rc<PoolView>) -> bool {
        Rc::ptr_eq(&self.pool, pool)
    }

    /// Waits until there may be room.
    pub(crate) async fn wait(&self) -> Result<(), NoTurn> {
        let called = poll_fn(|cx| match self.place.take_call(cx.waker()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        timeout_at(self.until, called).await.map_err(|_| {
            self.pool.pool.state.queue.counts.timed_out.fetch_add(1, Relaxed);
            NoTurn
        })
    }

    /// Leaves the queue with a member.
    pub(crate) fn served(self) {
        let counts = &self.pool.pool.state.queue.counts;
        counts.served.fetch_add(1, Relaxed);
        let waited = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        counts.waited_ms.fetch_add(waited, Relaxed);
    }
}

impl PoolView {
    /// Whether others wait for its members: those that come now are behind them.
    pub(crate) fn is_waited_for(&self) -> bool {
        matches!(self.pool.settings.on_empty, OnEmpty::Queue { .. }) && self.pool.state.queue.waiting() > 0
    }
}
