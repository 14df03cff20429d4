//! Waiting for the member that a client is bound to.

use std::rc::Rc;
use std::time::Duration;

use shunt_config::model::WhenDown;
use shunt_engine::balance::choose::Why;
use shunt_engine::member::Active;
use tokio::time::{Instant, sleep};

use crate::member::MemberView;

/// How often it is looked whether the member serves again: less than a monitor's interval by far.
const LOOK: Duration = Duration::from_millis(100);

/// What becomes of those whose member does not serve them: the places in the counter.
pub(crate) const RESELECTED: usize = 0;
pub(crate) const REFUSED: usize = 1;
pub(crate) const WAITED: usize = 2;

/// What is next for a request or a connection.
pub(crate) enum Next {
    /// What chose it, and the place that it takes there, where connections are limited.
    Member(Rc<MemberView>, Why, Option<Active>),
    /// The member that its client is bound to does not serve, and the client has no other.
    Away,
    /// There is none left to choose.
    None,
}

/// A request or a connection that may have to wait.
pub(crate) struct Away {
    when_down: WhenDown,
    until: Option<Instant>,
}

impl Away {
    pub(crate) fn new(when_down: WhenDown) -> Self {
        Away { when_down, until: None }
    }

    /// It has waited.
    pub(crate) fn has_waited(&self) -> bool {
        self.until.is_some()
    }

    /// Until when it waits; `None`: it does not, or has waited long enough.
    pub(crate) fn until(&mut self) -> Option<Instant> {
        let WhenDown::Wait(longest) = self.when_down else { return None };
        let now = Instant::now();
        Some(*self.until.get_or_insert_with(|| now + longest)).filter(|until| *until > now)
    }

    /// Waits until it is time to look again.
    pub(crate) async fn wait(until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        sleep(LOOK.min(left)).await;
    }
}
