//! A GET must be answered by one of the expected statuses.

use shunt_engine::datapath::Transport;

use super::{Kind, Tcp};
use crate::containers::one_or_list;
use crate::shape::{host, integer, request_path};
use crate::walk::Table;

/// `http = "/path"`, with `expect` and `host`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    pub path: String,
    /// What it sends as its Host; `None`: the address that it goes to.
    pub host: Option<String>,
    /// Statuses of a good answer. Default 200.
    pub expect: Vec<u16>,
}

impl Kind for Http {
    const KEY: &'static str = "http";
    const MORE: &'static [&'static str] = &["expect", "host"];

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let path =
            table.optional(Self::KEY, "A GET of this path must be answered as expected.", request_path());
        let expect = table.or(
            "expect",
            "Statuses of a good answer to `http`.",
            one_or_list(integer(200..=599u16)),
            vec![200],
        );
        let host = table.derived(
            "host",
            "What the `http` probe sends as its Host.",
            host(),
            "the address that it goes to",
        );
        Some(Http { path: path?, host, expect })
    }

    fn passes(transport: Transport) -> bool {
        Tcp::passes(transport)
    }
}
