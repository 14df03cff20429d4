//! The datapath, by sequences of operations: packets of both sides, time, reloads, members and neighbours
//! that come and go, operators.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use shunt_engine::balance::Balance;
use shunt_engine::balance::groups::Policy;
use shunt_engine::datapath::{
    Datapath, Done, Driver, Dscp, Filter, Hooks, Limits, Member, ModeName, Modes, NewFlow, OnEmpty, Options,
    Pool, PoolIndex, Ruling, Snapshot, SnatPool, SnatPoolIndex, SourcePersistence, Target, Translation,
    Translator, Transport, TunnelSources, Verdict, Virtual, VirtualIndex,
};
use shunt_engine::flow::{Cursor, FlowId};
use shunt_engine::fragment::FragmentOf;
use shunt_engine::hash::Keyed;
use shunt_engine::mapping::{Embedding, Map, Mapping, Maps, Routers};
use shunt_engine::member::{Admin, MemberState};
use shunt_engine::network::{Hop, Interface, Network, Prefix, Route};
use shunt_engine::packet::{Kind, Packet, dissect, routed};
use shunt_engine::persistence::{PersistenceTable, Source};
use shunt_engine::snat;
use shunt_wire::checksum::{self, Sum, partial};
use shunt_wire::frame::HEADROOM;
use shunt_wire::{Address, Endpoint, Family, Frame, Mac, ip};

const CLIENTS: u32 = 1;
const MEMBERS: u32 = 2;
/// Packets that come in here are translated one by one.
const TRANSLATED: u32 = 3;
/// Ports of the VIP, one for each mode.
const FIRST_PORT: u16 = 80;

/// Reads operations until the bytes end, and checks what always holds. In the end everything was given back.
pub fn datapath(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let mut scene = Scene::new();
    while let Some(operation) = bytes.next() {
        scene.operate(operation, &mut || bytes.next().unwrap_or(0));
        scene.check();
    }
    scene.wind_down();
}

struct Scene {
    datapath: Datapath,
    states: [Arc<MemberState>; 2],
    bindings: Pool,
    network: Network,
    now: u64,
    driver: FuzzDriver,
    received: u64,
}

/// What the datapath asked for.
#[derive(Default)]
struct FuzzDriver {
    /// A byte that says what the next rule does.
    rule: u8,
    begun: u64,
}

impl Driver for FuzzDriver {
    fn on_flow(&mut self, _: VirtualIndex, _: &NewFlow) -> Ruling {
        self.begun += 1;
        match self.rule % 16 {
            0 => Ruling::Reject,
            1 => Ruling::Drop,
            2 => Ruling::Fault,
            number @ 3..11 => {
                let mode = ModeName::ALL.get(usize::from(number - 3)).copied();
                Ruling::To(Target { mode, ..Target::default() })
            }
            11 => Ruling::To(Target { member: Some(endpoint([10, 0, 0, 1], 8080)), ..Target::default() }),
            12 => Ruling::To(Target { member: Some(endpoint([10, 0, 0, 9], 8080)), ..Target::default() }),
            _ => Ruling::Next,
        }
    }

    fn on_done(&mut self, done: &Done) {
        assert!(done.to_server.packets > 0, "it had a first packet");
        assert_eq!(done.pool.is_some(), done.member.is_some());
    }

    fn send(&mut self, interface: u32, frame: &[u8]) {
        assert!((CLIENTS..=TRANSLATED).contains(&interface));
        assert!(frame.len() >= 14, "less than a header");
    }

    fn hand_over(&mut self, _: usize, _: u32, _: &[u8], _: Option<FragmentOf>) -> bool {
        panic!("there is one worker")
    }

    fn solicit(&mut self, link: u32, _: Address) {
        assert!((CLIENTS..=TRANSLATED).contains(&link));
    }

    fn random(&mut self) -> u64 {
        u64::from(self.rule) << 40 | self.begun
    }
}

