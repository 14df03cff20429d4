//! `http2` of a proxy.

use super::super::model::{Http2, Http2Start};
use super::super::shape::{OnlyTrue, integer, one_of};
use super::super::walk::Table;

pub(super) fn http2(table: &mut Table<'_>) -> Option<Http2> {
    let start = table.or(
        "start",
        "How HTTP/2 begins: `alpn`: in TLS, with clients that offer `h2`; `prior-knowledge`: without TLS too, with \
         clients that begin with the preface of HTTP/2; `off`: not at all. HTTP/1 is there in any case.",
        one_of(&[
            ("alpn", Http2Start::Alpn),
            ("prior-knowledge", Http2Start::PriorKnowledge),
            ("off", Http2Start::Off),
        ])
        .instead(&[
            ("h2c", "use `\"prior-knowledge\"`; the upgrade from HTTP/1.1 is not there"),
            ("upgrade", "use `\"prior-knowledge\"`; the upgrade from HTTP/1.1 is not there"),
            ("tls", "use `\"alpn\"`"),
            ("on", "use `\"alpn\"`"),
        ]),
        Http2Start::Alpn,
    );
    let streams = table.or(
        "streams",
        "Requests at once on a client's connection. Shunt tells the client, and refuses those beyond.",
        integer(1..=10_000u32),
        100,
    );
    let websocket = table
        .optional(
            "websocket",
            "Clients may open WebSockets in streams (RFC 8441). Members get them as over HTTP/1.1.",
            OnlyTrue,
        )
        .is_some();
    Some(Http2 { start, streams, websocket })
}
