//! A reload changes what differs, touches nothing else, or is refused as a whole.

use std::net::SocketAddr;

use shunt_tests::daemon::{Daemon, until};
use shunt_tests::origin::{Origin, ok};
use shunt_tests::raw::Client;
use shunt_tests::{address, site};

fn virtual_(name: &str, listen: SocketAddr, pool: &str) -> String {
    site::virtual_(name, listen, pool, "")
}

fn pool(name: &str, members: &[SocketAddr]) -> String {
    site::pool(name, "", members)
}

#[test]
fn what_it_did_is_told() {
    let (old, kept, new) = (address::free(), address::free(), address::free());
    let member = address::free();
    let daemon = Daemon::start(
        &[
            virtual_("old", old, "web"),
            virtual_("kept", kept, "web"),
            pool("web", &[member]),
            pool("gone", &[member]),
        ]
        .concat(),
    );
    let summary = daemon.reload(
        &[
            virtual_("kept", kept, "web"),
            virtual_("new", new, "more"),
            pool("web", &[member]),
            pool("more", &[member]),
        ]
        .concat(),
    );
    assert_eq!(summary["epoch"], 2);
    assert_eq!(summary["added"], serde_json::json!(["pool more", "virtual new"]));
    assert_eq!(summary["changed"], serde_json::json!([]));
    assert_eq!(summary["removed"], serde_json::json!(["virtual old", "pool gone"]));
    assert_eq!(summary["unchanged"], 2);
    assert!(Client::try_connect(new).is_ok());
    until("the listener that went is closed", || Client::try_connect(old).is_err());

    let text = daemon.shunt(&["reload"]).good();
    assert_eq!(text, "reloaded: epoch 3, 4 unchanged\n");

    // What is right, and most likely not meant, is told as well.
    daemon
        .folder()
        .configure(&[virtual_("kept", kept, "web"), pool("web", &[kept]), pool("more", &[member])].concat());
    let text = daemon.shunt(&["reload"]).good();
    assert!(text.contains(&format!("member {kept} is the listener of virtual `kept`")), "{text}");
    assert!(text.contains("warning: ") && text.contains("nothing uses pool `more`"), "{text}");
    assert!(daemon.log().contains("warning[suspicious]: nothing uses pool `more`"), "{}", daemon.log());
}

#[test]
fn a_connection_outlives_it_and_sees_the_new_pool() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let listen = address::free();
    let config = |member| [virtual_("shop", listen, "web"), pool("web", &[member])].concat();
    let daemon = Daemon::start(&config(blue.address()));
    let mut client = Client::connect(listen);
    assert_eq!(client.get("/").text(), "blue");
    for round in 0..10 {
        let (origin, name) = if round % 2 == 0 { (&green, "green") } else { (&blue, "blue") };
        daemon.reload(&config(origin.address()));
        // The same connection of the client, for the listener did not change.
        assert_eq!(client.get("/").text(), name, "round {round}");
    }
    assert_eq!(daemon.status()["virtuals"][0]["connections"], 1);
}

#[test]
fn a_request_under_way_finishes_where_it_began() {
    let slow = Origin::start(|call| {
        loop {
            call.request()?;
            call.mark("asked");
            call.await_mark("answer")?;
            call.send(ok("slow"))?;
        }
    });
    let fast = Origin::named("fast");
    let listen = address::free();
    let config = |member| [virtual_("shop", listen, "web"), pool("web", &[member])].concat();
    let daemon = Daemon::start(&config(slow.address()));
    let mut client = Client::connect(listen);
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    slow.wait_mark("asked");
    daemon.reload(&config(fast.address()));
    assert_eq!(Client::connect(listen).get("/").text(), "fast");
    slow.tell("answer");
    assert_eq!(client.answer().text(), "slow");
}

#[test]
fn a_virtual_that_goes_away_finishes_its_requests() {
    let slow = Origin::start(|call| {
        call.request()?;
        call.mark("asked");
        call.await_mark("answer")?;
        call.send(ok("slow"))
    });
    let (gone, kept) = (address::free(), address::free());
    let pools = pool("web", &[slow.address()]);
    let daemon = Daemon::start(
        &[virtual_("gone", gone, "web"), virtual_("kept", kept, "web"), pools.clone()].concat(),
    );
    let mut client = Client::connect(gone);
    client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    slow.wait_mark("asked");
    daemon.reload(&[virtual_("kept", kept, "web"), pools].concat());
    until("the listener is closed", || Client::try_connect(gone).is_err());
    slow.tell("answer");
    assert_eq!(client.answer().text(), "slow");
}

