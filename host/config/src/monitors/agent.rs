//! A member says by an agent how it is.

use shunt_engine::datapath::Transport;

use super::Kind;
use crate::containers::table as in_table;
use crate::shape::{integer, text_up_to};
use crate::walk::Table;

/// `agent = { port = 9777 }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// At the address of the member.
    pub port: u16,
    /// What is sent first.
    pub send: Option<String>,
}

impl Kind for Agent {
    const KEY: &'static str = "agent";
    const HAS_PORT: bool = false;

    fn read(table: &mut Table<'_>) -> Option<Self> {
        table.optional(
            Self::KEY,
            "An agent of the member, asked over TCP, says how it is, in the words of HAProxy's `agent-check`.",
            in_table(agent),
        )
    }

    fn passes(_: Transport) -> bool {
        false
    }
}

fn agent(table: &mut Table<'_>) -> Option<Agent> {
    let port =
        table.required("port", "The port of the agent, at the address of the member.", integer(1..=u16::MAX));
    let send = table.optional("send", "What is sent to the agent first.", text_up_to::<1024>());
    Some(Agent { port: port?, send })
}
