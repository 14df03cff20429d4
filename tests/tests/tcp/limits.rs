//! Limits of connections, the queue of a pool, and pools that stand in.

use std::io::ErrorKind;

use serde_json::json;
use shunt_tests::daemon::until;
use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use shunt_tests::site::{self, Site};
use socket2::SockRef;
use std::time::Duration;

use crate::{between, config, echo, of_virtual};

fn disable(site: &Site, pool: &str, origin: &Origin) {
    site.daemon.shunt(&["member", "disable", pool, &origin.address().to_string()]).good();
}

fn waiting(site: &Site, count: u64) {
    until("they wait", || site.daemon.status()["pools"][0]["queue"]["waiting"] == json!(count));
}

/// One connection at once.
fn one_at_once(of_pool: &str, origin: &Origin) -> Site {
    between("", &format!("max-connections = 1\n{of_pool}"), &[origin.address()])
}

#[test]
fn a_full_pool_takes_no_more() {
    let origin = echo("hello");
    let site = one_at_once("", &origin);
    let mut first = site.client();
    assert_eq!(first.exact(5), b"hello");
    let refused = Client::try_connect(site.address).and_then(|mut client| client.try_exact(1));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionReset);
    first.end();
    assert!(first.ended());
    until("it is over", || of_virtual(&site, "open") == 0);
    assert_eq!(site.client().exact(5), b"hello");
}

#[test]
fn connections_wait_in_the_order_of_arrival() {
    let origin = echo("hello");
    let site = one_at_once("on-empty = { queue = 2, timeout = \"60s\" }", &origin);
    let mut first = site.client();
    assert_eq!(first.exact(5), b"hello");
    let mut second = site.client();
    waiting(&site, 1);
    let third = site.client();
    waiting(&site, 2);
    let refused = Client::try_connect(site.address).and_then(|mut client| client.try_exact(1));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionReset, "no more can wait");
    // Who resets its connection waits no more.
    SockRef::from(third.stream()).set_linger(Some(Duration::ZERO)).unwrap();
    drop(third);
    waiting(&site, 1);
    first.end();
    assert!(first.ended());
    assert_eq!(second.exact(5), b"hello");
    let queue = site.daemon.status()["pools"][0]["queue"].clone();
    assert_eq!([&queue["waiting"], &queue["served"], &queue["full"]], [&json!(0), &json!(1), &json!(1)]);
}

#[test]
fn another_pool_stands_in() {
    let (origin, sorry) = (echo("hello"), echo("sorry"));
    let site = Site::configured(|address| {
        let one = config(address, "", "on-empty = { pool = \"sorry\" }", &[origin.address()]);
        one + &site::pool("sorry", "", &[sorry.address()])
    });
    assert_eq!(site.client().exact(5), b"hello");
    disable(&site, "web", &origin);
    assert_eq!(site.client().exact(5), b"sorry");
    disable(&site, "sorry", &sorry);
    let refused = Client::try_connect(site.address).and_then(|mut client| client.try_exact(1));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionReset);
}
