//! What the state of the packet datapath costs: finding, making and ending flows, their timers, their ports.
//!
//! `cargo bench -p shunt-engine --bench flows`. A table of a million flows is larger than the caches: *spread* looks
//! flows up in random order, so that nearly every read of memory is a miss; *busy* looks up the same thousand.

// A bench that cannot continue stops.
#![allow(clippy::unwrap_used)]
// One that measures bytes says so.
#![allow(clippy::disallowed_macros)]

use std::hash::BuildHasher;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use shunt_engine::flow::{Ending, Table};
use shunt_engine::hash::Keyed;
use shunt_engine::snat::{self, Blocks, Pool, Ports};
use shunt_engine::timer::Wheel;
use shunt_wire::{Address, Endpoint, FlowKey};

const FLOWS: u32 = 1_000_000;
const HASH: Keyed = Keyed::new([0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210]);

/// As large as what the datapath keeps of a flow: about four cache lines.
type Value = [u64; 32];

fn endpoint(last: u32, port: u16) -> Endpoint {
    Endpoint { address: Address { hi: 0, lo: 0xffff_0a00_0000 + u64::from(last) }, port }
}

/// The keys of client `n`: to the virtual, and from the member.
fn keys(n: u32) -> (FlowKey, FlowKey) {
    let client = endpoint(n >> 12, (n & 0xfff) as u16);
    let (vip, member) = (endpoint(0xff_0001, 80), endpoint(0xff_0002, 8080));
    (FlowKey::new(client, vip, 6), FlowKey::new(member, client, 6))
}

/// Visits all numbers below a million in an order that no prefetcher follows.
fn shuffled(step: u32) -> u32 {
    (u64::from(step) * 379_009 % u64::from(FLOWS)) as u32
}

fn full_table(spare: usize) -> Table<Value> {
    let mut table = Table::new(0, FLOWS as usize + spare, HASH);
    for n in 0..FLOWS {
        let (forward, reverse) = keys(n);
        table.insert(forward, Some(reverse), [u64::from(n); 32]).unwrap();
    }
    table
}

fn lookups(criterion: &mut Criterion) {
    let key = keys(7).0;
    criterion.bench_function("hash of a key, SipHash-1-3", |bencher| {
        bencher.iter(|| HASH.hash_one(black_box(&key)));
    });

    let mut table = full_table(0);
    let each = table.memory() / FLOWS as usize;
    println!("a million flows: {each} bytes each, of which {} are the value", size_of::<Value>());

    let mut step = 0;
    let mut next = move |among: u32| {
        step = (step + 1) % FLOWS;
        shuffled(step) % among
    };
    for (name, among) in [("busy", 1_000), ("spread", FLOWS)] {
        criterion.bench_function(&format!("find, a million flows, {name}"), |bencher| {
            bencher.iter(|| {
                let found = table.find_mut(&keys(next(among)).1).unwrap();
                found.flow.value[0] += 1;
                found.direction
            });
        });
    }
    for (name, prefetched) in [("one after another", false), ("as a batch", true)] {
        criterion.bench_function(&format!("find 64, a million flows, spread, {name}"), |bencher| {
            bencher.iter(|| {
                let batch: [FlowKey; 64] = std::array::from_fn(|_| keys(next(FLOWS)).1);
                if prefetched {
                    table.prefetch(&batch);
                }
                for key in batch {
                    table.find_mut(&key).unwrap().flow.value[0] += 1;
                }
            });
        });
    }
    criterion.bench_function("find what is not there, a million flows", |bencher| {
        bencher.iter(|| table.find(&keys(FLOWS + next(FLOWS)).0));
    });
}

fn coming_and_going(criterion: &mut Criterion) {
    let mut table = full_table(1);
    let mut n = FLOWS;
    criterion.bench_function("insert and remove, a million flows", |bencher| {
        bencher.iter(|| {
            n = n.wrapping_add(1).max(FLOWS);
            let (forward, reverse) = keys(n);
            let id = table.insert(forward, Some(reverse), [0; 32]).unwrap();
            table.remove(id).unwrap().value[0]
        });
    });
}

fn timers(criterion: &mut Criterion) {
    let mut wheel = Wheel::new(0);
    for token in 0..FLOWS {
        wheel.schedule(token, u64::from(shuffled(token)) * 300_000 / u64::from(FLOWS));
    }
    // A million timers of 300 s, each set again when it fires: about three per millisecond.
    let mut now = 0;
    criterion.bench_function("a timer fires and is set again, a million timers", |bencher| {
        bencher.iter(|| {
            loop {
                if let Some(token) = wheel.take_due(now) {
                    wheel.schedule(token, now + 300_000);
                    return token;
                }
                now += 1;
            }
        });
    });
    let mut step = 0;
    criterion.bench_function("a timer is moved, a million timers", |bencher| {
        bencher.iter(|| {
            step = (step + 1) % FLOWS;
            wheel.schedule(shuffled(step), now + 10_000);
        });
    });
    criterion.bench_function("nothing is due", |bencher| bencher.iter(|| wheel.take_due(black_box(now))));
}

fn leases(criterion: &mut Criterion) {
    let addresses: Vec<_> = (1..=4).map(|n| endpoint(n, 0).address).collect();
    let pool = Pool::new(&addresses, 1_024..=65_535, snat::TIME_WAIT);
    let member = endpoint(99, 80);
    let mut random = 1u64;
    let mut random = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random ^ random >> 33
    };
    let mut ports = Ports::new(Blocks::new(0, 2), HASH, 0);
    let mut held = Vec::new();
    for _ in 0..64_000 {
        held.push(ports.lease(&pool, 6, member, random(), 0).unwrap());
    }
    // Half of the ports are in use; 500 connections come and go per second, and are quarantined for 66 s: twice as many
    // would be more than the other half can take.
    let mut now = 0;
    criterion.bench_function("lease and return, half of the ports in use", |bencher| {
        bencher.iter(|| {
            now += 2;
            let lease = ports.lease(&pool, 6, member, random(), now).unwrap();
            ports.end(lease, Ending::ServerClosed, now, now);
        });
    });
    let full = Pool::new(&addresses[..1], 1_024..=65_535, snat::TIME_WAIT);
    while let Ok(lease) = ports.lease(&full, 6, member, random(), now) {
        held.push(lease);
    }
    criterion.bench_function("no port left", |bencher| {
        bencher.iter(|| ports.lease(&full, 6, member, random(), now).unwrap_err());
    });
    criterion.bench_function("lease and return, the first toward a member", |bencher| {
        bencher.iter_batched(
            || Ports::new(Blocks::new(0, 2), HASH, 0),
            |mut ports| {
                let lease = ports.lease(&pool, 6, member, random(), 0).unwrap();
                ports.end(lease, Ending::ServerClosed, 0, 0);
                ports
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, lookups, coming_and_going, timers, leases);
criterion_main!(benches);
