//! `on-data`: rules see the bytes of a connection, by the guest `data`, and by `lines`, which is the same and chooses
//! nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use shunt_tests::daemon::until;
use shunt_tests::origin::Origin;
use shunt_tests::packs;
use shunt_tests::raw::Client;
use shunt_tests::site::{self, Site};

use crate::{config, echo, number, of_virtual};

/// The guest before a member, its slot bound to a pool of another one.
fn with(guest: &str, keys: &str, of_rule: &str, members: &[SocketAddr], other: SocketAddr) -> Site {
    let slots = format!("slots = {{ other = \"other\" }}\n{of_rule}");
    let rule = site::rule("data", &packs::guest(guest), &slots);
    Site::configured(|address| {
        config(address, &format!("{keys}\n{rule}"), "", members) + &site::pool("other", "", &[other])
    })
}

fn before(guest: &str, keys: &str, member: &Origin) -> Site {
    with(guest, keys, "", &[member.address()], member.address())
}

/// Says its name and what it got, when the client has ended.
fn named(name: &'static str) -> Origin {
    Origin::start(move |call| {
        let all = call.wire().try_rest()?;
        call.mark(String::from_utf8_lossy(&all));
        call.send([name.as_bytes(), b" ", &all].concat())?;
        call.end()
    })
}

fn rest(mut client: Client) -> String {
    String::from_utf8_lossy(&client.try_rest().unwrap()).into_owned()
}

/// Sends this and ends, and gives what comes back.
fn say(site: &Site, text: &str) -> String {
    let mut client = site.client();
    client.send(text);
    client.end();
    rest(client)
}

