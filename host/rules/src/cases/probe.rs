//! What a case says of the member that a rule probes.

use std::net::SocketAddr;

use serde::Deserialize;

use super::data::{Payload, Then};
use crate::Rest;

/// A member: it sends these pieces, the next one when the rule waits for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct ProbeCase {
    pub member: SocketAddr,
    pub answers: Vec<Payload>,
    /// What comes behind them. A member of which no more is written stays silent.
    pub then: Then,
}

impl Default for ProbeCase {
    fn default() -> ProbeCase {
        // RFC 5737: an address for documentation.
        let member = SocketAddr::from(([192, 0, 2, 10], 80));
        ProbeCase { member, answers: Vec::new(), then: Then::Open }
    }
}

impl ProbeCase {
    /// What a rule is told that waits for more than there is.
    pub(crate) fn end(&self) -> Rest {
        match self.then {
            Then::Ended => Rest::Ended,
            Then::Open | Then::Late => Rest::Late,
        }
    }
}
