//! Packs that take long to compile: the process continues meanwhile as if nothing were, and what was planned before
//! something else changed is planned again.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use serde_json::Value;
use shunt_tests::daemon::{Daemon, Folder};
use shunt_tests::origin::{Origin, ok};
use shunt_tests::{address, packs, site};

/// How much is seen to continue at the least while a pack compiles, which takes seconds. Where something waits for it, it is
/// one or two.
const SOME: usize = 20;

/// A pool whose member is probed every 20 ms, and a virtual with these rules.
fn configured(origin: &Origin, listen: std::net::SocketAddr, rules: &str) -> String {
    let monitor = "monitor = { http = \"/health\", interval = \"20ms\" }";
    let pool = site::pool("web", monitor, &[origin.address()]);
    site::config(listen, "", &(rules.to_owned() + &pool))
}

fn rule(name: &str, pack: &std::path::Path) -> String {
    site::rule(name, pack, "slots = { primary = \"web\", canary = \"web\" }")
}

fn healthy() -> Origin {
    Origin::answering(ok("fine"))
}

/// Does `long`, which compiles a pack, and counts answers of `status` and probes of the member meanwhile.
fn meanwhile<T: Send>(daemon: &Daemon, origin: &Origin, long: impl FnOnce() -> T + Send) -> (T, [usize; 2]) {
    let is_done = AtomicBool::new(false);
    let probes = origin.count();
    let (outcome, answers) = thread::scope(|scope| {
        let long = scope.spawn(|| {
            let outcome = long();
            is_done.store(true, Relaxed);
            outcome
        });
        let mut answers = 0;
        while !is_done.load(Relaxed) {
            let status = daemon.status();
            // One that was answered when it was over does not count.
            answers += usize::from(!is_done.load(Relaxed) && status["epoch"].is_number());
        }
        (long.join().unwrap(), answers)
    });
    (outcome, [answers, origin.count() - probes])
}

fn loaded(daemon: &Daemon, rule: &str, pack: &std::path::Path) -> Value {
    daemon.shunt(&["rule", "load", &format!("web/{rule}"), pack.to_str().unwrap(), "-o", "json"]).json()
}

fn running(daemon: &Daemon) -> Vec<(String, Value)> {
    let status = daemon.status();
    let rules = status["virtuals"][0]["rules"].as_array().unwrap();
    rules.iter().map(|rule| (rule["name"].as_str().unwrap().to_owned(), rule["running"].clone())).collect()
}

#[test]
fn status_and_monitors_go_on_while_a_load_compiles() {
    let (origin, folder) = (healthy(), Folder::new());
    let daemon = Daemon::start(&configured(&origin, address::free(), &rule("main", &packs::guest("steer"))));
    let big = packs::large("steer", &folder);
    let (loaded, counts) = meanwhile(&daemon, &origin, || loaded(&daemon, "main", &big));
    assert_eq!(loaded["running"], 2);
    assert!(counts.into_iter().all(|count| count >= SOME), "{counts:?} answers and probes");
}

#[test]
fn status_and_monitors_go_on_while_a_reload_compiles() {
    let (origin, folder, listen) = (healthy(), Folder::new(), address::free());
    let small = rule("main", &packs::guest("steer"));
    let daemon = Daemon::start(&configured(&origin, listen, &small));
    let big = small + &rule("big", &packs::large("steer", &folder));
    let (summary, counts) = meanwhile(&daemon, &origin, || daemon.reload(&configured(&origin, listen, &big)));
    assert_eq!(summary["changed"], serde_json::json!(["virtual web"]));
    assert!(counts.into_iter().all(|count| count >= SOME), "{counts:?} answers and probes");
}

/// A rule is unloaded while a reload compiles the pack of another. Both take effect.
#[test]
fn what_changes_while_a_reload_compiles_is_not_undone_by_it() {
    let (origin, folder, listen) = (healthy(), Folder::new(), address::free());
    let small = rule("main", &packs::guest("steer"));
    let daemon = Daemon::start(&configured(&origin, listen, &small));
    let big = small + &rule("big", &packs::large("steer", &folder));
    let unload = || daemon.shunt(&["rule", "unload", "web/main"]).good();
    let is_done = AtomicBool::new(false);
    let (summary, was_first) = thread::scope(|scope| {
        let reload = scope.spawn(|| {
            let summary = daemon.reload(&configured(&origin, listen, &big));
            is_done.store(true, Relaxed);
            summary
        });
        // The reload has read the configuration and begun once a probe or two have come.
        let probes = origin.count();
        shunt_tests::daemon::until("probes", || origin.count() > probes + 5);
        unload();
        let was_first = !is_done.load(Relaxed);
        (reload.join().unwrap(), was_first)
    });
    assert!(was_first, "it did not wait for the compilation");
    assert_eq!(summary["epoch"], 3, "the unloading came first");
    assert_eq!(running(&daemon), [("web/main".to_owned(), Value::Null), ("web/big".to_owned(), 1.into())]);
}

/// The log of a start says how many rules were compiled, and how many were there already.
#[test]
fn a_start_takes_compiled_rules_from_the_cache() {
    let (origin, kept) = (healthy(), Folder::new());
    let cache = kept.path().join("cache");
    let rules = rule("main", &packs::guest("steer")) + &rule("more", &packs::guest("steer"));
    let config = |listen| {
        let packs = format!("[packs]\ncache = {:?}\n\n", cache.display().to_string());
        packs + &configured(&origin, listen, &rules)
    };
    let started = |says: &str| {
        let daemon = Daemon::start(&config(address::free()));
        daemon.wait_log("rules compiled, and taken from the cache");
        assert!(daemon.log().contains(says), "{}", daemon.log());
    };
    // One pack at two rules is compiled once.
    started("compiled=1 cached=0");
    started("compiled=0 cached=1");
    std::fs::remove_file(cache.join("compiled.sha256")).unwrap();
    started("compiled=1 cached=0");

    // What cannot be kept is compiled at each start.
    std::fs::remove_dir_all(cache.join("compiled")).unwrap();
    std::fs::write(cache.join("compiled"), "").unwrap();
    let daemon = Daemon::start(&config(address::free()));
    daemon.wait_log("compiled rules are not kept");
    assert_eq!(running(&daemon).len(), 2);
}
