//! What is told of a packet's way.

use shunt_engine::datapath::{
    Asked, Datapath, DropReason, Explanation, Point, Question, Stage, Standing, Unasked, Verdict,
};
use shunt_wire::Frame;
use shunt_wire::frame::HEADROOM;
use shunt_wire::tcp::{ACK, SYN};

use crate::driver::Recorder;
use crate::frame;
use crate::lab::{ETH0, ETH1, Lab, address, endpoint};

const CLIENT: &str = "192.0.2.7:40000";
const VIP: &str = "203.0.113.1:80";

fn lab(lines: &[&str]) -> Lab {
    let mut lab = Lab::default();
    for line in lines {
        let (word, rest) = line.split_once(' ').unwrap();
        lab.set(word, rest).unwrap();
    }
    lab
}

fn tcp(flags: u8) -> Asked {
    Asked::Tcp { source: endpoint(CLIENT).unwrap(), destination: endpoint(VIP).unwrap(), flags }
}

fn explain(lab: &Lab, datapath: &mut Datapath, asked: Asked) -> Explanation {
    let mut driver = Recorder { ruling: lab.ruling.clone(), ..Recorder::default() };
    datapath.explain(5, &Question { link: None, asked }, &mut driver).unwrap()
}

/// Of the first packet of a flow, in a setting.
fn of(lines: &[&str]) -> Explanation {
    let lab = lab(lines);
    explain(&lab, &mut lab.datapath(0).unwrap(), tcp(SYN))
}

fn standings(told: &Explanation) -> Vec<Standing> {
    told.members.iter().map(|it| it.why).collect()
}

fn noted(told: &Explanation, stage: Stage) -> Vec<&str> {
    let of_stage = |at: Point| at == Point::Stage(stage);
    told.notes.iter().filter(|note| of_stage(note.at)).map(|note| &*note.text).collect()
}

#[test]
fn what_is_the_hosts_never_comes() {
    let rest = "virtual rest 0.0.0.0:0 all route no-pool on eth0";
    let shop = "virtual shop 203.0.113.1:80 tcp nat";
    let member = "member 10.0.0.1:8080";
    for (lines, destination, is_the_kernels) in [
        // An address of eth0, also where every address is forwarded.
        (&[rest][..], "198.18.0.1:22", true),
        (&[rest], "224.0.0.5:22", true),
        (&[rest], "192.0.2.200:22", false),
        (&[shop, member], "198.18.0.1:22", true),
        (&[shop, member], "192.0.2.200:22", true),
        // What is Shunt's is Shunt's to refuse.
        (&[shop, member], "203.0.113.1:22", false),
    ] {
        let (lab, destination) = (lab(lines), endpoint(destination).unwrap());
        let asked = Asked::Tcp { source: endpoint(CLIENT).unwrap(), destination, flags: SYN };
        let told = explain(&lab, &mut lab.datapath(0).unwrap(), asked);
        assert_eq!(told.is_the_kernels, is_the_kernels, "{lines:?} {destination}: {told:#?}");
        assert!(!is_the_kernels || told.leaves.is_empty() && told.flow.is_none(), "{told:#?}");
    }
}

#[test]
fn a_first_packet_tells_every_stage() {
    let told = of(&["virtual shop 203.0.113.1:80 tcp nat", "member 10.0.0.1:8080", "member 10.0.0.2:8080"]);
    let mut stages: Vec<Stage> = told
        .notes
        .iter()
        .filter_map(|note| match note.at {
            Point::Stage(stage) => Some(stage),
            _ => None,
        })
        .collect();
    assert!(stages.is_sorted(), "in the order of the stages: {:#?}", told.notes);
    stages.dedup();
    // The last is told by what leaves.
    assert_eq!(stages, Stage::ALL[..Stage::ALL.len() - 1]);
    assert_eq!(told.verdict, Verdict::Send { interface: ETH1 });
    assert_eq!((&*told.link, told.link_is_a_guess, told.flow_is_there), ("eth0", true, false));
    assert_eq!(standings(&told), [Standing::Turn, Standing::AnotherTurn]);
    let flow = told.flow.unwrap();
    assert_eq!(flow.to_server[0], "destination 203.0.113.1:80 becomes 10.0.0.1:8080");
    assert_eq!(
        told.frame,
        [
            "Ethernet 02:00:00:00:0a:01 > 02:00:00:00:00:01",
            "IPv4 192.0.2.7 > 203.0.113.1, 44 bytes, time to live 64",
            "TCP 40000 > 80, SYN, sequence 1, segments of 1460 bytes at most",
        ]
    );
    assert_eq!(
        told.leaves[0].frame,
        [
            "Ethernet 02:00:00:00:00:02 > 02:00:00:00:0b:01",
            "IPv4 192.0.2.7 > 10.0.0.1, 44 bytes, time to live 63",
            "TCP 40000 > 8080, SYN, sequence 1, segments of 1460 bytes at most",
        ]
    );
}

