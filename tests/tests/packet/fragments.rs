//! Datagrams and pings larger than any link, both ways, in every mode: cut by the kernels of clients and members, and
//! by hand in orders that kernels do not choose.

use std::net::UdpSocket;

use shunt_lab::{Family, Mode, Plan, Shape, bytes, digest};
use shunt_tests::packet::{MTU, PacketSite};

use crate::has_labs;

/// Three fragments over Ethernet.
const SIZE: usize = 4_000;

/// Fragments of a datagram that is cut by hand; small enough for every tunnel.
const PIECE: usize = 1_200;

/// A question of so many bytes, whose answer is to have as many.
fn question(number: usize) -> Vec<u8> {
    let mut question = format!("answer {SIZE} to question {number} ").into_bytes();
    question.extend(bytes(SIZE - question.len()));
    question
}

/// Takes the answer to a question, and looks at every byte of it.
#[track_caller]
fn take_answer(socket: &UdpSocket, question: &[u8]) {
    let mut buffer = vec![0; 2 * SIZE];
    loop {
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no answer: {error}"));
        let answer = &buffer[..length];
        let head: usize = answer.split_inclusive(|byte| *byte == b' ').take(3).map(<[u8]>::len).sum();
        let said = String::from_utf8_lossy(&answer[..head]);
        // One that came late is to an earlier question.
        if said.split(' ').nth(2) == Some(digest(question).as_str()) {
            assert_eq!((length, &answer[head..]), (SIZE, &bytes(SIZE - head)[..]));
            return;
        }
    }
}

/// Everything in one mode, with two workers.
fn mode(mode: Mode, shape: Shape) {
    if !has_labs() {
        return;
    }
    let plan = Plan { workers: 2, ..Plan::new(mode) };
    let site = PacketSite::start(&format!("fragments-{mode}"), shape, &plan);
    for family in Family::BOTH {
        let (client, to) = (&site.topology.client, site.echo(family));
        let address = |number| site.topology.client_address(family, number);
        if mode.overhead(family) > 0 {
            // The fragments that fill the client's link do not fit the tunnel, and the first one teaches it that. A
            // kernel heeds errors of sockets that are there.
            let socket = client.datagrams(address(0), to).unwrap();
            socket.send(&question(0)).unwrap();
            site.wait_path_mtu(family, 0, MTU - mode.overhead(family));
        }
        // From many ports: whichever worker gets a fragment, and whoever owns the flow.
        for number in 0..24 {
            let socket = client.datagrams(address(number % 4), to).unwrap();
            let question = question(number);
            socket.send(&question).unwrap();
            take_answer(&socket, &question);
        }
        for number in 0..4 {
            let answered = client.ping_in_pieces(address(number), to.ip(), 5, SIZE as u32).unwrap();
            assert_eq!(answered, 5, "{family}: ping");
        }
        for (number, order) in
            [[3, 2, 1, 0].as_slice(), &[1, 0, 3, 2], &[2, 2, 3, 0, 0, 1]].into_iter().enumerate()
        {
            let socket = client.datagrams(address(number), to).unwrap();
            let (from, question) = (socket.local_addr().unwrap(), question(number));
            let identification = 1_000 + number as u16;
            client.send_pieces((from, to), &question, identification, PIECE, order).unwrap();
            take_answer(&socket, &question);
        }
    }
    let status = site.told(&["status"]);
    let drops: Vec<&str> = status["packets"]["drops"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["reason"].as_str())
        .filter(|it| it.starts_with("fragment-") || *it == "hand-over-full")
        .collect();
    // What was sent twice by hand; and of what a tunnel has no room for, the rest.
    let expected = |reason: &&str| {
        *reason == "fragment-twice" || *reason == "fragment-refused" && mode.overhead(Family::V4) > 0
    };
    assert!(drops.contains(&"fragment-twice") && drops.iter().all(expected), "{drops:?}");
    assert_eq!(status["packets"]["fragments-held"], 0, "{status}");
}

#[test]
fn nat() {
    mode(Mode::Nat, Shape::TwoArm);
}

#[test]
fn snat() {
    mode(Mode::Snat, Shape::TwoArm);
}

#[test]
fn l2dsr() {
    mode(Mode::L2dsr, Shape::OneArm);
}

#[test]
fn l3dsr_dscp() {
    mode(Mode::L3dsrDscp, Shape::Routed);
}

#[test]
fn l3dsr_ipip() {
    mode(Mode::L3dsrIpip, Shape::Routed);
}

#[test]
fn l3dsr_gre() {
    mode(Mode::L3dsrGre, Shape::Routed);
}

#[test]
fn l3dsr_gue() {
    mode(Mode::L3dsrGue, Shape::Routed);
}
