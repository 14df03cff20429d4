//! When sessions begin and end, and what a reload leaves of them.

use shunt_tests::address;
use shunt_tests::daemon::until;
use shunt_tests::site::Site;

use crate::{Echo, ask, between, client, config, of_virtual, received};

#[test]
fn silence_ends_a_session() {
    let echo = Echo::start("");
    let site = between("timeouts = { idle = \"50ms\" }", &[echo.address]);
    let client = client(&site);
    assert_eq!(ask(&client, "one"), "one");
    until("it is over", || of_virtual(&site, "open") == 0);
    assert_eq!(ask(&client, "two"), "two");
    assert_eq!((echo.sessions(), of_virtual(&site, "connections")), (2, 2));
}

#[test]
fn one_shot_balances_each_datagram() {
    let (one, two) = (Echo::start("one"), Echo::start("two"));
    let site = between("udp = { one-shot = true }", &[one.address, two.address]);
    let client = client(&site);
    let mut answers: Vec<String> = (0..4).map(|_| ask(&client, "")).collect();
    answers.sort();
    assert_eq!(answers, ["one", "one", "two", "two"]);
    until("their sessions are over", || of_virtual(&site, "open") == 0);
    assert_eq!((one.sessions(), two.sessions()), (2, 2));
    // Several at once: each gets its answer.
    for _ in 0..20 {
        client.send(b"!").unwrap();
    }
    let answers: Vec<String> = (0..20).map(|_| received(&client)).collect();
    assert_eq!(answers.iter().filter(|it| *it == "one!").count(), 10, "{answers:?}");
    assert_eq!(of_virtual(&site, "datagrams-lost"), 0);
}

#[test]
fn so_many_answers_end_a_session() {
    let echo = Echo::start("");
    let site = between("udp = { answers = 2 }", &[echo.address]);
    let client = client(&site);
    assert_eq!((ask(&client, "1"), of_virtual(&site, "open")), ("1".to_owned(), 1));
    assert_eq!(ask(&client, "2"), "2");
    until("it is over", || of_virtual(&site, "open") == 0);
    assert_eq!(ask(&client, "3"), "3");
    assert_eq!(echo.sessions(), 2);
}

#[test]
fn a_reload_leaves_sessions_alone() {
    let (one, two) = (Echo::start("one"), Echo::start("two"));
    let site = between("", &[one.address]);
    let (old, other) = (client(&site), client(&site));
    assert_eq!(ask(&old, ""), "one");
    for _ in 0..20 {
        site.daemon.reload(&config(site.address, "", &[two.address]));
        assert_eq!(ask(&old, ""), "one", "a session stays with its member");
        site.daemon.reload(&config(site.address, "", &[one.address]));
        assert_eq!(ask(&old, ""), "one");
    }
    site.daemon.reload(&config(site.address, "", &[two.address]));
    assert_eq!(ask(&other, ""), "two", "a new one goes to the new member");
    assert_eq!((one.sessions(), of_virtual(&site, "connections")), (1, 2));
}

#[test]
fn a_member_that_goes_down_is_left() {
    let (one, two) = (Echo::start("one"), Echo::start("two"));
    let site = between("persistence = { source = true }", &[one.address, two.address]);
    let client = client(&site);
    let first = ask(&client, "");
    let (member, other) = if first == "one" { (one.address, "two") } else { (two.address, "one") };
    site.daemon.shunt(&["member", "disable", "web", &member.to_string()]).good();
    assert_eq!(ask(&client, ""), other);
}

#[test]
fn too_many_sessions_are_refused_and_old_ones_go_on() {
    let echo = Echo::start("");
    let site = between("limits = { connections = 3 }", &[echo.address]);
    let clients: Vec<_> = (0..4).map(|_| client(&site)).collect();
    for client in &clients[..3] {
        assert_eq!(ask(client, "in"), "in");
    }
    clients[3].send(b"out").unwrap();
    until("it is refused", || of_virtual(&site, "refused") == 1);
    assert_eq!(of_virtual(&site, "datagrams-lost"), 1);
    assert_eq!(ask(&clients[0], "still"), "still");
}

#[test]
fn udp_and_tcp_have_the_same_port_and_what_is_taken_is_named() {
    let echo = Echo::start("");
    let listen = address::free();
    let both = |listen| {
        let tcp = shunt_tests::site::virtual_("tcp", listen, "web", "");
        [config(listen, "", &[echo.address]), tcp].concat()
    };
    let site = Site { daemon: shunt_tests::daemon::Daemon::start(&both(listen)), address: listen };
    assert_eq!(ask(&client(&site), "x"), "x");
    let refused = shunt_tests::daemon::Folder::new();
    refused.configure(&config(echo.address, "", &[listen]));
    let Err(ended) = shunt_tests::daemon::Daemon::try_start(refused) else { panic!("the port is taken") };
    assert!(ended.stderr.contains("`ss -lunp"), "{}", ended.stderr);
}

#[test]
fn a_full_member_keeps_its_sessions_and_gets_no_more() {
    let (one, two) = (Echo::start("one"), Echo::start("two"));
    let limited =
        |address| config(address, "", &[one.address, two.address]).replace(" }", ", max-connections = 1 }");
    let site = Site::configured(limited);
    let clients = [(); 3].map(|()| client(&site));
    let mut names = [ask(&clients[0], ""), ask(&clients[1], "")];
    assert_eq!(names, [ask(&clients[0], ""), ask(&clients[1], "")], "they stay");
    names.sort();
    assert_eq!(names, ["one", "two"]);
    clients[2].send(b"!").unwrap();
    until("the third finds no member", || of_virtual(&site, "errors") == 1);
}