#[test]
fn each_member_says_why_not() {
    let told = of(&[
        "virtual shop 203.0.113.1:80 tcp nat",
        "member 10.0.0.1:80 down",
        "member 10.0.0.2:80 draining",
        "member 10.0.0.3:80 disabled",
        "member 10.0.0.4:80 weight 0",
        "member [2001:db8:a::1]:80",
        "member 10.0.0.5:80",
        "member 10.0.0.6:80",
    ]);
    let expected = [
        Standing::Down,
        Standing::Draining,
        Standing::Disabled,
        Standing::WeightZero,
        Standing::OtherFamily,
        Standing::Turn,
        Standing::AnotherTurn,
    ];
    assert_eq!(standings(&told), expected);
    let told = of(&[
        "virtual shop 203.0.113.1:80 tcp nat",
        "member 10.0.0.1:80 priority 1",
        "member 10.0.0.2:80 priority 2",
        "member 10.0.0.3:80 priority 3 down",
    ]);
    assert_eq!(standings(&told), [Standing::GroupNotInUse, Standing::Turn, Standing::Down]);
    let told = of(&["virtual shop 203.0.113.1:80 tcp nat", "member 10.0.0.1:80 down"]);
    assert_eq!(told.verdict, Verdict::Refuse { interface: ETH0, reason: DropReason::NoMember });
    assert_eq!(noted(&told, Stage::Selection), ["not forwarded: no-member"]);
    assert_eq!((standings(&told), told.flow), (vec![Standing::Down], None));
}

#[test]
fn a_rule_is_asked_and_what_it_says_is_told() {
    let lines = [
        "virtual shop 203.0.113.1:80 tcp nat rule done",
        "member 10.0.0.1:80",
        "member 10.0.0.2:80",
        "ruling to pool 1 member 10.0.0.2:80",
    ];
    let lab = lab(&lines);
    let mut datapath = lab.datapath(0).unwrap();
    let mut driver = Recorder { ruling: lab.ruling, ..Recorder::default() };
    let question = Question { link: None, asked: tcp(SYN) };
    let told = datapath.explain(5, &question, &mut driver).unwrap();
    // Whoever was asked is also told of the end.
    assert_eq!((driver.asked.len(), driver.done.len(), told.rules_were_asked), (1, 1, true));
    assert_eq!(driver.asked[0].id, driver.done[0].flow.id);
    assert_eq!(
        noted(&told, Stage::Rule),
        ["a rule chooses pool other, member 10.0.0.2:80", "so the flow goes to pool other, in mode nat"]
    );
    assert_eq!(standings(&told), [Standing::Named, Standing::AnotherNamed]);

    let told = of(&["virtual shop 203.0.113.1:80 tcp nat rule", "member 10.0.0.1:80", "ruling drop"]);
    assert_eq!((told.verdict, told.members.len()), (Verdict::Drop(DropReason::RuleDrop), 0));
}

#[test]
fn a_binding_is_looked_at_and_not_made() {
    let lab = lab(&[
        "virtual shop 203.0.113.1:80 tcp nat persist 60000",
        "member 10.0.0.1:80",
        "member 10.0.0.2:80",
    ]);
    let mut datapath = lab.datapath(0).unwrap();
    let told = explain(&lab, &mut datapath, tcp(SYN));
    assert_eq!(noted(&told, Stage::Persistence), ["the client is bound to no member yet"]);
    assert!(lab.pool.bindings.is_empty());

    let _ = receive(&mut datapath, 1, "ip4 192.0.2.7 > 203.0.113.1 | tcp 1 > 80 S seq 1 win 9");
    let counts = lab.pool.bindings.counts();
    let told = explain(&lab, &mut datapath, tcp(SYN));
    assert_eq!(noted(&told, Stage::Persistence), ["the client is bound to 10.0.0.1:80"]);
    assert_eq!(standings(&told), [Standing::Bound, Standing::AnotherBound]);
    assert_eq!(lab.pool.bindings.counts(), counts);
}

