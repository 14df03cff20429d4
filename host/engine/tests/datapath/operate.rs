//! What operators do and see: lists, counters, reloads, limits.

use std::sync::Arc;

use shunt_engine::datapath::{
    Conflict, Counters, Datapath, DropReason, Filter, FlowCounters, FlowSummary, FrameCounters, ModeName,
    Snapshot, Traffic, TranslatorCounters, Verdict, VirtualCounters,
};
use shunt_engine::flow::Cursor;
use shunt_engine::snat::{AddressOccupancy, Counts};
use shunt_wire::Frame;
use shunt_wire::frame::HEADROOM;

use crate::driver::Recorder;
use crate::frame;
use crate::lab::{ETH0, Lab, address, endpoint};

const CLIENT: &str = "eth 02:00:00:00:0a:01 > 02:00:00:00:00:01";

fn lab(lines: &[&str]) -> Lab {
    let mut lab = Lab::default();
    for line in lines {
        let (word, rest) = line.split_once(' ').unwrap();
        lab.set(word, rest).unwrap();
    }
    lab
}

fn receive(datapath: &mut Datapath, now: u64, text: &str) -> Verdict {
    let bytes = frame::read(&format!("{CLIENT} | {text}")).unwrap();
    let end = HEADROOM + bytes.len();
    let mut buffer = vec![0; end + HEADROOM];
    buffer[HEADROOM..end].copy_from_slice(&bytes);
    datapath.receive(now, ETH0, &mut Frame::new(&mut buffer, HEADROOM, end), &mut Recorder::default())
}

fn syn(host: u8, port: u16, vip: &str, to: u16) -> String {
    format!("ip4 192.0.2.{host} > {vip} | tcp {port} > {to} S seq 1 win 9")
}

fn flows(datapath: &Datapath, filter: &Filter) -> Vec<FlowSummary> {
    let mut flows = Vec::new();
    let mut cursor = Some(Cursor::default());
    while let Some(from) = cursor {
        cursor = datapath.flows(5, filter, from, 2, |flow| flows.push(flow));
    }
    flows
}

#[test]
fn a_list_is_filtered() {
    let lab = lab(&[
        "virtual shop 203.0.113.1:80 tcp nat",
        "virtual mall 203.0.113.2:80 tcp l2dsr",
        "member 10.0.0.1:80",
        "member 10.0.0.2:80",
    ]);
    let mut datapath = lab.datapath(0).unwrap();
    for (host, vip) in [(7, "203.0.113.1"), (8, "203.0.113.1"), (7, "203.0.113.2"), (9, "203.0.113.2")] {
        let _ = receive(&mut datapath, 3, &syn(host, 40_000, vip, 80));
    }
    let _ = receive(&mut datapath, 4, "ip4 192.0.2.9 > 203.0.113.2 | tcp 40000 > 80 A seq 2 ack 5 win 9");
    let count = |filter: Filter| flows(&datapath, &filter).len();
    assert_eq!(count(Filter::default()), 4);
    assert_eq!(count(Filter { virtual_: Some("mall".into()), ..Filter::default() }), 2);
    assert_eq!(count(Filter { client: address("192.0.2.7").ok(), ..Filter::default() }), 2);
    assert_eq!(count(Filter { member: endpoint("10.0.0.1:80").ok(), ..Filter::default() }), 2);
    assert_eq!(count(Filter { state: Some("established".into()), ..Filter::default() }), 1);
    let both =
        Filter { virtual_: Some("shop".into()), client: address("192.0.2.7").ok(), ..Filter::default() };
    let [flow] = &flows(&datapath, &both)[..] else { panic!("one flow") };
    assert_eq!((flow.age, flow.idle, flow.expires_in, flow.state), (2, 2, 29_998, "syn-sent"));
    assert_eq!((flow.to_server.packets, flow.to_server.bytes), (1, 40));
    assert_eq!(datapath.flow(5, flow.id).unwrap().summary, *flow);
}

