//! A server of DNS that says what a test says. Over UDP, on loopback.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::address;

/// What it says of a name. Of others it says that they do not exist.
#[derive(Clone, Debug)]
pub enum Says {
    /// Those of the family that is asked for.
    Addresses(Vec<IpAddr>),
    /// Priority, weight, port, target.
    Services(Vec<(u16, u16, u16, &'static str)>),
    /// An error, by its number.
    Code(u8),
    /// Bytes that are no message.
    Junk,
    Nothing,
}

type Zone = Arc<Mutex<HashMap<String, Says>>>;

pub struct Dns {
    address: SocketAddr,
    zone: Zone,
    stopping: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

/// Bytes of EDNS behind a question.
const OPT: usize = 11;

impl Dns {
    /// One that knows no name yet.
    #[must_use]
    pub fn start() -> Dns {
        let address = address::free();
        let socket = UdpSocket::bind(address).expect("an address that is free");
        let (zone, stopping) = (Zone::default(), Arc::new(AtomicBool::new(false)));
        let serving = std::thread::spawn({
            let (zone, stopping) = (Arc::clone(&zone), Arc::clone(&stopping));
            move || serve(&socket, &zone, &stopping)
        });
        Dns { address, zone, stopping, serving: Some(serving) }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it says this of a name.
    pub fn say(&self, name: &str, says: Says) {
        self.zone.lock().expect("no thread panics with it").insert(name.to_owned(), says);
    }

    /// The addresses of members, which have one port.
    pub fn say_members(&self, name: &str, members: &[SocketAddr]) {
        assert!(members.windows(2).all(|pair| pair[0].port() == pair[1].port()), "one port: {members:?}");
        self.say(name, Says::Addresses(members.iter().map(SocketAddr::ip).collect()));
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        let socket = UdpSocket::bind((self.address.ip(), 0)).expect("a socket");
        let _ = socket.send_to(&[0], self.address);
        if let Some(serving) = self.serving.take() {
            serving.join().expect("the thread that serves");
        }
    }
}

fn serve(socket: &UdpSocket, zone: &Zone, stopping: &AtomicBool) {
    let mut buffer = [0; 512];
    loop {
        // An error is one of an answer before, whose asker is gone.
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        if stopping.load(SeqCst) {
            return;
        }
        let question = &buffer[..length];
        let (name, kind) = asked(question);
        let says = zone.lock().expect("no thread panics with it").get(&name).cloned();
        let answer = match says {
            None => Some(response(question, 3, &[])),
            Some(Says::Code(code)) => Some(response(question, code, &[])),
            Some(Says::Addresses(addresses)) => {
                let octets = |it: &IpAddr| match (it, kind) {
                    (IpAddr::V4(v4), 1) => Some(v4.octets().to_vec()),
                    (IpAddr::V6(v6), 28) => Some(v6.octets().to_vec()),
                    _ => None,
                };
                Some(response(question, 0, &addresses.iter().filter_map(octets).collect::<Vec<_>>()))
            }
            Some(Says::Services(services)) => {
                let data = |(priority, weight, port, target): &(u16, u16, u16, &str)| {
                    let numbers = [priority, weight, port].map(|it| it.to_be_bytes()).concat();
                    [numbers, wire_name(target)].concat()
                };
                let services = if kind == 33 { services.iter().map(data).collect() } else { Vec::new() };
                Some(response(question, 0, &services))
            }
            Some(Says::Junk) => Some(vec![0xff; 40]),
            Some(Says::Nothing) => None,
        };
        if let Some(answer) = answer {
            let _ = socket.send_to(&answer, from);
        }
    }
}

/// A response with these records of the type that was asked for, which are valid for no time.
fn response(question: &[u8], code: u8, records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = question[..question.len() - OPT].to_vec();
    let kind = [bytes[bytes.len() - 4], bytes[bytes.len() - 3]];
    bytes[2..4].copy_from_slice(&[0x81, 0x80 | code]);
    bytes[6..8].copy_from_slice(&u16::try_from(records.len()).expect("few records").to_be_bytes());
    bytes[10..12].copy_from_slice(&[0, 0]);
    for data in records {
        let length = u16::try_from(data.len()).expect("short data").to_be_bytes();
        bytes.extend([&[0xc0, 12][..], &kind, &[0, 1, 0, 0, 0, 0], &length, data].concat());
    }
    bytes
}

/// The name and the type of a question.
fn asked(question: &[u8]) -> (String, u8) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..end]).into_owned());
        at = end;
    }
    (labels.join("."), question[at + 2])
}

fn wire_name(name: &str) -> Vec<u8> {
    let label = |label: &str| [&[u8::try_from(label.len()).expect("a label")], label.as_bytes()].concat();
    name.split('.').flat_map(label).chain([0]).collect()
}
