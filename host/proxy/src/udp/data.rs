//! `on-data`: what a rule sees of the first datagram of a session.

use std::rc::Rc;

use shunt_rules::{Data, DataVerdict, Direction, Hook, Rest};
use shunt_runtime::rules::chain::{Chain, Decision};

use crate::connection::Connection;
use crate::route::Route;
use crate::view::VirtualView;

/// Asks the rules in their order, until one decides. Where they send the session is its route; `false`: one refuses it.
pub(super) fn on_data(connection: &mut Connection, view: &VirtualView, datagram: &[u8]) -> bool {
    if !view.hooks.contains(Hook::OnData) {
        return true;
    }
    let data = Data {
        direction: Direction::ToServer,
        bytes: datagram,
        offset: 0,
        rest: Rest::Ended,
        most: datagram.len(),
        connected: false,
    };
    let mut route = connection.route.clone();
    let asked = &*connection;
    let decision = Chain::new(Hook::OnData, &view.rules).ask(|rule| {
        asked.with_runner(rule, |runner| {
            let verdict = asked.with_vars(|vars| runner.on_data(&asked.flow, &data, vars))?;
            match verdict {
                DataVerdict::Next => return Ok(None),
                DataVerdict::Reject => return Ok(Some(false)),
                DataVerdict::To(target) => route.redirect(rule, target, view.pool.as_ref()),
                // `Need` is refused by the rule host: a datagram is whole.
                DataVerdict::Need(_) | DataVerdict::Pass(_) | DataVerdict::Replace(_) => {
                    Err("took a datagram apart, or replaced it; datagrams go on as they are".to_owned())
                }
            }
            .map(|()| Some(true))
            .map_err(|why| runner.refuse_verdict(Hook::OnData, why))
        })
    });
    match decision {
        None => true,
        Some(Decision::Verdict(goes_on)) => {
            connection.route = route;
            goes_on
        }
        Some(Decision::Refuse) => false,
        Some(Decision::Pool(pool)) => {
            connection.route = Route::to_pool(Rc::clone(pool));
            true
        }
    }
}
