//! The member must accept a connection.

use shunt_engine::datapath::Transport;

use super::Kind;
use crate::shape::OnlyTrue;
use crate::walk::Table;

/// `tcp = true`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp;

impl Kind for Tcp {
    const KEY: &'static str = "tcp";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        table.optional(Self::KEY, "The member must accept a connection.", OnlyTrue).map(|()| Tcp)
    }

    fn passes(transport: Transport) -> bool {
        transport != Transport::Udp
    }
}