impl Scene {
    fn new() -> Self {
        let states = [MemberState::new(), MemberState::new()];
        let members = [1, 2].into_iter().zip(&states).map(|(host, state)| Member {
            endpoint: endpoint([10, 0, 0, host], 8080),
            weight: 1,
            state: Arc::clone(state),
        });
        let pool = Pool {
            name: "web".into(),
            balance: Balance::RoundRobin,
            slow_start: None,
            members: members.collect(),
            bindings: Arc::new(PersistenceTable::new(16, [3, 4])),
            policy: Policy::default(),
            groups: Arc::default(),
            on_empty: OnEmpty::Nowhere,
        };
        let network = network();
        let options = Options { worker: 0, workers: 1, key: Keyed::new([1, 2]), flows: 24 };
        let snapshot = Arc::new(snapshot(&pool, 0x1ff));
        let datapath = Datapath::new(0, options, snapshot, Arc::new(network.clone()));
        Self { datapath, states, bindings: pool, network, now: 0, driver: FuzzDriver::default(), received: 0 }
    }

    fn operate(&mut self, operation: u8, next: &mut dyn FnMut() -> u8) {
        match operation % 16 {
            0..4 => {
                let frame = from_client(next);
                self.receive(CLIENTS, frame);
            }
            4 => {
                let frame = of_ipv6(next);
                self.receive(CLIENTS, frame);
            }
            5 => {
                let frame = if next().is_multiple_of(2) { of_ipv6(next) } else { from_member(next) };
                self.receive(TRANSLATED, frame);
            }
            6 | 7 => {
                let frame = from_member(next);
                self.receive(MEMBERS, frame);
            }
            8 => {
                let frame = of_ipv6(next);
                self.receive(MEMBERS, frame);
            }
            9 => {
                let count = usize::from(next());
                let frame = (0..count).map(|_| next()).collect();
                self.receive(CLIENTS, frame);
            }
            10 | 11 => {
                self.now += u64::from(next()) << (next() % 16);
                self.datapath.tick(self.now, &mut self.driver);
            }
            12 => {
                let there = u16::from(next());
                let snapshot = snapshot(&self.bindings, there | (there & 1) << 8);
                let before = self.datapath.snapshot();
                let released = self.datapath.released(before.left());
                self.datapath.apply_snapshot(Arc::new(snapshot.after(before, &released)));
            }
            13 => {
                let (host, mac) = (next() % 2 + 1, next());
                let address = Ipv4Addr::new(10, 0, 0, host).into();
                if mac < 100 {
                    self.network.remove_neighbour(MEMBERS, address);
                } else {
                    self.network.set_neighbour(MEMBERS, address, Mac([2, 0, 0, 0, mac, host]));
                }
                let network = Arc::new(self.network.clone());
                self.datapath.apply_network(self.now, network, &mut self.driver);
            }
            14 => {
                let (state, what) = (next(), next());
                let state = &self.states[usize::from(state % 2)];
                state.set_up(what % 4 != 0);
                state
                    .set_admin([Admin::Enabled, Admin::Draining, Admin::Disabled][usize::from(what / 4 % 3)]);
            }
            _ => {
                self.driver.rule = next();
                let flows = self.flows();
                if let Some(id) = flows.get(usize::from(next())) {
                    assert!(self.datapath.flow(self.now, *id).is_some());
                    assert!(self.datapath.delete(self.now, *id, &mut self.driver));
                }
            }
        }
    }

