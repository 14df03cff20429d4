//! A datagram must get a reply.

use shunt_engine::datapath::Transport;

use super::Kind;
use crate::containers::table as in_table;
use crate::shape::datagram;
use crate::walk::Table;

/// `udp = { send = "…", expect = "…" }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    /// The content of the datagram.
    pub send: String,
    /// Text that the reply must contain; `None`: any reply succeeds.
    pub expect: Option<String>,
}

impl Kind for Udp {
    const KEY: &'static str = "udp";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        table.optional(Self::KEY, "A datagram that must get a reply.", in_table(udp))
    }

    fn passes(transport: Transport) -> bool {
        transport != Transport::Tcp
    }
}

fn udp(table: &mut Table<'_>) -> Option<Udp> {
    let send = table.required(
        "send",
        "The content of the datagram; write bytes that are no letters as `\\u00XX`, up to 7F.",
        datagram(),
    );
    let expect =
        table.derived("expect", "Text that the reply must contain.", datagram(), "any reply succeeds");
    Some(Udp { send: send?, expect })
}
