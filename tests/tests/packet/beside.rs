//! A proxy in the same daemon: what changes of its rules alone is nothing to packets.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;
use shunt_lab::{Family, Mode, Plan, Shape, Shunt, ask};
use shunt_tests::daemon::Folder;
use shunt_tests::packet::standstill::Standstill;
use shunt_tests::packet::{LARGE, PacketSite, topology, until};
use shunt_tests::raw::PATIENCE;
use shunt_tests::{packs, program, site};

use crate::has_labs;

/// How often the rule is changed while packets flow, and how many packets flow at least from one change to the next.
const ROUNDS: usize = 20;
const SOME: u64 = 20;

/// A proxy with a rule beside packet virtuals.
struct Both {
    site: PacketSite,
    folder: Folder,
}

impl Both {
    fn start(story: &str) -> Both {
        let plan = Plan { workers: 2, ..Plan::new(Mode::Nat) };
        let topology = topology(story, Shape::TwoArm, &[Mode::Nat]);
        let listen = SocketAddr::new(topology.shunt_address(Family::V4), 8_080);
        let proxy = site::virtual_("pages", listen, "pages", "")
            + &site::rule("main", &packs::guest("plain"), "slots = { web = \"pages\" }")
            + &site::pool("pages", "", &["127.0.0.1:9".parse().unwrap()]);
        let config = plan.config(&topology) + &proxy;
        let shunt = Shunt::start(&topology.shunt, &program::path(), &config).unwrap();
        Both { site: PacketSite { shunt, topology }, folder: Folder::new() }
    }

    /// Everything that can be done to a rule while the configuration stays.
    fn changes(&self) -> [Vec<String>; 4] {
        let newer = packs::guest_version("plain", "1.0.1", &self.folder);
        let rule = |words: &[&str]| [&["rule"][..], words].concat().into_iter().map(str::to_owned).collect();
        [
            rule(&["load", "pages/main", newer.to_str().unwrap()]),
            rule(&["rollback", "pages/main"]),
            rule(&["unload", "pages/main"]),
            rule(&["rollback", "pages/main"]),
        ]
    }

    fn change(&self, words: &[String]) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.site.shunt.client(&words).unwrap();
    }

    /// How the virtual `echo-4` and the drops are counted.
    fn counted(&self) -> (Value, Value) {
        let packets = self.site.told(&["status"])["packets"].take();
        let virtuals = packets["virtuals"].as_array().unwrap();
        (virtuals.iter().find(|it| it["name"] == "echo-4").unwrap().clone(), packets["drops"].clone())
    }
}

/// Says so when it is dropped, also where the test has failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// No packet is lost and no flow begins anew.
#[test]
fn packets_flow_on_while_rules_of_a_proxy_change() {
    if !has_labs() {
        return;
    }
    let both = Both::start("beside-flow");
    let (client, from) = (&both.site.topology.client, both.site.topology.client_address(Family::V4, 0));
    let held = client.hold(from, both.site.web(Family::V4), LARGE).unwrap();
    let socket = client.datagrams(from, both.site.echo(Family::V4)).unwrap();
    let first = ask(&socket, b"first").unwrap();
    let (_, drops) = both.counted();
    let (asked, is_over) = (AtomicU64::new(1), AtomicBool::new(false));
    thread::scope(|scope| {
        let over = Over(&is_over);
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                let number = asked.load(Relaxed);
                let answer = ask(&socket, format!("question {number}").as_bytes()).unwrap();
                assert_eq!((answer.member, answer.client), (first.member.clone(), first.client));
                asked.store(number + 1, Relaxed);
            }
        });
        let changes = both.changes();
        for words in (0..ROUNDS).flat_map(|_| &changes) {
            let before = asked.load(Relaxed);
            both.change(words);
            until(|| asked.load(Relaxed) > before + SOME, || format!("packets flow after {words:?}"));
        }
        drop(over);
    });
    let (echo, drops_after) = both.counted();
    assert_eq!(echo["flows"], 1, "{echo:#}");
    let asked = asked.into_inner();
    assert_eq!((&echo["packets-to-server"], &echo["packets-to-client"]), (&asked.into(), &asked.into()));
    assert_eq!(drops_after, drops);
    assert_eq!(both.site.told(&["status"])["epoch"], 1 + 4 * ROUNDS);
    both.site.topology.members.iter().for_each(|member| member.origin().unwrap().release());
    held.finish().unwrap();
}

/// Packet workers take no part in it: it is done while they do nothing, so that each flow keeps what was compiled for
/// it, and none is looked at.
#[test]
fn packet_workers_are_not_asked_when_rules_of_a_proxy_change() {
    if !has_labs() {
        return;
    }
    let both = Both::start("beside-still");
    let (client, from) = (&both.site.topology.client, both.site.topology.client_address(Family::V4, 0));
    let socket = client.datagrams(from, both.site.echo(Family::V4)).unwrap();
    let first = ask(&socket, b"first").unwrap();
    let changes = both.changes();
    let still = Standstill::of(both.site.shunt.pid(), "shunt-packet");
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel();
        let (both, changes) = (&both, &changes);
        scope.spawn(move || {
            changes.iter().for_each(|words| both.change(words));
            done.send(()).unwrap();
        });
        let outcome = is_done.recv_timeout(PATIENCE);
        // Also where it failed: what waits for them ends then.
        drop(still);
        outcome.expect("the rule changes while packet workers stand still");
    });
    let answer = ask(&socket, b"second").unwrap();
    assert_eq!((answer.member, answer.client), (first.member, first.client));
    assert_eq!(both.counted().0["flows"], 1);
}