    fn receive(&mut self, ingress: u32, bytes: Vec<u8>) {
        let end = HEADROOM + bytes.len();
        let mut buffer = vec![0; end + HEADROOM];
        buffer[HEADROOM..end].copy_from_slice(&bytes);
        let mut frame = Frame::new(&mut buffer, HEADROOM, end);
        let finished = self.datapath.counters().frames.checksums_finished;
        let verdict = self.datapath.receive(self.now, ingress, &mut frame, &mut self.driver);
        self.received += 1;
        let was_partial = self.datapath.counters().frames.checksums_finished > finished;
        match verdict {
            Verdict::HandOver { .. } => panic!("there is one worker"),
            Verdict::Pending => {
                assert_eq!(frame.bytes(), whole(bytes), "what waits is as it came, and whole");
            }
            Verdict::Send { .. } if was_partial => {
                assert!(has_right_checksum(frame.bytes()), "a partial checksum is whole when it leaves");
            }
            Verdict::Send { interface }
            | Verdict::Answer { interface }
            | Verdict::Refuse { interface, .. } => {
                assert!((CLIENTS..=TRANSLATED).contains(&interface));
            }
            Verdict::Sent | Verdict::Drop(_) => {}
        }
    }

    fn flows(&self) -> Vec<FlowId> {
        let mut flows = Vec::new();
        self.datapath
            .flows(self.now, &Filter::default(), Cursor::default(), usize::MAX, |flow| flows.push(flow.id));
        flows
    }

    fn check(&self) {
        let counters = self.datapath.counters();
        assert_eq!(counters.frames.received, self.received);
        assert_eq!(counters.flows, self.flows().len() as u64);
        assert_eq!(counters.modes.iter().map(|mode| mode.active).sum::<u64>(), counters.flows);
        let busy: u32 = self.states.iter().map(|state| state.active()).sum();
        assert_eq!(u64::from(busy), counters.flows);
    }

    /// A day later nothing is left.
    fn wind_down(&mut self) {
        for _ in 0..24 {
            self.now += 3_600_000;
            self.datapath.tick(self.now, &mut self.driver);
        }
        self.check();
        let counters = self.datapath.counters();
        let waiting = (counters.pending, counters.fragments_pending);
        assert_eq!((counters.flows, waiting, counters.snat.len()), (0, (0, 0), 0));
    }
}

/// The frame with a whole checksum, if it can be read and has a partial one.
fn whole(mut frame: Vec<u8>) -> Vec<u8> {
    let layout = dissect(&frame).map(|packet| packet.layout);
    if let Ok(layout) = layout.or_else(|why| routed(&frame).ok().flatten().map(|it| it.layout).ok_or(why)) {
        partial::finish(&mut frame, &layout);
    }
    frame
}

/// Whether the checksum of a packet of TCP or UDP is right; of others, which are tunnels here, nothing is asked.
fn has_right_checksum(frame: &[u8]) -> bool {
    let Ok(Packet { kind: Kind::Flow(flow), layout, .. }) = dissect(frame) else { return true };
    let segment = &frame[usize::from(layout.l4)..usize::from(layout.end)];
    // RFC 768: none was computed, of the datagram around a tunnel.
    let has_none = layout.protocol == ip::UDP && segment[6..8] == [0, 0];
    let (source, destination) = (flow.key.source().address, flow.key.destination().address);
    let pseudo = Sum::pseudo(source, destination, layout.protocol, segment.len() as u32);
    has_none || pseudo.bytes(segment).is_valid()
}

/// A segment, a datagram or a ping of one of a few clients to one of the virtuals, or to nothing.
fn from_client(next: &mut dyn FnMut() -> u8) -> Vec<u8> {
    let (client, port) = (next(), next());
    let source = endpoint([192, 0, 2, client % 4 + 1], 1024 + u16::from(client / 4));
    packet(source, endpoint([203, 0, 113, 1], FIRST_PORT + u16::from(port % 9)), [2, 0, 0, 0, 0, 1], next)
}

/// The same from a member, to a client or to a SNAT port.
fn from_member(next: &mut dyn FnMut() -> u8) -> Vec<u8> {
    let (client, host) = (next(), next());
    let to = match host & 2 {
        0 => endpoint([192, 0, 2, client % 4 + 1], 1024 + u16::from(client / 4)),
        _ => endpoint([10, 0, 0, 100], 2000 + u16::from(client % 4)),
    };
    packet(endpoint([10, 0, 0, host % 2 + 1], 8080), to, [2, 0, 0, 0, 0, 2], next)
}

