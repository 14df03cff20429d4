//! Flows of packet virtuals, in the shapes that the admin interface sends.

use std::net::{IpAddr, SocketAddr};

use shunt_api::flows::{FlowDetails, FlowStatus, Flows};
use shunt_engine::datapath::{self as engine, Filter, FlowSummary, ModeName, Traffic};
use shunt_engine::flow::FlowId;

use super::{Actor, Control};

/// Which flows to list; `None` is any.
#[derive(Clone, Debug)]
pub struct FlowQuery {
    pub virtual_name: Option<String>,
    pub client: Option<IpAddr>,
    pub member: Option<SocketAddr>,
    pub mode: Option<ModeName>,
    pub state: Option<String>,
    pub limit: usize,
}

impl Control {
    /// The flows that match.
    pub async fn flows(&self, query: &FlowQuery) -> Flows {
        let Some(packets) = self.planes.packets.running() else { return Flows::default() };
        let filter = Filter {
            virtual_: query.virtual_name.as_deref().map(Into::into),
            client: query.client.map(Into::into),
            member: query.member.map(Into::into),
            state: query.state.clone(),
        };
        let mut found = packets.flows(&filter, query.mode, query.limit + 1).await;
        let more = found.len() > query.limit;
        found.truncate(query.limit);
        Flows { flows: found.into_iter().map(flow_status).collect(), more }
    }

    /// All about one flow.
    pub async fn flow(&self, id: FlowId) -> Option<FlowDetails> {
        let engine::FlowDetails { summary, to_server, to_client } =
            self.planes.packets.running()?.flow(id).await?;
        Some(FlowDetails { flow: flow_status(summary), to_server, to_client })
    }

    /// Ends a flow; `false` if there is none.
    pub async fn delete_flow(&self, id: FlowId, by: &Actor) -> bool {
        let deleted = match self.planes.packets.running() {
            Some(packets) => packets.delete(id).await,
            None => false,
        };
        if deleted {
            tracing::info!(by = by.to_string(), flow = %id, "flow deleted");
        }
        deleted
    }
}

fn flow_status(flow: FlowSummary) -> FlowStatus {
    let Traffic { packets: packets_to_server, bytes: bytes_to_server } = flow.to_server;
    let Traffic { packets: packets_to_client, bytes: bytes_to_client } = flow.to_client;
    FlowStatus {
        id: flow.id.to_string(),
        virtual_name: flow.virtual_.to_string(),
        protocol: match flow.protocol {
            engine::FlowProtocol::Other(number) => number.to_string(),
            named => named.to_string(),
        },
        client: flow.client.to_string(),
        vip: flow.vip.to_string(),
        pool: flow.pool.to_string(),
        member: flow.member.to_string(),
        mode: flow.mode.as_str().to_owned(),
        snat: flow.snat.map(|snat| snat.to_string()),
        state: flow.state.to_owned(),
        age_ms: flow.age,
        idle_ms: flow.idle,
        expires_ms: flow.expires_in,
        packets_to_server,
        bytes_to_server,
        packets_to_client,
        bytes_to_client,
    }
}
