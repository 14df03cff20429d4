//! A packet of a known flow allocates nothing: in no mode, direction or family.
//!
//! In a program of its own, for it counts what the allocator of the whole program does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot continue fails")]

#[path = "golden/case.rs"]
#[allow(dead_code, reason = "cases are not read here")]
mod case;
#[path = "datapath/driver.rs"]
#[allow(dead_code, reason = "shared with the tests of the datapath")]
mod driver;
#[path = "golden/frame/mod.rs"]
#[allow(dead_code, unused_imports, reason = "frames are only read here")]
mod frame;
#[path = "datapath/lab.rs"]
#[allow(dead_code, reason = "shared with the tests of the datapath")]
mod lab;

use shunt_engine::datapath::{Datapath, Done, Driver, NewFlow, Ruling, Verdict, VirtualIndex};
use shunt_engine::fragment::FragmentOf;
use shunt_wire::frame::HEADROOM;
use shunt_wire::{Address, Frame};

use driver::Recorder;
use lab::Lab;

const CLIENT: &str = "eth 02:00:00:00:0a:01 > 02:00:00:00:00:01";
const MEMBER: &str = "eth 02:00:00:00:0b:01 > 02:00:00:00:00:02";

/// Members, and the VIP and its client, of a family.
const IPV4: [&str; 4] = ["10.0.0.1:80", "203.0.113.1:80", "ip4 192.0.2.7 > 203.0.113.1", "10.0.0.100"];
const IPV6: [&str; 4] =
    ["[2001:db8:a::1]:80", "[2001:db8:f::1]:80", "ip6 2001:db8:c::7 > 2001:db8:f::1", "2001:db8:a::100"];

#[test]
fn a_hit_allocates_nothing() {
    for [member, vip, ip, snat] in [IPV4, IPV6] {
        for mode in ["nat", "snat snat", "l2dsr", "l3dsr-dscp dscp 9", "l3dsr-ipip", "l3dsr-gre", "l3dsr-gue"]
        {
            let mut lab = Lab::default();
            lab.set("snat", &format!("1024-65535 {snat}")).unwrap();
            lab.set("virtual", &format!("shop {vip} any {mode}")).unwrap();
            lab.set("member", member).unwrap();
            let mut datapath = lab.datapath(0).unwrap();
            let mut driver = Recorder::default();
            for (first, next) in [
                (
                    format!("{ip} | tcp 40000 > 80 S seq 1 win 9 mss 1460"),
                    format!("{ip} | tcp 40000 > 80 A seq 2 ack 1 win 9"),
                ),
                (format!("{ip} | udp 40000 > 80 | \"hello\""), format!("{ip} | udp 40000 > 80 | bytes 400")),
            ] {
                let first = frame::read(&format!("{CLIENT} | {first}")).unwrap();
                let next = frame::read(&format!("{CLIENT} | {next}")).unwrap();
                assert!(matches!(receive(&mut datapath, &mut driver, 1, &first).0, Verdict::Send { .. }));
                let (verdict, allocations) = receive(&mut datapath, &mut driver, 1, &next);
                assert!(matches!(verdict, Verdict::Send { .. }), "{mode}: {verdict:?}");
                assert_eq!(allocations, 0, "{mode}, to the member");
            }
            if mode == "nat" {
                let [client, _] = ip[4..].split(" > ").collect::<Vec<_>>()[..] else {
                    panic!("two addresses")
                };
                let family = &ip[..3];
                let answer = format!(
                    "{MEMBER} | {family} {} > {client} | udp 80 > 40000 | bytes 400",
                    member.trim_end_matches(":80").trim_matches(['[', ']'])
                );
                let answer = frame::read(&answer).unwrap();
                let (verdict, allocations) = receive(&mut datapath, &mut driver, 2, &answer);
                assert!(matches!(verdict, Verdict::Send { .. }), "{verdict:?}");
                assert_eq!(allocations, 0, "{mode}, to the client");
            }
        }
    }
}