/// A packet of IPv6 to the VIP, from its member, or to be translated: a segment, a datagram, a message of ICMPv6, a
/// fragment of one, or with headers in front; what stands behind may be anything.
fn of_ipv6(next: &mut dyn FnMut() -> u8) -> Vec<u8> {
    const NAMES: [&str; 8] = [
        "2001:db8:c::7",
        "2001:db8:64::192.0.2.1",
        "2001:db8:64::10.0.0.1",
        "2001:db8:64::127.0.0.1",
        "2001:db8:f::1",
        "2001:db8:a::1",
        "2001:db8:a::100",
        "2001:db8:d::9",
    ];
    let (ends, kind, length, hops) = (next(), next(), next(), next());
    let name = |number: u8| match NAMES[usize::from(number % 8)].parse() {
        Ok(IpAddr::V6(v6)) => v6.octets(),
        _ => [0; 16],
    };
    let (source, destination) = (name(ends), name(ends >> 4));
    let ports = [4, 0, 0, FIRST_PORT as u8, 31, 144, 4, 0];
    let mut rest = ports[usize::from(kind & 4)..][..4].to_vec();
    let protocol = match kind % 4 {
        0 => {
            rest.extend([&[0; 8], &[5 << 4, next() & 0x1f, 1, 0, 0, 0, 0, 0][..]].concat());
            6
        }
        1 => {
            rest.extend([[0, length].as_slice(), &[next(), next()]].concat());
            17
        }
        2 => {
            // An error about what was sent the other way.
            rest = vec![next() % 5, next() % 8, 0, 0, 0, 0, next(), next(), 0x60, 0, 0, 0, 0, 20, 17, 60];
            rest.extend([destination, source].concat());
            58
        }
        _ => {
            rest = vec![128 | (next() & 1), 0, 0, 0, 0, 5, 0, 1];
            58
        }
    };
    rest.extend((0..length).map(|place| place ^ kind));
    // The sum of ICMPv6 is right now and then.
    if protocol == 58 && kind & 8 == 0 {
        let (from, to) = (Address::from(IpAddr::from(source)), Address::from(IpAddr::from(destination)));
        let sum = Sum::pseudo(from, to, protocol, rest.len() as u32).bytes(&rest);
        let check = sum.checksum();
        rest[2..4].copy_from_slice(&check.to_be_bytes());
    }
    let mut first = protocol;
    if kind & 0x30 == 0x30 {
        let place = usize::from(kind >> 6) * 8;
        let more = u8::from(rest.len() > place + 32);
        let part = rest.get(place..).unwrap_or_default();
        let part = &part[..part.len().min(32)];
        rest = [&[first, 0, 0, place as u8 | more, 0, 0, 0, hops % 4][..], part].concat();
        first = 44;
    } else if kind & 0x30 == 0x20 {
        rest = [&[first, 0, next() % 4, next() % 2, 0, 0, 0, 0][..], &rest].concat();
        first = [0, 43, 60, 51][usize::from(kind >> 6)];
    }
    let mut header = vec![0x60, next(), next(), 0, 0, rest.len() as u8, first, hops];
    header[4] = (rest.len() >> 8) as u8;
    header.extend([source, destination].concat());
    let ethernet = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 9, 9, 0x86, 0xdd];
    [&ethernet[..], &header, &rest].concat()
}

