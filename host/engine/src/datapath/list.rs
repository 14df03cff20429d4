//! Flows as an operator sees them.

use std::sync::Arc;

use shunt_wire::{Address, Endpoint};

use super::mode::ModeName;
use super::world::{FlowId, FlowProtocol, Traffic};

/// Which flows to show; `None` is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub virtual_: Option<Arc<str>>,
    pub client: Option<Address>,
    pub member: Option<Endpoint>,
    /// As in [`FlowSummary::state`].
    pub state: Option<String>,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowSummary {
    pub id: FlowId,
    pub virtual_: Arc<str>,
    pub protocol: FlowProtocol,
    pub client: Endpoint,
    pub vip: Endpoint,
    pub pool: Arc<str>,
    pub member: Endpoint,
    pub mode: ModeName,
    /// The leased SNAT endpoint, in mode `snat`.
    pub snat: Option<Endpoint>,
    /// Of TCP: as its handshake and end were seen. `active` for all else.
    pub state: &'static str,
    /// Since its first packet, in milliseconds.
    pub age: u64,
    /// Since its last packet, in milliseconds.
    pub idle: u64,
    /// Until it ends if nothing more comes, in milliseconds.
    pub expires_in: u64,
    pub to_server: Traffic,
    pub to_client: Traffic,
}

/// Everything about one flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowDetails {
    pub summary: FlowSummary,
    /// What is done to packets of the client, in words.
    pub to_server: Vec<String>,
    /// What is done to packets of the member, in words; empty where they do not come through Shunt.
    pub to_client: Vec<String>,
}
