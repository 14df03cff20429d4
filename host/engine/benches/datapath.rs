//! What the datapath costs per frame: hits in each mode, and first packets of flows.
//!
//! `cargo bench -p shunt-engine --bench datapath`. Every turn starts from a fresh copy of the frame, as a receive ring
//! hands out a frame of its own; what the copy costs stands beside it as `copy`.

#![allow(clippy::unwrap_used, reason = "a bench that cannot continue stops")]
#![allow(clippy::disallowed_macros, reason = "one that measures bytes says so")]
#![allow(clippy::disallowed_methods, reason = "one that measures reads the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use shunt_engine::datapath::{Datapath, Done, Driver, NewFlow, Ruling, Target, Verdict, VirtualIndex};
use shunt_engine::fragment::FragmentOf;
use shunt_wire::frame::HEADROOM;
use shunt_wire::{Address, Frame};

#[path = "../tests/golden/case.rs"]
#[allow(dead_code, reason = "cases are not read here")]
mod case;
#[path = "../tests/golden/frame/mod.rs"]
#[allow(dead_code, unused_imports, reason = "frames are only read here")]
mod frame;
#[path = "../tests/datapath/lab.rs"]
#[allow(dead_code, reason = "no case is set up here")]
mod lab;

use lab::{ETH0, ETH1, Lab};

const FLOWS: u32 = 1_000_000;
const ETH: &str = "eth 02:00:00:00:0a:01 > 02:00:00:00:00:01";

/// Rules that send every flow where it would have gone, at no cost.
struct Rules(u64);

impl Driver for Rules {
    fn on_flow(&mut self, _: VirtualIndex, _: &NewFlow) -> Ruling {
        Ruling::To(Target::default())
    }

    fn on_done(&mut self, _: &Done) {}

    fn send(&mut self, _: u32, _: &[u8]) {}

    fn hand_over(&mut self, _: usize, _: u32, _: &[u8], _: Option<FragmentOf>) -> bool {
        true
    }

    fn solicit(&mut self, _: u32, _: Address) {}

    fn random(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 33
    }
}

/// A lab with one virtual of the mode, and members that all modes reach.
fn lab(mode: &str, flows: usize) -> Lab {
    let mut lab = Lab::default();
    lab.options.flows = flows;
    lab.set("snat", "1024-65535 10.0.0.100 10.0.0.101 10.0.0.102 10.0.0.103").unwrap();
    lab.set("virtual", &format!("shop 203.0.113.1:80 tcp {mode}")).unwrap();
    for host in 1..=8 {
        lab.set("member", &format!("10.0.0.{host}:8080")).unwrap();
        lab.set("neighbour", &format!("eth1 10.0.0.{host} 02:00:00:00:0b:0{host}")).unwrap();
    }
    lab
}

/// A buffer, and a frame that is put into it for each turn.
struct Ring {
    buffer: Vec<u8>,
    template: Vec<u8>,
}

impl Ring {
    fn new(text: &str) -> Self {
        let template = frame::read(text).unwrap();
        Self { buffer: vec![0; HEADROOM + template.len() + HEADROOM], template }
    }

    fn frame(&mut self) -> Frame<'_> {
        let end = HEADROOM + self.template.len();
        self.buffer[HEADROOM..end].copy_from_slice(&self.template);
        Frame::new(&mut self.buffer, HEADROOM, end)
    }

    /// Makes the frame one of client `n`, with its checksums mended.
    fn set_client(&mut self, n: u32) {
        let (host, port) = (0xc612_0000 | n >> 14, (n & 0x3fff) as u16 + 1024);
        let mut changed = Changed(&mut self.template);
        changed.put(26, &host.to_be_bytes(), &[24, 50]);
        changed.put(34, &port.to_be_bytes(), &[50]);
    }
}

/// A frame of IPv4 and TCP whose fields change.
struct Changed<'a>(&'a mut [u8]);

impl Changed<'_> {
    /// RFC 1624 equation 3 for each checksum that covers the field.
    fn put(&mut self, at: usize, field: &[u8], checksums: &[usize]) {
        for (place, new) in (at..).step_by(2).zip(field.chunks_exact(2)) {
            let word = |bytes: &[u8]| u32::from(u16::from_be_bytes([bytes[0], bytes[1]]));
            let old = word(&self.0[place..]);
            for check in checksums {
                let mut sum = (!word(&self.0[*check..]) & 0xffff) + (!old & 0xffff) + word(new);
                while sum > 0xffff {
                    sum = (sum & 0xffff) + (sum >> 16);
                }
                self.0[*check..*check + 2].copy_from_slice(&(!sum as u16).to_be_bytes());
            }
            self.0[place..place + 2].copy_from_slice(new);
        }
    }
}

