//! `on-selected`: the rules are told which member was chosen, for a request or for a connection that is relayed, and may
//! want another.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;

use shunt_engine::balance::choose::Why;
use shunt_rules::{Fault, Hook, SelectedVerdict, Selection, SelectionReason};
use shunt_runtime::rules::chain::{Chain, Decision};

use crate::connection::Connection;
use crate::member::MemberView;
use crate::route::Route;
use crate::view::{PoolView, RuleView, VirtualView};

/// Vetoes after which another member is chosen; one more ends the choice.
pub(crate) const MOST_VETOES: usize = 3;

/// What the rules came to.
pub(crate) enum AfterSelection {
    Taken,
    Vetoed,
    /// To be chosen there; what is chosen there is taken.
    Elsewhere(Route),
    /// A rule failed, and the operator wants no member to be taken then.
    Refused,
}

/// A member that was chosen, in its pool.
pub(crate) struct Selected<'a> {
    pub(crate) pool: &'a PoolView,
    pub(crate) member: &'a MemberView,
    pub(crate) why: Why,
    /// It counts as in flight already.
    pub(crate) has_place: bool,
    /// How many were vetoed before.
    pub(crate) vetoes: usize,
    /// The way to the pool.
    pub(crate) route: &'a Route,
}

impl Selected<'_> {
    /// Asks the rules in their order, until one decides; `call` calls one.
    pub(crate) fn ask(
        &self,
        view: &VirtualView,
        connection: &Connection,
        mut call: impl FnMut(&Rc<RuleView>, &Selection<'_>) -> Result<SelectedVerdict, Fault>,
    ) -> AfterSelection {
        let member = self.member;
        let selection = Selection {
            member: member.address,
            pool: &self.pool.name,
            reason: match self.why {
                Why::Named => SelectionReason::Rule,
                Why::Bound => SelectionReason::Persistence,
                Why::Balanced => SelectionReason::Balance,
            },
            weight: member.weight,
            active: member.state.active().saturating_sub(self.has_place.into()),
            vetoes: self.vetoes.try_into().unwrap_or(u32::MAX),
        };
        let decision = Chain::new(Hook::OnSelected, &view.rules).ask(|rule| {
            Ok(match call(rule, &selection)? {
                SelectedVerdict::Next => None,
                SelectedVerdict::To(target) => {
                    let mut route = self.route.clone();
                    route.redirect(rule, target, view.pool.as_ref()).map_err(|why| {
                        connection.with_runner(rule, |runner| runner.refuse_verdict(Hook::OnSelected, why))
                    })?;
                    Some(AfterSelection::Elsewhere(route))
                }
                SelectedVerdict::Veto(reason) => {
                    member.counters.vetoed.add(1);
                    member.tell_veto(&view.virtual_.settings.name, rule.attachment.name(), &reason);
                    Some(AfterSelection::Vetoed)
                }
            })
        });
        match decision {
            None => AfterSelection::Taken,
            Some(Decision::Verdict(after)) => after,
            Some(Decision::Refuse) => AfterSelection::Refused,
            Some(Decision::Pool(pool)) => AfterSelection::Elsewhere(Route::to_pool(Rc::clone(pool))),
        }
    }
}

/// The members that are not chosen again: that were tried, and that were vetoed.
pub(crate) fn passed_over<'a>(tried: &'a [SocketAddr], vetoed: &[SocketAddr]) -> Cow<'a, [SocketAddr]> {
    match vetoed {
        [] => tried.into(),
        vetoed => [tried, vetoed].concat().into(),
    }
}
