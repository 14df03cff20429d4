//! What happens to traffic when the daemon changes or ends.

use std::io::ErrorKind;
use std::net::SocketAddr;

use serde_json::Value;
use shunt_tests::address;
use shunt_tests::daemon::{Signal, until};
use shunt_tests::load::Load;
use shunt_tests::origin::{Origin, ok};
use shunt_tests::raw::Client;
use shunt_tests::site::{self, Site};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn is_refused(address: SocketAddr) -> bool {
    Client::try_connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Answers half, and the rest when it is told to.
fn halting() -> Origin {
    Origin::start(|call| {
        loop {
            if call.request()?.head.line.contains("/late") {
                call.await_mark("late")?;
                call.send(ok("late"))?;
                continue;
            }
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")?;
            call.await_mark("go on")?;
            call.send("half")?;
        }
    })
}

#[test]
fn what_is_under_way_ends_before_the_daemon() {
    let origin = halting();
    let mut site = Site::of(&[&origin]);
    let mut streaming = site.client();
    streaming.send(GET);
    assert_eq!(streaming.answer_head().status(), 200);
    assert_eq!(streaming.exact(4), b"half");
    let mut waiting = site.client();
    waiting.send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
    origin.wait_requests(2);
    let mut idle = site.client();
    let mut fresh = site.client();
    origin.tell("late");
    assert_eq!(idle.get("/late").text(), "late");
    assert_eq!(waiting.answer().text(), "late");
    waiting.send(GET);
    origin.wait_requests(4);

    site.daemon.signal(Signal::SIGTERM);
    assert!(idle.ended() && fresh.ended(), "a connection with nothing in flight is closed");
    until("no one else is let in", || is_refused(site.address));
    assert!(site.daemon.runs());
    origin.tell("go on");
    assert_eq!(streaming.exact(4), b"half");
    assert!(streaming.ended());
    let answer = waiting.answer();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "halfhalf"));
    assert!(waiting.ended());
    assert_eq!(site.daemon.wait().code(), Some(0));
}

#[test]
fn an_answer_that_begins_while_the_daemon_ends_says_so() {
    let origin = halting();
    let mut site = Site::of(&[&origin]);
    let mut client = site.client();
    client.send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
    origin.wait_requests(1);
    site.daemon.signal(Signal::SIGTERM);
    until("it drains", || is_refused(site.address));
    origin.tell("late");
    let answer = client.answer();
    assert_eq!((answer.text().as_str(), answer.get("connection")), ("late", Some("close")));
    assert!(client.ended());
    assert_eq!(site.daemon.wait().code(), Some(0));
}

#[test]
fn who_does_not_end_is_cut_in_the_end() {
    let origin = halting();
    let pool = site::pool("web", "", &[origin.address()]);
    let config = |address| site::config(address, "", &pool).replace("drain = \"20s\"", "drain = \"500ms\"");
    let mut site = Site::configured(config);
    let mut client = site.client();
    client.send(GET);
    assert_eq!(client.answer_head().status(), 200);
    site.daemon.signal(Signal::SIGTERM);
    assert_eq!(site.daemon.wait().code(), Some(0));
    assert_eq!(client.try_rest().unwrap_or_default(), b"half");
    site.daemon.wait_log("still open after `process.drain`");
}

fn epoch(site: &Site) -> u64 {
    site.daemon.status()["epoch"].as_u64().expect("an epoch")
}

#[test]
fn a_reload_under_load_fails_no_request_and_closes_no_connection() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let both = site::pool("web", "", &[a.address(), b.address()]);
    let one = site::pool("web", "balance = \"least-connections\"", &[b.address()]);
    let mut site = Site::with("", &[&a, &b]);
    let address = site.address;
    let other = address::free();
    let more = |pool: &str| {
        let second = site::virtual_("more", other, "web", "") + pool;
        site::config(address, "timeouts = { idle = \"50s\" }", &second)
    };
    let configs = [
        site::config(address, "", &one),
        site::config(address, "limits = { body = \"1KiB\" }", &both),
        more(&one),
        more(&both),
        site::config(address, "persistence = { source = true }", &both),
        site::config(address, "", &both),
    ];
    let load = Load::start(address, 6);
    for config in configs.iter().cycle().take(30) {
        site.daemon.reload(config);
        load.go_on(10);
    }
    let done = load.end();
    let status = site.daemon.status();
    let web = &status["virtuals"][0];
    assert_eq!((&web["connections"], &web["refused"], &web["errors"]), (&6.into(), &0.into(), &0.into()));
    assert_eq!(web["requests"].as_u64(), Some(done as u64), "counters go on over reloads");
    assert_eq!(epoch(&site), 31);
    site.daemon.signal(Signal::SIGTERM);
    assert_eq!(site.daemon.wait().code(), Some(0));
}

