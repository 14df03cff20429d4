//! Passive health.

use serde_json::json;
use shunt_tests::daemon::until;
use shunt_tests::origin::Origin;
use shunt_tests::site::{self, Site};

const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 6\r\n\r\nbroken";

fn ejected(site: &Site) -> Vec<bool> {
    let status = site.daemon.status();
    let members = status["pools"][0]["members"].as_array().unwrap();
    members.iter().map(|it| it["ejected"] == json!(true)).collect()
}

#[test]
fn a_member_that_fails_is_out_for_a_while() {
    let (broken, good) = (Origin::answering(BROKEN), Origin::named("good"));
    let keys = "ejection = { failures = 2, time = \"1s\", most-share = 50 }";
    let pool = site::pool("web", keys, &[broken.address(), good.address()]);
    let site = Site::configured(|listen| site::config(listen, "", &pool));
    let mut client = site.client();
    let first: Vec<u16> = (0..4).map(|_| client.get("/").status()).collect();
    assert_eq!(first, [500, 200, 500, 200]);
    assert_eq!(ejected(&site), [true, false]);
    assert!((0..4).all(|_| client.get("/").text() == "good"));
    site.daemon.wait_log("member-ejected");
    until("it is back", || ejected(&site) == [false, false]);
    site.daemon.wait_log("member-back");
    let again: Vec<u16> = (0..2).map(|_| client.get("/").status()).collect();
    assert!(again.contains(&500), "{again:?}");
}

#[test]
fn no_more_than_a_share_is_out() {
    let members = [Origin::answering(BROKEN), Origin::answering(BROKEN)];
    let keys = "ejection = { failures = 1, time = \"1h\", most-time = \"1h\" }";
    let pool = site::pool("web", keys, &members.each_ref().map(Origin::address));
    let site = Site::configured(|listen| site::config(listen, "", &pool));
    let mut client = site.client();
    assert!((0..6).all(|_| client.get("/").status() == 500), "the client gets what a member says");
    assert_eq!(ejected(&site), [true, false]);
}
