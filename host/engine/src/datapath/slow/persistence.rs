//! Persistence: clients that stay with their member.

use std::net::SocketAddr;

use super::{Choice, First};
use crate::datapath::model::stage::Stage;
use crate::datapath::state::config::Config;

/// The member that the client's key is bound to, whether or not it may still be used.
pub(super) fn bound(config: &Config, first: &First<'_>, choice: &Choice) -> Option<SocketAddr> {
    let Some(key) = &choice.key else {
        first.trace.at(Stage::Persistence, || "clients are not bound to members".to_owned());
        return None;
    };
    let bindings = &config.snapshot.pool(choice.pool?)?.bindings;
    let bound = if first.trace.listens() {
        bindings.look(key.bytes(), first.now)
    } else {
        bindings.find(key.bytes(), first.now)
    };
    first.trace.at(Stage::Persistence, || match bound {
        Some(member) => format!("the client is bound to {member}"),
        None => "the client is bound to no member yet".to_owned(),
    });
    bound
}