fn is_reset(mut client: Client) {
    assert_eq!(client.try_exact(1).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

fn faults(site: &Site) -> serde_json::Value {
    let status = site.daemon.status();
    let hooks = status["virtuals"][0]["rules"][0]["hooks"].as_array().unwrap();
    hooks.iter().find(|it| it["hook"] == "on-data").unwrap()["faults"].clone()
}

fn calls(site: &Site) -> u64 {
    let status = site.daemon.status();
    let hooks = status["virtuals"][0]["rules"][0]["hooks"].as_array().unwrap();
    number(hooks.iter().find(|it| it["hook"] == "on-data").unwrap(), "calls")
}

#[test]
fn what_the_client_sends_first_chooses_the_pool() {
    let (web, other) = (named("web"), named("other"));
    let site = with("data", "", "", &[web.address()], other.address());
    assert_eq!(say(&site, "to o\nrest"), "other to o\nrest");
    assert_eq!(say(&site, "else\n"), "web else\n");
    // In pieces, which the rule waits for.
    let mut client = site.client();
    for piece in ["t", "o", " x", "\nan", "d more"] {
        client.send(piece);
        client.stream().flush().unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    client.end();
    assert_eq!(rest(client), "other to x\nand more");
    until("nothing to be held", || of_virtual(&site, "data-held") == 0);
    assert_eq!((of_virtual(&site, "data-late"), of_virtual(&site, "data-full")), (0, 0));
}

#[test]
fn a_key_in_what_the_client_sends_keeps_its_member() {
    let origins = [named("a"), named("b"), named("c")];
    let members = origins.each_ref().map(Origin::address);
    let site = with("data", "", "", &members, members[0]);
    let of = |key: &str| say(&site, &format!("key {key}\n"))[..1].to_owned();
    let (ann, bob, eve) = (of("ann"), of("bob"), of("eve"));
    assert!(ann != bob && bob != eve && eve != ann, "{ann} {bob} {eve}");
    for _ in 0..3 {
        assert_eq!((of("ann"), of("eve"), of("bob")), (ann.clone(), eve.clone(), bob.clone()));
    }
    let third = say(&site, &format!("member {}\n", members[2]));
    assert!(third.starts_with('c'), "{third}");
    // One that the pool does not have.
    let mut client = site.client();
    client.send("member 192.0.2.1:1\n");
    is_reset(client);
    assert_eq!(faults(&site), json!({ "verdict": 1 }));
}

#[test]
fn bytes_are_replaced_both_ways_line_by_line() {
    let origin = Origin::start(|call| {
        call.send("upper hel")?;
        let line = call.wire().try_until(b"\n")?;
        call.mark(String::from_utf8_lossy(&line));
        call.send("lo\naway x\nlines y\nelse\nupper z\n")?;
        let all = call.wire().try_rest()?;
        call.mark(String::from_utf8_lossy(&all));
        call.end()
    });
    let site = before("lines", "", &origin);
    let mut client = site.client();
    client.send("upper one\nrep");
    origin.wait_mark("UPPER ONE\n");
    client.send("lace two\nupper three\n");
    client.end();
    assert_eq!(rest(client), "UPPER HELLO\nlines y\nelse\nupper z\n");
    // What comes in one piece with the replaced line is replaced with it, and what comes later is not.
    let marks = origin.marks();
    assert!(marks[1] == "two" || marks[1] == "twoupper three\n", "{marks:?}");
}

#[test]
fn a_server_may_speak_first() {
    for guest in ["lines", "data"] {
        let origin = echo("220 mail\n");
        // A rule that chooses by bytes of the client waits for them, as long as it may.
        let site = before(guest, "timeouts = { data = \"50ms\" }", &origin);
        let mut client = site.client();
        assert_eq!(client.exact(9), b"220 mail\n", "{guest}");
        client.send("EHLO a\n");
        client.end();
        assert_eq!(rest(client), "EHLO a\n", "{guest}");
        assert_eq!(of_virtual(&site, "data-late"), u64::from(guest == "data"), "{guest}");
    }
}

#[test]
fn what_does_not_come_in_time_is_passed_on_and_counted() {
    let origin = echo("");
    let site = before("lines", "timeouts = { data = \"50ms\" }", &origin);
    let mut client = site.client();
    client.send("no line feed");
    until("it to be late", || of_virtual(&site, "data-late") == 1);
    client.end();
    assert_eq!(rest(client), "no line feed");
    // A client that ends is not waited for.
    let site = before("data", "timeouts = { data = \"1h\" }", &origin);
    assert_eq!(say(&site, "no line feed"), "no line feed");
    assert_eq!(say(&site, ""), "");
    assert_eq!(of_virtual(&site, "data-late"), 0);
}

#[test]
fn no_more_is_held_than_the_virtual_allows() {
    let origin = echo("");
    let keys = "limits = { data = \"64B\" }\ntimeouts = { data = \"1h\" }";
    for guest in ["lines", "data"] {
        let site = before(guest, keys, &origin);
        let mut client = site.client();
        client.send("x".repeat(60));
        until("it to be held", || of_virtual(&site, "data-held") == 60);
        client.send("y".repeat(60));
        client.end();
        assert_eq!(rest(client), "x".repeat(60) + &"y".repeat(60), "{guest}");
        // The other way: the member sends the same.
        assert!(of_virtual(&site, "data-full") >= 1);
        until("nothing to be held", || of_virtual(&site, "data-held") == 0);
    }
}

#[test]
fn a_rule_refuses_either_side() {
    let origin = Origin::start(|call| {
        let line = call.wire().try_until(b"\n")?;
        call.send(&line[5..])?;
        let error = call.wire().try_exact(1).unwrap_err();
        call.mark(format!("{:?}", error.kind()));
        Ok(())
    });
    for guest in ["lines", "data"] {
        let site = before(guest, "", &origin);
        let mut client = site.client();
        client.send("reject\n");
        is_reset(client);
        let mut client = site.client();
        client.send("else reject\n");
        is_reset(client);
        until("it to be counted", || of_virtual(&site, "refused") == 2);
        assert_eq!(of_virtual(&site, "open"), 0);
    }
    origin.wait_mark("ConnectionReset");
}

#[test]
fn a_rule_that_misbehaves_costs_its_connection_or_nothing() {
    const BAD: [&str; 5] = ["need 4294967295\n", "need 0\n", "pass 999\n", "grow 100000\n", "panic\n"];
    let (origin, other) = (named("web"), named("other"));
    let site = |on_fault: &str| with("data", "", on_fault, &[origin.address()], other.address());
    let refusing = site("");
    for text in &BAD[..4] {
        let mut client = refusing.client();
        client.send(text);
        is_reset(client);
    }
    assert_eq!(faults(&refusing), json!({ "verdict": 4 }));
    let lenient = site("on-fault = \"continue\"");
    for text in &BAD[..4] {
        assert_eq!(say(&lenient, text), format!("web {text}"));
    }
    assert_eq!(say(&lenient, BAD[4]), "web panic\n");
    assert_eq!(faults(&lenient), json!({ "verdict": 4, "panic": 1 }));
    let elsewhere = site("on-fault = { pool = \"other\" }");
    assert_eq!(say(&elsewhere, BAD[0]), format!("other {}", BAD[0]));
    assert_eq!(number(&elsewhere.daemon.status()["virtuals"][0], "data-held"), 0);
}

#[test]
fn a_rule_that_never_lets_go_sees_everything() {
    let origin = echo("");
    let site = before("lines", "", &origin);
    let line = format!("lines {}\n", "x".repeat(90));
    let text = line.repeat(20_000);
    let (mut client, twin) = (site.client(), site.client());
    drop(twin);
    let mut writing = client.twin();
    let sent = text.clone();
    let writer = std::thread::spawn(move || {
        writing.send(sent);
        writing.end();
    });
    assert!(client.try_rest().unwrap() == text.as_bytes());
    writer.join().unwrap();
    assert!(calls(&site) >= 40_000);
}

#[test]
fn long_transfers_go_on_behind_what_was_seen() {
    let origin = Origin::start(|call| {
        let all = call.wire().try_rest()?;
        call.mark(all.len().to_string());
        call.send("done")?;
        call.end()
    });
    let site = before("data", "", &origin);
    let mut client = site.client();
    client.send("to x\n");
    client.send(vec![7; 4 << 20]);
    client.end();
    assert_eq!(rest(client), "done");
    origin.wait_mark(&(5 + (4 << 20)).to_string());
}

#[test]
fn a_rule_that_swells_what_it_is_shown_takes_no_more_memory() {
    const LINE: &str = "swell 60000\n";
    const LINES: usize = 2_000;
    let origin = Origin::start(|call| {
        call.await_mark("read")?;
        let (mut count, mut buffer) = (0, vec![0; 1 << 16]);
        loop {
            let mut stream = call.stream();
            match stream.read(&mut buffer)? {
                0 => break,
                read => count += read,
            }
        }
        call.mark(count.to_string());
        call.end()
    });
    let site = before("lines", "", &origin);
    let mut client = site.client();
    client.send("lines\n");
    until("the rule to be called", || calls(&site) > 0);
    let before = site.resident();
    client.send(LINE.repeat(LINES));
    client.end();
    // All of it would be 114 MiB, what was received of it at once a third of that.
    until("the rule to be called more", || calls(&site) > 20);
    assert!(site.resident() < before + (16 << 20), "{} {before}", site.resident());
    origin.tell("read");
    origin.wait_mark(&(6 + LINES * 60_000).to_string());
    assert!(site.resident() < before + (16 << 20), "{} {before}", site.resident());
    assert!(client.ended());
}
