//! Which member a connection goes to, and what it begins with.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, TcpListener};

use shunt_tests::address;
use shunt_tests::daemon::until;
use shunt_tests::origin::{Origin, ok};
use shunt_tests::packs;
use shunt_tests::raw::Client;
use shunt_tests::site::{self, Site};

use crate::{between, config, echo, of_member, of_virtual};

/// How a connection ends that may end before the client has begun.
fn refused(site: &Site) -> ErrorKind {
    let ended = Client::try_connect(site.address).and_then(|mut client| client.try_exact(1));
    ended.unwrap_err().kind()
}

#[test]
fn another_member_is_tried_and_without_one_the_client_is_reset() {
    let (away, origin) = (address::free(), echo("hello"));
    let site = between("", "", &[away, origin.address()]);
    for _ in 0..2 {
        assert_eq!(site.client().exact(5), b"hello");
    }
    assert!(of_member(&site, 0, "connects-failed") > 0);
    let site = between("", "", &[away]);
    assert_eq!(refused(&site), ErrorKind::ConnectionReset);
    until("it to be counted", || of_virtual(&site, "errors") == 1);
}

#[test]
fn a_member_that_does_not_answer_in_time_is_passed_over() {
    // A queue that is full takes no SYN.
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&full).listen(0).unwrap();
    let away = full.local_addr().unwrap();
    let _held: Vec<_> = (0..4)
        .map(|_| std::net::TcpStream::connect_timeout(&away, std::time::Duration::from_millis(50)))
        .collect();
    let origin = echo("hello");
    let site = between("timeouts = { connect = \"100ms\" }", "", &[away, origin.address()]);
    for _ in 0..2 {
        assert_eq!(site.client().exact(5), b"hello");
    }
}

#[test]
fn clients_and_members_may_be_of_different_families() {
    // All of IPv6's loopback is one address.
    let port = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let origin = Origin::at((Ipv6Addr::LOCALHOST, port).into(), |call| {
        call.send("six")?;
        call.end()
    });
    let site = between("", "", &[origin.address()]);
    assert_eq!(site.client().exact(3), b"six");
}

#[test]
fn clients_stay_with_their_member() {
    let origins = [echo("a"), echo("b")];
    let members = origins.each_ref().map(Origin::address);
    let site = between("persistence = { source = true }", "", &members);
    let names: Vec<_> = (0..4).map(|_| site.client().exact(1)).collect();
    assert!(names.iter().all(|it| *it == names[0]), "{names:?}");
}

#[test]
fn proxies_in_front_say_who_the_client_is_and_members_are_told() {
    let origin = Origin::start(|call| {
        let line = call.wire().try_until(b"\r\n")?;
        call.mark(String::from_utf8_lossy(&line).trim_end());
        let rest = call.wire().try_rest()?;
        call.mark(String::from_utf8_lossy(&rest));
        call.end()
    });
    let keys = "proxy-protocol = \"127.0.0.0/8\"";
    let site = between(keys, "proxy-protocol = \"v1\"", &[origin.address()]);
    let mut client = site.client();
    client.send("PROXY TCP4 192.0.2.7 198.51.100.1 4000 25\r\nEHLO");
    client.end();
    assert!(client.ended());
    assert_eq!(origin.marks(), ["PROXY TCP4 192.0.2.7 198.51.100.1 4000 25", "EHLO"]);
    let mut client = site.client();
    client.send("EHLO a.example\r\n");
    assert!(client.try_exact(1).is_err());
    assert_eq!(of_virtual(&site, "proxy-headers-refused"), 1);
}

#[test]
fn several_addresses_of_one_virtual() {
    let origin = echo("hello");
    let other = address::free();
    let site = Site::configured(|address| {
        let one = config(address, "", "", &[origin.address()]);
        one.replace(&format!("listen = \"{address}\""), &format!("listen = [\"{address}\", \"{other}\"]"))
    });
    assert_eq!(site.client().exact(5), b"hello");
    assert_eq!(Client::connect(other).exact(5), b"hello");
}

#[test]
fn connections_come_from_the_addresses_of_the_pool() {
    let origin = Origin::start(|call| {
        let from = call.stream().peer_addr()?.ip();
        call.send(ok(&from.to_string()))?;
        call.end()
    });
    // Of these only the two of loopback are this machine's.
    let source = "source = [\"127.0.0.71\", \"192.0.2.71\", \"127.0.0.72\"]";
    let site = between("", source, &[origin.address()]);
    let mut seen: Vec<_> = (0..4).map(|_| site.client().answer().text()).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["127.0.0.71", "127.0.0.72"]);
    site.daemon.wait_log("member-source-failed");

    assert!(site.daemon.status()["pools"][0]["members"][0]["sources-failed"][0].as_u64() > Some(0));

    let http = config(site.address, "", source, &[origin.address()]).replace("\"tcp\"", "\"http\"");
    site.daemon.reload(&http);
    assert!(seen.contains(&site.client().get("/").text()));
    let none = between("", "source = \"192.0.2.71\"", &[origin.address()]);
    assert_eq!(refused(&none), ErrorKind::ConnectionReset);
}

#[test]
fn monitors_probe_from_the_addresses_of_the_pool() {
    let origin = Origin::start(|call| {
        call.mark(call.stream().peer_addr()?.ip().to_string());
        call.end()
    });
    let monitor = "monitor = { tcp = true, interval = \"100ms\" }\nsource = [\"127.0.0.73\", \"127.0.0.74\"]";
    let site = between("", monitor, &[origin.address()]);
    origin.wait_mark("127.0.0.73");
    let own = monitor.replace("tcp = true", "tcp = true, source = \"127.0.0.75\"");
    site.daemon.reload(&config(site.address, "", &own, &[origin.address()]));
    origin.wait_mark("127.0.0.75");
    assert!(!origin.marks().iter().any(|it| it == "127.0.0.74"), "{:?}", origin.marks());
}

#[test]
fn a_rule_may_want_another_member_or_pool() {
    let origins = ["a", "b", "c"].map(echo);
    let [a, b, c] = origins.each_ref().map(Origin::address);
    let between = |settings: &str| {
        let of_rule = format!("slots = {{ other = \"other\" }}\nsettings = {{ {settings} }}");
        let rule = site::rule("selects", &packs::guest("selects"), &of_rule);
        let rest = rule + &site::pool("web", "", &[a, b]) + &site::pool("other", "", &[c]);
        Site::configured(|at| {
            site::config(at, "", &rest).replace("protocol = \"http\"", "protocol = \"tcp\"")
        })
    };
    let site = between(&format!("veto = [\"{a}\"]"));
    for _ in 0..3 {
        assert_eq!(site.client().exact(1), b"b");
    }
    assert!(of_member(&site, 0, "vetoed") > 0);
    let site = between(&format!("elsewhere = [\"{a}\", \"{b}\"]"));
    assert_eq!(site.client().exact(1), b"c");
    let site = between(&format!("veto = [\"{a}\", \"{b}\"]"));
    assert_eq!(refused(&site), ErrorKind::ConnectionReset);
    until("it to be counted", || of_virtual(&site, "errors") == 1);
    let site = between(&format!("broken = \"{a}\""));
    assert_eq!(refused(&site), ErrorKind::ConnectionReset);
}
