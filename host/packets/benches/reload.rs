//! What a reload costs a packet worker: the longest time for which it takes no frames, and how many are lost meanwhile.
//!
//! `cargo bench -p shunt-packets --bench reload`. The daemon's own worker, without a kernel beneath it: 5,000 members in 100
//! pools, each of a virtual of its own, and 10,000 flows in flight. 500,000 frames per second are offered to it, of
//! which a ring of 2,048 takes what the worker has not taken yet. Time is the processor time of the worker's thread,
//! as if it had a core to itself: so the figures hold on a machine that has other things to do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot continue stops")]
#![allow(clippy::disallowed_methods, reason = "one that measures reads the clock")]

use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use shunt_config::model::Config;
use shunt_engine::datapath::{Left, Verdict};
use shunt_engine::network::{Hop, Interface, Network, Prefix, Route};
use shunt_packets::{Bare, Next, Replaced, Successions};
use shunt_wire::frame::HEADROOM;
use shunt_wire::{Frame, Mac, checksum};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const POOLS: usize = 100;
const MEMBERS: usize = 50;
const FLOWS: usize = 10_000;
const FRAMES_PER_SECOND: u64 = 500_000;
/// What an AF_XDP ring of Shunt's holds.
const RING: u64 = 2_048;
/// Frames that a worker takes at once.
const BATCH: u64 = 64;
const RELOADS: usize = 60;
/// Frames are offered for so long between two reloads.
const BETWEEN: Duration = Duration::from_millis(20);
const CLIENTS: u32 = 1;
const SERVERS: u32 = 2;

/// What a reload changes.
#[derive(Clone, Copy)]
enum Kind {
    /// The weight of one member.
    Weight,
    /// All members of one pool are others.
    Members,
    /// One virtual comes or goes, with its flows.
    Virtual,
    /// All members of all pools are others.
    All,
}

fn configured(kind: Kind, round: usize) -> Config {
    let odd = round % 2;
    let mut text = String::new();
    for pool in 0..POOLS {
        if matches!(kind, Kind::Virtual) && pool == POOLS - 1 && odd == 1 {
            continue;
        }
        let others = match kind {
            Kind::Members if pool == 7 => odd,
            Kind::All => odd,
            _ => 0,
        };
        let weight = if matches!(kind, Kind::Weight) && pool == 7 { 1 + odd } else { 1 };
        writeln!(
            text,
            "[[virtual]]\nname = 'v{pool}'\nlisten = '203.0.113.{}:80'\nprotocol = 'packet'\n\
             interfaces = ['clients']\npool = 'p{pool}'\n[[pool]]\nname = 'p{pool}'\nmembers = [",
            pool + 1
        )
        .unwrap();
        for member in 0..MEMBERS {
            let weight = if member == 0 { weight } else { 1 };
            writeln!(text, "{{ address = '10.{others}.{pool}.{}:8080', weight = {weight} }},", member + 1)
                .unwrap();
        }
        text.push_str("]\n");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shunt.toml");
    fs::write(&path, text).unwrap();
    shunt_config::load(&path).unwrap_or_else(|report| panic!("{report}"))
}

/// Clients and members, each behind a router.
fn network() -> Network {
    let mut network = Network::default();
    let sides = [
        (CLIENTS, "clients", [198, 18, 0, 1], [0, 0, 0, 0], 0),
        (SERVERS, "servers", [172, 16, 0, 1], [10, 0, 0, 0], 8),
    ];
    for (index, name, own, beyond, length) in sides {
        let router = Ipv4Addr::from([own[0], own[1], 0, 254]).into();
        network.set_interface(Interface {
            index,
            name: name.into(),
            mac: Mac([2, 0, 0, 0, 0, index as u8]),
            mtu: 1500,
            addresses: vec![(Ipv4Addr::from(own).into(), 24)],
            vlan: None,
            point_to_point: false,
        });
        let destination = Prefix::new(Ipv4Addr::from(beyond).into(), length).unwrap();
        let hop = Some(Hop { gateway: Some(router), interface: index });
        network.add_route(Route { destination, hop, metric: 0 });
        network.set_neighbour(index, router, Mac([2, 0, 0, 0, 1, index as u8]));
    }
    network
}

/// A segment of flow `n`: Ethernet, IPv4 and TCP without options. What TCP sums up is for its ends.
fn segment(n: usize, flags: u8, seq: u32) -> [u8; 54] {
    let mut frame = [0; 54];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 1, 8, 0]);
    frame[14..26].copy_from_slice(&[0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0]);
    frame[26..30].copy_from_slice(&[198, 51, 100, (n / POOLS) as u8]);
    frame[30..34].copy_from_slice(&[203, 0, 113, (n % POOLS) as u8 + 1]);
    let check = checksum::checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&check.to_be_bytes());
    frame[34..36].copy_from_slice(&((n % POOLS) as u16 + 1024).to_be_bytes());
    frame[36..38].copy_from_slice(&80_u16.to_be_bytes());
    frame[38..42].copy_from_slice(&seq.to_be_bytes());
    frame[46..50].copy_from_slice(&[0x50, flags, 0xff, 0xff]);
    frame
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// What one reload came to.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// In which no frame was taken, at most.
    pause: Duration,
    lost: u64,
}

