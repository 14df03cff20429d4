//! A SIP OPTIONS request must get a response.

use shunt_engine::datapath::Transport;

use super::Kind;
use crate::shape::one_of;
use crate::walk::Table;

/// `sip = "udp" | "tcp"`: what it is sent over
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sip {
    Udp,
    Tcp,
}

impl Kind for Sip {
    const KEY: &'static str = "sip";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        table.optional(
            Self::KEY,
            "A SIP OPTIONS request over this must get a response of 200 to 299.",
            one_of(&[("udp", Sip::Udp), ("tcp", Sip::Tcp)]),
        )
    }

    fn passes(transport: Transport) -> bool {
        matches!(transport, Transport::Any | Transport::All)
    }
}
