//! The member that has been chosen.

use std::net::SocketAddr;

use crate::address::from_endpoint;
use crate::bindings::on_selected as wire;
use crate::flow::Flow;

crate::hooks::hook! {
    /// The hook `on_selected`.
    OnSelected in on_selected: steers
}

/// What `on_selected` may return: `next()`, `to_pool(…)` and its like, and [`veto`].
pub type Verdict = crate::Verdict<OnSelected>;

pub use wire::Reason;

/// Has another member of the pool chosen, for this reason: text for the log, of at most 256
/// bytes. After three vetoes the next one ends the choice, as if the pool had no member.
///
/// ```
/// # use shunt_sdk::prelude::*;
/// # fn show(selection: &selected::Selection) -> selected::Verdict {
/// if selection.active > 100 { veto("has enough to do") } else { next() }
/// # }
/// ```
pub fn veto(reason: &str) -> Verdict {
    Verdict::new(wire::Verdict::Veto(reason.to_owned()))
}

/// A member that has been chosen; nothing was sent to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The flow, or the connection of the request.
    pub flow: Flow,
    /// The member.
    pub member: SocketAddr,
    /// The slot of this rule that is bound to the member's pool; `None` when the rule has no
    /// slot for that pool.
    pub slot: Option<String>,
    /// What chose the member.
    pub reason: Reason,
    /// The member's weight.
    pub weight: u32,
    /// Requests and connections in flight at the member, over all workers.
    pub active: u32,
    /// How many members were vetoed before, for this request or connection.
    pub vetoes: u32,
}

#[doc(hidden)]
impl From<wire::Selection> for Selection {
    fn from(selection: wire::Selection) -> Self {
        let wire::Selection { flow, member, slot, reason, weight, active, vetoes } = selection;
        Selection { flow: flow.into(), member: from_endpoint(member), slot, reason, weight, active, vetoes }
    }
}