/// However often it is asked, no turn, no token, no port and no place is used up.
#[test]
fn asking_takes_nothing() {
    let lab = lab(&[
        "snat 1024-1025 10.0.0.100",
        "virtual shop 203.0.113.1:80 tcp snat snat flow-rate 1 syn-rate 1 flows 1",
        "member 10.0.0.1:80",
    ]);
    let mut datapath = lab.datapath(0).unwrap();
    let first = explain(&lab, &mut datapath, tcp(SYN));
    assert_eq!(first.verdict, Verdict::Send { interface: ETH1 });
    for _ in 0..20 {
        let again = explain(&lab, &mut datapath, tcp(SYN));
        assert_eq!(
            (again.verdict, again.notes, again.leaves),
            (first.verdict, first.notes.clone(), first.leaves.clone())
        );
    }
    assert_eq!(lab.states.values().map(|state| state.active()).sum::<u32>(), 0);
    let sent = receive(&mut datapath, 5, "ip4 192.0.2.7 > 203.0.113.1 | tcp 40000 > 80 S seq 1 win 9");
    assert!(matches!(sent, Verdict::Send { .. }));
    let full = explain(&lab, &mut datapath, tcp_from("192.0.2.8:1"));
    assert_eq!(full.verdict.reason(), Some(DropReason::VirtualFull));
    assert_eq!(noted(&full, Stage::Limits)[1], "the virtual has 1 flows here of at most 1");
}

#[test]
fn a_packet_of_a_known_flow_shows_the_flow() {
    let lab = lab(&["virtual shop 203.0.113.1:80 tcp nat rule", "member 10.0.0.1:80"]);
    let mut datapath = lab.datapath(0).unwrap();
    let _ = receive(&mut datapath, 1, "ip4 192.0.2.7 > 203.0.113.1 | tcp 40000 > 80 S seq 1 win 9");
    let before = datapath.counters();
    let told = explain(&lab, &mut datapath, tcp(ACK));
    assert_eq!((told.verdict, told.flow_is_there), (Verdict::Send { interface: ETH1 }, true));
    assert!(!told.rules_were_asked, "what was decided is replayed");
    assert!(told.notes[0].text.ends_with("toward the member"), "{:?}", told.notes);

    let answer = Asked::Tcp {
        source: endpoint("10.0.0.1:80").unwrap(),
        destination: endpoint(CLIENT).unwrap(),
        flags: SYN | ACK,
    };
    let told = explain(&lab, &mut datapath, answer);
    assert_eq!((&*told.link, told.verdict), ("eth1", Verdict::Send { interface: ETH0 }));
    assert!(told.leaves[0].frame[1].starts_with("IPv4 203.0.113.1 > 192.0.2.7"), "{:?}", told.leaves);
    assert_eq!(datapath.counters(), before);

    // A client whose member is gone is reset, and so is the member; the flow is still there.
    lab.states.values().for_each(|state| state.set_up(false));
    let told = explain(&lab, &mut datapath, tcp(ACK));
    assert_eq!(told.verdict.reason(), Some(DropReason::MemberDown));
    assert_eq!(datapath.counters(), before);
}

#[test]
fn pings_and_datagrams_can_be_asked_about() {
    let lab = lab(&["virtual all 203.0.113.1:80 any l3dsr-gue", "member 10.0.0.1:80"]);
    let mut datapath = lab.datapath(0).unwrap();
    let source = endpoint("192.0.2.7:9").unwrap();
    let vip = endpoint(VIP).unwrap();
    let told = explain(&lab, &mut datapath, Asked::Echo { source, destination: vip.address });
    assert_eq!(told.frame[2], "ICMP echo request, identifier 9");
    assert!(told.leaves[0].frame[2].starts_with("GUE from UDP port"), "{:?}", told.leaves);
    assert_eq!(told.leaves[0].frame[4], "ICMP echo request, identifier 9");

    let udp = explain(&lab, &mut datapath, Asked::Udp { source, destination: vip });
    assert_eq!((&*udp.frame[2], udp.verdict), ("UDP 9 > 80, 0 bytes", Verdict::Send { interface: ETH1 }));
    // The same, given as bytes.
    let datagram = udp.leaves[0].bytes[14 + 20 + 8 + 4..].to_vec();
    let again = explain(&lab, &mut datapath, Asked::Datagram(datagram));
    assert_eq!(again.leaves[0].frame[3], "IPv4 192.0.2.7 > 203.0.113.1, 28 bytes, time to live 62");
}

