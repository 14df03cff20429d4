//! What one frame costs: reading it, and each rewrite. Every turn of a rewrite starts from a fresh copy of
//! the frame; what the copy costs stands beside it as `copy`.

#![allow(clippy::expect_used, reason = "a bench that cannot continue says so and ends")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use shunt_engine::packet::{Kind, Packet, dissect};
use shunt_wire::frame::HEADROOM;
use shunt_wire::rewrite::{Change, Dscp, FamilyTranslation, Outer, Translate, Tunnel};
use shunt_wire::{Address, Endpoint, Family, FlowKey, Frame, Hop, Mac, Rewrite};

#[path = "../tests/golden/frame/mod.rs"]
#[allow(dead_code, unused_imports, reason = "frames are only read here")]
mod frame;

/// Frames of 64 bytes on the wire, FCS not counted, and of an MTU.
const FRAMES: [(&str, &str); 4] = [
    ("v4-60", "ip4 192.0.2.7 > 203.0.113.1 ttl 64 df | tcp 40000 > 80 A seq 1 ack 2 | \"abcdef\""),
    ("v4-1500", "ip4 192.0.2.7 > 203.0.113.1 ttl 64 df | tcp 40000 > 80 A seq 1 ack 2 | bytes 1400"),
    ("v6-74", "ip6 2001:db8::7 > 2001:db8:1::1 hop 64 | tcp 40000 > 80 A seq 1 ack 2"),
    (
        "v6-extensions",
        "ip6 2001:db8::7 > 2001:db8:1::1 hop 64 | hop-by-hop 050200000100 | dest-options 010400000000 | udp 1 > 2",
    ),
];

fn read(text: &str) -> (Vec<u8>, Packet) {
    let text = format!("eth 02:00:00:00:00:01 > 02:00:00:00:00:02 | {text}");
    let bytes = frame::read(&text).expect("a frame");
    let packet = dissect(&bytes).expect("a packet");
    (bytes, packet)
}

fn dissecting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dissect");
    for (name, text) in FRAMES {
        let (bytes, _) = read(text);
        group.bench_function(name, |bencher| bencher.iter(|| black_box(dissect(black_box(&bytes)))));
    }
    let (bytes, _) = read(
        "ip4 10.0.0.9 > 192.0.2.7 | icmp4 too-big mtu 1400 | ip4 192.0.2.7 > 203.0.113.1 | tcp 1 > 80 A | bytes 9",
    );
    group.bench_function("icmp-error", |bencher| bencher.iter(|| black_box(dissect(black_box(&bytes)))));
}

fn rewriting(criterion: &mut Criterion) {
    for (family, text) in [("v4", FRAMES[0].1), ("v6", FRAMES[2].1), ("v4-1500", FRAMES[1].1)] {
        let (bytes, packet) = read(text);
        let Kind::Flow(flow) = packet.kind else { continue };
        let mut buffer = vec![0; HEADROOM + bytes.len()];
        let mut group = criterion.benchmark_group(format!("apply/{family}"));
        group.bench_function("copy", |bencher| {
            bencher.iter(|| {
                buffer[HEADROOM..].copy_from_slice(black_box(&bytes));
                black_box(&mut buffer);
            });
        });
        for (name, change) in changes(&flow.key) {
            let rewrite = Rewrite {
                epoch: 1,
                interface: 2,
                destination_mac: Mac([2, 0, 0, 0, 0, 0x12]),
                source_mac: Mac([2, 0, 0, 0, 0, 0x11]),
                mtu: 9000,
                mss: 1400,
                hop: Hop::Decrement,
                change,
            };
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    buffer[HEADROOM..].copy_from_slice(black_box(&bytes));
                    let end = buffer.len();
                    let mut frame = Frame::new(&mut buffer, HEADROOM, end);
                    let done = black_box(&rewrite).apply(&mut frame, black_box(&packet.layout));
                    black_box(frame.bytes());
                    done
                });
            });
        }
    }
}

fn changes(of: &FlowKey) -> Vec<(&'static str, Change)> {
    let (v4, v6): (Address, Address) = (
        std::net::Ipv4Addr::new(10, 0, 0, 1).into(),
        std::net::Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1).into(),
    );
    let (member, other) = match of.family() {
        Family::V4 => (v4, v6),
        Family::V6 => (v6, v4),
    };
    let beyond = |port| Endpoint { address: other, port };
    let cross = FamilyTranslation::new(of, beyond(40000), beyond(8080));
    let nat = Translate::new(of, of.source(), Endpoint { address: member, port: 8080 });
    let dscp = Dscp::new(of, member, 5);
    let gue = Tunnel::Gue { source_port: 50001, destination_port: 6080 };
    let outer = |tunnel| Outer::new(of.destination().address, member, tunnel, 7).map(Change::Encapsulate);
    [
        ("l2dsr", Some(Change::None)),
        ("nat", nat.map(Change::Translate)),
        ("nat to the other family", cross.map(Change::TranslateFamily)),
        ("dscp", dscp.map(Change::Dscp)),
        ("ipip", outer(Tunnel::Ipip)),
        ("gre", outer(Tunnel::Gre)),
        ("gue", outer(gue)),
    ]
    .into_iter()
    .filter_map(|(name, change)| Some((name, change?)))
    .collect()
}

criterion_group!(benches, dissecting, rewriting);
criterion_main!(benches);
