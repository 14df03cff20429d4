//! The health service of gRPC must say SERVING.

use shunt_engine::datapath::Transport;

use super::{Kind, Tcp};
use crate::containers::table as in_table;
use crate::shape::{host, text_up_to};
use crate::walk::Table;

/// `grpc = {}`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grpc {
    /// Empty: the server as a whole.
    pub service: String,
    /// `None`: the address that the probe is sent to.
    pub authority: Option<String>,
}

impl Kind for Grpc {
    const KEY: &'static str = "grpc";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        table.optional(
            Self::KEY,
            "The health service of gRPC (`grpc.health.v1.Health/Check`) must say SERVING.",
            in_table(grpc),
        )
    }

    fn passes(transport: Transport) -> bool {
        Tcp::passes(transport)
    }
}

fn grpc(table: &mut Table<'_>) -> Option<Grpc> {
    let service = table.derived(
        "service",
        "The service whose health is asked for.",
        text_up_to::<1024>(),
        "the server as a whole",
    );
    let authority = table.derived(
        "authority",
        "The `:authority` of the request.",
        host(),
        "the address that the probe is sent to",
    );
    Some(Grpc { service: service.unwrap_or_default(), authority })
}
