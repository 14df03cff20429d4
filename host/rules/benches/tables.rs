//! What tables take: memory of a million counters, and one hot key under one worker and under two.
//!
//! `cargo bench -p shunt-rules --bench tables`. Prints; nothing is asserted but the memory.

// A bench that cannot continue stops.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "../tests/guests/world.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod world;

use std::sync::Arc;
use std::time::Instant;

use shunt_rules::{Declared, Runner, Tables};
use world::{World, exchange, options, rule};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Counters that are kept.
const COUNTERS: u32 = 1_000_000;
/// Bytes that they may take.
const MOST: usize = 120 << 20;
/// Calls of a hook that adds a hundred times.
const CALLS: u32 = 20_000;

fn main() {
    let asked = std::env::args().skip(1).find(|it| !it.starts_with('-'));
    if asked.is_some_and(|asked| !"tables".contains(&asked)) {
        return;
    }
    memory();
    let one = hot_key(1);
    let two = hot_key(2);
    println!(
        "one hot key: {one:.0} ns for an increment with 1 worker, {two:.0} ns with 2, of all of them together"
    );
    println!("two workers do {:.2} times the work of one", one / two);
}

/// Keys are IPv4 addresses.
fn memory() {
    let declared: Declared =
        toml::from_str("purpose = \"p\"\nkind = \"counters\"\nentries = 1000000\nmemory = \"120MiB\"")
            .unwrap();
    let tables = Tables::default();
    let table = tables.of(&Arc::from("shop/limit"), "clients", &declared);
    let before = resident();
    let started = Instant::now();
    for key in 0..COUNTERS {
        table.write(&key.to_be_bytes(), "1", 0).unwrap();
    }
    let each = started.elapsed().as_nanos() / u128::from(COUNTERS);
    let (taken, counts) = (resident() - before, table.counts());
    println!(
        "{COUNTERS} counters: {:.1} MiB resident, {:.1} MiB by the table's own count, {each} ns to put one there",
        taken as f64 / f64::from(1 << 20),
        counts.bytes as f64 / f64::from(1 << 20),
    );
    assert_eq!((counts.entries, counts.evicted), (u64::from(COUNTERS), 0));
    assert!(taken <= MOST, "{taken} bytes are more than {MOST}");
}

/// Nanoseconds of an increment by a rule, over all workers together.
fn hot_key(workers: u32) -> f64 {
    let (rule, tables) = (rule("calls"), Arc::<Tables>::default());
    let worker = |_| {
        let mut options = options(&rule, &World::new());
        options.tables = Arc::clone(&tables);
        let mut runner = Runner::new(rule.attach(options).unwrap());
        std::thread::spawn(move || {
            let mut request = exchange("/table-add", &[]);
            for _ in 0..CALLS {
                runner.on_request(&mut request).unwrap();
            }
        })
    };
    let started = Instant::now();
    let threads: Vec<_> = (0..workers).map(worker).collect();
    for thread in threads {
        thread.join().unwrap();
    }
    started.elapsed().as_nanos() as f64 / f64::from(workers * CALLS * 100)
}

/// Bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().and_then(|it| it.parse::<usize>().ok()).unwrap() << 10
}
