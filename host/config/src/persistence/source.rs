//! A client is known by its address, or by a part of it.

use std::time::Duration;

use shunt_engine::persistence::Source;

use super::Kind;
use crate::containers::true_or_table;
use crate::keys::HOUR;
use crate::report::{Cause, Refusal};
use crate::shape::{OnlyTrue, integer};
use crate::walk::Table;

/// `source = true`, or with what of the address counts
impl Kind for Source {
    const KEY: &'static str = "source";
    const TIMEOUT: Option<Duration> = Some(HOUR);

    fn read(table: &mut Table<'_>) -> Option<Self> {
        table.optional(
            Self::KEY,
            "Binds clients by their address: `true`, or what of it counts.",
            true_or_table(Source::ADDRESS, parts),
        )
    }
}

fn parts(table: &mut Table<'_>) -> Option<Source> {
    let ipv4 = table.or(
        "ipv4",
        "How many bits of an IPv4 address count: with 24, clients whose first 24 bits are the same have one member.",
        integer(1..=32u8),
        32,
    );
    let ipv6 = table.or(
        "ipv6",
        "How many bits of an IPv6 address count. A host changes the last 64 often (RFC 8981).",
        integer(1..=128u8),
        128,
    );
    let port = table.optional(
        "port",
        "The port of the client counts, too: each connection, or flow, has a member of its own.",
        OnlyTrue,
    );
    for name in ["ipv4", "ipv6"] {
        if port.is_some() && table.wrote(name) {
            let message = format!("`{name}` means nothing beside `port`");
            let refusal = Refusal::new(Cause::Conflict, message)
                .label("the port belongs to one address")
                .help("remove one of them");
            let refusal = table.also(refusal, "port");
            table.refuse(name, refusal);
        }
    }
    Some(Source { ipv4, ipv6, port: port.is_some() })
}
