//! Persistence: clients that stay with their member.

use std::net::SocketAddr;

use shunt_wire::Address;

use super::{Choice, First};
use crate::datapath::model::stage::Stage;
use crate::datapath::state::config::Config;
use crate::hash;
use crate::persistence::source_key;

/// How long a binding outlives its last use where nothing is configured, in milliseconds: an hour, as for
/// requests.
pub(super) const DEFAULT_TIMEOUT: u64 = 3_600_000;

/// By what a client is bound to a member.
pub(super) struct Key {
    bytes: Vec<u8>,
    /// In milliseconds.
    pub(super) timeout: u64,
}

impl Key {
    /// Keys of virtuals that share a pool are kept apart as those of proxies are: by a hash of the name.
    pub(super) fn new(virtual_: &str, key: &[u8], timeout: u64) -> Self {
        let prefix = hash::stable(virtual_.as_bytes()).to_be_bytes();
        Self { bytes: [&prefix, key].concat(), timeout }
    }

    pub(super) fn of_client(virtual_: &str, client: Address, timeout: u64) -> Self {
        Self::new(virtual_, &source_key(client.to_ip()), timeout)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

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
