//! What reloads leave of sessions: nothing is lost.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use shunt_tests::address;
use shunt_tests::daemon::{Signal, until};

use crate::{Echo, PATIENCE, ask, between, client, client_of, config, of_virtual, received};

/// Reloads that take a member away and bring it back, while clients ask one question after another. None of them is asked
/// twice.
fn reload_under_load(keys: &str) {
    let (one, two) = (Echo::start(""), Echo::start(""));
    let both = [one.address, two.address];
    let site = between(keys, &both);
    let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let (stop, done, address) = (Arc::clone(&stop), Arc::clone(&done), site.address);
            thread::spawn(move || {
                let client = client_of(address);
                while !stop.load(SeqCst) {
                    let question = format!("{number}: {}", done.fetch_add(1, SeqCst));
                    assert_eq!(ask(&client, &question), question);
                }
            })
        })
        .collect();
    for round in 0..40 {
        let members = &both[..1 + round % 2];
        site.daemon.reload(&config(site.address, keys, members));
        let (before, failed) = (done.load(SeqCst), || clients.iter().any(thread::JoinHandle::is_finished));
        until("questions are answered", || failed() || done.load(SeqCst) > before + 20);
        assert!(!failed(), "an answer did not come");
    }
    stop.store(true, SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());
    let (asked, counts) = (done.load(SeqCst) as u64, ["datagrams-to-server", "datagrams-to-client"]);
    assert_eq!(counts.map(|it| of_virtual(&site, it)), [asked, asked]);
    assert_eq!(of_virtual(&site, "datagrams-lost"), 0);
}

#[test]
fn sessions_lose_nothing_when_members_change() {
    reload_under_load("");
}

#[test]
fn questions_lose_no_answer_when_members_change() {
    reload_under_load("udp = { one-shot = true }");
}

/// A member that answers when the test wants it to.
struct Slow(UdpSocket);

impl Slow {
    fn start() -> Slow {
        let socket = UdpSocket::bind(address::free()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Slow(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The socket of Shunt that asks next.
    fn asked(&self) -> SocketAddr {
        self.0.recv_from(&mut [0; 100]).unwrap().1
    }
}

#[test]
fn answers_come_after_the_virtual_is_gone_and_its_address_can_be_used_again() {
    let slow = Slow::start();
    let site = between("", &[slow.address()]);
    let (client, other) = (client(&site), client(&site));
    client.send(b"question").unwrap();
    let asked = slow.asked();
    other.send(b"never answered").unwrap();
    slow.asked();
    site.daemon.reload(&config(address::free(), "", &[slow.address()]));
    slow.0.send_to(b"late", asked).unwrap();
    assert_eq!(received(&client), "late");
    // The other's session keeps the address for a moment.
    let echo = Echo::start("");
    site.daemon.reload(&config(site.address, "", &[echo.address]));
    assert_eq!(ask(&client, "again"), "again");
}

#[test]
fn a_process_that_is_to_end_waits_for_answers() {
    let slow = Slow::start();
    let mut site = between("", &[slow.address()]);
    let client = client(&site);
    client.send(b"question").unwrap();
    let asked = slow.asked();
    site.daemon.signal(Signal::SIGTERM);
    site.daemon.wait_log("draining");
    slow.0.send_to(b"late", asked).unwrap();
    assert_eq!(received(&client), "late");
    assert!(site.daemon.wait().success());
}
