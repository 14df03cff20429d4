//! Flows: connections at accept and the first packets of packet flows.

use std::net::SocketAddr;

use crate::address::from_endpoint;
use crate::bindings::{on_flow as wire, types};

pub use types::{Mode, Transport};

crate::hooks::hook! {
    /// The hook `on_flow`.
    OnFlow in on_flow: steers refuses
}

/// What `on_flow` may return: `next()`, `to_pool(…)`, `reject()` and [`drop_flow`].
pub type Verdict = crate::Verdict<OnFlow>;

/// Drops the flow: Shunt sends no reply.
pub fn drop_flow() -> Verdict {
    Verdict::new(wire::Verdict::Drop)
}

/// A flow as its first packet shows it, or a connection as it was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Unique while the process of Shunt runs.
    pub id: u64,
    /// The source of the flow. The port is 0 where the transport has none.
    pub client: SocketAddr,
    /// The address and port of the virtual: the destination of the flow.
    pub vip: SocketAddr,
    /// The transport protocol.
    pub transport: Transport,
    /// Index of the interface on which the flow was received; 0 when unknown.
    pub ingress: u32,
}

#[doc(hidden)]
impl From<types::Flow> for Flow {
    fn from(flow: types::Flow) -> Self {
        let types::Flow { id, client, vip, transport, ingress } = flow;
        Flow { id, client: from_endpoint(client), vip: from_endpoint(vip), transport, ingress }
    }
}
