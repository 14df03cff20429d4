//! Passive health: what connections at a member come to.

use serde_json::json;
use shunt_tests::address;
use shunt_tests::daemon::until;
use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use shunt_tests::site::Site;

use crate::{between, echo};

const EJECTS: &str = "ejection = { failures = 2, time = \"1h\", most-time = \"1h\", most-share = 50 }";

fn ejected(site: &Site) -> Vec<bool> {
    let status = site.daemon.status();
    let members = status["pools"][0]["members"].as_array().unwrap();
    members.iter().map(|it| it["ejected"] == json!(true)).collect()
}

/// What comes of a connection that says a word and ends.
fn ask(site: &Site) -> String {
    let Ok(mut client) = Client::try_connect(site.address) else { return String::new() };
    client.send("x");
    client.end();
    client.try_rest().map(|all| String::from_utf8_lossy(&all).into_owned()).unwrap_or_default()
}

#[test]
fn a_member_that_takes_no_connections_is_ejected() {
    let good = echo("good ");
    let site = between("", EJECTS, &[address::free(), good.address()]);
    // Each is tried at the other member as well.
    assert!((0..4).all(|_| ask(&site) == "good x"));
    assert_eq!(ejected(&site), [true, false]);
    site.daemon.wait_log("member-ejected");
}

#[test]
fn a_member_that_resets_before_a_word_is_ejected() {
    let broken = Origin::start(|call| {
        call.wire().try_exact(1)?;
        socket2::SockRef::from(call.stream()).set_linger(Some(std::time::Duration::ZERO))
    });
    let good = echo("good ");
    let site = between("", EJECTS, &[broken.address(), good.address()]);
    let heard: Vec<_> = (0..4).map(|_| ask(&site)).collect();
    assert_eq!(heard, ["", "good x", "", "good x"]);
    until("it is ejected", || ejected(&site) == [true, false]);
    assert!((0..3).all(|_| ask(&site) == "good x"));
}

#[test]
fn what_clients_do_ejects_nobody() {
    let silent = Origin::start(|call| {
        call.until_end();
        Ok(())
    });
    let talks = Origin::start(|call| {
        call.send("a word")?;
        call.wire().try_exact(1)?;
        socket2::SockRef::from(call.stream()).set_linger(Some(std::time::Duration::ZERO))
    });
    let site = between("", EJECTS, &[silent.address(), talks.address()]);
    for _ in 0..8 {
        // The one leaves before the member has said a word, the other is reset behind a word.
        drop(ask(&site));
        let client = site.client();
        socket2::SockRef::from(client.stream()).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
    until("all are over", || site.daemon.status()["virtuals"][0]["open"] == 0);
    assert_eq!(ejected(&site), [false, false]);
}
