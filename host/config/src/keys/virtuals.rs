//! `[[virtual]]`

use std::net::SocketAddr;

use shunt_engine::datapath::{self, Transport};
use shunt_wire::ip;

use super::super::containers::{once, one_or_list, table as in_table, tables};
use super::super::model::{
    Forwarded, Limits, PacketTimeouts, PacketVirtual, Persistence, Protocol, ProxyKind, Timeouts, Translator,
    Virtual,
};
use super::super::persistence::persistence;
use super::super::report::{Cause, Refusal};
use super::super::shape::{
    OnlyTrue, duration, integer, listen_address, name, one_of, pool_name, prefix, size,
};
use super::super::suggest::quoted;
use super::super::text;
use super::super::tls::ClientTls;
use super::super::walk::{Kind, Table};
use super::http2::http2;
use super::packets::{Shared, packet_keys, packet_virtual, translator};
use super::pages::pages;
use super::rules::rule;
use super::tls::{WithClients, with_clients};
use super::udp::udp;
use super::{DAY, GIB, HOUR, KIB, MIB, MILLISECOND, SECOND};

/// A virtual of either kind.
#[derive(Debug)]
pub(in super::super) enum AnyVirtual {
    Proxy(Box<Virtual>),
    Packet(Box<PacketVirtual>),
    Translator(Translator),
}

/// What a virtual speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Proxy(Protocol),
    Packet,
}

/// What protocols in TLS are written as.
const TLS: &str = "write `protocol = \"http\"` and `tls = { certificate = \"…\", key = \"…\" }`";
const HTTP: &str = "use `protocol = \"http\"`, for every version of HTTP and for protocols over it";