const SYN: &str = "ip4 192.0.2.7 > 203.0.113.1 ttl 64 df | tcp 40000 > 80 S seq 1 win 65535 mss 1460";
const DATA: &str =
    "ip4 192.0.2.7 > 203.0.113.1 ttl 64 df | tcp 40000 > 80 A seq 2 ack 101 win 65535 | \"abcdef\"";

fn send(datapath: &mut Datapath, now: u64, ring: &mut Ring, rules: &mut Rules) {
    let verdict = datapath.receive(now, ETH0, &mut ring.frame(), rules);
    assert!(matches!(verdict, Verdict::Send { interface: ETH1 }), "{verdict:?}");
}

fn hits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hit, one flow");
    let mut ring = Ring::new(&format!("{ETH} | {DATA}"));
    group.bench_function("copy", |bencher| bencher.iter(|| black_box(ring.frame().len())));
    let mut rules = Rules(1);
    for mode in ["nat", "snat snat", "l2dsr", "l3dsr-dscp dscp 10", "l3dsr-ipip", "l3dsr-gre", "l3dsr-gue"] {
        let mut datapath = lab(mode, 1000).datapath(0).unwrap();
        send(&mut datapath, 0, &mut Ring::new(&format!("{ETH} | {SYN}")), &mut rules);
        group.bench_function(mode.split(' ').next().unwrap(), |bencher| {
            bencher.iter(|| black_box(datapath.receive(1, ETH0, &mut ring.frame(), &mut rules)));
        });
    }
    group.finish();
}

/// A member of the other family, in both directions. What has no checksum gets one on its way to IPv6, which is
/// summed over the whole; `udp` is the same with one.
fn translations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hit, one flow, translated");
    let mut rules = Rules(1);
    const V4: &str = "ip4 192.0.2.7 > 203.0.113.1 ttl 64 df";
    const V6: &str = "ip6 2001:db8:c::7 > 2001:db8:f::1 hop 64";
    const SEGMENT: &str = "tcp 40000 > 80 A seq 2 ack 101 win 65535 | \"abcdef\"";
    for (name, mode, client, next) in [
        ("nat, 4 to 6", "nat", V4, SEGMENT),
        ("nat, 6 to 4", "nat", V6, SEGMENT),
        ("snat, 4 to 6", "snat snat", V4, SEGMENT),
        ("udp of 1 KB, 4 to 6", "nat", V4, "udp 40000 > 80 | bytes 1024"),
        ("the same without checksum", "nat", V4, "udp 40000 > 80 no-checksum | bytes 1024"),
    ] {
        let mut lab = Lab::default();
        lab.set("snat", "1024-65535 2001:db8:a::100").unwrap();
        for (vip, member) in
            [("203.0.113.1:80", "[2001:db8:a::1]:8080"), ("[2001:db8:f::1]:80", "10.0.0.1:8080")]
        {
            let knows = "prefix 2001:db8:64::/96 map 192.0.2.0/24=2001:db8:c::/120";
            lab.set("virtual", &format!("{vip} {vip} any {mode} {knows}")).unwrap();
            if vip.starts_with('[') == client.starts_with("ip6") {
                lab.set("member", member).unwrap();
            }
        }
        let mut datapath = lab.datapath(0).unwrap();
        let first = if next.starts_with("udp") { next } else { "tcp 40000 > 80 S seq 1 win 65535 mss 1460" };
        send(&mut datapath, 0, &mut Ring::new(&format!("{ETH} | {client} | {first}")), &mut rules);
        let mut ring = Ring::new(&format!("{ETH} | {client} | {next}"));
        send(&mut datapath, 1, &mut ring, &mut rules);
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(datapath.receive(1, ETH0, &mut ring.frame(), &mut rules)));
        });
    }
    // Without flows: packet by packet, by its addresses.
    let mut lab = Lab::default();
    lab.set("siit", "clat prefix 2001:db8:64::/96 map 192.0.2.7/32=2001:db8:a::1/128").unwrap();
    lab.set("route", "192.0.2.7/32 eth1 -").unwrap();
    let mut datapath = lab.datapath(0).unwrap();
    let mut ring = Ring::new(&format!("{ETH} | ip4 198.51.100.9 > 192.0.2.7 ttl 64 df | {SEGMENT}"));
    send(&mut datapath, 1, &mut ring, &mut rules);
    group.bench_function("siit, 4 to 6", |bencher| {
        bencher.iter(|| black_box(datapath.receive(1, ETH0, &mut ring.frame(), &mut rules)));
    });
    group.finish();
}

