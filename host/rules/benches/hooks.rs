//! What a call of a rule costs: hooks, a fresh instance, each host function by itself.
//!
//! `cargo bench -p shunt-rules`. The guests are those of `tests/guests`; the allocator is the
//! daemon's. Measured is the thread's processor time, which another program on the machine
//! disturbs less than the wall clock.

// A bench that cannot continue stops.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../tests/guests/world.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod world;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nix::time::{ClockId, clock_gettime};
use serde_json::json;
use shunt_rules::sets::{Set, SetKind, SetLines};
use shunt_rules::{Data, Direction, Isolation, Probe, Rest, Runner, Vars};
use world::{World, example, exchange, flow, hello, host, options, pack, rule, runner};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A head such as a browser sends.
const HEADERS: [(&str, &str); 8] = [
    ("host", "shop.example"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("cookie", "session=0123456789abcdef0123456789abcdef; theme=dark"),
    ("x-canary", "1"),
    ("priority", "u=0, i"),
];

/// Processor time of the thread that measures.
struct ProcessorTime;

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
    }

    fn end(&self, start: Duration) -> Duration {
        self.start() - start
    }

    fn add(&self, left: &Duration, right: &Duration) -> Duration {
        *left + *right
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

type Bench = Criterion<ProcessorTime>;

fn hooks(criterion: &mut Bench) {
    let mut steer = runner("steer", &World::new());
    let (flow, mut vars) = (flow("192.0.2.7:5555"), Vars::default());
    criterion.bench_function("on-flow", |bench| bench.iter(|| steer.on_flow(black_box(&flow), &mut vars)));

    // The server name read and compared with a few, a pool picked.
    let (world, names) = (World::new(), host().compile(&example("server-names")).unwrap());
    let mut attach = options(&names, &world);
    attach.settings = json!({ "through": ["mail.example", "*.db.example"], "staff": ["intern.example"] });
    let mut names = Runner::new(names.attach(attach).unwrap());
    let said = hello("shop.example");
    criterion.bench_function("on-client-hello", |bench| {
        bench.iter(|| names.on_client_hello(black_box(&flow), &said, &mut vars));
    });

    // 64 bytes read, a pool picked.
    let mut sent = runner("prefix", &World::new());
    let bytes = [b'x'; 64];
    let (direction, rest) = (Direction::ToServer, Rest::Open);
    let data = Data { direction, bytes: &bytes, offset: 0, rest, most: 4096, connected: false };
    criterion.bench_function("on-data", |bench| {
        bench.iter(|| sent.on_data(black_box(&flow), &data, &mut vars));
    });

    // The last step of a monitor, which reads a line and judges.
    let mut judge = runner("probes", &World::new());
    let member = "192.0.2.9:6379".parse().unwrap();
    let probe = Probe { member, step: 1, bytes: b"up fine\n", rest };
    criterion.bench_function("on-probe", |bench| {
        bench.iter(|| judge.on_probe(black_box(&probe), &mut vars));
    });

    // Path and one header read, one header set, a pool picked.
    let mut request = exchange("/api/items?page=2", &HEADERS);
    criterion.bench_function("on-request", |bench| bench.iter(|| steer.on_request(black_box(&mut request))));

    let mut plain = runner("plain", &World::new());
    let mut request = exchange("/else", &HEADERS);
    criterion.bench_function("on-request, path only", |bench| {
        bench.iter(|| plain.on_request(black_box(&mut request)));
    });

    for name in ["plain", "steer"] {
        let (world, rule) = (World::new(), rule(name));
        let mut options = options(&rule, &world);
        options.isolation = Isolation::Call;
        let mut runner = Runner::new(rule.attach(options).unwrap());
        criterion.bench_function(&format!("on-request, fresh instance of {name}"), |bench| {
            bench.iter(|| runner.on_request(black_box(&mut request)));
        });
    }
}

fn faults(criterion: &mut Bench) {
    let world = World::new();
    let mut hostile = runner("hostile", &world);
    let (mut bad, mut good) = (exchange("/abort", &HEADERS), exchange("/ok", &HEADERS));
    // A good call between them, so that the breaker stays closed.
    criterion.bench_function("a fault, and a call on the fresh instance", |bench| {
        bench.iter(|| {
            hostile.on_request(black_box(&mut bad)).unwrap_err();
            hostile.on_request(black_box(&mut good)).unwrap();
        });
    });
    let mut opened = runner("hostile", &world);
    for _ in 0..5 {
        opened.on_request(&mut bad).unwrap_err();
    }
    criterion.bench_function("a call that an open breaker refuses", |bench| {
        bench.iter(|| opened.on_request(black_box(&mut good)));
    });
}

fn host_functions(criterion: &mut Bench) {
    let mut group = criterion.benchmark_group("host function");
    group.throughput(Throughput::Elements(100));
    for function in [
        "none",
        "flow",
        "version",
        "scheme",
        "method",
        "path",
        "query",
        "authority",
        "header",
        "headers",
        "header-names",
        "set-path",
        "set-query",
        "set-authority",
        "set-header",
        "add-and-remove-header",
        "set-response-header",
        "log-enabled",
        "unix",
        "monotonic",
        "random-number",
        "random-bytes",
        "vars-set",
        "vars-get",
        "table-put",
        "table-get",
        "table-add-if-absent",
        "table-compare-and-set",
        "table-counter",
        "table-add",
        "table-window",
        "table-bucket",
        "table-add-distinct",
        "table-distinct",
        "table-delete",
        "table-keep-for",
        "table-count",
        "persist-bind",
        "persist-lookup",
        "persist-delete",
        "persist-count",
        "pool",
        "members",
        "sha256",
        "sign",
        "seal",
        "token",
        "flag",
        "flag-text",
        "set-address",
        "set-address-none",
        "set-text",
    ] {
        let mut runner = runner("calls", &World::new());
        let mut request = exchange(&format!("/{function}?a=1"), &HEADERS);
        request.vars = Vars::default();
        group.bench_function(function, |bench| bench.iter(|| runner.on_request(&mut request).unwrap()));
    }
    group.finish();
}

/// A million prefixes: how long one look-up takes, and their memory.
fn sets(criterion: &mut Bench) {
    let mut group = criterion.benchmark_group("set of a million prefixes");
    for family in ["IPv4", "IPv6"] {
        let lines: String = (0..1_000_000_u32)
            .map(|number| format!("{}/{}\n", address(family, number), length(family)))
            .collect();
        let set = Set::build(SetKind::Addresses, &SetLines::new("bench", lines)).unwrap();
        println!("{family}: {} entries, {} KiB", set.entries(), set.bytes() >> 10);
        assert!(set.bytes() <= 64 << 20, "{} bytes", set.bytes());
        // In an order that no cache foresees.
        let asked: Vec<IpAddr> = (0..1 << 16)
            .map(|number: u32| address(family, number.wrapping_mul(2_654_435_761) % 2_000_000))
            .collect();
        let mut next = asked.iter().cycle();
        group.bench_function(family, |bench| {
            bench.iter(|| next.next().and_then(|address| set.value_of(black_box(*address))).is_some());
        });
    }
    group.finish();
}

/// Of so many, spread over the addresses.
fn address(family: &str, number: u32) -> IpAddr {
    match family {
        "IPv4" => Ipv4Addr::from_bits((number * 7) << 8).into(),
        _ => Ipv6Addr::from_bits(0x2001 << 112 | (u128::from(number) * 5) << 64).into(),
    }
}

fn length(family: &str) -> u8 {
    if family == "IPv4" { 24 } else { 64 }
}

fn loading(criterion: &mut Bench) {
    let (world, pack) = (World::new(), pack("steer"));
    criterion.bench_function("compile", |bench| bench.iter(|| host().compile(&pack).unwrap()));
    let rule = rule("steer");
    criterion.bench_function("attach", |bench| bench.iter(|| rule.attach(options(&rule, &world)).unwrap()));
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(ProcessorTime)
        .sample_size(50)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = hooks, faults, host_functions, sets, loading
}
criterion_main!(benches);
