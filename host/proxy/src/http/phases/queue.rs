//! The queue of a pool: where a request that finds no member waits for one.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use shunt_config::model::OnEmpty;
use shunt_engine::queue::Place;
use tokio::time::{Instant, timeout_at};

use crate::deadline::Waiting;
use crate::http::phases::{Stop, Transaction, connect};
use crate::view::PoolView;

/// A place in the queue of a pool.
pub(super) struct InQueue {
    place: Place,
    pool: Rc<PoolView>,
    since: Instant,
    until: Instant,
}

impl InQueue {
    pub(super) fn is_of(&self, pool: &Rc<PoolView>) -> bool {
        Rc::ptr_eq(&self.pool, pool)
    }

    /// Leaves the queue with a member.
    pub(super) fn served(self) {
        let counts = &self.pool.pool.state.queue.counts;
        counts.served.fetch_add(1, Relaxed);
        let waited = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        counts.waited_ms.fetch_add(waited, Relaxed);
    }
}

impl PoolView {
    /// Whether requests wait for its members: those that come now are behind them.
    pub(super) fn is_waited_for(&self) -> bool {
        matches!(self.pool.settings.on_empty, OnEmpty::Queue { .. }) && self.pool.state.queue.waiting() > 0
    }
}

impl Transaction {
    /// A place in the queue of a pool, if it has a queue.
    pub(super) fn enter_queue(&self, pool: &Rc<PoolView>) -> Result<Option<InQueue>, Stop> {
        let OnEmpty::Queue { most, timeout } = pool.pool.settings.on_empty else { return Ok(None) };
        let Some(place) = pool.pool.state.queue.enter(most) else {
            return Err(connect::no_member(pool).into());
        };
        let since = Instant::now();
        Ok(Some(InQueue { place, pool: Rc::clone(pool), since, until: since + timeout }))
    }

    /// Waits until there may be room for the request.
    pub(super) async fn wait_in(&self, queue: &InQueue) -> Result<(), Stop> {
        // The member's time begins when the request can be sent.
        let first_byte = self.view.virtual_.settings.timeouts.first_byte;
        self.stream.deadline.wait_for(Waiting::FirstByte, queue.until + first_byte);
        let called = poll_fn(|cx| match queue.place.take_call(cx.waker()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        let called = timeout_at(queue.until, called).await;
        self.wait_for_member();
        called.map_err(|_| {
            queue.pool.pool.state.queue.counts.timed_out.fetch_add(1, Relaxed);
            connect::no_member(&queue.pool).into()
        })
    }
}
