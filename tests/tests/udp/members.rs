//! Which member gets a session.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use shunt_tests::daemon::until;
use shunt_tests::packs;
use shunt_tests::site::{self, Site};

use crate::{Echo, ask, client, client_from, config_of, of_member, of_virtual, received};

fn with(keys: &str, of_pool: &str, members: &[SocketAddr]) -> Site {
    Site::configured(|address| config_of(address, keys, &site::pool("web", of_pool, members)))
}

/// How many of so many clients, each from an address of its own, went to which member; all of them asked at once.
fn shares(site: &Site, clients: u8) -> BTreeMap<String, usize> {
    let from = |number| client_from(&format!("127.0.1.{}:0", number + 1), site.address);
    let clients: Vec<_> = (0..clients).map(from).collect();
    clients.iter().for_each(|client| assert_eq!(client.send(b"").unwrap(), 0));
    let mut shares = BTreeMap::new();
    for client in &clients {
        let name = received(client);
        assert_eq!(ask(client, ""), name, "a session stays with its member");
        *shares.entry(name).or_default() += 1;
    }
    shares
}

#[test]
fn every_balance_has_its_sessions() {
    let echoes = ["a", "b", "c"].map(Echo::start);
    let members = echoes.each_ref().map(|it| it.address);
    let even = BTreeMap::from(["a", "b", "c"].map(|name| (name.to_owned(), 10)));
    // `true`: by turn, or by what is open, so that the shares are even.
    for (balance, is_even) in [
        ("round-robin", true),
        ("weighted-round-robin", true),
        ("least-connections", true),
        ("fastest", false),
        ("two-random-choices", false),
        ("source-hash", false),
        ("maglev", false),
    ] {
        let monitor = if balance == "fastest" { "monitor = { udp = { send = \"probe\" } }" } else { "" };
        let site = with("", &format!("balance = \"{balance}\"\n{monitor}"), &members);
        let shares = shares(&site, 30);
        assert_eq!(shares.values().sum::<usize>(), 30, "{balance}");
        assert!(!is_even || shares == even, "{balance}: {shares:?}");
        assert!(balance == "fastest" || shares.len() == 3, "{balance}: {shares:?}");
    }
}

#[test]
fn weights_are_kept() {
    let echoes = ["a", "b"].map(Echo::start);
    let [a, b] = echoes.each_ref().map(|it| it.address);
    let pool = format!(
        "[[pool]]\nname = \"web\"\nbalance = \"weighted-round-robin\"\n\
         members = [{{ address = \"{a}\", weight = 3 }}, {{ address = \"{b}\" }}]\n"
    );
    let site = Site::configured(|address| config_of(address, "", &pool));
    assert_eq!(shares(&site, 20), BTreeMap::from([("a".to_owned(), 15), ("b".to_owned(), 5)]));
}

#[test]
fn clients_stay_with_their_member_over_sessions() {
    let echoes = ["a", "b"].map(Echo::start);
    let members = echoes.each_ref().map(|it| it.address);
    let site = with("persistence = { source = true }\nudp = { one-shot = true }", "", &members);
    let first = ask(&client(&site), "");
    for _ in 0..5 {
        assert_eq!(ask(&client(&site), ""), first, "whatever its port");
    }
    let others = (2..30).map(|number| ask(&client_from(&format!("127.0.2.{number}:0"), site.address), ""));
    assert!(others.collect::<Vec<_>>().iter().any(|it| *it != first), "others have others");
}

#[test]
fn a_client_that_may_have_no_other_member_waits_itself() {
    let echoes = ["a", "b"].map(Echo::start);
    let members = echoes.each_ref().map(|it| it.address);
    let site = with("persistence = { source = true, when-down = \"refuse\" }", "", &members);
    let client = client(&site);
    let first = ask(&client, "");
    let member = if first == "a" { members[0] } else { members[1] }.to_string();
    site.daemon.shunt(&["member", "disable", "web", &member]).good();
    client.send(b"lost").unwrap();
    until("it to be lost", || of_virtual(&site, "datagrams-lost") == 1);
    let status = site.daemon.status();
    assert_eq!(status["virtuals"][0]["persistence-down"][1], 1, "{status}");
    site.daemon.shunt(&["member", "enable", "web", &member]).good();
    assert_eq!(ask(&client, ""), first);
}

#[test]
fn without_members_datagrams_are_lost_and_counted() {
    let echo = Echo::start("a");
    let site = with("", "", &[echo.address]);
    let client = client(&site);
    site.daemon.shunt(&["member", "disable", "web", &echo.address.to_string()]).good();
    client.send(b"one").unwrap();
    client.send(b"two").unwrap();
    until("them to be lost", || of_virtual(&site, "datagrams-lost") == 2);
    assert_eq!((of_virtual(&site, "open"), of_member(&site, 0, "connects")), (0, 0));
    assert!(of_virtual(&site, "errors") > 0);
    site.daemon.shunt(&["member", "enable", "web", &echo.address.to_string()]).good();
    assert_eq!(ask(&client, "three"), "athree");
}

#[test]
fn sessions_come_from_the_addresses_of_the_pool() {
    let echo = Echo::start("");
    // Of these only the two of loopback are this machine's.
    let site = with("", "source = [\"127.0.0.71\", \"192.0.2.71\", \"127.0.0.72\"]", &[echo.address]);
    for _ in 0..6 {
        assert_eq!(ask(&client(&site), "x"), "x");
    }
    let senders = echo.senders.lock().unwrap();
    let addresses: std::collections::BTreeSet<_> = senders.iter().map(|it| it.ip().to_string()).collect();
    assert_eq!(addresses.into_iter().collect::<Vec<_>>(), ["127.0.0.71", "127.0.0.72"]);
    site.daemon.wait_log("member-source-failed");
}

#[test]
fn rules_are_told_of_a_session_and_of_its_end() {
    let echo = Echo::start("said ");
    let site = Site::configured(|address| {
        let rule = site::rule("ends", &packs::guest("ends"), "");
        config_of(address, "udp = { answers = 1 }", &(rule + &site::pool("web", "", &[echo.address])))
    });
    assert_eq!(ask(&client(&site), "this"), "said this");
    site.daemon.wait_log(&format!("127.0.0.1: Outcome::Complete None [{}] 4 9", echo.address));
}