/// Virtuals change their places, one goes and one comes: the counts of the others stay with them.
#[test]
fn counters_are_kept_by_name() {
    let mut lab = lab(&[
        "virtual a 203.0.113.1:80 tcp nat",
        "virtual b 203.0.113.2:80 tcp nat",
        "member 10.0.0.1:80",
        "member 10.0.0.2:80",
    ]);
    let mut datapath = lab.datapath(0).unwrap();
    for (port, vip) in [(1, "203.0.113.1"), (2, "203.0.113.2"), (3, "203.0.113.2")] {
        let _ = receive(&mut datapath, 1, &syn(7, port, vip, 80));
    }
    let flows_of = |datapath: &Datapath| -> Vec<(String, u64)> {
        let virtuals = datapath.counters().virtuals;
        virtuals.into_iter().map(|(name, it)| (name.to_string(), it.traffic.flows)).collect()
    };
    assert_eq!(flows_of(&datapath), [("a".into(), 1), ("b".into(), 2)]);
    lab.set("no-virtual", "a").unwrap();
    lab.set("virtual", "c 203.0.113.3:80 tcp nat").unwrap();
    lab.virtuals.reverse();
    lab.pool.members.reverse();
    datapath.apply_snapshot(lab.next_snapshot(std::slice::from_ref(&datapath)).unwrap());
    assert_eq!(flows_of(&datapath), [("b".into(), 2), ("c".into(), 0)]);
    let by_member = |datapath: &Datapath| -> Vec<(String, u64)> {
        let members = datapath.counters().members.into_iter().filter(|((pool, _), _)| &**pool == "web");
        members.map(|((_, member), it)| (member.to_string(), it.flows)).collect()
    };
    assert_eq!(by_member(&datapath), [("10.0.0.1:80".into(), 2), ("10.0.0.2:80".into(), 1)]);

    // What has another address is another virtual, and takes the place of what is gone.
    datapath.tick(3, &mut Recorder::default());
    lab.set("no-virtual", "b").unwrap();
    lab.set("virtual", "b 203.0.113.9:80 tcp nat").unwrap();
    datapath.apply_snapshot(lab.next_snapshot(std::slice::from_ref(&datapath)).unwrap());
    assert_eq!(flows_of(&datapath), [("b".into(), 0), ("c".into(), 0)]);
    datapath.tick(5, &mut Recorder::default());
    assert_eq!(datapath.counters().flows, 0);
}

/// Ten thousand reloads, each with other members: what left is kept as long as a flow goes there, and no longer.
#[test]
fn what_left_the_configuration_is_forgotten_once_no_flow_needs_it() {
    let mut lab = lab(&["virtual a 203.0.113.1:80 udp nat idle 5000", "member 10.0.0.1:80"]);
    let mut datapath = lab.datapath(0).unwrap();
    let query = "ip4 192.0.2.7 > 203.0.113.1 | udp 40000 > 80";
    let _ = receive(&mut datapath, 1, query);
    for round in 0..10_000 {
        lab.pool.members.clear();
        lab.set("member", &format!("10.0.0.{}:80", 2 + round % 2)).unwrap();
        datapath.apply_snapshot(lab.next_snapshot(std::slice::from_ref(&datapath)).unwrap());
    }
    let left = datapath.snapshot().left();
    let of = |datapath: &Datapath| flows(datapath, &Filter::default())[0].member.to_string();
    assert_eq!(of(&datapath), "10.0.0.1:80", "the flow goes on there");
    assert!(!datapath.released(left.clone()).is_empty() && datapath.released(left.clone()) != left);
    datapath.tick(6_000, &mut Recorder::default());
    assert_eq!(datapath.counters().flows, 0);
    assert_eq!(datapath.released(left.clone()), left);
    let next = lab.next_snapshot(std::slice::from_ref(&datapath)).unwrap();
    datapath.apply_snapshot(next);
    assert!(datapath.snapshot().left().is_empty());
}

