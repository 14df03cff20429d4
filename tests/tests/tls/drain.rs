//! Listeners that close under load, by a reload and by the end of the daemon: whoever could connect is answered.

use std::net::{SocketAddr, TcpStream};

use shunt_tests::address;
use shunt_tests::daemon::{Daemon, Folder, Signal, until};
use shunt_tests::origin::Origin;
use shunt_tests::site;

use crate::load::{Load, Talk, trusting};
use crate::pki::Ca;

struct Place {
    daemon: Daemon,
    clear: SocketAddr,
    tls: SocketAddr,
    /// Without the two virtuals.
    without: String,
    _origin: Origin,
}

fn place() -> Place {
    let (folder, origin) = (Folder::new(), Origin::named("a"));
    Ca::new(&folder).sign(&folder, "one", &["a.example"], 1);
    let (clear, tls, other) = (address::free(), address::free(), address::free());
    let pool = site::pool("web", "", &[origin.address()]);
    let without = site::config(other, "", &pool).replace("workers = 1", "workers = 2");
    let more = site::virtual_("clear", clear, "web", "http2 = { start = \"prior-knowledge\" }")
        + &site::virtual_("tls", tls, "web", "tls = { certificate = \"one.pem\", key = \"one.key\" }");
    folder.configure(&format!("{without}{more}"));
    Place { daemon: Daemon::start_in(folder), clear, tls, without, _origin: origin }
}

#[test]
fn a_daemon_that_ends_under_load_fails_no_request() {
    for _ in 0..3 {
        let mut place = place();
        let load = Load::start(place.daemon.folder(), Some(place.clear), Some(place.tls));
        load.go_on(100);
        load.may_be_refused();
        place.daemon.signal(Signal::SIGTERM);
        load.end();
        assert_eq!(place.daemon.wait().code(), Some(0));
    }
}

#[test]
fn a_reload_that_takes_listeners_out_under_load_fails_no_request() {
    let place = place();
    let with = std::fs::read_to_string(place.daemon.folder().config()).unwrap();
    for _ in 0..3 {
        let load = Load::start(place.daemon.folder(), Some(place.clear), Some(place.tls));
        load.go_on(100);
        load.may_be_refused();
        place.daemon.reload(&place.without);
        load.end();
        place.daemon.reload(&with);
    }
}

#[test]
fn a_listener_that_is_closing_may_be_opened_again() {
    let place = place();
    let with = std::fs::read_to_string(place.daemon.folder().config()).unwrap();
    for _ in 0..3 {
        place.daemon.reload(&place.without);
        place.daemon.reload(&with);
        assert!(Talk::begin(place.clear, None, false).unwrap().ask().unwrap());
    }
}

/// Every kind of connection: TLS or not, HTTP/2 or not.
const KINDS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

/// A client may have connected, shaken hands, or been answered just before.
#[test]
fn a_connection_from_before_a_drain_has_one_more_request() {
    let mut place = place();
    let config = trusting(place.daemon.folder());
    let begin = |(tls, http2)| {
        let address = if tls { place.tls } else { place.clear };
        Talk::begin(address, tls.then_some(&config), http2).unwrap()
    };
    let fresh = KINDS.map(begin);
    let answered = KINDS.map(|kind| {
        let mut talk = begin(kind);
        assert!(talk.ask().unwrap());
        talk
    });
    place.daemon.signal(Signal::SIGTERM);
    place.daemon.wait_log("draining");
    for mut talk in fresh.into_iter().chain(answered) {
        // The first may come to the worker before the drain does.
        while talk.ask().unwrap() {}
        talk.end();
    }
    assert_eq!(place.daemon.wait().code(), Some(0));
}

#[test]
fn a_connection_that_says_nothing_does_not_hold_up_a_drain() {
    let mut place = place();
    let config = trusting(place.daemon.folder());
    let silent = KINDS.map(|(tls, http2)| {
        let address = if tls { place.tls } else { place.clear };
        Talk::begin(address, tls.then_some(&config), http2).unwrap()
    });
    until("all are accepted", || {
        let status = place.daemon.status();
        let open = |index: usize| status["virtuals"][index]["open"].as_u64().unwrap();
        open(1) + open(2) == 4
    });
    place.daemon.signal(Signal::SIGTERM);
    for mut talk in silent {
        talk.end();
    }
    assert_eq!(place.daemon.wait().code(), Some(0), "before `process.drain` is over");
    assert!(TcpStream::connect(place.clear).is_err());
}
