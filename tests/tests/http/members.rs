//! Which member gets a request, and what happens when it does not take it.

mod ejection;
mod groups;
mod grpc;
mod limits;
mod names;
mod real;
mod retries;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};

use shunt_tests::address;
use shunt_tests::daemon::until;
use shunt_tests::origin::{Origin, ok};
use shunt_tests::raw::Client;
use shunt_tests::site::{self, Site};
use socket2::{Domain, Socket, Type};

const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";

/// Answers once on each connection, and ends it when the next request is there.
fn forgetful(good_from: usize) -> Origin {
    Origin::start(move |call| {
        call.request()?;
        call.send(ok("a"))?;
        call.request()?;
        while call.number() >= good_from {
            call.send(ok("a"))?;
            call.request()?;
        }
        Ok(())
    })
}

#[test]
fn a_kept_connection_that_dies_is_replaced_once() {
    let put = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    for (what, request, status, requests) in [
        ("GET", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200, 3),
        ("PUT without a body", put, 200, 3),
        ("PUT", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 200, 3),
        ("DELETE", "DELETE / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 200, 3),
        // It may have been acted on.
        ("POST", POST, 502, 2),
        ("POST without a body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 502, 2),
        ("PATCH", "PATCH / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 502, 2),
    ] {
        let origin = forgetful(2);
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        assert_eq!(client.get("/").text(), "a");
        assert_eq!(client.ask(request).status(), status, "{what}");
        assert_eq!(origin.count(), requests, "{what}");
        assert_eq!(client.get("/").text(), "a", "{what}: the client goes on");
    }
}

#[test]
fn a_new_connection_that_dies_is_not_replaced() {
    let origin = Origin::start(|call| call.request().map(drop));
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    for count in 1..3 {
        let answer = client.get("/");
        assert_eq!((answer.status(), origin.count(), origin.accepts()), (502, count, count));
    }
}

/// The member closed it while it was idle, and nothing of the request was written: any method goes through.
#[test]
fn a_connection_that_was_closed_while_idle_is_not_used() {
    for ending in ["", "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"] {
        let origin = Origin::start(move |call| {
            call.request()?;
            call.send(ok("a"))?;
            call.await_mark("close")?;
            call.send(ending)
        });
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        assert_eq!(client.ask(POST).text(), "a");
        origin.tell("close");
        origin.wait_ends_arrived(1);
        for number in 2..5 {
            assert_eq!(client.ask(POST).text(), "a");
            origin.wait_ends_arrived(number);
        }
        assert_eq!((origin.accepts(), origin.count()), (4, 4));
    }
}

/// The member sees the whole request twice.
#[test]
fn a_request_that_is_sent_again_is_whole() {
    let origin = forgetful(2);
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    assert_eq!(client.get("/").text(), "a");
    client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello");
    client.send("again");
    assert_eq!(client.answer().status(), 200);
    let bodies: Vec<_> = origin.requests().iter().map(|it| it.text()).collect();
    assert_eq!(bodies, ["", "helloagain", "helloagain"]);
    let member = &site.daemon.status()["pools"][0]["members"][0];
    assert_eq!(member["bytes-to-server"], 10, "of the exchange that there was");
}

/// What must not be sent twice goes only where the member has hardly had the time to close: another connection, that is
/// closed for its silence, tells the time.
#[test]
fn a_post_does_not_go_on_an_old_connection() {
    let (origin, brief) = (Origin::named("a"), address::free());
    let another = site::virtual_("brief", brief, "web", "timeouts = { idle = \"2s\" }");
    let rest = site::pool("web", "", &[origin.address()]) + &another;
    let site = Site::configured(|at| site::config(at, "", &rest));
    let mut client = site.client();
    for _ in 0..3 {
        assert_eq!(client.ask(POST).text(), "a");
    }
    assert_eq!(origin.accepts(), 1, "one after the other they share a connection");
    let mut clock = Client::connect(brief);
    assert!(clock.ended());
    assert_eq!(client.get("/").text(), "a");
    assert_eq!(origin.accepts(), 1, "what may be sent twice goes on the old one");
    let mut clock = Client::connect(brief);
    assert!(clock.ended());
    assert_eq!(client.ask(POST).text(), "a");
    assert_eq!(origin.accepts(), 2);
}

/// A connection is idle from the end of its last answer on, however long that took. Another connection, that is closed for
/// its silence, tells the time.
#[test]
fn a_post_goes_on_behind_an_answer_that_took_long() {
    let origin = Origin::start(|call| {
        loop {
            if call.request()?.head.line.contains("/late") {
                call.await_mark("go on")?;
            }
            call.send(ok("a"))?;
        }
    });
    let brief = address::free();
    let pool = site::pool("web", "", &[origin.address()]);
    let rest = pool + &site::virtual_("brief", brief, "web", "timeouts = { idle = \"1500ms\" }");
    let site = Site::configured(|at| site::config(at, "", &rest));
    let mut client = site.client();
    client.send("POST /late HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
    origin.wait_requests(1);
    assert!(Client::connect(brief).ended());
    origin.tell("go on");
    assert_eq!(client.answer().text(), "a");
    let answer = client.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(answer.text(), "a");
    assert_eq!(origin.accepts(), 1);
}

/// As Node does, which says 5 and closes after 6 seconds; and where nothing is said, the pool says it. Another connection,
/// that is closed for its silence, tells the time.
#[test]
fn an_idle_connection_is_closed_before_the_member_would() {
    for (said, keys) in [("Keep-Alive: timeout=1, max=100\r\n", ""), ("", "keep-alive = \"500ms\"")] {
        let answer = format!("HTTP/1.1 200 OK\r\n{said}Content-Length: 1\r\n\r\na");
        let (origin, brief) = (Origin::answering(answer), address::free());
        let another = site::virtual_("brief", brief, "web", "timeouts = { idle = \"1s\" }");
        let rest = site::pool("web", keys, &[origin.address()]) + &another;
        let site = Site::configured(|at| site::config(at, "", &rest));
        let mut client = site.client();
        assert_eq!(client.get("/").text(), "a");
        assert_eq!(client.get("/").text(), "a");
        assert_eq!(origin.accepts(), 1, "{said}{keys}");
        assert!(Client::connect(brief).ended());
        assert_eq!(client.get("/").text(), "a");
        assert_eq!(origin.accepts(), 2, "{said}{keys}");
        origin.wait_ended(1);
    }
}

/// As waitress and daphne do: the content that a GET would get comes behind the answer to HEAD, and is no answer to the
/// next request.
#[test]
fn content_behind_the_answer_to_head_harms_no_other_request() {
    let origin = Origin::start(|call| {
        loop {
            if call.request()?.head.line.starts_with("HEAD") {
                call.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")?;
                call.request()?;
                return call.send("hello");
            }
            call.send(ok("a"))?;
        }
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    let mut head = || {
        client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.answer_head().status(), 200);
        assert_eq!(client.get("/").text(), "a");
    };
    head();
    assert_eq!((origin.count(), origin.accepts()), (3, 2), "the GET was sent again");
    for _ in 0..3 {
        head();
    }
    assert_eq!(origin.count(), 9, "and from then on no connection is used behind a HEAD");
}

/// As uWSGI does: it closes behind each answer without a word. That is found out once.
#[test]
fn a_member_that_never_keeps_a_connection_is_remembered() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.send(ok("a"))
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    let failed = (0..100).filter(|_| client.ask(POST).status() != 200).count();
    // Without that a third of them or more.
    assert!(failed <= 10, "{failed} of 100");
    assert_eq!(site.daemon.status()["virtuals"][0]["errors"], failed, "and counted");
}

/// Heads that are odd and have one meaning.
#[test]
fn unusual_answers_are_taken() {
    for (head, name, value) in [
        ("HTTP/1.1 200 OK\r\nX-XSS-Protection : 1\r\n".to_owned(), "x-xss-protection", "1"),
        ("HTTP/1.2 200 OK\r\nX: a\r\n".to_owned(), "x", "a"),
        (format!("HTTP/1.1 200 OK\r\n{}", "Link: </n>\r\n".repeat(128)), "link", "</n>"),
        (format!("HTTP/1.1 200 OK\r\n{}", "Link: </n>\r\n".repeat(2000)), "link", "</n>"),
    ] {
        let origin = Origin::answering(format!("{head}Content-Length: 2\r\n\r\nok"));
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        for _ in 0..2 {
            let answer = client.get("/");
            assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"), "{head}");
            assert_eq!(answer.get(name), Some(value), "{head}");
            assert_eq!(answer.head.all(name).len(), head.matches("Link").count().max(1), "{head}");
        }
    }
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok");
    let site = Site::of(&[&origin]);
    assert_eq!(site.client().get("/").status(), 502, "what frames the answer is not guessed at");
}

#[test]
fn a_member_that_refuses_is_passed_over() {
    let origin = Origin::named("a");
    let site = Site::members("", &[address::free(), origin.address(), address::free()]);
    let mut client = site.client();
    for _ in 0..6 {
        assert_eq!(client.ask(POST).text(), "a");
    }
    assert_eq!(origin.count(), 6);
    let status = site.daemon.status();
    let failed: u64 =
        (0..3).map(|n| status["pools"][0]["members"][n]["connects-failed"].as_u64().unwrap()).sum();
    assert!(failed > 0, "{status}");
    assert_eq!(status["virtuals"][0]["errors"], 0);
}

#[test]
fn nobody_to_connect_to() {
    let dead: Vec<_> = (0..4).map(|_| address::free()).collect();
    let site = Site::members("", &dead);
    let mut client = site.client();
    for _ in 0..2 {
        let answer = client.ask(POST);
        assert_eq!((answer.status(), answer.text().as_str()), (502, "no member accepted a connection\n"));
    }
    let status = site.daemon.status();
    let failed: u64 =
        (0..4).map(|n| status["pools"][0]["members"][n]["connects-failed"].as_u64().unwrap()).sum();
    assert_eq!(failed, 6, "three members are tried for a request, and no more");
}

/// A listener whose queue is full: connects to it hang. Holds what fills it.
struct FullQueue {
    address: SocketAddr,
    _listener: Socket,
    _queued: Vec<TcpStream>,
}

impl FullQueue {
    fn new() -> FullQueue {
        let address = address::free();
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let soon = std::time::Duration::from_millis(200);
        let queued = std::iter::from_fn(|| TcpStream::connect_timeout(&address, soon).ok()).collect();
        FullQueue { address, _listener: listener, _queued: queued }
    }
}

#[test]
fn a_member_that_does_not_accept_is_given_up() {
    let full = FullQueue::new();
    let origin = Origin::named("a");
    let site = Site::members("timeouts = { connect = \"300ms\" }", &[full.address, origin.address()]);
    let mut client = site.client();
    for _ in 0..4 {
        assert_eq!(client.get("/").text(), "a");
    }
    // It has its own time, which is not that of the first byte.
    let site = Site::members("timeouts = { connect = \"1s\", first-byte = \"200ms\" }", &[full.address]);
    let answer = site.client().get("/");
    assert_eq!((answer.status(), answer.text().as_str()), (502, "no member accepted a connection\n"));
}

#[test]
fn no_pool_and_no_live_member() {
    let site = Site::configured(|address| site::config(address, "", "").replace("pool = \"web\"", ""));
    let answer = site.client().get("/");
    assert_eq!((answer.status(), answer.text().as_str()), (404, "no pool is configured for this request\n"));

    let mut origin = Origin::named("a");
    let monitor = "monitor = { tcp = true, interval = \"20ms\", rise = 1, fall = 1 }";
    let pool = site::pool("web", monitor, &[origin.address()]);
    let site = Site::configured(|address| site::config(address, "", &pool));
    let health = || site.daemon.status()["pools"][0]["members"][0]["health"].clone();
    until("the member is up", || health() == "up");
    let mut client = site.client();
    assert_eq!(client.get("/").text(), "a");
    origin.stop();
    origin.end_all();
    until("the member is down", || health() == "down");
    let answer = client.get("/");
    assert_eq!((answer.status(), answer.text().as_str()), (503, "pool web has no member that is up\n"));
    let _back = Origin::at(origin.address(), |call| {
        loop {
            call.request()?;
            call.send(ok("back"))?;
        }
    });
    until("the member is up again", || health() == "up");
    assert_eq!(client.get("/").text(), "back");
}

fn shares(site: &Site, requests: usize) -> BTreeMap<String, usize> {
    let mut client = site.client();
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        *shares.entry(client.get("/").text()).or_default() += 1;
    }
    shares
}

fn weighted(balance: &str, weights: &[(&Origin, u32)]) -> Site {
    let members: Vec<_> = weights
        .iter()
        .map(|(origin, weight)| format!("{{ address = \"{}\", weight = {weight} }}", origin.address()))
        .collect();
    let pool = format!("[[pool]]\nname = \"web\"\nmembers = [{}]\n{balance}", members.join(", "));
    Site::configured(|address| site::config(address, "", &pool))
}

#[test]
fn requests_are_shared_out() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    for (balance, weights, expected) in [
        ("", [1, 1, 1], [4, 4, 4]),
        ("balance = \"round-robin\"", [5, 1, 1], [4, 4, 4]),
        ("", [3, 2, 1], [6, 4, 2]),
        ("balance = \"weighted-round-robin\"", [3, 2, 1], [6, 4, 2]),
        // One after the other: nothing is in flight, so the weights decide.
        ("balance = \"least-connections\"", [1, 1, 1], [4, 4, 4]),
        ("balance = \"least-connections\"", [3, 2, 1], [6, 4, 2]),
    ] {
        let site = weighted(balance, &[(&a, weights[0]), (&b, weights[1]), (&c, weights[2])]);
        let got = shares(&site, 12);
        let expected = ["a", "b", "c"].map(str::to_owned).into_iter().zip(expected).collect();
        assert_eq!(got, expected, "{balance} {weights:?}");
    }
}

#[test]
fn who_is_busy_gets_less() {
    let busy = Origin::start(|call| {
        call.request()?;
        call.mark("busy");
        call.await_mark("answer")?;
        call.send(ok("busy"))
    });
    let (b, c) = (Origin::named("b"), Origin::named("c"));
    let site = weighted("balance = \"least-connections\"", &[(&busy, 1), (&b, 1), (&c, 1)]);
    let mut waiting = site.client();
    waiting.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    busy.wait_mark("busy");
    assert_eq!(shares(&site, 10), [("b".to_owned(), 5), ("c".to_owned(), 5)].into());
    busy.tell("answer");
    assert_eq!(waiting.answer().text(), "busy");
}

#[test]
fn a_source_address_stays_with_its_member() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let site = Site::with("persistence = { source = true }", &[&a, &b, &c]);
    let mut homes = BTreeMap::new();
    for round in 0..3 {
        for last in 1..=9 {
            let mut client = Client::connect_from([127, 0, 1, last].into(), site.address);
            let member = client.get("/").text();
            assert_eq!(homes.entry(last).or_insert(member.clone()), &member, "round {round}");
            assert_eq!(client.get("/").text(), member);
        }
    }
    let used: std::collections::BTreeSet<_> = homes.values().collect();
    assert_eq!(used.len(), 3, "{homes:?}");
}

/// Turns continue over reloads, whoever comes and goes; also where weights become unequal, which changes the balance of a
/// pool that does not say which it has.
#[test]
fn turns_go_on_over_reloads() {
    let origins = ["a", "b", "c", "d"].map(Origin::named);
    let three = |last: &str| {
        let members = origins[..3].iter().zip([1, 1, 1]);
        let members: String = members.map(|(it, weight)| member(it, weight)).collect();
        format!("[[pool]]\nname = \"web\"\nmembers = [{members}{last}]\n")
    };
    let fourth = |weight| three(&member(&origins[3], weight));
    for (what, other) in [("a member", fourth(1)), ("a heavy member", fourth(2))] {
        let site = Site::configured(|at| site::config(at, "", &three("")));
        let mut client = site.client();
        let mut served = BTreeMap::new();
        for turn in 0..30 {
            let pool = if turn % 2 == 0 { other.clone() } else { three("") };
            site.daemon.reload(&site::config(site.address, "", &pool));
            *served.entry(client.get("/").text()).or_insert(0) += 1;
        }
        for name in ["a", "b", "c"] {
            let times = served.get(name).copied().unwrap_or(0);
            assert!((5..=12).contains(&times), "{what} comes and goes: {served:?}");
        }
    }
}

fn member(origin: &Origin, weight: u32) -> String {
    format!("{{ address = \"{}\", weight = {weight} }}, ", origin.address())
}

/// The cookie of an answer, as a client sends it back.
fn cookie(value: &str) -> String {
    value.split(';').next().unwrap_or_default().to_owned()
}

fn with_cookie(client: &mut Client, cookie: &str) -> shunt_tests::raw::Message {
    client.ask(format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: other=1; {cookie}; more=2\r\n\r\n"))
}

#[test]
fn a_cookie_binds_a_client() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    for (keys, age) in [
        ("persistence = { cookie = \"SHUNT\" }", None),
        ("persistence = { cookie = \"SHUNT\", timeout = \"1h\" }", Some("Max-Age=3600")),
    ] {
        let site = Site::with(keys, &[&a, &b]);
        let mut client = site.client();
        let first = client.get("/");
        let set = first.get("set-cookie").expect("a cookie");
        let parts: Vec<_> = set.split("; ").collect();
        let mut expected = vec!["Path=/", "HttpOnly", "SameSite=Lax"];
        expected.extend(age);
        assert_eq!(&parts[1..], &expected[..], "{set}");
        assert!(parts[0].starts_with("SHUNT=") && !set.contains("127."), "{set}");
        for _ in 0..4 {
            let again = with_cookie(&mut site.client(), &cookie(set));
            assert_eq!((again.text(), again.get("set-cookie")), (first.text(), None), "a cookie is set once");
        }
        // One that no member is behind is replaced.
        for wrong in ["SHUNT=0123456789abcdef", "SHUNT=", "SHUNT=\"x\""] {
            assert!(with_cookie(&mut client, wrong).head.has("set-cookie"), "{wrong}");
        }
    }
}

/// A tag that is no member's does not hide one that is: browsers send cookies of other paths first.
#[test]
fn every_cookie_of_the_name_is_looked_at() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let site = Site::with("persistence = { cookie = \"SHUNT\" }", &[&a, &b]);
    let first = site.client().get("/");
    let bound = cookie(first.get("set-cookie").expect("a cookie"));
    for others in ["SHUNT=0000000000000000", "SHUNT=x; SHUNT=", "SHUNT=0000000000000000.0123456789abcdef"] {
        for _ in 0..3 {
            let again = with_cookie(&mut site.client(), &format!("{others}; {bound}"));
            assert_eq!((again.text(), again.get("set-cookie")), (first.text(), None), "{others}");
        }
    }
}

