//! Members and clients that send too much.

use std::net::UdpSocket;

use shunt_tests::daemon::{Daemon, until};
use shunt_tests::site::Site;

use crate::{Echo, FLOOD, ask, between, client, client_of, config, of_member, of_virtual};

#[test]
fn the_longest_datagrams_come_over_whole() {
    let echo = Echo::start("");
    let site = between("", &[echo.address]);
    // 65,535 bytes less the headers of IPv4 and UDP.
    let longest = "x".repeat(65_507);
    let client = client(&site);
    for _ in 0..3 {
        assert_eq!(ask(&client, &longest), longest);
    }
    assert_eq!(of_virtual(&site, "datagrams-lost"), 0);
}

#[test]
fn what_is_too_long_for_the_members_family_is_lost_and_counted() {
    let Ok(socket) = UdpSocket::bind("[::1]:0") else {
        println!("skipped: this system has no IPv6");
        return;
    };
    let address = socket.local_addr().unwrap();
    drop(socket);
    let echo = Echo::start("");
    let site = Site { daemon: Daemon::start(&config(address, "", &[echo.address])), address };
    let client = client_of(address);
    client.send(&[b'x'; 65_527]).unwrap();
    until("it to be lost", || of_virtual(&site, "datagrams-lost") == 1);
    assert_eq!(ask(&client, "shorter"), "shorter");
}

#[test]
fn a_member_that_floods_takes_nothing_from_others() {
    let (bad, good) = (Echo::start("bad"), Echo::start("good"));
    let site = between("persistence = { source = true }", &[bad.address, good.address]);
    let victim = client_of(site.address);
    let before = site.resident();
    // The one that it is bound to.
    let flooded = match ask(&victim, "") == "bad" {
        true => 0,
        false => 1,
    };
    let other = (2..50u8)
        .map(|number| crate::client_from(&format!("127.0.3.{number}:0"), site.address))
        .find(|it| (ask(it, "") == "bad") != (flooded == 0))
        .unwrap();
    victim.send(b"flood").unwrap();
    let least = (FLOOD / 10 * 1_000) as u64;
    let comes = || of_member(&site, flooded, "bytes-to-client") > least;
    until("the flood", comes);
    for number in 0..200 {
        let question = number.to_string();
        assert!(ask(&other, &question).ends_with(&question));
    }
    assert!(site.resident() < before + (64 << 20), "what waits to be sent has a bound");
}

#[test]
fn a_burst_of_one_client_keeps_its_order() {
    let echo = Echo::start("");
    let site = between("", &[echo.address]);
    let client = client(&site);
    // Of one length and then shorter and longer, so that trains begin and end.
    let length = |number: usize| if number % 7 == 6 { 25 } else { 20 };
    let burst: Vec<String> = (0..60).map(|it| format!("{it:0>width$}", width = length(it))).collect();
    for _ in 0..20 {
        burst.iter().for_each(|it| assert_eq!(client.send(it.as_bytes()).unwrap(), it.len()));
        for expected in &burst {
            assert_eq!(crate::received(&client), *expected);
        }
    }
    assert_eq!(of_virtual(&site, "datagrams-to-client"), 20 * 60);
}