pub(in super::super) fn virtual_server(table: &mut Table<'_>) -> Option<AnyVirtual> {
    table.walk.seen.rules.clear();
    let name = table.required(
        "name",
        "Its name in commands, logs and metrics.",
        once(name(), |walk| &mut walk.seen.virtuals, "there is already a virtual"),
    );
    let listen = table.derived(
        "listen",
        "Address and port that clients connect to: `0.0.0.0:8443`, `[::]:443`. A proxy may have several: \
         `[\"0.0.0.0:80\", \"[::]:80\"]`. The address of a packet virtual belongs to Shunt alone: no host may have it. At \
         packet virtuals port 0 means every port, and `0.0.0.0` or `[::]` every address that neither Shunt nor its host has.",
        one_or_list(listen_address()),
        "every virtual needs it but those of mode `siit`",
    );
    let protocol = table.required(
        "protocol",
        "`http`: a proxy for HTTP; `tcp`: a proxy for any protocol over TCP, whose bytes it relays; `udp`: \
         a proxy for UDP, whose datagrams it relays; `packet`: forwards packets, and connections are between client and member.",
        one_of(&[
            ("http", Speaks::Proxy(Protocol::Http)),
            ("tcp", Speaks::Proxy(Protocol::Tcp)),
            ("udp", Speaks::Proxy(Protocol::Udp)),
            ("packet", Speaks::Packet),
        ])
            .instead(&[
                ("https", TLS),
                ("tls", TLS),
                ("ssl", TLS),
                ("wss", TLS),
                ("ws", HTTP),
                ("h2", HTTP),
                ("h2c", HTTP),
                ("http2", HTTP),
                ("http/2", HTTP),
                ("http1", HTTP),
                ("http/1.1", HTTP),
                ("grpc", HTTP),
            ]),
    );
    table.walk.kind = protocol.map(|protocol| match protocol {
        Speaks::Proxy(Protocol::Http) => Kind::Proxy,
        Speaks::Proxy(Protocol::Tcp) => Kind::Tcp,
        Speaks::Proxy(Protocol::Udp) => Kind::Udp,
        Speaks::Packet => Kind::Packet,
    });
    let packet_keys = packet_keys(table);
    let tls = table.derived(
        "tls",
        "TLS with clients: certificates, and what is negotiated; or `pass-through`.",
        in_table(with_clients),
        "no TLS",
    );
    let pool = table.derived(
        "pool",
        "The pool for requests and flows that no rule sends elsewhere.",
        pool_name(),
        "such requests get 404 and such flows are refused; with `transparent` they go to their own destination, and so do \
         packets of packet virtuals on every address, in modes `route` and `snat`",
    );
    let transparent = table.optional(
        "transparent",
        "For proxies of HTTP and TCP: takes connections to any address, which the host's firewall redirects to `listen` \
         (TPROXY). Rules see the address that the client connected to, and it is where connections go without a `pool`.",
        OnlyTrue,
    );
    let persistence = table.optional("persistence", "Keeps a client with its member.", in_table(persistence));
    let timeouts = table.section("timeouts", "How long Shunt waits for clients and members.", timeouts);
    let limits = table.section("limits", "What clients may send and open.", limits);
    let http2 = table.section("http2", "HTTP/2 with clients.", http2);
    let udp = table.section("udp", "When sessions of a proxy for UDP end.", udp);
    let forwarded = table.or(
        "forwarded",
        "What Shunt does with `X-Forwarded-For`, `-Proto`, `-Host` and `-Port` and `Forwarded` of a client, which can claim \
         anything: `replace` removes them and sets Shunt's own, `append` adds Shunt's own values and keeps `-Proto`, `-Host` \
         and `-Port`, `off` forwards them unchanged.",
        one_of(&[("replace", Forwarded::Replace), ("append", Forwarded::Append), ("off", Forwarded::Off)]),
        Forwarded::Replace,
    );
    let trusted_proxies = table.optional(
        "trusted-proxies",
        "Addresses of proxies in front of Shunt, and prefixes of such. Where `forwarded` is `replace`, the fields of their \
         requests are treated as with `append`. Shunt also keeps their `X-Request-Id`.",
        one_or_list(prefix()),
    );
    let proxy_protocol = table.optional(
        "proxy-protocol",
        "Addresses of proxies, and prefixes of such, whose connections begin with a header of the PROXY protocol, version 1 \
         or 2. It says who the client is. Shunt closes and counts connections of theirs without a valid one.",
        one_or_list(prefix()),
    );
    let proxy = table.or(
        "proxy",
        "What the members are: `reverse`, servers; `forward`, forward proxies, for clients that have this virtual as \
         their proxy. Shunt then passes whole URLs on as they are, and CONNECT.",
        one_of(&[("reverse", ProxyKind::Reverse), ("forward", ProxyKind::Forward)]),
        ProxyKind::Reverse,
    );
    let request_id = table.optional(
        "request-id",
        "Shunt gives each request an `X-Request-Id`, which the member and the client get.",
        OnlyTrue,
    );
    let pages = table.section(
        "pages",
        "Files of answers that Shunt makes in a member's place, by status. Shunt answers the others with a line of text, or \
         with JSON where the client prefers it.",
        pages,
    );
    let rules = table.optional(
        "rule",
        "A rule. Shunt calls the rules of a virtual in the order of the file.",
        tables(rule),
    );
    table.useless_at(
        Kind::Packet,
        &[
            ("tls", "Shunt forwards packets, and the member terminates TLS"),
            ("forwarded", "packets have no header fields"),
            ("http2", "a packet virtual does not read HTTP messages"),
            ("trusted-proxies", "packets have no header fields"),
            ("proxy-protocol", "it stands in a connection, which is between the client and the member"),
            ("proxy", "a packet virtual does not read HTTP messages"),
            ("request-id", "packets have no header fields"),
            ("pages", "a packet virtual sends no HTTP answers"),
            ("transparent", "`listen` with `0.0.0.0` or `[::]` is every address to it"),
        ],
    );
    table.useless_at(Kind::Udp, &[("transparent", "it answers from the addresses of its host")]);
    let (tls, pass_through) = match tls {
        None => (None, false),
        Some(WithClients::Terminated(tls)) => {
            let protocols = match protocol {
                // What runs over it is the clients' and the members'.
                Some(Speaks::Proxy(Protocol::Tcp)) => &[],
                _ => http2.map_or(tls.protocols, |it| it.start.protocols()),
            };
            (Some(ClientTls { protocols, ..*tls }), false)
        }
        Some(WithClients::PassedThrough) => (None, true),
    };
    if table.walk.kind == Some(Kind::Udp) {
        let unread = "it relays datagrams, and reads no requests";
        useless_unread(table, persistence.as_ref(), "at a proxy for UDP", unread);
        let connection = "it stands in a connection, and datagrams have none";
        table.useless_at(Kind::Udp, &["tls", "proxy-protocol"].map(|name| (name, connection)));
    } else if table.walk.kind == Some(Kind::Tcp) {
        useless_unread(table, persistence.as_ref(), "at a proxy for TCP", UNREAD);
    } else if pass_through {
        let why = "Shunt sees no requests where `tls` is `pass-through`";
        useless_unread(table, persistence.as_ref(), "beside `pass-through`", why);
    }
    if transparent.is_some() && tls.is_some() {
        let refusal = Refusal::new(
            Cause::Conflict,
            "the address that a client connects to has a certificate of its own",
        )
        .label("Shunt would end TLS in its place")
        .help("use `tls = { pass-through = true }`, or remove `transparent`");
        table.refuse("tls", table.also(refusal, "transparent"));
    }
    if table.walk.is_default {
        // Each key by itself: a virtual has others.
        return None;
    }
    if protocol.is_some_and(|protocol| protocol != Speaks::Packet)
        && !table.wrote("tls")
        && let Some(refusal) = persistence.as_ref().and_then(|it| it.by.without_tls())
    {
        table.refuse("persistence", refusal);
    }
    if protocol.is_some_and(|protocol| protocol != Speaks::Packet)
        && !pass_through
        && let Some(refusal) = persistence.as_ref().and_then(|it| it.by.without_pass_through())
    {
        table.refuse("persistence", refusal);
    }
    if protocol != Some(Speaks::Proxy(Protocol::Udp)) && table.wrote("udp") {
        let refusal = Refusal::new(Cause::Conflict, "`udp` means nothing without `protocol = \"udp\"`")
            .help("remove it");
        table.refuse("udp", table.also(refusal, "protocol"));
    }
    if packet_keys.is_stateless() && protocol == Some(Speaks::Packet) {
        return translator(table, name, packet_keys).map(AnyVirtual::Translator);
    }
    table.needs("listen");
    let listen = listen.unwrap_or_default();
    listen_once(table, &listen, packet_keys.transport());
    if let Some(Speaks::Proxy(_)) = protocol {
        for refusal in listen.iter().filter_map(|it| text::has_port(*it).err()) {
            table.refuse("listen", refusal);
        }
    } else if listen.len() > 1 {
        let refusal = Refusal::new(Cause::Conflict, "a packet virtual has one address")
            .help("write a `[[virtual]]` for each address");
        table.refuse("listen", refusal);
    }
    let first = listen.first().copied();
    let rules = rules.unwrap_or_default();
    let (proxy_timeouts, packet_timeouts) = timeouts.unzip();
    let (proxy_limits, packet_limits) = limits.unzip();
    match protocol? {
        Speaks::Packet => {
            let (timeouts, limits) = (packet_timeouts, packet_limits);
            let shared = Shared { name, listen: first, pool, persistence, timeouts, limits, rules };
            packet_virtual(table, shared, packet_keys).map(Box::new).map(AnyVirtual::Packet)
        }
        Speaks::Proxy(protocol) => Some(AnyVirtual::Proxy(Box::new(Virtual {
            name: name?,
            listen: first.map(|_| listen)?,
            protocol,
            tls,
            pass_through,
            transparent: transparent.is_some(),
            pool,
            stand_ins: Vec::new(),
            persistence,
            timeouts: proxy_timeouts?,
            limits: proxy_limits?,
            http2: http2?,
            udp: udp?,
            forwarded,
            trusted_proxies: trusted_proxies.unwrap_or_default(),
            proxy_protocol: proxy_protocol.unwrap_or_default(),
            proxy,
            request_id: request_id.is_some(),
            pages: pages.unwrap_or_default(),
            rules,
        }))),
    }
}

