//! What a new flow costs with a rule: the daemon's own worker, without a kernel beneath it.
//!
//! `cargo bench -p shunt --bench new_flows`. The guests are those of the tests. Measured is the thread's processor time,
//! per flow: a thousand million nanoseconds by it are the new flows per second of one core.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot continue stops")]
#![allow(clippy::disallowed_methods, reason = "one that measures reads the clock")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nix::time::{ClockId, clock_gettime};

use shunt_engine::datapath::{Left, Verdict};
use shunt_engine::network::{Hop, Interface, Network, Prefix, Route};
use shunt_packets::{Bare, Successions};
use shunt_rules::build::{BuildOptions, build};
use shunt_rules::{
    AttachOptions, Attachment, Environment, Level, MemberState, Pack, PoolState, QueueState, RuleHost,
    SlotBinding,
};
use shunt_wire::frame::HEADROOM;
use shunt_wire::{Frame, Mac, checksum};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Flows at once; the table is made again for so many, and that is not measured.
const BATCH: u64 = 50_000;
const CLIENTS: u32 = 1;
const SERVERS: u32 = 2;

/// Virtuals of either mode, with the members of two pools.
const CONFIG: &str = "
[[virtual]]
name = 'shop'
listen = '203.0.113.1:80'
protocol = 'packet'
interfaces = ['clients']
mode = 'MODE'
pool = 'main'

[[pool]]
name = 'main'
members = [{ address = '10.0.0.1:8080' }, { address = '10.0.0.2:8080' }]

[[pool]]
name = 'other'
members = [{ address = '10.0.0.3:8080' }, { address = '10.0.0.4:8080' }]

[[snat-pool]]
name = 'out'
addresses = ['10.0.0.100-10.0.0.103']
";

/// Where rules live: nothing is logged, and no pool is asked for.
struct Silence;

impl Environment for Silence {
    fn log_enabled(&self, _: Level) -> bool {
        false
    }

    fn log(&self, _: &str, _: Level, _: &str) {}

    fn unix_ms(&self) -> u64 {
        0
    }

    fn monotonic_us(&self) -> u64 {
        0
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }

    fn queue(&self, _: &str) -> Option<QueueState> {
        None
    }

    fn pool(&self, _: &str) -> Option<PoolState> {
        None
    }

    fn members(&self, _: &str) -> Vec<MemberState> {
        Vec::new()
    }

    fn bound(&self, _: &str, _: &str, _: &[u8]) -> Option<SocketAddr> {
        None
    }

    fn bind(&self, _: &str, _: &str, _: &[u8], _: SocketAddr, _: Option<Duration>) -> bool {
        false
    }

    fn unbind(&self, _: &str, _: &str, _: &[u8]) -> bool {
        false
    }

    fn bindings(&self, _: &str) -> u64 {
        0
    }

    fn breaker_opened(&self, rule: &str) {
        panic!("{rule} faults");
    }
}

/// A guest of the tests, attached with each slot bound to the pool of its name.
fn attached(host: &Arc<RuleHost>, guest: &str, settings: serde_json::Value) -> Arc<Attachment> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let options = BuildOptions { target_dir: Some(root.join("target/guests")), ..BuildOptions::default() };
    let built = build(&root.join("tests/guests").join(guest), &options).unwrap();
    let rule = host.compile(&Pack::read(&built.file).unwrap()).unwrap();
    let mut options = AttachOptions::new("shop/bench", Arc::new(Silence));
    let slots = rule.manifest().slots.iter();
    options.slots = slots
        .map(|(slot, declared)| SlotBinding { slot: slot.clone(), pool: slot.clone(), snat: declared.snat })
        .collect();
    options.settings = settings;
    rule.attach(options).unwrap()
}

fn configured(mode: &str) -> shunt_config::model::Config {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("shunt.toml");
    let snat = if mode == "snat" { "mode = 'snat'\nsnat-pool = 'out'" } else { "mode = 'nat'" };
    fs::write(&path, CONFIG.replace("mode = 'MODE'", snat)).unwrap();
    shunt_config::load(&path).unwrap_or_else(|report| panic!("{report}"))
}

