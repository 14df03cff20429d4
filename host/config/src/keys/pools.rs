//! `[[pool]]`

use std::net::SocketAddr;
use std::time::Duration;

use shunt_engine::balance::groups::{FailBack, Policy};
use shunt_engine::balance::{Balance, Time};

use super::super::containers::{list, once, one_or_list, or_table, table as in_table};
use super::super::model::{ConnectFrom, Member, MemberProtocol, NamedMembers, Pool, ProxyVersion};
use super::super::monitors::{HttpVersion, Monitor, Probe};
use super::super::names::MemberAt;
use super::super::report::{Cause, Refusal};
use super::super::shape::{duration, fail_back, integer, member_at, name, one_of, server_name};
use super::super::walk::Table;
use super::failures::{AT_ONCE, MOST_CONNECTIONS, ejection, on_empty, retry};
use super::monitors::monitor;
use super::tls::member_tls;
use super::{HOUR, SECOND};
use super::{balances, sources};

pub(in super::super) fn pool(table: &mut Table<'_>) -> Option<Pool> {
    table.walk.seen.members.clear();
    table.walk.seen.probing.clear();
    let name = table.required(
        "name",
        "Its name in virtuals, slots, commands, logs and metrics.",
        once(name(), |walk| &mut walk.seen.pools, "there is already a pool"),
    );
    let balance = table.derived(
        "balance",
        "How Shunt chooses a member where neither a rule nor persistence does. `round-robin` takes each in turn, whatever \
         its weight; all others weigh. `least-connections` takes the one with the fewest requests in flight; \
         `two-random-choices` of two the one with fewer; `fastest` the one that answers the monitor soonest. `source-hash` \
         hashes the address of the client; so does `maglev`, but no member gets much more than its share. For proxies: \
         `least-response-time` takes the one that answers requests soonest; `url-hash` hashes the URL of requests. For packet \
         virtuals: `destination-hash` hashes the destination address of packets, `symmetric-hash` both addresses, whichever \
         is the source.",
        balances::OfPool,
        "`\"round-robin\"`; `\"weighted-round-robin\"` where weights differ",
    );
    let slow_start = table.optional(
        "slow-start",
        "For how long, or for how many requests, a member that recovers or is new gets less than its share: a sixteenth of it \
         at first, then more and more.",
        balances::Slowly,
    );
    let protocol = table.or(
        "protocol",
        "What a proxy speaks with the members: `http/1.1`; `h2`, HTTP/2 from the first byte on, over TLS by ALPN; `auto`, \
         over TLS only, what a member chooses of the two by ALPN.",
        one_of(&[
            ("http/1.1", MemberProtocol::Http1),
            ("h2", MemberProtocol::Http2),
            ("auto", MemberProtocol::Auto),
        ])
        .instead(&[
            ("http", "use `\"http/1.1\"`"),
            ("http1", "use `\"http/1.1\"`"),
            ("h1", "use `\"http/1.1\"`"),
            ("h2c", "use `\"h2\"`"),
            ("http2", "use `\"h2\"`"),
            ("http/2", "use `\"h2\"`"),
            ("grpc", "use `\"h2\"`"),
            ("alpn", "use `\"auto\"`"),
        ]),
        MemberProtocol::Http1,
    );
    let monitors = table.derived(
        "monitor",
        "How Shunt finds out whether members are up; several, each in a way of its own, in a list.",
        one_or_list(in_table(monitor)),
        "every member counts as up",
    );
    let needed = table.derived(
        "monitors-needed",
        "How many of several monitors must find a member up, so that it is up: `1` is any of them.",
        integer(1..=64u32),
        "all of them",
    );
    let convergence = table.optional(
        "convergence",
        "How long members stay up after most of those behind one interface fell silent at once, as they do while a router \
         fails over or a switch computes its spanning tree.",
        duration(SECOND..=HOUR),
    );
    table.only_with(&["convergence"], "monitor");
    let keep_alive = table.or(
        "keep-alive",
        "How long a proxy keeps an idle connection to a member that does not say how long it keeps it (`Keep-Alive: \
         timeout=…`); at most about 40 seconds. Less than the members' own time-out.",
        duration(Duration::ZERO..=HOUR),
        4 * SECOND,
    );
    let tls = table.derived(
        "tls",
        "TLS with the members, and of their HTTP monitor.",
        in_table(member_tls),
        "no TLS",
    );
    let proxy_protocol = table.optional(
        "proxy-protocol",
        "Connections to the members begin with a header of the PROXY protocol of this version, before TLS: `v1` says who the \
         client is, `v2` also what is known of its TLS. A connection then serves the requests of one client's connection \
         only. The monitor says that its connections are Shunt's own.",
        one_of(&[("v1", ProxyVersion::V1), ("v2", ProxyVersion::V2)]),
    );
    let min_members = table.or(
        "min-members",
        "How many usable members the priority groups in use have together: while there are fewer, members of the next \
         lower `priority` take part.",
        integer(1..=10_000u32),
        Policy::default().min_members,
    );
    let fail_back = table.or(
        "fail-back",
        "When members of a higher `priority` that had no usable member are used again: `immediate`, once they have enough; \
         a time, once they had enough for so long; `manual`, once the operator says so by `shunt pool fail-back`.",
        fail_back(),
        FailBack::Immediate,
    );
    let source = table.derived(
        "source",
        "Addresses of this host that connections of proxies to the members come from, in turn, and that have some 28,000 ports \
         each toward every member: `[\"10.0.0.5\", \"10.0.0.6\"]`. `client`: connections come from the client's own address, \
         and serve the requests of one client's connection only. The members' replies must come through this host.",
        sources::OfPool,
        "the address of the interface toward the member",
    );
    let max_connections = table.optional(
        "max-connections",
        "How many requests and connections all members together have at once, over all workers. Idle connections that are \
         kept do not count; over HTTP/2 each request counts.",
        integer(1..=MOST_CONNECTIONS),
    );
    let max_connecting = table.optional(
        "max-connecting",
        "For proxies: how many connections to members are being made at once, over all workers. Requests and connections of \
         clients beyond are treated as where no member can be chosen.",
        integer(1..=MOST_CONNECTIONS),
    );
    let retry = table.section(
        "retry",
        "For proxies: which other members are tried, and how often. Requests are sent again only where their method is \
         idempotent and Shunt has all of them.",
        retry,
    );
    let on_empty = table.derived(
        "on-empty",
        "What becomes of requests, connections and flows where no member can be chosen, because all are down, disabled or at \
         `max-connections`. `reset`: requests get what the others get without this key. \
         `route`: requests and connections of `transparent` virtuals go straight to where the client connected to, and flows \
         of packet virtuals on every address, in the modes `route` and `snat`, to their own destination.",
        or_table(one_of(&AT_ONCE), on_empty),
        "requests get 503; other connections and flows a reset, or what their protocol has for it",
    );
    let ejection = table.derived(
        "ejection",
        "For proxies: a member at which requests, connections or sessions fail in a row gets none for a while. Failed are those \
         without a connection, or without an answer, and requests that got a status of 500 and more, but 501 and 505.",
        in_table(ejection),
        "only monitors take members out",
    );
    let members = table.required("members", "The members, at least one.", list(in_table(member)));
    let mut monitors = monitors.unwrap_or_default();
    for monitor in &mut monitors {
        if let Probe::Http(http) = &mut monitor.probe
            && protocol == MemberProtocol::Http2
        {
            http.version.get_or_insert(HttpVersion::Http2);
        }
    }
    let monitors_needed = enough(table, &monitors, needed);
    let written = members?;
    let (mut members, mut names) = (Vec::new(), Vec::new());
    for (place, (at, like)) in written.into_iter().enumerate() {
        match at {
            MemberAt::Address(_) => members.push(like),
            MemberAt::Name(name) => names.push(NamedMembers::new(*name, place, like)),
        }
    }
    fit(table, &monitors, &members, protocol);
    let all = || members.iter().chain(names.iter().map(NamedMembers::like));
    if protocol == MemberProtocol::Auto && !table.wrote("tls") {
        let refusal =
            Refusal::new(Cause::Conflict, "`auto` means nothing without `tls`: ALPN is a part of it")
                .help("use `\"http/1.1\"` or `\"h2\"`, or add `tls = {}` to the pool");
        table.refuse("protocol", refusal);
    }
    if protocol != MemberProtocol::Http1 && proxy_protocol.is_some() {
        let refusal = Refusal::new(Cause::Conflict, "a connection of HTTP/2 serves many clients")
            .label("and begins with one of them")
            .help("use `protocol = \"http/1.1\"`, or remove `proxy-protocol`");
        let refusal = table.also(refusal, "protocol");
        table.refuse("proxy-protocol", refusal);
    }
    if !table.wrote("tls") && all().any(|member| member.server_name.is_some()) {
        let refusal = Refusal::new(Cause::Conflict, "`server-name` means nothing without `tls`")
            .help("add `tls = {}` to the pool, or remove `server-name` of its members");
        table.refuse("members", refusal);
    }
    if names.is_empty() && table.wrote("min-members") && min_members as usize > members.len() {
        let message = format!("`{min_members}` members cannot be usable: the pool has {}", members.len());
        let refusal = Refusal::new(Cause::Conflict, message)
            .help(format!("use at most `{}`, or add members", members.len()));
        table.refuse("min-members", refusal);
    }
    let source = source.unwrap_or_default();
    if protocol != MemberProtocol::Http1 && source == ConnectFrom::Client {
        let refusal = Refusal::new(Cause::Conflict, "a connection of HTTP/2 serves many clients")
            .label("and comes from one of them")
            .help("use `protocol = \"http/1.1\"`, or remove `source`; `forwarded` of the virtual says who the client is");
        let refusal = table.also(refusal, "protocol");
        table.refuse("source", refusal);
    }
    if let ConnectFrom::Addresses(source) = &source
        && let Some(member) =
            members.iter().find(|member| !source.iter().any(|it| it.is_ipv4() == member.address.is_ipv4()))
    {
        let family = if member.address.is_ipv4() { "IPv4" } else { "IPv6" };
        let message = format!("`source` has no {family} address, and `{}` is one", member.address);
        let refusal = Refusal::new(Cause::Conflict, message)
            .help(format!("add an {family} address of this host, or remove `source`"));
        let refusal = table.also(refusal, "members");
        table.refuse("source", refusal);
    }
    if all().next().is_some() && all().all(|member| member.weight == 0) {
        let refusal = Refusal::new(Cause::Conflict, "the weights sum to 0: no member takes new clients")
            .help("give a member a `weight` of 1 or more; to take all of them out, use `shunt member drain`");
        table.refuse("members", refusal);
    }
    let mut weights = all().map(|member| member.weight).filter(|weight| *weight > 0);
    let first = weights.next();
    let alike = weights.all(|weight| Some(weight) == first) && !names.iter().any(|it| it.name.is_service());
    let natural = if alike { Balance::RoundRobin } else { Balance::WeightedRoundRobin };
    let (balance, hashed) = balance.map_or((natural, None), |it| (it.balance, it.hashed));
    if balance.time() == Some(Time::Probe) && !table.wrote("monitor") {
        let message = format!("`{}` goes by the time of probes, and there is no monitor", balance.as_str());
        let refusal = Refusal::new(Cause::Conflict, message)
            .help("add a `monitor` to the pool, or use `\"least-response-time\"` or `\"least-connections\"`");
        table.refuse("balance", refusal);
    }
    if balance == Balance::SymmetricHash && slow_start.is_some() {
        let message = "the two directions of a flow would go to different members while one starts";
        let refusal =
            Refusal::new(Cause::Conflict, message).help("remove `slow-start`, or use another `balance`");
        table.refuse("slow-start", table.also(refusal, "balance"));
    }
    Some(Pool {
        name: name?,
        balance,
        hashed,
        slow_start,
        protocol,
        monitors,
        monitors_needed,
        convergence,
        keep_alive,
        tls,
        proxy_protocol,
        groups: Policy { min_members, fail_back },
        source,
        max_connections,
        max_connecting,
        retry: retry.unwrap_or_default(),
        on_empty: on_empty.unwrap_or_default(),
        ejection,
        members,
        names,
    })
}