#[test]
fn one_that_is_refused_changes_nothing() {
    let origin = Origin::named("web");
    let (listen, other) = (address::free(), address::free());
    let held = std::net::TcpListener::bind(other).unwrap();
    let good = [virtual_("shop", listen, "web"), pool("web", &[origin.address()])].concat();
    let daemon = Daemon::start(&good);
    let refused = |config: &str| {
        daemon.folder().configure(config);
        let text = daemon.shunt(&["reload"]).refused(1);
        assert_eq!(daemon.status()["epoch"], 1, "{text}");
        assert_eq!(Client::connect(listen).get("/").text(), "web");
        text
    };
    let text = refused(&good.replace("pool = \"web\"", "pool = \"wbe\""));
    assert!(text.contains("there is no pool `wbe`") && text.contains("did you mean `web`?"), "{text}");

    // One new listener that can be had, one that cannot: neither is opened.
    let free = address::free();
    let text =
        refused(&[good.as_str(), &virtual_("one", free, "web"), &virtual_("two", other, "web")].concat());
    assert!(text.contains("virtual two") && text.contains("in use"), "{text}");
    assert!(Client::try_connect(free).is_err());

    std::fs::remove_file(daemon.folder().config()).unwrap();
    let text = daemon.shunt(&["reload"]).refused(1);
    assert!(text.contains("shunt.toml"), "{text}");
    drop(held);
}

#[test]
fn what_the_operator_set_and_what_was_counted_stays() {
    let (one, two) = (Origin::named("one"), Origin::named("two"));
    let listen = address::free();
    let config = |members: &[SocketAddr]| [virtual_("shop", listen, "web"), pool("web", members)].concat();
    let daemon = Daemon::start(&config(&[one.address(), two.address()]));
    let first = one.address().to_string();
    daemon.shunt(&["member", "drain", "web", &first]).good();
    for _ in 0..4 {
        assert_eq!(Client::connect(listen).get("/").text(), "two");
    }
    daemon.reload(&config(&[two.address(), one.address()]));
    let status = daemon.status();
    let members = status["pools"][0]["members"].as_array().unwrap();
    assert_eq!((&members[0]["requests"], &members[1]["admin"]), (&4.into(), &"draining".into()));
    assert_eq!(status["virtuals"][0]["requests"], 4);
    assert_eq!(Client::connect(listen).get("/").text(), "two");
    daemon.shunt(&["member", "enable", "web", &first]).good();
    let mut answers: Vec<String> = (0..4).map(|_| Client::connect(listen).get("/").text()).collect();
    answers.sort();
    answers.dedup();
    assert_eq!(answers, ["one", "two"]);
}

#[test]
fn a_listener_can_change_its_address() {
    let origin = Origin::named("web");
    let (old, new) = (address::free(), address::free());
    let config = |listen| [virtual_("shop", listen, "web"), pool("web", &[origin.address()])].concat();
    let daemon = Daemon::start(&config(old));
    let summary = daemon.reload(&config(new));
    assert_eq!(summary["changed"], serde_json::json!(["virtual shop"]));
    assert_eq!(Client::connect(new).get("/").text(), "web");
    until("the old one is closed", || Client::try_connect(old).is_err());
}

#[test]
fn monitors_take_members_down_and_up_and_a_reload_lets_them_be() {
    let listen = address::free();
    let member = address::free();
    let config = |extra: &str| {
        let web = format!(
            "[[pool]]\nname = \"web\"\nmembers = [{{ address = \"{member}\" }}]\n\
             monitor = {{ http = \"/health\", interval = \"100ms\", rise = 1, fall = 5 }}\n\n"
        );
        [virtual_("shop", listen, "web"), web, extra.to_owned()].concat()
    };
    let daemon = Daemon::start(&config(""));
    let health = || {
        let member = daemon.status()["pools"][0]["members"][0].clone();
        (
            member["health"].as_str().unwrap().to_owned(),
            member["reason"].as_str().unwrap_or_default().to_owned(),
        )
    };
    until("it is down", || health() == ("down".to_owned(), "connection refused".to_owned()));
    let answer = Client::connect(listen).get("/");
    assert_eq!((answer.status(), answer.text().as_str()), (503, "pool web has no member that is up\n"));

    let origin = Origin::at(member, |call| {
        loop {
            let request = call.request()?;
            assert!(request.head.line.starts_with("GET /"));
            call.send(ok("back"))?;
        }
    });
    until("it is up", || health() == ("up".to_owned(), "status 200".to_owned()));
    assert_eq!(Client::connect(listen).get("/").text(), "back");

    // Another pool: the member's watch continues, so it is not new and never down in between.
    daemon.reload(&config(&pool("more", &[address::free()])));
    assert_eq!(health().0, "up");
    assert!(!daemon.log().contains("member up pool=more"), "{}", daemon.log());
    drop(origin);
    until("it is down again", || health().0 == "down");
    let log = daemon.log();
    assert_eq!(log.matches("member up").count(), 1, "{log}");
    assert!(
        log.contains(&format!("member down pool=web member={member} reason=connection refused")),
        "{log}"
    );
}