/// What the worker is told.
enum Order {
    TakeOver(Next),
    /// Which of these numbers does no flow need any more?
    Released(Left),
}

/// What it says.
enum Done {
    Replaced(Replaced),
    Released(Left),
    Seen(Seen),
}

/// The worker's thread: takes frames, and what it is told to take over.
fn work(first: Next, orders: &Receiver<Order>, done: &Sender<Done>) {
    let mut worker = Bare::new(first, network(), FLOWS * 2).unwrap();
    let frames: Vec<_> = (0..FLOWS).map(|n| segment(n, 0x10, 2)).collect();
    let mut buffer = [0; HEADROOM + 54 + HEADROOM];
    let mut take = |worker: &mut Bare, frame: &[u8; 54]| {
        buffer[HEADROOM..HEADROOM + 54].copy_from_slice(frame);
        worker.receive(1, CLIENTS, &mut Frame::new(&mut buffer, HEADROOM, HEADROOM + 54))
    };
    for n in 0..FLOWS {
        let verdict = take(&mut worker, &segment(n, 2, 1));
        assert!(matches!(verdict, Verdict::Send { interface: SERVERS }), "{verdict:?}");
    }
    let begun = processor_time();
    let (mut offered, mut next) = (0, 0);
    let mut backlog = 0;
    let mut last = begun;
    // The reload that is looked at, and how long still.
    let mut looks: Option<(Seen, Duration)> = None;
    let mut took_over = false;
    loop {
        let order = match orders.try_recv() {
            Ok(order) => Some(order),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => return,
        };
        match order {
            Some(Order::Released(left)) => {
                done.send(Done::Released(worker.released(left))).unwrap();
                (looks, took_over) = (Some((Seen::default(), last)), false);
            }
            Some(Order::TakeOver(next)) => {
                done.send(Done::Replaced(worker.take_over(next))).unwrap();
                (looks, took_over) = (looks.map(|(seen, _)| (seen, last + BETWEEN)), true);
            }
            None => {}
        }
        worker.tick(1);
        let now = processor_time();
        let due = (now - begun).as_nanos() as u64 * FRAMES_PER_SECOND / 1_000_000_000;
        backlog += due - offered;
        offered = due;
        let lost = backlog.saturating_sub(RING);
        backlog -= lost;
        if let Some((seen, until)) = &mut looks {
            seen.lost += lost;
            seen.pause = seen.pause.max(now - last);
            // The control thread prepares meanwhile.
            if now > *until && took_over {
                done.send(Done::Seen(*seen)).unwrap();
                looks = None;
            }
        }
        last = now;
        for _ in 0..backlog.min(BATCH) {
            let _ = take(&mut worker, &frames[next]);
            next = (next + 7) % FLOWS;
            backlog -= 1;
        }
    }
}

fn main() {
    println!(
        "{POOLS} pools of {MEMBERS} members, {FLOWS} flows, {FRAMES_PER_SECOND} frames/s; {RELOADS} reloads each\n"
    );
    println!("| a reload changes | pause, median | pause, longest | frames lost |\n|---|---|---|---|");
    for (kind, story) in [
        (Kind::Weight, "the weight of a member"),
        (Kind::Members, "the members of a pool"),
        (Kind::Virtual, "a virtual, with its flows"),
        (Kind::All, "every member"),
    ] {
        let configs = [configured(kind, 0), configured(kind, 1)];
        let mut successions = Successions::new(&[("clients", CLIENTS), ("servers", SERVERS)]);
        let first = successions.next(&configs[0], &[], &Left::default()).unwrap();
        let (orders, inbox) = channel();
        let (done, results) = channel();
        let worker = thread::spawn(move || work(first, &inbox, &done));
        let mut all = Vec::new();
        for round in 1..=RELOADS {
            orders.send(Order::Released(successions.left())).unwrap();
            let Ok(Done::Released(released)) = results.recv() else { panic!("the worker has ended") };
            let next = successions.next(&configs[round % 2], &[], &released).unwrap();
            orders.send(Order::TakeOver(next)).unwrap();
            // What the worker had is freed here, not there.
            let Ok(Done::Replaced(replaced)) = results.recv() else { panic!("the worker has ended") };
            drop(replaced);
            let Ok(Done::Seen(seen)) = results.recv() else { panic!("the worker has ended") };
            all.push(seen);
        }
        drop(orders);
        worker.join().unwrap();
        all.sort_by_key(|seen: &Seen| seen.pause);
        let lost: u64 = all.iter().map(|seen| seen.lost).sum();
        let microseconds = |place: usize| all[place].pause.as_nanos() as f64 / 1_000.0;
        println!(
            "| {story} | {:.0} µs | {:.0} µs | {lost} |",
            microseconds(RELOADS / 2),
            microseconds(RELOADS - 1)
        );
    }
}
