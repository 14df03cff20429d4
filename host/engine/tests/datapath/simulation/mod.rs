//! A simulated network around the datapath: clients, members, reloads, clock jumps, members that come and
//! go, ports that run out, frames that get lost.
//!
//! Everything follows from a seed. After each step what must always hold is checked; in the end every count is zero.

mod endpoint;
mod invariants;
mod pieces;
mod random;
mod trouble;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::panic::catch_unwind;

use shunt_engine::datapath::{Datapath, DropReason, Verdict};
use shunt_wire::Frame;
use shunt_wire::frame::HEADROOM;

use crate::driver::{HandedOver, Recorder};
use crate::lab::{ETH0, ETH1, Lab};
use endpoint::{End, State};
use pieces::Joined;
use random::Random;
use wire::{ACK, Message, RST, SYN, Tcp, leave_checksum};

const ROUTER: [u8; 6] = [2, 0, 0, 0, 0x0a, 1];
const SHUNT: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
const START: u64 = 1_000_000;
/// How much of a packet a fragment holds.
const PIECE: usize = 64;

/// VIPs by family, and the port of each mode on them.
const VIPS: [&str; 2] = ["203.0.113.1", "2001:db8:f::1"];
const NAT: u16 = 80;
const SNAT: u16 = 81;
const L2DSR: u16 = 82;
const IPIP: u16 = 83;
const PORTS: [u16; 4] = [NAT, SNAT, L2DSR, IPIP];
const MODES: [&str; 4] = ["nat", "snat snat", "l2dsr", "l3dsr-ipip"];

/// A member's MAC ends with its number.
const MEMBERS: [[&str; 2]; 2] = [["10.0.0.1", "10.0.0.2"], ["2001:db8:a::1", "2001:db8:a::2"]];

#[test]
fn seeds() {
    for seed in 0..150 {
        let result = catch_unwind(|| Simulation::new(seed).run(1_500));
        assert!(result.is_ok(), "the simulation fails with seed {seed}");
    }
}

struct Simulation {
    random: Random,
    lab: Lab,
    /// One of each worker.
    datapaths: Vec<Datapath>,
    driver: Recorder,
    now: u64,
    /// Connections by the client's endpoint and the VIP.
    clients: BTreeMap<(SocketAddr, SocketAddr), End>,
    /// Datagrams that were sent: what the answer has to say.
    questions: BTreeMap<(SocketAddr, SocketAddr), u64>,
    /// Connections by the member and who it talks to, with who is really behind it.
    servers: HashMap<(SocketAddr, SocketAddr), Served>,
    /// Frames that are on their way to Shunt.
    on_the_way: Vec<(u32, Vec<u8>)>,
    /// Where clients and members put fragments together.
    joined: [Joined; 2],
    next_port: u16,
    verdicts: u64,
    answers: u64,
}

