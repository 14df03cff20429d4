//! Nothing stays behind when a process dies, however it dies.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use shunt_sys::xdp::Steering;
use shunt_sys::xsk::{Options, Socket};

use crate::namespace::{cable, link, within};

/// Set for the process that is to die.
const VICTIM: &str = "SHUNT_TEST_VICTIM";

/// What `ip` shows of an interface, with its XDP program if it has one.
fn shown(interface: &str) -> String {
    let output = Command::new("ip").args(["-details", "link", "show", "dev", interface]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_killed_process_leaves_nothing() {
    if std::env::var_os(VICTIM).is_some() {
        die_when_told();
    }
    within("a process that attaches an XDP program", || {
        let (left, _right) = cable();
        // This test again, in this namespace.
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["leftovers::a_killed_process_leaves_nothing", "--exact", "--nocapture"])
            .env(VICTIM, "1")
            .stdout(Stdio::piped())
            .spawn()
            .map(Victim)
            .unwrap();
        let said = BufReader::new(victim.0.stdout.take().unwrap());
        assert!(said.lines().map_while(Result::ok).any(|line| line.ends_with("attached")));
        assert!(shown("left").contains("prog/xdp"), "{}", shown("left"));

        victim.0.kill().unwrap();
        victim.0.wait().unwrap();
        // The kernel closes what it had open after its parent hears of its death.
        let deadline = Instant::now() + Duration::from_secs(10);
        while shown("left").contains("xdp") {
            assert!(Instant::now() < deadline, "{}", shown("left"));
            thread::yield_now();
        }
        // Program and queue are free for the next one.
        let socket = Socket::open(&left, 0, Options { frames: 64 }).unwrap();
        Steering::load().unwrap().attach(&left, [&socket]).unwrap();
    });
}

/// Attaches, says so, and waits to be killed.
fn die_when_told() -> ! {
    let left = link("left");
    let socket = Socket::open(&left, 0, Options { frames: 64 }).unwrap();
    let mut steering = Steering::load().unwrap();
    steering.attach(&left, [&socket]).unwrap();
    println!("attached");
    loop {
        thread::park();
    }
}