/// Monitors whose probes could never succeed.
fn fit(table: &mut Table<'_>, monitors: &[Monitor], members: &[Member], protocol: MemberProtocol) {
    for monitor in monitors {
        let http_2 = match &monitor.probe {
            Probe::Http(http) => http.version == Some(HttpVersion::Http2),
            Probe::Grpc(_) => true,
            _ => false,
        };
        if http_2 && protocol == MemberProtocol::Http1 && table.wrote("tls") {
            let message =
                "a monitor speaks HTTP/2, which Shunt does not offer the members of the pool by ALPN";
            let refusal = Refusal::new(Cause::Conflict, message)
                .help("use `protocol = \"h2\"` or `protocol = \"auto\"`, or another monitor");
            table.refuse("monitor", table.also(refusal, "protocol"));
        }
        let Some(source) = monitor.origin.source else { continue };
        if let Some(member) = members.iter().find(|it| it.address.is_ipv4() != source.is_ipv4()) {
            let message =
                format!("probes from `{source}` cannot reach `{}` of the other IP family", member.address);
            let help = "use a `source` of the members' family, or remove it";
            table.refuse("monitor", Refusal::new(Cause::Conflict, message).help(help));
        }
    }
}

/// How many monitors must find a member up.
fn enough(table: &mut Table<'_>, monitors: &[Monitor], needed: Option<u32>) -> usize {
    table.only_with(&["monitors-needed"], "monitor");
    let needed = needed.and_then(|it| usize::try_from(it).ok()).unwrap_or(monitors.len());
    if needed > monitors.len() && !monitors.is_empty() {
        let message = format!("{needed} monitors are needed, and the pool has {}", monitors.len());
        let help = "write at most as many as there are, or leave it out: all of them are needed then";
        let refusal = Refusal::new(Cause::Conflict, message).help(help);
        table.refuse("monitors-needed", table.also(refusal, "monitor"));
    }
    needed.max(1)
}