/// A table of a million flows is larger than the caches: *busy* packets are of a thousand flows, *spread*
/// ones of all, so that nearly every read of memory is a miss.
fn hits_among_a_million(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hit, a million flows, nat");
    let mut rules = Rules(1);
    let mut datapath = lab("nat", FLOWS as usize).datapath(0).unwrap();
    let mut ring = Ring::new(&format!("{ETH} | {SYN}"));
    for n in 0..FLOWS {
        ring.set_client(n);
        send(&mut datapath, 0, &mut ring, &mut rules);
    }
    let memory = datapath.counters().memory / u64::from(FLOWS);
    println!("a million flows: {memory} bytes each");
    let mut ring = Ring::new(&format!("{ETH} | {DATA}"));
    let mut step = 0u32;
    let mut next = move |among: u32| {
        step = (step + 1) % FLOWS;
        (u64::from(step) * 379_009 % u64::from(FLOWS)) as u32 % among
    };
    group.bench_function("copy", |bencher| {
        bencher.iter(|| {
            ring.set_client(next(FLOWS));
            black_box(ring.frame().len())
        });
    });
    for (name, among) in [("busy", 1_000), ("spread", FLOWS)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                ring.set_client(next(among));
                black_box(datapath.receive(1, ETH0, &mut ring.frame(), &mut rules))
            });
        });
    }
    // Frames of 64 flows that lie anywhere.
    let mut rings: Vec<Ring> = (0..64).map(|_| Ring::new(&format!("{ETH} | {DATA}"))).collect();
    for (name, prefetched) in [("64 spread, one after another", false), ("64 spread, as a batch", true)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                rings.iter_mut().for_each(|ring| ring.set_client(next(FLOWS)));
                if prefetched {
                    datapath.prefetch(rings.iter().map(|ring| ring.template.as_slice()));
                }
                for ring in &mut rings {
                    let _ = black_box(datapath.receive(1, ETH0, &mut ring.frame(), &mut rules));
                }
            });
        });
    }
    group.finish();
}

/// New flows, `BATCH` at a time into a table that is made again and not measured.
fn misses(criterion: &mut Criterion) {
    const BATCH: u32 = 50_000;
    let mut group = criterion.benchmark_group("new flow");
    group.sample_size(20);
    for (name, mode) in [
        ("nat", "nat"),
        ("nat, with a rule that costs nothing", "nat rule"),
        ("nat, kept by source", "nat persist 60000"),
        ("snat", "snat snat"),
        ("l2dsr", "l2dsr"),
        ("l3dsr-ipip", "l3dsr-ipip"),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|turns| {
                let mut spent = Duration::ZERO;
                let mut left = turns;
                while left > 0 {
                    let mut datapath = lab(mode, BATCH as usize).datapath(0).unwrap();
                    let mut rules = Rules(left);
                    let mut ring = Ring::new(&format!("{ETH} | {SYN}"));
                    let count = left.min(u64::from(BATCH)) as u32;
                    // The kernel gives memory when it is first written to, which a worker that runs has behind it.
                    for n in 0..count {
                        ring.set_client(n);
                        send(&mut datapath, 0, &mut ring, &mut rules);
                    }
                    datapath.tick(1_000_000, &mut rules);
                    while datapath.counters().flows > 0 {
                        datapath.tick(1_000_000, &mut rules);
                    }
                    datapath.tick(2_000_000, &mut rules);
                    let start = Instant::now();
                    for n in 0..count {
                        ring.set_client(n);
                        send(&mut datapath, 2_000_000, &mut ring, &mut rules);
                    }
                    spent += start.elapsed();
                    left -= u64::from(count);
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, hits, translations, hits_among_a_million, misses);
criterion_main!(benches);