#[test]
fn a_snapshot_does_not_contradict_itself() {
    let both = |lines: [&str; 2]| {
        let lab = lab(&lines);
        Snapshot::new(lab.virtuals, vec![lab.pool], lab.snat_pools).err()
    };
    let names = |first: &str, second: &str| Some(Conflict::Listen([first.into(), second.into()]));
    let shop = "virtual shop 203.0.113.1:80 tcp nat";
    assert_eq!(both([shop, "virtual shop 203.0.113.1:81 tcp nat"]), Some(Conflict::Name("shop".into())));
    assert_eq!(both([shop, "virtual all 203.0.113.1:80 any nat"]), names("shop", "all"));
    assert_eq!(both([shop, "virtual dns 203.0.113.1:80 udp nat"]), None);
    assert_eq!(both(["virtual a 203.0.113.1:80 any nat", "virtual b 203.0.113.1:81 any nat"]), None);
    let vip = address("203.0.113.1").unwrap();
    assert_eq!(both([shop, "snat 1024-2000 203.0.113.1"]), Some(Conflict::Address(vip)));
    assert_eq!(
        both(["snat 1024-2000 10.0.0.9", "snat 1024-2000 10.0.0.8 10.0.0.9"]),
        Some(Conflict::Address(address("10.0.0.9").unwrap()))
    );
    let lab = lab(&[shop]);
    let without_pool = Snapshot::new(lab.virtuals, Vec::new(), Vec::new());
    assert_eq!(without_pool.err(), Some(Conflict::Pool("shop".into())));
    let lab = self::lab(&["virtual shop 203.0.113.1:80 tcp snat snat"]);
    let without_snat = Snapshot::new(lab.virtuals, vec![lab.pool], Vec::new());
    assert_eq!(without_snat.err(), Some(Conflict::SnatPool("shop".into())));
}

/// RFC 4443 section 2.4 f: a thousand in a second, then silence; resets are not counted.
#[test]
fn icmp_errors_are_limited() {
    let lab = lab(&["virtual shop 203.0.113.1:80 tcp nat", "member 10.0.0.1:80"]);
    let mut datapath = lab.datapath(0).unwrap();
    let datagram = "ip4 192.0.2.7 > 203.0.113.1 | udp 40000 > 9 | \"x\"";
    let refused = |verdict| matches!(verdict, Verdict::Refuse { reason: DropReason::NoVirtual, .. });
    for number in 0..1_000 {
        assert!(refused(receive(&mut datapath, 1, datagram)), "{number}");
    }
    assert_eq!(receive(&mut datapath, 1, datagram), Verdict::Drop(DropReason::NoVirtual));
    assert!(refused(receive(&mut datapath, 1, &syn(7, 1, "203.0.113.1", 9))), "a reset");
    assert_eq!(datapath.counters().frames.answers_withheld, 1);
    assert!(refused(receive(&mut datapath, 2, datagram)), "a millisecond later there is one more");
}

#[test]
fn counters_of_workers_add_up() {
    let traffic = |packets| Traffic { packets, bytes: 100 * packets };
    let counted = FlowCounters { active: 1, flows: 5, to_server: traffic(10), to_client: traffic(8) };
    let member = ("web".into(), endpoint("10.0.0.1:80").unwrap());
    let snat = address("10.10.1.1").unwrap();
    let of_worker = |exhausted, free| Counters {
        virtuals: [(
            "web".into(),
            VirtualCounters { traffic: counted, refused: 2, persistence_down: [1, 2] },
        )]
        .into(),
        members: [(member.clone(), counted)].into(),
        modes: ModeName::ALL
            .map(|mode| if mode == ModeName::Snat { counted } else { FlowCounters::default() }),
        drops: DropReason::ALL.map(|reason| u64::from(reason == DropReason::NoMember)),
        snat: [(snat, AddressOccupancy { free, leased: 3, quarantined: 4 })].into(),
        leases: Counts { exhausted, ..Counts::default() },
        frames: FrameCounters { received: 20, handed_over: 7, ..FrameCounters::default() },
        ..Counters::default()
    };
    let translator = TranslatorCounters { to_v4: traffic(1), to_v6: traffic(2), refused: 3 };
    let mut total = Counters::default();
    total += &of_worker(1, 500);
    total += &of_worker(2, 400);
    total += &Counters { translators: [("siit".into(), translator)].into(), ..Counters::default() };
    let counted = FlowCounters { active: 2, flows: 10, to_server: traffic(20), to_client: traffic(16) };
    let expected = Counters {
        virtuals: [(
            "web".into(),
            VirtualCounters { traffic: counted, refused: 4, persistence_down: [2, 4] },
        )]
        .into(),
        translators: [("siit".into(), translator)].into(),
        members: [(member.clone(), counted)].into(),
        modes: ModeName::ALL
            .map(|mode| if mode == ModeName::Snat { counted } else { FlowCounters::default() }),
        drops: DropReason::ALL.map(|reason| 2 * u64::from(reason == DropReason::NoMember)),
        // Ports are left where they are fewest.
        snat: [(snat, AddressOccupancy { free: 400, leased: 6, quarantined: 8 })].into(),
        leases: Counts { exhausted: 3, ..Counts::default() },
        frames: FrameCounters { received: 40, handed_over: 14, ..FrameCounters::default() },
        ..Counters::default()
    };
    assert_eq!(total, expected);
}

