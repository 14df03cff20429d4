//! A TLS handshake must succeed.

use std::time::Duration;

use shunt_engine::datapath::Transport;

use super::{Kind, Tcp};
use crate::containers::table as in_table;
use crate::keys::DAY;
use crate::shape::{duration, server_name};
use crate::walk::Table;

/// `tls = {}`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// What is sent as the name of the server; `None`: as the pool's `tls` says, else none.
    pub server_name: Option<String>,
    /// A certificate that expires within this time is warned of. Default 14 d.
    pub warn_before: Duration,
}

impl Kind for Tls {
    const KEY: &'static str = "tls";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        table.optional(
            Self::KEY,
            "A TLS handshake must succeed: as the pool's `tls` says; without it, for pools that TLS is passed through to, \
             with whatever certificate the member shows.",
            in_table(tls),
        )
    }

    fn passes(transport: Transport) -> bool {
        Tcp::passes(transport)
    }
}

fn tls(table: &mut Table<'_>) -> Option<Tls> {
    let server_name = table.derived(
        "server-name",
        "The name that is sent to the member (SNI).",
        server_name(),
        "as the pool's `tls` says; no name is sent where it has none",
    );
    let warn_before = table.or(
        "warn-before",
        "A certificate that expires within this time is warned of: in the log, and in the result of the probe.",
        duration(Duration::ZERO..=365 * DAY),
        14 * DAY,
    );
    Some(Tls { server_name, warn_before })
}