/// Keys about requests, at a virtual that reads none.
fn useless_unread(table: &mut Table<'_>, persistence: Option<&Persistence>, at: &str, why: &'static str) {
    let refusal = |message: String| Refusal::new(Cause::Conflict, message).label(why).help("remove it");
    if let Some(what) = persistence.and_then(|it| it.by.unread()) {
        table.refuse("persistence", refusal(format!("{what} means nothing {at}")));
    }
    for name in ["http2", "forwarded", "trusted-proxies", "proxy", "request-id", "pages"] {
        if table.wrote(name) {
            table.refuse(name, refusal(format!("`{name}` means nothing {at}")));
        }
    }
}

/// Each address and port has one virtual for TCP and one for UDP.
fn listen_once(table: &mut Table<'_>, listen: &[SocketAddr], transport: Transport) {
    for (index, address) in listen.iter().enumerate() {
        if listen[..index].contains(address) {
            let message = format!("`listen` has {} twice", quoted(&address.to_string()));
            table.refuse("listen", Refusal::new(Cause::Duplicate, message).help("keep one of them"));
        } else {
            address_once(table, *address, transport);
        }
    }
}

fn address_once(table: &mut Table<'_>, listen: SocketAddr, transport: Transport) {
    if table.walk.kind == Some(Kind::Packet) && listen.ip().is_unspecified() {
        // Interfaces tell such apart; see `wildcards`.
        return;
    }
    let protocols: &[u8] = match (table.walk.kind, transport) {
        (Some(Kind::Packet), Transport::Any | Transport::All) => &[ip::TCP, ip::UDP],
        (Some(Kind::Packet), Transport::Udp) | (Some(Kind::Udp), _) => &[ip::UDP],
        _ => &[ip::TCP],
    };
    let place = table.place_of("listen");
    let first =
        protocols.iter().filter_map(|protocol| table.walk.seen.listens.insert((listen, *protocol), &place));
    if let Some(first) = first.last() {
        let message = format!("another virtual already listens on {}", quoted(&listen.to_string()));
        let refusal = Refusal::new(Cause::Duplicate, message)
            .label("again here")
            .also(first, "first here")
            .help("give one of them another address or port");
        table.refuse("listen", refusal);
    }
}