#[test]
fn a_limit_is_shared_by_the_workers() {
    let mut lab = lab(&["virtual shop 203.0.113.1:80 tcp l2dsr flows 5", "member 10.0.0.1:80"]);
    lab.options.workers = 2;
    let counted = [0, 1].map(|worker| {
        lab.options.worker = worker;
        let mut datapath = lab.datapath(0).unwrap();
        for port in 1..100 {
            let _ = receive(&mut datapath, 1, &syn(7, port, "203.0.113.1", 80));
        }
        let counters = datapath.counters();
        assert_eq!(counters.drops[DropReason::TableFull as usize], 0);
        (counters.flows, counters.frames.handed_over > 20)
    });
    assert_eq!(counted, [(3, true), (2, true)]);
}

/// A batch that was named beforehand goes as it would have gone.
#[test]
fn prefetching_changes_nothing() {
    let lab = lab(&["virtual shop 203.0.113.1:80 tcp nat", "member 10.0.0.1:80", "table 6000"]);
    let mut datapath = lab.datapath(0).unwrap();
    for port in 1024..7_000 {
        let _ = receive(&mut datapath, 1, &syn(7, port, "203.0.113.1", 80));
    }
    let before = datapath.counters();
    let frames: Vec<Vec<u8>> = (1000..1100)
        .map(|port| frame::read(&format!("{CLIENT} | {}", syn(7, port, "203.0.113.1", 80))).unwrap())
        .chain([vec![0; 9]])
        .collect();
    datapath.prefetch(frames.iter().map(Vec::as_slice));
    assert_eq!(datapath.counters(), before);
    datapath.apply_network(2, Arc::new(lab.network), &mut Recorder::default());
    assert!(matches!(receive(&mut datapath, 2, &syn(7, 1024, "203.0.113.1", 80)), Verdict::Send { .. }));
}

/// A worker that failed by a bug starts over: its flows are lost, and their SNAT ports rest.
#[test]
fn ports_rest_after_a_panic() {
    let lab = lab(&[
        "virtual shop 203.0.113.1:80 tcp snat snat",
        "member 10.0.0.1:80",
        "snat 2000-2001 10.0.0.100",
    ]);
    let mut lost = lab.datapath(0).unwrap();
    assert_eq!(receive(&mut lost, 1, &syn(7, 40_000, "203.0.113.1", 80)), Verdict::Send { interface: 2 });
    let mut datapath = lab.datapath(2).unwrap().after_panic(2, lost);
    assert_eq!(flows(&datapath, &Filter::default()).len(), 0);
    let mut verdicts =
        |now| [8, 9].map(|host| receive(&mut datapath, now, &syn(host, 40_000, "203.0.113.1", 80)));
    let [other, same] = verdicts(3);
    assert_eq!(other, Verdict::Send { interface: 2 });
    assert_eq!(same.reason(), Some(DropReason::SnatExhausted), "the other port rests");
    assert_eq!(verdicts(70_000).map(|it| it.reason()), [None, None]);
}