/// A packet of IPv4 whose IP header is right, or a fragment; what stands behind it may be anything. The checksum of
/// some was left to the device of their sender.
fn packet(source: Endpoint, destination: Endpoint, mac: [u8; 6], next: &mut dyn FnMut() -> u8) -> Vec<u8> {
    let (kind, flags, number, length) = (next(), next(), next(), next());
    let mut rest = Vec::new();
    let protocol = match kind % 8 {
        0..5 => {
            rest.extend(source.port.to_be_bytes());
            rest.extend(destination.port.to_be_bytes());
            rest.extend(u32::from(number).to_be_bytes());
            rest.extend(u32::from(number / 2).to_be_bytes());
            rest.extend([5 << 4, flags & 0x1f, 1, 0, 0, 0, 0, 0]);
            6
        }
        5 | 6 => {
            rest.extend(source.port.to_be_bytes());
            rest.extend(destination.port.to_be_bytes());
            rest.extend((8 + u16::from(length)).to_be_bytes());
            rest.extend([0, 0]);
            17
        }
        _ => {
            rest.extend([flags & 8, 0, 0, 0, 0, number, 0, 1]);
            1
        }
    };
    rest.extend((0..length).map(|place| place ^ number));
    let mut header = [0; 20];
    header[0] = 0x45;
    if kind & 0x30 == 0x30 {
        // Of few packets, and from few places in them, so that fragments meet.
        let (place, more) = (u16::from(flags >> 5), kind & 0x40);
        header[5] = kind >> 7;
        header[6] = more >> 1;
        header[7] = place as u8;
        let from = usize::from(place) * 8;
        let len = rest.len().saturating_sub(from).min(32);
        let len = if more == 0 { len } else { len & !7 };
        rest = rest.get(from..from + len).unwrap_or_default().to_vec();
    }
    if kind & 0x80 != 0 && kind & 0x30 != 0x30 && protocol != 1 {
        let sum = Sum::pseudo(source.address, destination.address, protocol, rest.len() as u32).folded();
        let at = if protocol == 6 { 16 } else { 6 };
        rest[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    header[2..4].copy_from_slice(&(20 + rest.len() as u16).to_be_bytes());
    header[8] = if kind & 8 == 0 { 64 } else { 1 };
    header[9] = protocol;
    header[12..16].copy_from_slice(&source.address.octets()[12..]);
    header[16..20].copy_from_slice(&destination.address.octets()[12..]);
    let check = checksum::checksum(&header);
    header[10..12].copy_from_slice(&check.to_be_bytes());
    let ethernet = [&mac[..], &[2, 0, 0, 0, 9, 9], &[8, 0]].concat();
    [ethernet.as_slice(), &header, &rest].concat()
}

/// A virtual for each mode, those whose bit is set in `there`; the last one asks its rules.
fn snapshot(pool: &Pool, there: u16) -> Snapshot {
    let virtuals =
        (0u16..).zip(ModeName::ALL.into_iter().chain([ModeName::Nat])).map(|(place, mode)| Virtual {
            name: format!("v{place}").into(),
            listen: endpoint([203, 0, 113, 1], FIRST_PORT + place),
            transport: Transport::Any,
            interfaces: vec![CLIENTS],
            pool: Some(PoolIndex(0)),
            modes: Modes::new(mode, Some(SnatPoolIndex(0)), Dscp::new(7))
                .expect("it has all that a mode needs"),
            gue_port: 6080,
            on_path: None,
            tunnel_sources: TunnelSources::new(
                (place & 1 == 0).then_some(Ipv4Addr::new(10, 0, 0, 101).into()),
            ),
            mss: Some(1200),
            translation: None,
            persistence: (place == 2).then_some(SourcePersistence {
                source: Source { ipv4: 24, ipv6: 64, port: false },
                prefix: [2; 8],
                timeout: 10_000,
                refuses_when_down: false,
            }),
            return_to_sender: place == 1,
            idle: None,
            limits: Limits { flows: Some(9), flow_rate: None, syn_rate: (place == 3).then_some(5) },
            hooks: Hooks { on_flow: place == 8, on_done: true },
        });
    let virtuals = virtuals.enumerate().filter(|(place, _)| there & 1 << place != 0);
    let snat =
        snat::Pool::new(&[Ipv4Addr::new(10, 0, 0, 100).into(), v6("2001:db8:a::100")], 2000..=2003, 1_000);
    let snat_pools = vec![SnatPool { name: "out".into(), ports: snat }];
    let virtuals: Vec<Virtual> = virtuals.map(|(_, virtual_)| virtual_).collect();
    // Each also listens for the other family, whose members the pool does not have.
    let other = virtuals.iter().map(|virtual_| Virtual {
        name: format!("{}-6", virtual_.name).into(),
        listen: Endpoint { address: v6("2001:db8:f::1"), ..virtual_.listen },
        tunnel_sources: TunnelSources::default(),
        translation: Some(translation()),
        ..virtual_.clone()
    });
    let virtuals = virtuals.iter().cloned().chain(other).collect();
    let translator =
        Translator { name: "clat".into(), interfaces: vec![TRANSLATED], translation: translation() };
    let snapshot = Snapshot::new(virtuals, vec![pool.clone()], snat_pools);
    let snapshot = snapshot.and_then(|snapshot| snapshot.with_translators(vec![translator]));
    snapshot.expect("nothing contradicts itself")
}

fn translation() -> Arc<Translation> {
    let embedding = Prefix::new(v6("2001:db8:64::"), 96).and_then(Embedding::new);
    let v4 = Prefix::new(Ipv4Addr::new(192, 0, 2, 0).into(), 24).expect("a prefix");
    let map = Map { v4, v6: Prefix::new(v6("2001:db8:c::"), 120).expect("a prefix") };
    let maps = Maps::new(vec![map]).expect("it fits");
    let stands_in = Ipv4Addr::new(192, 0, 2, 200).into();
    let routers = Routers::new(&[stands_in..=stands_in]).expect("a range");
    Arc::new(Translation { mapping: Mapping::new(embedding, maps, routers), lowest_ipv6_mtu: 1280 })
}

fn v6(text: &str) -> Address {
    Address::from(text.parse::<IpAddr>().expect("an address"))
}

fn network() -> Network {
    let mut network = Network::default();
    for (index, own, own_v6) in [
        (CLIENTS, [198, 18, 0, 1], "2001:db8:2::1"),
        (MEMBERS, [10, 0, 0, 254], "2001:db8:a::fe"),
        (TRANSLATED, [198, 18, 1, 1], "2001:db8:3::1"),
    ] {
        let address = Ipv4Addr::from(own).into();
        network.set_interface(Interface {
            index,
            name: format!("eth{index}").into(),
            mac: Mac([2, 0, 0, 0, 0, index as u8]),
            mtu: 250,
            addresses: vec![(address, 24), (v6(own_v6), 64)],
            vlan: None,
            point_to_point: false,
        });
        for (address, length) in [(address, 24), (v6(own_v6), 64)] {
            let destination = Prefix::new(address, length).expect("a prefix");
            let hop = Some(Hop { gateway: None, interface: index });
            network.add_route(Route { destination, hop, metric: 0 });
        }
    }
    let router = v6("2001:db8:2::fe");
    let hop = Some(Hop { gateway: Some(router), interface: CLIENTS });
    network.add_route(Route { destination: Prefix::all(Family::V6), hop, metric: 0 });
    network.set_neighbour(CLIENTS, router, Mac([2, 0, 0, 0, 9, 9]));
    network.set_neighbour(MEMBERS, v6("2001:db8:a::1"), Mac([2, 0, 0, 0, 8, 1]));
    let router = Ipv4Addr::new(198, 18, 0, 254).into();
    let hop = Some(Hop { gateway: Some(router), interface: CLIENTS });
    network.add_route(Route { destination: Prefix::all(Family::V4), hop, metric: 0 });
    network.set_neighbour(CLIENTS, router, Mac([2, 0, 0, 0, 9, 9]));
    for host in [1, 2] {
        network.set_neighbour(MEMBERS, Ipv4Addr::new(10, 0, 0, host).into(), Mac([2, 0, 0, 0, 8, host]));
    }
    network
}

fn endpoint(address: [u8; 4], port: u16) -> Endpoint {
    Endpoint { address: Ipv4Addr::from(address).into(), port }
}
