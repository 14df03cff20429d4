use std::collections::BTreeSet;

use etherparse::PacketBuilder;
use shunt_engine::datapath::{Datapath, Filter, Options};
use shunt_engine::flow::Cursor;
use shunt_engine::hash::Keyed;
use shunt_sys::netlink::Solicitor;
use shunt_sys::xsk::Sockets;
use shunt_wire::Frame;
use shunt_wire::frame::HEADROOM;

use super::*;
use crate::control::ports::Named;
use crate::control::snapshot::Takes;
use crate::network_of;
use crate::tests::{CONFIG, configured_by, live, made, state};
use crate::worker::driver::{WorkerDriver, WorkerIo};

/// `eth1`, on which the client is as the members are.
const LINK: u32 = 3;

/// A first packet of a client to the virtual `web`, and room around it.
fn datagram() -> (Vec<u8>, usize) {
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1]);
    let builder = builder.ipv4([10, 0, 0, 77], [203, 0, 113, 1], 64).udp(40_000, 80);
    let mut frame = vec![0; HEADROOM];
    builder.write(&mut frame, b"hello").unwrap();
    let end = frame.len();
    frame.resize(end + HEADROOM, 0);
    (frame, end)
}

/// A rule kept a variable for a flow, to use it at its end, and a reload took the rule before that.
#[test]
fn variables_go_with_a_flow_of_whose_end_no_rule_is_told() {
    let config = configured_by(CONFIG);
    let state = state();
    let links = HashMap::from([("eth1".to_owned(), Named::new(LINK, LINK, &state))]);
    let loaded = made(&live(&config), &config, &links, Takes::NewFlows);
    let network = Arc::new(network_of(&state, &BTreeSet::new()));
    let options = Options { worker: 0, workers: 1, key: Keyed::new([1, 2]), flows: 100 };
    let mut datapath = Datapath::new(0, options, Arc::clone(&loaded.engine), network);
    let mut rules = Rules::new(&loaded);
    let mut io = WorkerIo::new(Solicitor::open().unwrap(), Arc::default());
    let mut sockets = Sockets::new(Vec::new(), Vec::new()).unwrap();

    let (mut buffer, end) = datagram();
    let mut frame = Frame::new(&mut buffer, HEADROOM, end);
    let outbox = &mut sockets.outbox();
    let mut driver = WorkerDriver { rules: &mut rules, io: &mut io, outbox, peers: &[] };
    let verdict = datapath.receive(0, LINK, &mut frame, &mut driver);
    let mut flows = Vec::new();
    datapath.flows(0, &Filter::default(), Cursor::default(), 100, |flow| flows.push(flow.id));
    let [flow] = flows[..] else { panic!("{verdict:?}") };
    let mut vars = Vars::default();
    vars.set(&"web/main".into(), "tenant".to_owned(), b"a".to_vec()).unwrap();
    driver.rules.deciding = Some((flow, vars));
    driver.rules.decided(true);
    assert_eq!(driver.rules.vars.len(), 1);

    assert!(datapath.delete(1, flow, &mut driver));
    assert!(driver.rules.vars.is_empty(), "they are kept for ever");
}
