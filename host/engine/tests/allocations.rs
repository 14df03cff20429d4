//! A packet of a known flow allocates nothing: in no mode, direction or family.
//!
//! In a program of its own, for it counts what the allocator of the whole program does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "golden/case.rs"]
#[allow(dead_code, reason = "cases are not read here")]
mod case;
#[path = "golden/frame/mod.rs"]
#[allow(dead_code, unused_imports, reason = "frames are only read here")]
mod frame;
#[path = "datapath/lab.rs"]
#[allow(dead_code, reason = "shared with the tests of the datapath")]
mod lab;
#[path = "datapath/world.rs"]
#[allow(dead_code, reason = "shared with the tests of the datapath")]
mod world;

use shunt_engine::datapath::{Datapath, Verdict};
use shunt_wire::Frame;
use shunt_wire::frame::HEADROOM;

use lab::Lab;
use world::Recorder;

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
            let mut world = Recorder::default();
            for (first, next) in [
                (
                    format!("{ip} | tcp 40000 > 80 S seq 1 win 9 mss 1460"),
                    format!("{ip} | tcp 40000 > 80 A seq 2 ack 1 win 9"),
                ),
                (format!("{ip} | udp 40000 > 80 | \"hello\""), format!("{ip} | udp 40000 > 80 | bytes 400")),
            ] {
                let first = frame::read(&format!("{CLIENT} | {first}")).unwrap();
                let next = frame::read(&format!("{CLIENT} | {next}")).unwrap();
                assert!(matches!(receive(&mut datapath, &mut world, 1, &first).0, Verdict::Send { .. }));
                let (verdict, allocations) = receive(&mut datapath, &mut world, 1, &next);
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
                let (verdict, allocations) = receive(&mut datapath, &mut world, 2, &answer);
                assert!(matches!(verdict, Verdict::Send { .. }), "{verdict:?}");
                assert_eq!(allocations, 0, "{mode}, to the client");
            }
        }
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

fn receive(datapath: &mut Datapath, world: &mut Recorder, ingress: u32, bytes: &[u8]) -> (Verdict, u64) {
    let end = HEADROOM + bytes.len();
    let mut buffer = vec![0; end + HEADROOM];
    buffer[HEADROOM..end].copy_from_slice(bytes);
    let mut frame = Frame::new(&mut buffer, HEADROOM, end);
    let mut verdict = Verdict::Held;
    let counted = allocation_counter::measure(|| {
        verdict = datapath.receive(1, ingress, &mut frame, world);
    });
    (verdict, counted.count_total)
}
