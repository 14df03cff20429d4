//! That nothing stays behind. A process of its own: what is measured is the process.

// A test that cannot continue fails.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../guests/world.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod world;

use shunt_rules::{RuleHost, Runner};
use world::{World, attach, exchange, host, options, pack, runner};

#[test]
fn a_thousand_loads_and_as_many_faults_leave_nothing_behind() {
    let before_all = resident_kib();
    drop(RuleHost::new().unwrap());
    let idle = resident_kib() - before_all;
    assert!(idle < 2 * 1024, "a host without rules takes {idle} KiB");

    let world = World::new();
    let plain = pack("plain");
    let load = || {
        let rule = host().compile(&plain).unwrap();
        let mut runner = Runner::new(rule.attach(options(&rule, &world)).unwrap());
        runner.on_request(&mut exchange("/", &[])).unwrap();
    };

    // DESIGN section 9: at most 256 KiB per rule and worker.
    let attachment = attach("plain", &world);
    let before_runners = resident_kib();
    let mut runners: Vec<Runner> = (0..200).map(|_| Runner::new(attachment.clone())).collect();
    runners.iter_mut().for_each(|runner| drop(runner.on_request(&mut exchange("/", &[])).unwrap()));
    let each = (resident_kib() - before_runners) / 200;
    assert!(each < 64, "an instance takes {each} KiB");
    drop(runners);

    let mut hostile = runner("hostile", &world);
    let mut fault = || {
        hostile.on_request(&mut exchange("/abort", &[])).unwrap_err();
        hostile.on_request(&mut exchange("/ok", &[])).unwrap();
    };
    (0..100).for_each(|_| load());
    (0..100).for_each(|_| fault());
    let before = resident_kib();
    (0..1000).for_each(|_| load());
    (0..1000).for_each(|_| fault());
    let after = resident_kib();
    // The code of one rule is some 50 KiB, an instance as much: a leak of either would be 50 MiB.
    assert!(after < before + 1024, "{before} KiB before, {after} KiB after");
}

/// What the process itself holds; pages of its binary come and go.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
