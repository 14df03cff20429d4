//! Requests that a member did not serve, and go to another.

use serde_json::json;
use shunt_tests::address;
use shunt_tests::daemon::until;
use shunt_tests::origin::Origin;
use shunt_tests::site::{self, Site};

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

fn between(retry: &str, members: &[&Origin]) -> Site {
    let addresses: Vec<_> = members.iter().map(|it| it.address()).collect();
    let pool = site::pool("web", retry, &addresses);
    Site::configured(|listen| site::config(listen, "", &pool))
}

fn counted(site: &Site, name: &str) -> u64 {
    site.daemon.status()["virtuals"][0][name].as_u64().unwrap()
}

#[test]
fn answers_that_the_pool_names_are_asked_for_again() {
    let (busy, good) = (Origin::answering(BUSY), Origin::named("good"));
    let site = between("retry = { answers = [\"502-504\"] }", &[&busy, &good]);
    let mut client = site.client();
    assert!((0..4).all(|_| client.get("/").text() == "good"));
    assert!(counted(&site, "retries") > 0);
    // What is not idempotent, and whose body is not at hand, is asked for once.
    let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx";
    let mut statuses = [client.ask(post).status(), client.ask(post).status()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
    // Where no other member is left, the client gets the answer.
    site.daemon.shunt(&["member", "disable", "web", &good.address().to_string()]).good();
    assert_eq!(client.get("/").status(), 503);
}

#[test]
fn a_member_without_an_answer_is_passed_over_where_the_pool_says_so() {
    let silent = || Origin::start(|call| call.request().map(drop));
    let (broken, good) = (silent(), Origin::named("good"));
    let site = between("retry = { no-answer = true }", &[&broken, &good]);
    assert!((0..4).all(|_| site.client().get("/").text() == "good"));
    let site = between("", &[&silent()]);
    assert_eq!(site.client().get("/").status(), 502);
}

#[test]
fn what_cannot_be_tried_is_no_retry() {
    let (away, low) = (address::free(), Origin::named("low"));
    let pool = format!(
        "[[pool]]\nname = \"web\"\nmembers = [{{ address = \"{away}\", priority = 2 }}, {{ address = \"{}\" }}]\n",
        low.address()
    );
    let site = Site::configured(|listen| site::config(listen, "", &pool));
    assert_eq!(site.client().get("/").status(), 502, "the group in use has no other member");
    assert_eq!((counted(&site, "retries"), counted(&site, "retries-withheld")), (0, 0));
}

#[test]
fn an_attempt_has_a_time_of_its_own() {
    let (slow, good) = (Origin::start(|call| call.wire().try_rest().map(drop)), Origin::named("good"));
    let site = between("retry = { timeout = \"50ms\" }", &[&slow, &good]);
    assert!((0..4).all(|_| site.client().get("/").text() == "good"));
    assert!(counted(&site, "retries") > 0);
}

#[test]
fn retries_have_a_budget() {
    let busy = [Origin::answering(BUSY), Origin::answering(BUSY)];
    let site = between("retry = { answers = [503], budget = 20 }", &[&busy[0], &busy[1]]);
    let mut client = site.client();
    assert!((0..30).all(|_| client.get("/").status() == 503));
    // Ten are free, and 29 requests behind the first add 20 hundredths of a retry each.
    let (retries, withheld) = (counted(&site, "retries"), counted(&site, "retries-withheld"));
    assert!((10..=16).contains(&retries) && retries + withheld == 30, "{retries} {withheld}");
}

#[test]
fn requests_of_a_virtual_have_a_limit() {
    let origin = Origin::start(|call| {
        loop {
            call.request()?;
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        }
    });
    let pool = site::pool("web", "", &[origin.address()]);
    let site = Site::configured(|listen| site::config(listen, "limits = { requests = 1 }", &pool));
    let mut first = site.client();
    first.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n");
    until("it is at the member", || site.daemon.status()["pools"][0]["members"][0]["active"] == json!(1));
    let refused = site.client().get("/");
    assert_eq!((refused.status(), refused.get("retry-after")), (503, Some("1")));
    assert_eq!(counted(&site, "requests-refused"), 1);
    first.send("x");
    assert_eq!(first.answer().status(), 200);
    // On the same connection, too: its place was given back with the answer.
    assert_eq!((first.get("/").status(), site.client().get("/").status()), (200, 200));
}

#[test]
fn new_work_is_refused_at_the_memory_ceiling() {
    let origin = Origin::named("a");
    let pool = site::pool("web", "", &[origin.address()]);
    let site = Site::configured(|listen| site::config(listen, "", &pool));
    let config = site::config(site.address, "", &pool);
    let mut client = site.client();
    assert_eq!(client.get("/").text(), "a");
    site.daemon.reload(&config.replace("[process]", "[process]\nmax-memory = \"1MiB\""));
    site.daemon.wait_log("overloaded");
    let refused = client.get("/");
    assert_eq!((refused.status(), refused.get("retry-after")), (503, Some("1")));
    assert!(client.ended(), "its connection takes memory, too");
    assert_eq!(counted(&site, "overloaded"), 1);
    site.daemon.reload(&config);
    site.daemon.wait_log("overload-over");
    assert_eq!(site.client().get("/").text(), "a");
}

#[test]
fn connections_that_are_being_made_have_a_limit() {
    // A queue that is full takes no SYN.
    let full = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&full).listen(0).unwrap();
    let away = full.local_addr().unwrap();
    let _held: Vec<_> = (0..4)
        .map(|_| std::net::TcpStream::connect_timeout(&away, std::time::Duration::from_millis(50)))
        .collect();
    let pool = site::pool("web", "max-connections = 9\nmax-connecting = 1", &[away, address::free()]);
    let site = Site::configured(|listen| site::config(listen, "timeouts = { connect = \"60s\" }", &pool));
    let mut first = site.client();
    first.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    until("it connects", || site.daemon.status()["pools"][0]["active"] == json!(1));
    let refused = site.client().get("/");
    assert_eq!((refused.status(), refused.text().as_str()), (503, "all members of pool web are busy\n"));
}
