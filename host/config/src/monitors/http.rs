//! A GET must get one of the expected statuses.

use shunt_engine::datapath::Transport;

use super::{Kind, Tcp};
use crate::containers::one_or_list;
use crate::shape::{host, integer, request_path};
use crate::walk::Table;

/// `http = "/path"`, with `expect` and `host`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    pub path: String,
    /// The Host field; `None`: the address that the probe is sent to.
    pub host: Option<String>,
    /// The statuses with which a probe succeeds. Default 200.
    pub expect: Vec<u16>,
    /// By HTTP/2, as the `protocol` of the pool says.
    pub http_2: bool,
}

impl Kind for Http {
    const KEY: &'static str = "http";
    const MORE: &'static [&'static str] = &["expect", "host"];

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let path =
            table.optional(Self::KEY, "A GET of this path must get a status of `expect`.", request_path());
        let expect = table.or(
            "expect",
            "The statuses with which an `http` probe succeeds.",
            one_or_list(integer(200..=599u16)),
            vec![200],
        );
        let host = table.derived(
            "host",
            "The Host field of an `http` probe.",
            host(),
            "the address that the probe is sent to",
        );
        Some(Http { path: path?, host, expect, http_2: false })
    }

    fn passes(transport: Transport) -> bool {
        Tcp::passes(transport)
    }
}
