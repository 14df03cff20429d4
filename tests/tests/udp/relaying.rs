//! What goes through, and which way.

use std::net::{Ipv6Addr, UdpSocket};

use shunt_tests::daemon::{Daemon, until};
use shunt_tests::site::Site;

use crate::{Echo, ask, between, client, client_of, config, of_member, of_virtual, received};

#[test]
fn datagrams_go_to_a_member_and_answers_back() {
    let echo = Echo::start("a:");
    let site = between("", &[echo.address]);
    let client = client(&site);
    assert_eq!(ask(&client, "one"), "a:one");
    assert_eq!(ask(&client, ""), "a:", "an empty datagram is one");
    let long = "x".repeat(60_000);
    assert_eq!(ask(&client, &long), format!("a:{long}"));
    for number in 0..50 {
        client.send(format!("{number}").as_bytes()).unwrap();
    }
    for number in 0..50 {
        assert_eq!(received(&client), format!("a:{number}"), "in their order");
    }
    assert_eq!(echo.sessions(), 1);
    let counts = ["connections", "open", "datagrams-to-server", "datagrams-to-client", "datagrams-lost"];
    assert_eq!(counts.map(|it| of_virtual(&site, it)), [1, 1, 53, 53, 0]);
    assert_eq!(of_member(&site, 0, "bytes-to-server"), 3 + 60_000 + 90);
    assert_eq!(of_member(&site, 0, "active"), 1);
}

#[test]
fn many_clients_have_sessions_of_their_own() {
    let echo = Echo::start("");
    let site = between("", &[echo.address]);
    let clients: Vec<UdpSocket> = (0..200).map(|_| client(&site)).collect();
    for round in 0..3 {
        for (number, client) in clients.iter().enumerate() {
            client.send(format!("{round} {number}").as_bytes()).unwrap();
        }
        for (number, client) in clients.iter().enumerate() {
            assert_eq!(received(client), format!("{round} {number}"));
        }
    }
    assert_eq!((echo.sessions(), of_virtual(&site, "open")), (200, 200));
}

#[test]
fn families_may_differ_and_answers_come_from_where_clients_sent_to() {
    let echo = Echo::start("");
    // One that listens on every address has to say which one it answers from.
    let site = at("0.0.0.0:0", &echo);
    assert_eq!(ask(&client_of(([127, 0, 0, 9], site.address.port()).into()), "elsewhere"), "elsewhere");
    if UdpSocket::bind("[::1]:0").is_err() {
        println!("skipped: this system has no IPv6");
        return;
    }
    for six in ["[::1]:0", "[::]:0"] {
        let site = at(six, &echo);
        let client = client_of((Ipv6Addr::LOCALHOST, site.address.port()).into());
        assert_eq!(ask(&client, "from IPv6 to IPv4"), "from IPv6 to IPv4");
    }
}

/// A site that listens on an address, with a port that nobody has there.
fn at(address: &str, echo: &Echo) -> Site {
    let address = UdpSocket::bind(address).unwrap().local_addr().unwrap();
    Site { daemon: Daemon::start(&config(address, "", &[echo.address])), address }
}

#[test]
fn a_member_that_refuses_is_left_by_the_next_datagram() {
    let away = shunt_tests::address::free();
    let echo = Echo::start("");
    let site = between("", &[away, echo.address]);
    let client = client(&site);
    // The first is refused by ICMP, which ends its session.
    client.send(b"lost").unwrap();
    until("the refusal", || of_member(&site, 0, "failures") > 0 && of_virtual(&site, "open") == 0);
    assert_eq!(ask(&client, "found"), "found");
}
