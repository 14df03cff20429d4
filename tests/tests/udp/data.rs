//! `on-data`: rules see the first datagram of a session, by the guest `data`.

use std::time::Duration;

use shunt_tests::daemon::until;
use shunt_tests::packs;
use shunt_tests::site::{self, Site};

use crate::{Echo, ask, client, config, of_virtual};

fn with(of_rule: &str, members: &[&Echo], other: &Echo) -> Site {
    let slots = format!("slots = {{ other = \"other\" }}\n{of_rule}");
    let rule = site::rule("data", &packs::guest("data"), &slots);
    let members: Vec<_> = members.iter().map(|it| it.address).collect();
    Site::configured(|address| config(address, &rule, &members) + &site::pool("other", "", &[other.address]))
}

#[test]
fn the_first_datagram_chooses_and_what_follows_goes_the_same_way() {
    let (a, b, other) = (Echo::start("a "), Echo::start("b "), Echo::start("other "));
    let site = with("", &[&a, &b], &other);
    let one = client(&site);
    assert_eq!(ask(&one, "to x\n"), "other to x\n");
    assert_eq!(ask(&one, "reject\n"), "other reject\n", "the session has its member");
    let of = |key: &str| ask(&client(&site), format!("key {key}\n"))[..1].to_owned();
    let (ann, bob) = (of("ann"), of("bob"));
    assert!(ann != bob, "{ann} {bob}");
    for _ in 0..3 {
        assert_eq!((of("ann"), of("bob")), (ann.clone(), bob.clone()));
    }
    let member = format!("member {}\n", b.address);
    assert_eq!(ask(&client(&site), &member), format!("b {member}"));
    // A datagram is whole: the rule is not asked to wait for more.
    assert!(ask(&client(&site), "no line feed").ends_with(" no line feed"));
}

#[test]
fn a_rule_refuses_a_session_or_is_at_fault() {
    let (a, other) = (Echo::start("a "), Echo::start("other "));
    let site = with("", &[&a], &other);
    for (count, text) in ["reject\n", "replace x\n", "lines x\n", "need 1\n"].iter().enumerate() {
        let client = client(&site);
        client.send(text.as_bytes()).unwrap();
        until("it to be refused", || of_virtual(&site, "refused") == count as u64 + 1);
        client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        assert!(client.recv(&mut [0; 64]).is_err(), "{text}");
    }
    assert_eq!(a.sessions() + other.sessions(), 0);
    let lenient = with("on-fault = { pool = \"other\" }", &[&a], &other);
    assert_eq!(ask(&client(&lenient), "need 1\n"), "other need 1\n");
}