fn timeouts(table: &mut Table<'_>) -> Option<(Timeouts, PacketTimeouts)> {
    let head = table.or(
        "head",
        "From the first byte of a request head to its last, and for the TLS handshake.",
        duration(MILLISECOND..=HOUR),
        10 * SECOND,
    );
    let idle = table.derived(
        "idle",
        "Between requests on a client's connection; while neither the client nor the member sends or receives more of a \
         body, or of what is relayed; after the last datagram of a session or packet of a flow.",
        duration(MILLISECOND..=DAY),
        "`\"1m\"`; with `protocol = \"tcp\"` `\"5m\"`, with `\"udp\"` `\"30s\"`; at packet virtuals `\"5m\"` for open TCP connections and `\"1m\"` for UDP \
         and ICMP echo",
    );
    let connect = table.or("connect", "To connect to a member.", duration(MILLISECOND..=HOUR), 5 * SECOND);
    let first_byte = table.or(
        "first-byte",
        "From the end of the request to the head of the response. While the client still sends a body, `idle` applies.",
        duration(MILLISECOND..=DAY),
        60 * SECOND,
    );
    let data = table.derived(
        "data",
        "With a rule that has `on-data`: for the bytes that it asks for, and for the first bytes of a client \
         where they choose the member. The rule is then called with what there is.",
        duration(MILLISECOND..=HOUR),
        "with `protocol = \"tcp\"` `\"5s\"`",
    );
    let why = "the connection is between the client and the member";
    table.useless_at(Kind::Packet, &["head", "connect", "first-byte", "data"].map(|name| (name, why)));
    if table.walk.kind == Some(Kind::Proxy) {
        table.useless_at(Kind::Proxy, &[("data", UNSHOWN)]);
    }
    table.useless_at(Kind::Tcp, &[("first-byte", UNREAD)]);
    let none = "datagrams have no connection";
    table.useless_at(Kind::Udp, &["head", "connect", "first-byte", "data"].map(|name| (name, none)));
    let by_default = match table.walk.kind {
        Some(Kind::Tcp) => 300 * SECOND,
        Some(Kind::Udp) => 30 * SECOND,
        _ => 60 * SECOND,
    };
    let timeouts = Timeouts {
        head,
        idle: idle.unwrap_or(by_default),
        connect,
        first_byte,
        data: data.unwrap_or(5 * SECOND),
    };
    Some((timeouts, PacketTimeouts { idle }))
}