#[test]
fn a_reload_that_fails_changes_nothing() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    let good = std::fs::read_to_string(site.daemon.folder().config()).unwrap();
    let taken = Origin::named("taken");
    let mut client = site.client();
    assert_eq!(client.get("/").text(), "a");
    let (before, bound) = (epoch(&site), address::free());
    for (what, config) in [
        ("no TOML", "[[virtual".to_owned()),
        ("an unknown key", good.replace("protocol =", "protocoll =")),
        ("an unknown pool", good.replace("pool = \"web\"", "pool = \"wbe\"")),
        (
            "a file that is not there",
            good.replace("pool = \"web\"", "pool = \"web\"\ntls = { certificate = \"no\", key = \"no\" }"),
        ),
        // What could be opened before is let go of again.
        ("an address that is taken", {
            let more = site::virtual_("free", bound, "web", "")
                + &site::virtual_("taken", taken.address(), "web", "");
            good.replace("[[pool]]", &format!("{more}[[pool]]"))
        }),
    ] {
        site.daemon.folder().configure(&config);
        let refused = site.daemon.shunt(&["reload"]);
        assert_ne!(refused.code, Some(0), "{what}");
        assert!(!refused.stderr.is_empty(), "{what}");
        assert_eq!(epoch(&site), before, "{what}");
        assert_eq!(client.get("/").text(), "a", "{what}");
        assert_eq!(site.client().get("/").text(), "a", "{what}");
    }
    assert!(is_refused(bound));
    site.daemon.reload(&good);
    assert_eq!(client.get("/").text(), "a");
}

#[test]
fn a_virtual_that_is_taken_out_finishes_what_it_began() {
    let (origin, other) = (halting(), Origin::named("other"));
    let site = Site::of(&[&origin]);
    let mut streaming = site.client();
    streaming.send(GET);
    assert_eq!(streaming.answer_head().status(), 200);
    let mut idle = site.client();

    let moved = address::free();
    site.daemon.reload(&site::config(moved, "", &site::pool("web", "", &[other.address()])));
    assert!(idle.ended());
    until("nobody listens there any more", || is_refused(site.address));
    assert_eq!(Client::connect(moved).get("/").text(), "other");
    origin.tell("go on");
    assert_eq!(streaming.exact(8), b"halfhalf");
    assert!(streaming.ended());
}

#[test]
fn what_the_operator_set_outlives_a_reload() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let site = Site::of(&[&a, &b]);
    site.daemon.shunt(&["member", "disable", "web", &a.address().to_string()]).good();
    let mut client = site.client();
    assert_eq!((client.get("/").text(), client.get("/").text()), ("b".to_owned(), "b".to_owned()));
    let requests = |status: &Value| status["pools"][0]["members"][1]["requests"].clone();
    let before = requests(&site.daemon.status());
    let pool = site::pool("web", "balance = \"least-connections\"", &[a.address(), b.address()]);
    site.daemon.reload(&site::config(site.address, "", &pool));
    let status = site.daemon.status();
    assert_eq!(
        (&status["pools"][0]["members"][0]["admin"], &requests(&status)),
        (&"disabled".into(), &before)
    );
    assert_eq!(client.get("/").text(), "b");
    assert_eq!(b.accepts(), 1, "kept connections outlive it, too");
}

/// A connection gives its buffers back after some seconds of silence. Another one, that is closed for
/// its silence after as long, tells the time.
#[test]
fn a_connection_that_rested_goes_on() {
    let (origin, brief) = (Origin::named("a"), address::free());
    let pool = site::pool("web", "", &[origin.address()]);
    let rest = pool + &site::virtual_("brief", brief, "web", "timeouts = { idle = \"5s\" }");
    let mut site = Site::configured(|at| site::config(at, "", &rest));
    let (mut resting, mut fresh, mut leaving) = (site.client(), site.client(), site.client());
    assert_eq!(resting.get("/").text(), "a");
    assert_eq!(leaving.get("/").text(), "a");
    let mut clock = Client::connect(brief);
    assert_eq!(clock.get("/").text(), "a");
    assert!(clock.ended(), "also a connection at rest is closed when its time is up");
    assert_eq!(fresh.get("/").text(), "a", "one that never said anything");
    for _ in 0..2 {
        assert_eq!(resting.get("/").text(), "a");
    }
    resting.send("GET / HTTP/1.1\r\nHost: h\nX: 1\r\n\r\n");
    assert_eq!(resting.answer().status(), 400, "it is read as strictly as before");
    site.daemon.signal(Signal::SIGTERM);
    assert!(leaving.ended(), "a connection at rest does not hold up the end");
    assert_eq!(site.daemon.wait().code(), Some(0));
}