/// Nor does a packet that becomes one of the other family: by a flow, in either direction, whole or cut to what the
/// other family's links carry, or without flows.
#[test]
fn a_translation_allocates_nothing() {
    let knows = "prefix 2001:db8:64::/96 map 192.0.2.0/24=2001:db8:c::/120";
    let v4 = "ip4 192.0.2.7 > 203.0.113.1";
    let v6 = "ip6 2001:db8:c::7 > 2001:db8:f::1";
    for (vip, member, client, answer) in [
        ("203.0.113.1:80", "[2001:db8:a::1]:80", v4, "ip6 2001:db8:a::1 > 2001:db8:c::7"),
        ("[2001:db8:f::1]:80", "10.0.0.1:80", v6, "ip4 10.0.0.1 > 192.0.2.7"),
    ] {
        for mode in ["nat", "snat snat"] {
            let mut lab = Lab::default();
            lab.set("snat", "1024-65535 10.0.0.100 2001:db8:a::100").unwrap();
            lab.set("virtual", &format!("shop {vip} any {mode} {knows}")).unwrap();
            lab.set("member", member).unwrap();
            let mut datapath = lab.datapath(0).unwrap();
            let frames = [
                format!("{CLIENT} | {client} | udp 40000 > 80 | \"hello\""),
                format!("{CLIENT} | {client} | udp 40000 > 80 | bytes 400"),
                format!("{CLIENT} | {client} | udp 40000 > 80 | bytes 1440"),
                format!("{MEMBER} | {answer} | udp 80 > 40000 | bytes 400"),
            ];
            let frames = &frames[..if mode == "nat" { 4 } else { 3 }];
            for (place, text) in frames.iter().enumerate() {
                let ingress = if place == 3 { 2 } else { 1 };
                // What the recorder writes down of a packet in parts is its own.
                let mut driver = Silent;
                let (verdict, allocations) =
                    receive(&mut datapath, &mut driver, ingress, &frame::read(text).unwrap());
                assert!(matches!(verdict, Verdict::Send { .. }), "{text}: {verdict:?}");
                assert!(place == 0 || allocations == 0, "{mode}: {text}");
            }
        }
    }
    let mut lab = Lab::default();
    lab.set("siit", &format!("clat {knows} on eth0")).unwrap();
    let mut datapath = lab.datapath(0).unwrap();
    for ip in ["ip4 192.0.2.7 > 198.51.100.9", "ip6 2001:db8:c::7 > 2001:db8:64::198.51.100.9"] {
        let frame = frame::read(&format!("{CLIENT} | {ip} | udp 40000 > 80 | bytes 1440")).unwrap();
        let (verdict, allocations) = receive(&mut datapath, &mut Silent, 1, &frame);
        assert!(matches!(verdict, Verdict::Send { .. }), "{ip}: {verdict:?}");
        assert_eq!(allocations, 0, "{ip}");
    }
}

/// A driver that writes nothing down.
struct Silent;

impl Driver for Silent {
    fn on_flow(&mut self, _: VirtualIndex, _: &NewFlow) -> Ruling {
        Ruling::Next
    }

    fn on_done(&mut self, _: &Done) {}

    fn send(&mut self, _: u32, _: &[u8]) {}

    fn hand_over(&mut self, _: usize, _: u32, _: &[u8], _: Option<FragmentOf>) -> bool {
        true
    }

    fn solicit(&mut self, _: u32, _: Address) {}

    fn random(&mut self) -> u64 {
        0
    }
}

/// The counter counts: the first packet of a flow that a rule binds by a key does allocate.
#[test]
fn what_allocates_is_counted() {
    let mut lab = Lab::default();
    lab.set("virtual", "shop 203.0.113.1:80 tcp nat persist 60000").unwrap();
    lab.set("member", "10.0.0.1:80").unwrap();
    let mut datapath = lab.datapath(0).unwrap();
    let syn = format!("{CLIENT} | ip4 192.0.2.7 > 203.0.113.1 | tcp 40000 > 80 S seq 1 win 9");
    let (_, allocations) = receive(&mut datapath, &mut Recorder::default(), 1, &frame::read(&syn).unwrap());
    assert!(allocations > 0);
}

fn receive(datapath: &mut Datapath, driver: &mut impl Driver, ingress: u32, bytes: &[u8]) -> (Verdict, u64) {
    let end = HEADROOM + bytes.len();
    let mut buffer = vec![0; end + HEADROOM];
    buffer[HEADROOM..end].copy_from_slice(bytes);
    let mut frame = Frame::new(&mut buffer, HEADROOM, end);
    let mut verdict = Verdict::Pending;
    let counted = allocation_counter::measure(|| {
        verdict = datapath.receive(1, ingress, &mut frame, driver);
    });
    (verdict, counted.count_total)
}