#[test]
fn what_cannot_be_read_is_said() {
    let lab = lab(&["virtual shop 203.0.113.1:80 tcp nat", "member 10.0.0.1:80"]);
    let mut datapath = lab.datapath(0).unwrap();
    let told = explain(&lab, &mut datapath, Asked::Datagram(vec![0x45, 0, 0, 40]));
    assert_eq!(told.verdict, Verdict::Drop(DropReason::Malformed));
    assert_eq!(
        told.notes[0].text,
        "the packet cannot be read: its IP header is cut short, or has an impossible length"
    );

    let mut refused =
        |link, asked| datapath.explain(5, &Question { link, asked }, &mut Recorder::default()).err();
    let v6 = address("2001:db8::7").unwrap();
    let source = endpoint(CLIENT).unwrap();
    assert_eq!(refused(None, Asked::Echo { source, destination: v6 }), Some(Unasked::Families));
    assert_eq!(refused(None, Asked::Datagram(b"Shunt".to_vec())), Some(Unasked::NoDatagram));
    assert_eq!(refused(None, Asked::Datagram(vec![0x45; 10_000])), Some(Unasked::TooLong));
    assert_eq!(refused(Some(99), tcp(SYN)), Some(Unasked::UnknownLink));
}

/// A dump may begin with the Ethernet header or without it.
#[test]
fn bytes_are_taken_for_what_they_are_as_a_whole() {
    for packet in ["ip4 192.0.2.7 > 203.0.113.1 | udp 1 > 2", "ip6 2001:db8::7 > 2001:db8::1 | udp 1 > 2"] {
        // A MAC that begins as either version does.
        for first in ["40", "60"] {
            let text = format!("eth 02:00:00:00:0a:01 > {first}:00:00:00:00:01 | {packet}");
            let bytes = frame::read(&text).unwrap();
            assert_eq!(Asked::from_bytes(bytes.clone()), Asked::Frame(bytes.clone()));
            assert_eq!(Asked::from_bytes(bytes[14..].to_vec()), Asked::Datagram(bytes[14..].to_vec()));
            // Padding follows a short one.
            let padded = [&bytes[..], &[0; 18]].concat();
            assert_eq!(Asked::from_bytes(padded.clone()), Asked::Frame(padded));
        }
    }
    assert_eq!(Asked::from_bytes(Vec::new()), Asked::Frame(Vec::new()));
}

#[test]
fn the_worker_that_owns_it_is_named() {
    let mut lab = lab(&["virtual shop 203.0.113.1:80 tcp nat", "member 10.0.0.1:80"]);
    lab.options.workers = 2;
    let told = [0, 1].map(|worker| {
        lab.options.worker = worker;
        explain(&lab, &mut lab.datapath(0).unwrap(), tcp(SYN))
    });
    let (owner, other) = if told[0].flow.is_some() { (0, 1) } else { (1, 0) };
    assert_eq!(told[owner].verdict, Verdict::Send { interface: ETH1 });
    assert_eq!(told[other].verdict, Verdict::HandOver { worker: owner });
}

fn tcp_from(source: &str) -> Asked {
    Asked::Tcp { source: endpoint(source).unwrap(), destination: endpoint(VIP).unwrap(), flags: SYN }
}

fn receive(datapath: &mut Datapath, now: u64, packet: &str) -> Verdict {
    let text = format!("eth 02:00:00:00:0a:01 > 02:00:00:00:00:01 | {packet}");
    let bytes = frame::read(&text).unwrap();
    let mut buffer = [vec![0; HEADROOM], bytes, vec![0; HEADROOM]].concat();
    let end = buffer.len() - HEADROOM;
    datapath.receive(now, ETH0, &mut Frame::new(&mut buffer, HEADROOM, end), &mut Recorder::default())
}
