//! A request must get one of the expected statuses, and what else is expected.

use std::ops::RangeInclusive;

use shunt_engine::datapath::Transport;

use super::{Expected, Kind, Tcp, expected};
use crate::containers::{map, one_or_list};
use crate::report::{Cause, Refusal};
use crate::shape::{field_value, host, method, one_of, request_path, statuses, text_up_to};
use crate::walk::Table;

/// `http = "/path"`, with `expect` and what else is of HTTP
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    pub path: String,
    /// The Host field; `None`: the address that the probe is sent to.
    pub host: Option<String>,
    /// Default GET.
    pub method: String,
    /// Fields besides Host, User-Agent and Connection.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Option<String>,
    /// The statuses with which a probe succeeds. Default 200.
    pub expect: Vec<RangeInclusive<u16>>,
    /// What the body must hold as well.
    pub expect_body: Option<Expected>,
    /// `None`: as the `protocol` of the pool says.
    pub version: Option<HttpVersion>,
}

/// `http-version = "1.0" | "1.1" | "2"`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    Http10,
    Http11,
    Http2,
}

/// Fields that follow from other keys, or from the connection.
const OWN: [&str; 5] = ["host", "connection", "content-length", "transfer-encoding", "upgrade"];

impl Kind for Http {
    const KEY: &'static str = "http";
    const HAS_SIZE: bool = true;
    const MORE: &'static [&'static str] =
        &["expect", "host", "method", "headers", "body", "expect-body", "expect-pattern", "http-version"];

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let path = table.optional(
            Self::KEY,
            "A request of this path must get a status of `expect`. Redirects are not followed.",
            request_path(),
        );
        let expect = table.or(
            "expect",
            "The statuses with which an `http` probe succeeds.",
            one_or_list(statuses()),
            vec![200..=200],
        );
        let host = table.derived(
            "host",
            "The Host field of an `http` probe.",
            host(),
            "the address that the probe is sent to",
        );
        let method = table.or("method", "The method of an `http` probe.", method(), "GET".to_owned());
        let headers = table.optional("headers", "Further fields of an `http` probe.", map(field_value()));
        let body = table.optional("body", "What an `http` probe sends.", text_up_to::<65_536>());
        let expect_body = expected(
            table,
            (
                "expect-body",
                "Text that the body must hold, within its first 64 KiB, for an `http` probe to succeed.",
            ),
            ("expect-pattern", "A regular expression that the body must match, within its first 64 KiB."),
        );
        let version = table.derived(
            "http-version",
            "The version of HTTP that an `http` probe speaks.",
            one_of(&[("1.0", HttpVersion::Http10), ("1.1", HttpVersion::Http11), ("2", HttpVersion::Http2)]),
            "as the `protocol` of the pool; `\"1.1\"` for `auto`",
        );
        let headers = headers.unwrap_or_default();
        if let Some((name, _)) =
            headers.iter().find(|(name, _)| OWN.iter().any(|own| name.eq_ignore_ascii_case(own)))
        {
            let message = format!("Shunt writes `{name}` itself");
            let help = "remove it; `host` sets Host, and the length follows from `body`";
            table.refuse("headers", Refusal::new(Cause::Conflict, message).help(help));
        }
        Some(Http { path: path?, host, method, headers, body, expect, expect_body, version })
    }

    fn passes(transport: Transport) -> bool {
        Tcp::passes(transport)
    }
}
