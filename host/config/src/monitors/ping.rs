//! An ICMP echo request must get a reply.

use shunt_engine::datapath::Transport;

use super::Kind;
use crate::shape::OnlyTrue;
use crate::walk::Table;

/// `ping = true`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping;

impl Kind for Ping {
    const KEY: &'static str = "ping";
    const HAS_PORT: bool = false;
    const HAS_SIZE: bool = true;

    fn read(table: &mut Table<'_>) -> Option<Self> {
        table.optional(Self::KEY, "An ICMP echo request must get a reply.", OnlyTrue).map(|()| Ping)
    }

    fn passes(transport: Transport) -> bool {
        matches!(transport, Transport::Any | Transport::All)
    }
}
