//! A network namespace for a test.

use std::panic::resume_unwind;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use shunt_lab::needs;
use shunt_sys::netlink::{Link, Netlink};

/// Runs a test in a new network namespace, whose loopback interface is up; skipped where
/// [`needs::namespaces`] says so.
pub(crate) fn within(why: &str, test: impl FnOnce() + Send) {
    if !needs::namespaces(why) {
        return;
    }
    let outcome = thread::scope(|scope| {
        let inside = || {
            // Of this thread alone, and of the processes that it starts.
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            ip("link set dev lo up");
            test();
        };
        scope.spawn(inside).join()
    });
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// Runs `ip` with these words.
pub(crate) fn ip(words: &str) {
    run("ip", words);
}

pub(crate) fn run(program: &str, words: &str) {
    let output = Command::new(program).args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{program} {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Two interfaces, `left` and `right`, joined by a cable. Their MACs end in 1 and 2.
pub(crate) fn cable() -> (Link, Link) {
    ip("link add left address 02:00:00:00:00:01 type veth peer name right address 02:00:00:00:00:02");
    for end in ["left", "right"] {
        // Frames of the kernel's own would be in the way.
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{end}/disable_ipv6"), "1").unwrap();
        ip(&format!("link set dev {end} up"));
    }
    (link_that_is_up("left"), link_that_is_up("right"))
}

/// The kernel takes note of a carrier a little later than it is there.
fn link_that_is_up(name: &str) -> Link {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut netlink = Netlink::open().unwrap();
    loop {
        if let Some(link) = netlink.state().links.values().find(|link| link.name == name && link.up) {
            return link.clone();
        }
        assert!(Instant::now() < deadline, "{name} does not come up");
        netlink.wait(Some(Duration::from_millis(100))).unwrap();
    }
}

pub(crate) fn link(name: &str) -> Link {
    let netlink = Netlink::open().unwrap();
    netlink.state().links.values().find(|link| link.name == name).unwrap().clone()
}
