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

/// Says nothing to the client and forgets the flow.
pub fn drop_flow() -> Verdict {
    Verdict::new(wire::Verdict::Drop)
}

/// What is known of a flow from its first packet, or at accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Unique within the life of the balancer's process.
    pub id: u64,
    /// Where it comes from. The port is 0 where the transport has none.
    pub client: SocketAddr,
    /// The address and port of the virtual that it came to.
    pub vip: SocketAddr,
    /// What carries it.
    pub transport: Transport,
    /// Index of the interface that it came in on; 0 when unknown.
    pub ingress: u32,
}

#[doc(hidden)]
impl From<types::Flow> for Flow {
    fn from(flow: types::Flow) -> Self {
        let types::Flow { id, client, vip, transport, ingress } = flow;
        Flow { id, client: from_endpoint(client), vip: from_endpoint(vip), transport, ingress }
    }
}
