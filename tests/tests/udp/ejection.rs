//! Passive health: what sessions at a member come to.

use serde_json::json;
use shunt_tests::address;
use shunt_tests::daemon::until;
use shunt_tests::site::{self, Site};

use crate::{Echo, ask, client, config_of, of_virtual};

fn site(keys: &str, members: &[std::net::SocketAddr]) -> Site {
    let of_pool = "ejection = { failures = 2, time = \"1h\", most-time = \"1h\", most-share = 50 }";
    Site::configured(|address| config_of(address, keys, &site::pool("web", of_pool, members)))
}

fn ejected(site: &Site) -> Vec<bool> {
    let status = site.daemon.status();
    let members = status["pools"][0]["members"].as_array().unwrap();
    members.iter().map(|it| it["ejected"] == json!(true)).collect()
}

#[test]
fn a_member_that_is_not_there_is_ejected() {
    let good = Echo::start("good ");
    let site = site("", &[address::free(), good.address]);
    until("it is ejected", || {
        client(&site).send(b"x").unwrap();
        ejected(&site) == [true, false]
    });
    site.daemon.wait_log("member-ejected");
    assert!((0..4).all(|_| ask(&client(&site), "x") == "good x"));
}

#[test]
fn silence_counts_where_there_is_an_answer_to_each() {
    let (one, other) = (Echo::start("one "), Echo::start("other "));
    let site =
        site("udp = { one-shot = true }\ntimeouts = { idle = \"100ms\" }", &[one.address, other.address]);
    let client = client(&site);
    until("one is ejected", || {
        client.send(b"silence").unwrap();
        ejected(&site).contains(&true)
    });
    assert_eq!(ejected(&site).iter().filter(|it| **it).count(), 1, "no more than half of them");
}

#[test]
fn silence_is_nothing_where_answers_may_be_none() {
    let (one, other) = (Echo::start("one "), Echo::start("other "));
    let site = site("timeouts = { idle = \"50ms\" }", &[one.address, other.address]);
    for _ in 0..8 {
        client(&site).send(b"silence").unwrap();
    }
    until("all are over", || one.sessions() + other.sessions() == 8 && of_virtual(&site, "open") == 0);
    assert_eq!(ejected(&site), [false, false]);
}
