//! A datagram must be answered.

use shunt_engine::datapath::Transport;

use super::Kind;
use crate::containers::table as in_table;
use crate::shape::datagram;
use crate::walk::Table;

/// `udp = { send = "…", expect = "…" }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    /// What the datagram holds.
    pub send: String,
    /// What a good answer holds somewhere; `None`: any answer is good.
    pub expect: Option<String>,
}

impl Kind for Udp {
    const KEY: &'static str = "udp";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        table.optional(Self::KEY, "A datagram that must be answered.", in_table(udp))
    }

    fn passes(transport: Transport) -> bool {
        transport != Transport::Tcp
    }
}

fn udp(table: &mut Table<'_>) -> Option<Udp> {
    let send = table.required(
        "send",
        "What the datagram holds; bytes that are no letters by `\\u00XX`, up to 7F.",
        datagram(),
    );
    let expect =
        table.derived("expect", "What a good answer holds somewhere.", datagram(), "any answer is good");
    Some(Udp { send: send?, expect })
}
