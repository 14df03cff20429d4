//! `[[virtual]]`

use super::super::containers::{once, one_or_list, table as in_table, tables};
use super::super::model::{
    Certificate, Forwarded, Limits, PersistBy, Persistence, Protocol, Timeouts, Virtual,
};
use super::super::shape::{
    OnlyTrue, cookie, duration, file, integer, listen_address, name, pool_name, size, words,
};
use super::super::walk::Table;
use super::rules::rule;
use super::{DAY, GIB, HOUR, KIB, MIB, MILLISECOND, SECOND};

pub(in super::super) fn virtual_server(table: &mut Table<'_>) -> Option<Virtual> {
    table.walk.seen.rules.clear();
    let name = table.required(
        "name",
        "How it is called in commands, logs and metrics.",
        once(name(), |walk| &mut walk.seen.virtuals, "there is already a virtual"),
    );
    let listen = table.required(
        "listen",
        "Address and port that clients connect to: `0.0.0.0:8443`, `[::]:443`.",
        once(listen_address(), |walk| &mut walk.seen.listens, "another virtual listens already on"),
    );
    let protocol = table.required(
        "protocol",
        "What it speaks.",
        words(&[("http", Protocol::Http)]).later(&["tcp", "udp", "packet"]),
    );
    let tls = table.derived(
        "tls",
        "Certificates, chosen by the name that the client asks for. The first serves names that no other knows.",
        one_or_list(in_table(certificate)),
        "no TLS",
    );
    let pool = table.derived(
        "pool",
        "Where requests go that no rule sent elsewhere.",
        pool_name(),
        "such requests get 503",
    );
    let persistence = table.optional("persistence", "Keeps a client with its member.", in_table(persistence));
    let timeouts = table.section("timeouts", "How long Shunt waits for others.", timeouts);
    let limits = table.section("limits", "What clients may ask for.", limits);
    let forwarded = table.or(
        "forwarded",
        "What becomes of `X-Forwarded-For` and `Forwarded` that a client sent, who can claim anything: `replace` drops \
         them and sets ours, `append` adds ours to them, `off` leaves them as they came.",
        words(&[("replace", Forwarded::Replace), ("append", Forwarded::Append), ("off", Forwarded::Off)]),
        Forwarded::Replace,
    );
    let rules = table.optional("rule", "A rule, called in the order of the file.", tables(rule));
    table.later(&["interfaces", "transport", "mode"], "belongs to packet virtuals");
    Some(Virtual {
        name: name?,
        listen: listen?,
        protocol: protocol?,
        tls: tls.unwrap_or_default(),
        pool,
        persistence,
        timeouts: timeouts?,
        limits: limits?,
        forwarded,
        rules: rules.unwrap_or_default(),
    })
}

fn certificate(table: &mut Table<'_>) -> Option<Certificate> {
    let certificate = table.required(
        "certificate",
        "The certificate and those between it and its root, PEM; relative to the folder of the file.",
        file("the path of a PEM file"),
    );
    let key = table.required(
        "key",
        "Its private key, PEM; relative to the folder of the file.",
        file("the path of a PEM file"),
    );
    Some(Certificate { certificate: certificate?, key: key? })
}

fn persistence(table: &mut Table<'_>) -> Option<Persistence> {
    let source = table.optional("source", "By the client's address.", OnlyTrue);
    let cookie = table.optional("cookie", "By a cookie of this name, which Shunt sets.", cookie());
    let timeout = table.derived(
        "timeout",
        "How long it outlives its last use.",
        duration(SECOND..=365 * DAY),
        "`\"1h\"` with `source`; with `cookie` as long as the browser",
    );
    table.exactly_one(&["source", "cookie"]);
    match (source, cookie) {
        (Some(()), _) => Some(Persistence { by: PersistBy::Source, timeout: timeout.or(Some(HOUR)) }),
        (None, Some(name)) => Some(Persistence { by: PersistBy::Cookie(name), timeout }),
        (None, None) => None,
    }
}

fn timeouts(table: &mut Table<'_>) -> Option<Timeouts> {
    Some(Timeouts {
        head: table.or(
            "head",
            "From the first byte of a request head to its last, and for the TLS handshake.",
            duration(MILLISECOND..=HOUR),
            10 * SECOND,
        ),
        idle: table.or(
            "idle",
            "Between requests on a client's connection, and without progress of a body either way.",
            duration(MILLISECOND..=DAY),
            60 * SECOND,
        ),
        connect: table.or("connect", "To connect to a member.", duration(MILLISECOND..=HOUR), 5 * SECOND),
        first_byte: table.or(
            "first-byte",
            "From the request sent to the first byte of the response.",
            duration(MILLISECOND..=DAY),
            60 * SECOND,
        ),
    })
}

fn limits(table: &mut Table<'_>) -> Option<Limits> {
    // hyper takes no smaller buffer for a head.
    let head = table.or("head", "Size of a request head.", size(8 * KIB..=MIB), 64 * KIB);
    let body = table.derived("body", "Size of a request body.", size(1..=1024 * GIB), "no limit");
    let connections = table.or(
        "connections",
        "Connections of clients at once, per worker.",
        integer(1..=10_000_000u32),
        10_000,
    );
    Some(Limits { head: usize::try_from(head).ok()?, body, connections: connections as usize })
}