fn member(table: &mut Table<'_>) -> Option<(MemberAt, Member)> {
    let at = table.required(
        "address",
        "Its address and port: `10.0.0.1:80`, `[2001:db8::1]:80`. For packet virtuals, port 0 is the destination \
         port of the client's packets. For proxies also a name: `app.internal:8080` is a member at each address that DNS has for \
         it, `_http._tcp.app.internal` one for each server of its SRV records, with their ports and weights.",
        once(member_at(), |walk| &mut walk.seen.members, "this pool already has a member"),
    );
    let weight = table.or(
        "weight",
        "Its share, in proportion to the weights of the others. A member of weight 0 keeps the clients that are bound to \
         it, and takes no others.",
        integer(0..=256u32),
        1,
    );
    let priority = table.or(
        "priority",
        "Members of one priority are a group. The highest group is used; a lower one, such as of backup members, where the \
         higher have fewer usable members than `min-members` of the pool.",
        integer(0..=u16::MAX),
        0,
    );
    let max_connections = table.optional(
        "max-connections",
        "How many requests and connections it has at once, over all workers. A member that has so many does not count for its \
         priority group, and a client that is bound to it goes to another.",
        integer(1..=MOST_CONNECTIONS),
    );
    let server_name = table.optional(
        "server-name",
        "With `tls`: what it is called, in the place of the name that the pool gives its members.",
        server_name(),
    );
    let at = at?;
    let (address, name) = match &at {
        MemberAt::Address(address) => (*address, None),
        MemberAt::Name(name) => (SocketAddr::from(([0, 0, 0, 0], 0)), Some((**name).clone())),
    };
    let is_service = name.as_ref().is_some_and(|name| name.is_service());
    for (key, what) in [("weight", "weights"), ("priority", "priorities")] {
        if is_service && table.wrote(key) {
            let message = format!("the SRV records of a service say the {what} of its members");
            let refusal = Refusal::new(Cause::Conflict, message).help(format!("remove `{key}`"));
            table.refuse(key, table.also(refusal, "address"));
        }
    }
    Some((at, Member { address, weight, priority, max_connections, server_name, name }))
}
