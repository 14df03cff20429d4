//! Clients that stay with their member.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use shunt_tests::address;
use shunt_tests::daemon::Daemon;
use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use shunt_tests::site::{self, Site};

/// Which origin answers a client from this address, as a proxy in front of Shunt says it.
fn served(at: SocketAddr, from: SocketAddr) -> String {
    let mut client = Client::connect(at);
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    client.send(format!("PROXY {family} {0} {0} {1} {1}\r\n", from.ip(), from.port()));
    client.get("/").text()
}

#[test]
fn what_counts_of_an_address_is_configured() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let groups = |keys: &str, clients: &[&str]| {
        let keys = format!("proxy-protocol = \"127.0.0.1\"\npersistence = {{ source = {keys} }}");
        let site = Site::with(&keys, &[&a, &b, &c]);
        let ask = |client: &&str| served(site.address, client.parse().unwrap());
        let first: Vec<_> = clients.iter().map(ask).collect();
        let again: Vec<_> = clients.iter().map(ask).collect();
        assert_eq!(first, again, "{keys}");
        // By the order in which members were first seen.
        let mut numbers = BTreeMap::new();
        first
            .into_iter()
            .map(|name| {
                let next = numbers.len();
                *numbers.entry(name).or_insert(next)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(groups("true", &["192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1", "192.0.3.1:1"]), [0, 0, 1, 2]);
    assert_eq!(
        groups(
            "{ ipv4 = 24, ipv6 = 64 }",
            &["192.0.2.1:1", "192.0.2.9:2", "[2001:db8::1]:1", "[2001:db8::2]:1"]
        ),
        [0, 0, 1, 1]
    );
    assert_eq!(groups("{ port = true }", &["192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3"]), [0, 1, 2]);
}

/// HTTP on one port and HTTPS on another are virtuals of one site.
#[test]
fn virtuals_of_a_group_share_bindings() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let members = [&a, &b, &c].map(|it| it.address());
    let listens = [address::free(), address::free(), address::free()];
    let keys =
        |group: &str| format!("proxy-protocol = \"127.0.0.1\"\npersistence = {{ source = true{group} }}");
    let shared = keys(", group = \"shop\"");
    let others: String = [(1, &shared), (2, &keys(""))]
        .map(|(at, keys)| site::virtual_(&format!("v{at}"), listens[at], "web", keys))
        .concat();
    let rest = format!("{others}{}", site::pool("web", "", &members));
    let _daemon = Daemon::start(&site::config(listens[0], &shared, &rest));
    let clients: Vec<SocketAddr> = (1..=8).map(|last| ([192, 0, 2, last], 4000).into()).collect();
    let of = |at: usize| clients.iter().map(|client| served(listens[at], *client)).collect::<Vec<_>>();
    let first = of(0);
    assert_eq!(of(1), first);
    assert_ne!(of(2), first, "clients of a virtual outside the group take turns of their own");
}
