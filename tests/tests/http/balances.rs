//! Balances that go by what a request says or by how it went, weights of 0, and members that start slowly.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shunt_tests::origin::{Origin, ok};
use shunt_tests::site::{self, Site};

fn member(origin: &Origin, keys: &str) -> String {
    format!("{{ address = \"{}\"{keys} }}, ", origin.address())
}

fn pool(keys: &str, members: &str) -> String {
    format!("[[pool]]\nname = \"web\"\n{keys}\nmembers = [{members}]\n")
}

/// By member, how many of so many requests it answered.
fn shares(site: &Site, count: usize) -> BTreeMap<String, usize> {
    let mut client = site.client();
    let mut shares = BTreeMap::new();
    for _ in 0..count {
        *shares.entry(client.get("/").text()).or_insert(0) += 1;
    }
    shares
}

#[test]
fn a_member_of_weight_0_keeps_its_clients() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let keys = "persistence = { cookie = \"SHUNT\" }";
    let of = |weight: &str| pool("", &format!("{}{}", member(&a, weight), member(&b, "")));
    let site = Site::configured(|at| site::config(at, keys, &of("")));
    let first = site.client().get("/");
    assert_eq!(first.text(), "a");
    let set = first.get("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    site.daemon.reload(&site::config(site.address, keys, &of(", weight = 0")));
    assert_eq!(shares(&site, 6), [("b".to_owned(), 6)].into());
    let bound = site.client().ask(format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: {set}\r\n\r\n"));
    assert_eq!(bound.text(), "a");
}

#[test]
fn equal_values_go_to_equal_members() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    for (balance, field) in [
        ("{ header-hash = \"X-User\" }", "x-user: "),
        ("{ cookie-hash = \"SESSION\" }", "Cookie: other=1; SESSION="),
    ] {
        let keys = format!("balance = {balance}");
        let site = Site::configured(|at| {
            site::config(at, "", &site::pool("web", &keys, &[a.address(), b.address()]))
        });
        let mut used = BTreeSet::new();
        for user in 0..20 {
            let ask =
                || site.client().ask(format!("GET / HTTP/1.1\r\nHost: h\r\n{field}{user}\r\n\r\n")).text();
            let member = ask();
            assert_eq!(ask(), member, "{balance} {user}");
            used.insert(member);
        }
        assert_eq!(used.len(), 2, "{balance}");
        // Without the field, in turns.
        assert_eq!(shares(&site, 10), [("a".to_owned(), 5), ("b".to_owned(), 5)].into(), "{balance}");
    }
}

#[test]
fn the_member_that_answers_sooner_gets_more() {
    let quick = Origin::named("quick");
    let slow = Origin::start(|call| {
        while call.request().is_ok() {
            std::thread::sleep(Duration::from_millis(100));
            call.send(ok("slow"))?;
        }
        Ok(())
    });
    let keys = "balance = \"least-response-time\"";
    let site = Site::configured(|at| {
        site::config(at, "", &site::pool("web", keys, &[quick.address(), slow.address()]))
    });
    let shares = shares(&site, 40);
    assert!(shares["quick"] >= 35 && shares["slow"] >= 1, "{shares:?}");
}

#[test]
fn a_member_of_a_reload_starts_slowly() {
    let origins = ["a", "b", "c"].map(Origin::named);
    let of = |count: usize| {
        let addresses: Vec<_> = origins[..count].iter().map(|it| it.address()).collect();
        site::pool("web", "slow-start = 1000", &addresses)
    };
    let site = Site::configured(|at| site::config(at, "", &of(2)));
    assert_eq!(shares(&site, 10), [("a".to_owned(), 5), ("b".to_owned(), 5)].into());
    site.daemon.reload(&site::config(site.address, "", &of(3)));
    let shares = shares(&site, 120);
    assert!((1..=4).contains(&shares["c"]), "a sixteenth of its share: {shares:?}");
}