/// The cookie says when it lapses, for a client does not; here it is made to have lived for a while.
#[test]
fn a_cookie_is_set_again_before_it_lapses() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let site = Site::with("persistence = { cookie = \"SHUNT\", timeout = \"100s\" }", &[&a, &b]);
    let first = site.client().get("/");
    let bound = cookie(first.get("set-cookie").expect("a cookie"));
    let (tag, lapse) = bound.split_once(".t").expect("when it lapses");
    let lapse = u64::from_str_radix(lapse, 16).expect("hex digits");
    let aged = |seconds: u64| format!("{tag}.t{:x}", lapse - seconds * 1000);
    for sent in [aged(11), aged(99), aged(200), tag.to_owned(), format!("{tag}.t{:x}", lapse + 3_600_000)] {
        let again = with_cookie(&mut site.client(), &sent);
        assert_eq!(again.text(), first.text(), "{sent}");
        let set = again.get("set-cookie").expect("the cookie again");
        assert!(set.starts_with(tag) && set.ends_with("; Max-Age=100"), "{sent}: {set}");
        let renewed = with_cookie(&mut site.client(), &cookie(set));
        assert_eq!((renewed.text(), renewed.get("set-cookie")), (first.text(), None), "{sent}");
    }
}

#[test]
fn a_draining_member_keeps_its_clients_and_a_disabled_one_does_not() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let site = Site::with("persistence = { cookie = \"S\" }", &[&a, &b]);
    let mut client = site.client();
    let first = client.get("/");
    let (home, other) = if first.text() == "a" { (&a, "b") } else { (&b, "a") };
    let bound = cookie(first.get("set-cookie").expect("a cookie"));
    let address = home.address().to_string();

    site.daemon.shunt(&["member", "drain", "web", &address]).good();
    for _ in 0..4 {
        assert_eq!(with_cookie(&mut client, &bound).text(), first.text(), "who is bound stays");
        assert_eq!(client.get("/").text(), other, "who is not goes elsewhere");
    }
    site.daemon.shunt(&["member", "disable", "web", &address]).good();
    let moved = with_cookie(&mut client, &bound);
    assert_eq!(moved.text(), other);
    let new = cookie(moved.get("set-cookie").expect("another cookie"));
    assert_ne!(new, bound);
    site.daemon.shunt(&["member", "enable", "web", &address]).good();
    assert_eq!(with_cookie(&mut client, &new).text(), other, "it stays where it went");
    assert_eq!(with_cookie(&mut client, &bound).text(), first.text());
}

#[test]
fn a_client_bound_to_a_dead_member_gets_another() {
    let mut a = Origin::named("a");
    let b = Origin::named("b");
    let site = Site::with("persistence = { cookie = \"S\" }", &[&a, &b]);
    let mut client = site.client();
    let answers = [client.get("/"), client.get("/")];
    let bound = answers.iter().find(|it| it.text() == "a").expect("each in turn");
    let bound = cookie(bound.get("set-cookie").expect("a cookie"));
    // Connections that are open would continue.
    a.stop();
    a.end_all();
    let moved = with_cookie(&mut client, &bound);
    assert_eq!(moved.text(), "b");
    assert_ne!(cookie(moved.get("set-cookie").expect("another cookie")), bound);

    // Nobody to be bound to: no cookie for a client that got no member.
    let site = Site::members("persistence = { cookie = \"S\" }", &[address::free()]);
    let answer = site.client().get("/");
    assert_eq!((answer.status(), answer.get("set-cookie")), (502, None));
}
