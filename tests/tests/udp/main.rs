//! Proxies for UDP: datagrams of clients and members, relayed unread.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot continue has failed")]

mod data;
mod ejection;
mod members;
mod relaying;
mod reloads;
mod sessions;
mod trouble;

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use shunt_tests::address;
use shunt_tests::site::{self, Site};

/// Long for a machine under load, and short for a person.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers to one datagram that says `flood`.
const FLOOD: usize = 100_000;

/// A member that says its name in front of what it gets, and remembers who sent it.
struct Echo {
    address: SocketAddr,
    senders: Arc<Mutex<BTreeSet<SocketAddr>>>,
    stopping: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Echo {
    fn start(name: &'static str) -> Echo {
        Echo::at(address::free(), name)
    }

    fn at(address: SocketAddr, name: &'static str) -> Echo {
        let socket = UdpSocket::bind(address).unwrap();
        let (senders, stopping) = (Arc::<Mutex<BTreeSet<_>>>::default(), Arc::<AtomicBool>::default());
        let serving = std::thread::spawn({
            let (senders, stopping) = (Arc::clone(&senders), Arc::clone(&stopping));
            move || {
                let mut buffer = vec![0; 65_536];
                loop {
                    let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                    if stopping.load(SeqCst) {
                        return;
                    }
                    senders.lock().unwrap().insert(from);
                    match &buffer[..length] {
                        b"silence" => continue,
                        b"flood" => {
                            (0..FLOOD).for_each(|_| drop(socket.send_to(&[b'x'; 1_000], from)));
                            continue;
                        }
                        _ => {}
                    }
                    let answer = [name.as_bytes(), &buffer[..length]].concat();
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Echo { address, senders, stopping, serving: Some(serving) }
    }

    /// How many sockets of Shunt sent to it.
    fn sessions(&self) -> usize {
        self.senders.lock().unwrap().len()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        let socket = UdpSocket::bind((self.address.ip(), 0)).unwrap();
        let _ = socket.send_to(&[0], self.address);
        self.serving.take().unwrap().join().unwrap();
    }
}

/// One worker, a virtual named `web` with a pool of these members, and more keys of it.
fn config(listen: SocketAddr, keys: &str, members: &[SocketAddr]) -> String {
    config_of(listen, keys, &site::pool("web", "", members))
}

/// The same with other tables than that of the pool.
fn config_of(listen: SocketAddr, keys: &str, rest: &str) -> String {
    site::config(listen, keys, rest).replace("protocol = \"http\"", "protocol = \"udp\"")
}

fn between(keys: &str, members: &[SocketAddr]) -> Site {
    Site::configured(|address| config(address, keys, members))
}

/// A client of a site.
fn client(site: &Site) -> UdpSocket {
    client_of(site.address)
}

fn client_of(address: SocketAddr) -> UdpSocket {
    client_from(if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }, address)
}

fn client_from(local: &str, address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(local).unwrap();
    socket.connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn ask(client: &UdpSocket, bytes: impl AsRef<[u8]>) -> String {
    client.send(bytes.as_ref()).unwrap();
    received(client)
}

#[track_caller]
fn received(client: &UdpSocket) -> String {
    let mut buffer = vec![0; 65_536];
    let length = client.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

fn of_virtual(site: &Site, name: &str) -> u64 {
    let status = site.daemon.status();
    status["virtuals"][0][name].as_u64().unwrap_or_else(|| panic!("{name} in {status}"))
}

fn of_member(site: &Site, at: usize, name: &str) -> u64 {
    let status = site.daemon.status();
    status["pools"][0]["members"][at][name].as_u64().unwrap_or_else(|| panic!("{name} in {status}"))
}