const UNREAD: &str = "it relays bytes, and reads no requests";
const UNSHOWN: &str = "it reads requests, and shows rules no bytes";

/// What hyper has room for without asking for memory.
const DEFAULT_FIELDS: u32 = 100;

fn limits(table: &mut Table<'_>) -> Option<(Limits, datapath::Limits)> {
    // hyper takes no smaller buffer for a head.
    let head = table.or(
        "head",
        "Size of a request head, with the empty line at its end; a larger one gets 431. A target of more than 65,534 bytes \
         always gets 414.",
        size(8 * KIB..=MIB),
        64 * KIB,
    );
    let fields = table.or(
        "fields",
        "Fields of a request head, and of the trailers behind a body; a head with more gets 431. Above 100 each request \
         costs a little more.",
        integer(1..=10_000u32),
        DEFAULT_FIELDS,
    );
    let body = table.derived("body", "Size of a request body.", size(1..=1024 * GIB), "no limit");
    let connections = table.derived(
        "connections",
        "Client connections, or sessions of UDP, at once, over all workers. Shunt resets, counts and logs those beyond.",
        integer(1..=10_000_000u32),
        "10,000 per worker",
    );
    let requests = table.derived(
        "requests",
        "Requests at once, over all workers; over HTTP/2 each request counts. Those beyond get 503.",
        integer(1..=10_000_000u32),
        "no limit",
    );
    let flows = table.derived(
        "flows",
        "Packet virtuals: flows at once, over all workers. The flow table is made at start with room for the sum of all \
         virtuals, and for 1,048,576 at least.",
        integer(1..=100_000_000u32),
        "1,048,576 of all virtuals together",
    );
    let flow_rate = table.derived(
        "flow-rate",
        "Packet virtuals: new flows per second, over all workers. Shunt drops those beyond before it calls a rule.",
        integer(1..=100_000_000u32),
        "no limit",
    );
    let syn_rate = table.derived(
        "syn-rate",
        "Packet virtuals: SYNs of new flows per second, over all workers. Shunt drops those beyond before it calls a rule.",
        integer(1..=100_000_000u32),
        "no limit",
    );
    let data = table.derived(
        "data",
        "With a rule that has `on-data`: bytes of a connection that are held for it in each direction, \
         and bytes that it sends in their place. Asking for more is a fault of the rule.",
        size(64..=MIB),
        "with `protocol = \"tcp\"` `\"64KiB\"`",
    );
    let (message, count) =
        ("a packet virtual does not read HTTP messages", "a packet virtual counts `flows`");
    table.useless_at(
        Kind::Packet,
        &[
            ("head", message),
            ("fields", message),
            ("body", message),
            ("requests", message),
            ("connections", count),
            ("data", "the connection is between the client and the member"),
        ],
    );
    if table.walk.kind == Some(Kind::Proxy) {
        table.useless_at(Kind::Proxy, &[("data", UNSHOWN)]);
    }
    for kind in [Kind::Tcp, Kind::Udp] {
        table.useless_at(kind, &["head", "fields", "body", "requests"].map(|name| (name, UNREAD)));
    }
    table.useless_at(Kind::Udp, &[("data", "a datagram is whole")]);
    let why = "a proxy has connections and requests";
    table.useless_at(Kind::Proxy, &["flows", "flow-rate", "syn-rate"].map(|name| (name, why)));
    Some((
        Limits {
            head: usize::try_from(head).ok()?,
            fields: fields as usize,
            body,
            connections,
            requests,
            data: usize::try_from(data.unwrap_or(64 * KIB)).ok()?,
        },
        datapath::Limits { flows, flow_rate, syn_rate },
    ))
}