/// Clients and members, each behind an interface.
fn network() -> Network {
    let mut network = Network::default();
    for (index, name, own, length) in
        [(CLIENTS, "clients", [198, 18, 0, 1], 15), (SERVERS, "servers", [10, 0, 0, 254], 24)]
    {
        let own = Ipv4Addr::from(own).into();
        network.set_interface(Interface {
            index,
            name: name.into(),
            mac: Mac([2, 0, 0, 0, 0, index as u8]),
            mtu: 1500,
            addresses: vec![(own, length)],
            vlan: None,
            point_to_point: false,
        });
        let destination = Prefix::new(own, length).unwrap();
        let hop = Some(Hop { gateway: None, interface: index });
        network.add_route(Route { destination, hop, metric: 0 });
    }
    for last in 1..=4 {
        network.set_neighbour(SERVERS, Ipv4Addr::new(10, 0, 0, last).into(), Mac([2, 0, 0, 0, 1, last]));
    }
    // Where two-way modes compile the way back.
    network.add_route(Route {
        destination: Prefix::new("0.0.0.0".parse::<IpAddr>().unwrap().into(), 0).unwrap(),
        hop: Some(Hop { gateway: Some(Ipv4Addr::new(198, 18, 0, 254).into()), interface: CLIENTS }),
        metric: 0,
    });
    network.set_neighbour(CLIENTS, Ipv4Addr::new(198, 18, 0, 254).into(), Mac([2, 0, 0, 0, 2, 1]));
    network
}

/// The SYN of client `n`: Ethernet, IPv4 and TCP without options. What TCP sums up is for its ends.
fn syn(n: u32) -> [u8; 54] {
    let (client, port) = (0xc633_6400 | n >> 14, (n & 0x3fff) as u16 + 1024);
    let mut frame = [0; 54];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 2, 1, 8, 0]);
    frame[14..26].copy_from_slice(&[0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0]);
    frame[26..30].copy_from_slice(&client.to_be_bytes());
    frame[30..34].copy_from_slice(&[203, 0, 113, 1]);
    let check = checksum::checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&check.to_be_bytes());
    frame[34..36].copy_from_slice(&port.to_be_bytes());
    frame[36..38].copy_from_slice(&80_u16.to_be_bytes());
    frame[46..50].copy_from_slice(&[0x50, 2, 0xff, 0xff]);
    frame
}

/// `count` new flows.
fn arrive(worker: &mut Bare, now: u64, count: u64) {
    let mut buffer = [0; HEADROOM + 54 + HEADROOM];
    for n in 0..count {
        let end = HEADROOM + 54;
        buffer[HEADROOM..end].copy_from_slice(&syn(n as u32));
        let verdict = worker.receive(now, CLIENTS, &mut Frame::new(&mut buffer, HEADROOM, end));
        assert!(matches!(verdict, Verdict::Send { interface: SERVERS }), "{verdict:?}");
    }
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

fn new_flows(criterion: &mut Criterion) {
    let host = RuleHost::new().unwrap();
    let looks = attached(&host, "steer", serde_json::json!({}));
    // Each client's flows to another pool, noted in a variable for `on-done`.
    let everyone = serde_json::json!({ "clients": [{ "from": "0.0.0.0/0", "how": "other" }] });
    let steers = attached(&host, "packets", everyone);
    let mut group = criterion.benchmark_group("new flow");
    group.sample_size(20).throughput(Throughput::Elements(1));
    for mode in ["nat", "snat"] {
        for (story, rules) in [
            ("without a rule", vec![]),
            ("a rule that looks", vec![Arc::clone(&looks)]),
            ("a rule that sets a variable and a pool", vec![Arc::clone(&steers)]),
        ] {
            let config = configured(mode);
            group.bench_function(format!("{mode}, {story}"), |bencher| {
                bencher.iter_custom(|turns| {
                    let mut spent = Duration::ZERO;
                    let mut left = turns;
                    while left > 0 {
                        let links = [("clients", CLIENTS)];
                        let flows = BATCH as usize;
                        let next = Successions::new(&links).next(&config, &rules, &Left::default()).unwrap();
                        let mut worker = Bare::new(next, network(), flows).unwrap();
                        let count = left.min(BATCH);
                        // The kernel gives memory when it is first written to, which a worker that runs has behind it.
                        arrive(&mut worker, 0, count);
                        while worker.flows() > 0 {
                            worker.tick(1_000_000);
                        }
                        worker.tick(2_000_000);
                        let start = processor_time();
                        arrive(&mut worker, 2_000_000, count);
                        spent += processor_time() - start;
                        left -= count;
                    }
                    spent
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, new_flows);
criterion_main!(benches);