/// What a member knows of one peer endpoint.
struct Served {
    end: End,
    /// The first sequence number of the client: it tells connections apart.
    began: u32,
    /// When a segment of it last came from Shunt, in milliseconds.
    last: u64,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut lab = Lab::default();
        for (family, vip) in VIPS.into_iter().enumerate() {
            for (port, mode) in PORTS.into_iter().zip(MODES) {
                let listen = SocketAddr::new(vip.parse().unwrap(), port);
                lab.set("virtual", &format!("v{family}-{port} {listen} any {mode} done")).unwrap();
            }
        }
        for address in MEMBERS.as_flattened() {
            let member = SocketAddr::new(address.parse().unwrap(), 8080);
            lab.set("member", &member.to_string()).unwrap();
        }
        // Few ports, of two blocks: they run out.
        lab.set("snat", "2040-2055 10.0.0.100 2001:db8:a::100").unwrap();
        lab.options.flows = 120;
        lab.options.workers = 1 + seed as usize % 3;
        let mut datapaths = Vec::new();
        for worker in 0..lab.options.workers {
            lab.options.worker = worker;
            datapaths.push(lab.datapath(START).unwrap());
        }
        Self {
            random: Random::new(seed),
            datapaths,
            lab,
            driver: Recorder::default(),
            now: START,
            clients: BTreeMap::new(),
            questions: BTreeMap::new(),
            servers: HashMap::new(),
            on_the_way: Vec::new(),
            joined: Default::default(),
            next_port: 1024,
            verdicts: 0,
            answers: 0,
        }
    }

    fn run(mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
            self.check();
        }
        assert!(self.answers > 20, "{} answers reached a client: nothing was simulated", self.answers);
        let joined = self.joined.each_ref().map(|it| it.count);
        assert!(joined.iter().all(|count| *count > 0), "{joined:?} packets came in fragments");
        self.wind_down();
    }

    fn step(&mut self) {
        self.driver.random = self.random.number();
        match self.random.below(100) {
            0..20 => self.open(),
            20..28 => self.ask(),
            28..70 => self.go_on(),
            70..80 => self.pass(50),
            80..86 => self.pass(4_000),
            86 => self.pass(400_000),
            87..90 => self.flap(),
            90..92 => self.reload(),
            92..94 => self.change_network(),
            94 => self.delete(),
            95..98 => self.damage(),
            _ => self.fall_silent(),
        }
        self.deliver();
    }

    /// A client connects.
    fn open(&mut self) {
        let (client, vip) = self.pair();
        let (end, syn) = End::connect(self.random.number() as u32);
        self.clients.insert((client, vip), end);
        self.client_sends(client, vip, Some(syn), Vec::new());
    }

    /// A client asks by datagram.
    fn ask(&mut self) {
        let (client, vip) = self.pair();
        let number = self.random.number();
        self.questions.insert((client, vip), number);
        // One of two is larger than what fits into a frame.
        let times = if self.random.percent(50) { 1 } else { 2 * PIECE / 8 + self.random.below(PIECE / 8) };
        self.client_sends(client, vip, None, number.to_be_bytes().repeat(times));
    }

    /// Some end of some connection does something.
    fn go_on(&mut self) {
        if let Some((client, vip)) = pick(&mut self.random, &self.clients) {
            let what = self.random.below(10);
            let end = self.clients.get_mut(&(client, vip)).unwrap();
            let (segment, bytes) = match what {
                0..5 => (end.send(8), 8),
                5..9 => (end.close(), 0),
                _ => (end.abort(), 0),
            };
            if let Some(segment) = segment {
                self.client_sends(client, vip, Some(segment), vec![7; bytes]);
            }
        }
        let mut keys: Vec<_> = self.servers.keys().copied().collect();
        keys.sort_unstable();
        if keys.is_empty() {
            return;
        }
        let key = keys[self.random.below(keys.len())];
        let what = self.random.below(10);
        let served = self.servers.get_mut(&key).unwrap();
        let (segment, bytes) = match what {
            0..5 => (served.end.send(8), 8),
            5..9 => (served.end.close(), 0),
            _ => (served.end.abort(), 0),
        };
        if let Some(segment) = segment {
            self.member_sends(key, Some(segment), vec![9; bytes]);
        }
    }

    /// The clock advances.
    fn pass(&mut self, most: usize) {
        self.now += self.random.below(most) as u64;
        self.tick();
        self.take_sent();
    }

    fn tick(&mut self) {
        for datapath in &mut self.datapaths {
            datapath.tick(self.now, &mut self.driver);
        }
    }

    /// A client and a VIP of one family; the client's port is used once in a while only.
    fn pair(&mut self) -> (SocketAddr, SocketAddr) {
        let family = self.random.below(2);
        let host = self.random.below(6) + 1;
        let client = if family == 0 { format!("192.0.2.{host}") } else { format!("2001:db8:c::{host}") };
        let port = PORTS[self.random.below(4)];
        self.next_port = if self.next_port > 60_000 { 1024 } else { self.next_port + 1 };
        let vip = VIPS[family].parse::<IpAddr>().unwrap();
        (SocketAddr::new(client.parse().unwrap(), self.next_port), SocketAddr::new(vip, port))
    }

    fn client_sends(&mut self, client: SocketAddr, vip: SocketAddr, tcp: Option<Tcp>, payload: Vec<u8>) {
        let message = Message { source: client, destination: vip, tcp, payload };
        // What is lost before Shunt was never seen by it.
        if !self.random.percent(3) {
            self.leave(ETH0, message.frame(ROUTER, SHUNT[0]));
        }
    }

    /// A member speaks. Where it answers directly, the client hears it without Shunt.
    fn member_sends(&mut self, (member, peer): (SocketAddr, SocketAddr), tcp: Option<Tcp>, payload: Vec<u8>) {
        let message = Message { source: member, destination: peer, tcp, payload };
        if is_vip(member) {
            self.at_client(message);
        } else {
            self.leave(ETH1, message.frame(mac_of(member), SHUNT[1]));
        }
    }

    /// A frame sets out: in fragments if it is large, which the network shuffles, repeats and loses. Half of the
    /// hosts leave the checksum of a whole packet to their device.
    fn leave(&mut self, interface: u32, mut frame: Vec<u8>) {
        if frame.len() <= 2 * PIECE {
            if self.random.percent(50) {
                leave_checksum(&mut frame);
            }
            return self.on_the_way.push((interface, frame));
        }
        let mut pieces = pieces::cut(&frame, self.random.number() as u32, PIECE);
        while !pieces.is_empty() {
            let piece = pieces.remove(self.random.below(pieces.len()));
            if self.random.percent(3) {
                self.on_the_way.push((interface, piece.clone()));
            }
            if !self.random.percent(2) {
                self.on_the_way.push((interface, piece));
            }
        }
    }

    /// Frames arrive until none is on its way.
    fn deliver(&mut self) {
        while let Some((interface, frame)) = (!self.on_the_way.is_empty()).then(|| self.on_the_way.remove(0))
        {
            self.receive(interface, &frame, true);
        }
    }

    fn receive(&mut self, interface: u32, bytes: &[u8], counts: bool) {
        let end = HEADROOM + bytes.len();
        let mut buffer = vec![0xee; end + HEADROOM];
        buffer[HEADROOM..end].copy_from_slice(bytes);
        let mut frame = Frame::new(&mut buffer, HEADROOM, end);
        // Whichever queue it came by.
        let worker = self.random.below(self.datapaths.len());
        let verdict = self.datapaths[worker].receive(self.now, interface, &mut frame, &mut self.driver);
        for it in self.driver.handed_over.iter().filter(|it| it.part.is_none()) {
            assert_ne!(it.worker, worker, "it has the frame");
            assert_eq!(it.frame.len(), bytes.len());
            let differ = it.frame.iter().zip(bytes).filter(|(handed, came)| handed != came).count();
            assert!(differ <= 2, "a frame that is handed over is as it came, but for its checksum");
        }
        self.decided(verdict, frame.bytes(), counts);
        // A fragment is handed over twice: to where its packet's meet, and to the owner of its flow.
        for _ in 0..2 {
            for HandedOver { worker: owner, ingress, frame, part } in
                std::mem::take(&mut self.driver.handed_over)
            {
                let end = HEADROOM + frame.len();
                let mut buffer = vec![0xee; end + HEADROOM];
                buffer[HEADROOM..end].copy_from_slice(&frame);
                let mut frame = Frame::new(&mut buffer, HEADROOM, end);
                let (now, driver) = (self.now, &mut self.driver);
                let verdict =
                    self.datapaths[owner].receive_handed_over(now, ingress, &mut frame, part, driver);
                self.decided(verdict, frame.bytes(), counts);
            }
        }
        assert!(self.driver.handed_over.is_empty(), "workers agree who owns a flow");
    }

    fn decided(&mut self, verdict: Verdict, frame: &[u8], counts: bool) {
        self.verdicts += 1;
        assert_ne!(verdict, Verdict::Drop(DropReason::HandOverFull), "workers agree who owns a flow");
        if let Some(interface) = verdict.interface()
            && counts
        {
            self.arrive(interface, frame);
        }
        self.take_sent();
    }

    fn take_sent(&mut self) {
        for (interface, frame) in std::mem::take(&mut self.driver.sent) {
            self.arrive(interface, &frame);
        }
    }

    /// A frame of Shunt's arrives where it is sent to.
    fn arrive(&mut self, interface: u32, frame: &[u8]) {
        assert_eq!(frame[6..12], SHUNT[interface as usize - 1], "it comes from Shunt");
        let Some(whole) = self.joined[interface as usize - 1].take(frame) else { return };
        let Some((message, tunnelled)) = Message::read(&whole) else { return };
        match interface {
            ETH0 => {
                assert_eq!(frame[..6], ROUTER, "clients are behind the router");
                assert!(!tunnelled, "no client gets a tunnel");
                if !self.random.percent(3) {
                    self.at_client(message);
                }
            }
            ETH1 => {
                assert_eq!(frame[..5], [2, 0, 0, 0, 0x0b], "members are on the link");
                if !self.random.percent(3) {
                    self.at_member(message);
                }
            }
            other => panic!("there is no interface {other}"),
        }
    }

    /// Whatever reaches a client comes from the VIP that it talks to.
    fn at_client(&mut self, message: Message) {
        let Message { source: vip, destination: client, tcp, payload } = message;
        assert!(is_vip(vip), "{client} got something from {vip}");
        let key = (client, vip);
        let Some(segment) = tcp else {
            if let Some(question) = self.questions.remove(&key) {
                let is_answer = payload.chunks(8).all(|chunk| chunk == question.to_be_bytes());
                assert!(is_answer && !payload.is_empty(), "the answer is to another question");
                self.answers += 1;
            }
            return;
        };
        let Some(end) = self.clients.get_mut(&key) else {
            // It forgot the connection, and says so.
            if segment.flags & RST == 0 {
                let reset = Tcp { flags: RST, seq: segment.ack, ack: 0 };
                self.client_sends(client, vip, Some(reset), Vec::new());
            }
            return;
        };
        let reaction = end.take(self.now, segment, payload.len());
        self.answers += u64::from(reaction.is_news);
        if let Some(answer) = reaction.answer {
            self.client_sends(client, vip, Some(answer), Vec::new());
        }
    }

    /// What reaches a member is addressed to it, or in direct modes to the VIP that it has; and a new
    /// connection never meets one that the member still remembers.
    fn at_member(&mut self, message: Message) {
        let Message { source: peer, destination: member, tcp, payload } = message;
        assert!(is_vip(member) || member.port() == 8080, "{member} is no member");
        let is_snat = peer.ip() == self.lab.snat_pools[0].ports.addresses()[0].to_ip()
            || peer.ip() == self.lab.snat_pools[0].ports.addresses()[1].to_ip();
        if is_snat {
            assert!((2040..=2055).contains(&peer.port()), "{peer} is of no SNAT pool");
        }
        let key = (member, peer);
        let Some(segment) = tcp else {
            self.member_sends(key, None, payload);
            return;
        };
        if segment.flags & (SYN | ACK | RST) == SYN {
            self.accept(key, segment, is_snat);
            return;
        }
        let Some(served) = self.servers.get_mut(&key) else {
            if segment.flags & RST == 0 {
                let reset = Tcp { flags: RST, seq: segment.ack, ack: 0 };
                self.member_sends(key, Some(reset), Vec::new());
            }
            return;
        };
        served.last = self.now;
        let reaction = served.end.take(self.now, segment, payload.len());
        if served.end.state == State::Closed {
            self.servers.remove(&key);
        }
        if let Some(answer) = reaction.answer {
            self.member_sends(key, Some(answer), Vec::new());
        }
    }

    /// A SYN at a member.
    fn accept(&mut self, key: (SocketAddr, SocketAddr), syn: Tcp, is_snat: bool) {
        if let Some(served) = self.servers.get(&key)
            && is_snat
            && served.began != syn.seq
        {
            let now = self.now;
            let silent = now - served.last;
            match served.end.state {
                State::TimeWait(until) => {
                    assert!(now >= until, "{} is used again toward {} in its TIME_WAIT", key.1, key.0);
                }
                State::Closed => {}
                // It would send its FIN again and again, and Shunt would see that; these ends do not.
                _ if served.end.waits_for_last_acknowledgement() => {}
                // What told it that the connection is over got lost: the shortest rest then is that
                // after a client's reset, which Shunt saw and the member did not.
                state => assert!(
                    silent >= 16_000,
                    "{} is used again toward {} after {silent} ms of {state:?}",
                    key.1,
                    key.0
                ),
            }
        }
        let (end, answer) = End::accept(syn, self.random.number() as u32);
        self.servers.insert(key, Served { end, began: syn.seq, last: self.now });
        self.member_sends(key, Some(answer), Vec::new());
    }
}

fn pick<V>(
    random: &mut Random,
    from: &BTreeMap<(SocketAddr, SocketAddr), V>,
) -> Option<(SocketAddr, SocketAddr)> {
    if from.is_empty() {
        return None;
    }
    let place = random.below(from.len());
    from.keys().nth(place).copied()
}

fn is_vip(address: SocketAddr) -> bool {
    VIPS.iter().any(|vip| vip.parse() == Ok(address.ip()))
}

fn mac_of(member: SocketAddr) -> [u8; 6] {
    let number = MEMBERS.as_flattened().iter().position(|text| text.parse() == Ok(member.ip())).unwrap_or(0);
    [2, 0, 0, 0, 0x0b, (number % 2) as u8 + 1]
}
