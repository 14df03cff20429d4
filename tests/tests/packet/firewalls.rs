//! A firewall sandwich: two balancers with firewalls between them, which drop what belongs to no flow that they
//! have seen from its beginning. Flows of both sides, also after one firewall has died.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use shunt_lab::{Family, Host, Lab, Segment, Shunt};
use shunt_tests::packet::speaker::{self, Speaker, Talk};
use shunt_tests::packet::until;
use shunt_tests::program;

use crate::has_labs;

/// Hosts on each side, as addresses of one: pairs of them are what the balancers go by.
const STATIONS: std::ops::Range<u8> = 11..17;
const BALANCER: u8 = 1;
const FIREWALLS: [u8; 2] = [21, 22];
const PORT: u16 = 53;

/// The networks from the outside in, each a segment of its name.
#[derive(Clone, Copy)]
enum Net {
    Outside = 1,
    FwOut = 2,
    FwIn = 3,
    Inside = 4,
}

impl Net {
    const ALL: [Net; 4] = [Net::Outside, Net::FwOut, Net::FwIn, Net::Inside];

    fn name(self) -> &'static str {
        ["outside", "fwout", "fwin", "inside"][self as usize - 1]
    }

    fn address(self, family: Family, station: u8) -> IpAddr {
        match family {
            Family::V4 => IpAddr::from([10, 70, self as u8, station]),
            Family::V6 => IpAddr::from([0x2001, 0xdb8, 0x70, self as u16, 0, 0, 0, u16::from(station)]),
        }
    }

    fn network(self, family: Family) -> String {
        format!("{}/{}", self.address(family, 0), if family == Family::V4 { 24 } else { 64 })
    }

    fn interface(self, family: Family, station: u8) -> String {
        let network = self.network(family);
        let length = network.split('/').next_back().unwrap();
        format!("{}/{length}", self.address(family, station))
    }
}

/// Where the monitors of a balancer probe from, through each firewall to that of the other one.
fn probes(family: Family, near: Net) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([10, 71, near as u8, 77]),
        Family::V6 => IpAddr::from([0x2001, 0xdb8, 0x71, near as u16, 0, 0, 0, 0x77]),
    }
}

/// Flows from one side go to the firewalls; what comes from these continues, and its answers go back to the same one.
const CONFIG: &str = r#"
[[virtual]]
name = "to-firewalls-V"
listen = "ANY:0"
protocol = "packet"
transport = "all"
interfaces = ["NEAR", "FAR"]
client-interfaces = ["NEAR"]
pool = "firewalls-V"
mode = "route"
probe-from = "OWN"

[[virtual]]
name = "from-firewalls-V"
listen = "ANY:0"
protocol = "packet"
transport = "all"
interfaces = ["NEAR", "FAR"]
client-interfaces = ["FAR"]
mode = "route"
return-to-sender = true

[[pool]]
name = "firewalls-V"
balance = "symmetric-hash"
monitor = { ping = true, target = "BEYOND", interval = "1s", rise = 1, fall = 2 }
members = [{ address = "F1" }, { address = "F2" }]
"#;

/// Knows flows from their first packet only, and services by their port: an answer whose question it has not seen
/// is dropped and counted.
const RULES: &str = "table inet wall {
    counter split {}
    counter passed {}
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related counter name passed accept
        ct state new tcp dport 53 tcp flags & (syn | ack) == syn accept
        ct state new udp dport 53 accept
        ct state new icmp type echo-request accept
        ct state new icmpv6 type echo-request accept
        counter name split drop
    }
}";

struct Sandwich {
    balancers: [Shunt; 2],
    _speakers: Vec<Speaker>,
    firewalls: [Host; 2],
    outside: Host,
    inside: Host,
    _hosts: [Host; 2],
    segments: [Segment; 4],
    lab: Lab,
}

fn sandwich() -> Sandwich {
    let lab = Lab::new("firewalls").unwrap();
    let segments = Net::ALL.map(|net| lab.segment(net.name(), net as u8).unwrap());
    let plug = |host: &Host, net: Net, stations: &[u8]| {
        let of = |family| stations.iter().map(move |station| net.interface(family, *station));
        let addresses: Vec<_> = Family::BOTH.into_iter().flat_map(of).collect();
        lab.plug(host, &segments[net as usize - 1], stations[0], &addresses).unwrap();
    };
    let [outside, inside, outer, inner, f1, f2] =
        ["outside", "inside", "outer", "inner", "fw1", "fw2"].map(|name| lab.host(name).unwrap());
    let stations: Vec<u8> = STATIONS.collect();
    plug(&outside, Net::Outside, &stations);
    plug(&inside, Net::Inside, &stations);
    for (host, nets) in [(&outer, [Net::Outside, Net::FwOut]), (&inner, [Net::Inside, Net::FwIn])] {
        nets.into_iter().for_each(|net| plug(host, net, &[BALANCER]));
    }
    let firewalls = [f1, f2];
    for (host, station) in firewalls.iter().zip(FIREWALLS) {
        plug(host, Net::FwOut, &[station]);
        plug(host, Net::FwIn, &[station]);
        host.all(&["sysctl -w net.ipv4.ip_forward=1", "sysctl -w net.ipv6.conf.all.forwarding=1"]).unwrap();
        host.feed("nft -f -", RULES).unwrap();
        // Connections whose beginning it has not seen are none.
        host.run("sysctl -w net.netfilter.nf_conntrack_tcp_loose=0").unwrap();
    }
    let route = |host: &Host, family: Family, to: &str, via: IpAddr| {
        host.run(&format!("ip {} route add {to} via {via}", family.option())).unwrap();
    };
    let mut speakers = Vec::new();
    for family in Family::BOTH {
        route(&outside, family, "default", Net::Outside.address(family, BALANCER));
        route(&inside, family, "default", Net::Inside.address(family, BALANCER));
        for host in &firewalls {
            route(host, family, &Net::Outside.network(family), Net::FwOut.address(family, BALANCER));
            route(host, family, &Net::Inside.network(family), Net::FwIn.address(family, BALANCER));
            for (near, far) in [(Net::Outside, Net::FwOut), (Net::Inside, Net::FwIn)] {
                route(host, family, &probes(family, near).to_string(), far.address(family, BALANCER));
            }
        }
        for station in STATIONS {
            speakers.push(Speaker::start(&outside, Net::Outside.address(family, station), PORT));
            speakers.push(Speaker::start(&inside, Net::Inside.address(family, station), PORT));
        }
    }
    let start = |host: &Host, near: Net, far: Net| {
        let other = if near as u8 == Net::Outside as u8 { Net::Inside } else { Net::Outside };
        let config = Family::BOTH.map(|family| {
            let any = if family == Family::V4 { "0.0.0.0" } else { "[::]" };
            let [f1, f2] = FIREWALLS.map(|it| SocketAddr::new(far.address(family, it), 7).to_string());
            let config = CONFIG.replace("V\"", &format!("{}\"", &family.option()[1..])).replace("ANY", any);
            let [own, beyond] = [near, other].map(|net| probes(family, net).to_string());
            let config = config.replace("OWN", &own).replace("BEYOND", &beyond);
            let config = config.replace("NEAR", near.name()).replace("FAR", far.name());
            config.replace("F1", &f1).replace("F2", &f2)
        });
        Shunt::start(host, &program::path(), &config.concat()).unwrap()
    };
    let balancers = [start(&outer, Net::Outside, Net::FwOut), start(&inner, Net::Inside, Net::FwIn)];
    let hosts = [outer, inner];
    Sandwich { balancers, firewalls, outside, inside, _hosts: hosts, segments, lab, _speakers: speakers }
}

/// From which host to which, by the address of each.
struct Way<'a> {
    host: &'a Host,
    from: IpAddr,
    to: SocketAddr,
    name: &'static str,
}

impl Sandwich {
    /// From every station of each side to one of the other.
    fn ways(&self, family: Family) -> Vec<Way<'_>> {
        let pairs = STATIONS.zip(STATIONS.rev());
        let each = pairs.flat_map(|(near, far)| {
            let outside = Net::Outside.address(family, near);
            let inside = Net::Inside.address(family, far);
            [
                Way { host: &self.outside, from: outside, to: SocketAddr::new(inside, PORT), name: "inside" },
                Way { host: &self.inside, from: inside, to: SocketAddr::new(outside, PORT), name: "outside" },
            ]
        });
        each.collect()
    }

    fn wait_usable(&self, count: u64) {
        for balancer in &self.balancers {
            let status = || balancer.client(&["status", "-o", "json"]).unwrap();
            let usable = || {
                let told: serde_json::Value = serde_json::from_str(&status()).unwrap();
                told["pools"].as_array().unwrap().iter().all(|pool| pool["usable"].as_u64() == Some(count))
            };
            until(usable, || format!("{count} firewalls are up: {}", status()));
        }
    }

    /// Packets that a firewall counted.
    fn counted(&self, firewall: usize, counter: &str) -> u64 {
        let said = self.firewalls[firewall].run(&format!("nft list counter inet wall {counter}")).unwrap();
        let mut words = said.split_whitespace().skip_while(|word| *word != "packets");
        words.nth(1).and_then(|count| count.parse().ok()).unwrap()
    }

    /// Every way works, over TCP, UDP and by ping.
    fn exchange(&self) {
        for family in Family::BOTH {
            for Way { host, from, to, name } in self.ways(family) {
                let expected = (name.to_owned(), from);
                let mut talk = Talk::open(host, from, to).unwrap();
                for _ in 0..2 {
                    let (name, seen) = talk.say("who?").unwrap();
                    assert_eq!((name, seen.ip()), expected, "TCP to {to}");
                }
                let (name, seen) = speaker::ask(&host.datagrams(from, to).unwrap(), "who?").unwrap();
                assert_eq!((name, seen.ip()), expected, "UDP to {to}");
                assert_eq!(host.ping(from, to.ip(), 1, 56).unwrap(), 1, "from {from} to {to}");
            }
        }
    }
}

#[test]
fn no_flow_is_split() {
    if !has_labs() {
        return;
    }
    let site = sandwich();
    site.wait_usable(2);
    site.exchange();
    for firewall in [0, 1] {
        assert_eq!(site.counted(firewall, "split"), 0, "halves of flows at firewall {firewall}");
        assert!(site.counted(firewall, "passed") > 0, "firewall {firewall} has nothing to do");
    }

    // Those of one firewall outlive the death of the other one, and datagrams find the way that is left.
    let open = |way: Way<'_>| (Talk::open(way.host, way.from, way.to).unwrap(), way.to);
    let mut talks: Vec<_> = Family::BOTH.into_iter().flat_map(|family| site.ways(family)).map(open).collect();
    let sockets: Vec<UdpSocket> = Family::BOTH
        .into_iter()
        .flat_map(|family| site.ways(family))
        .map(|way| way.host.datagrams(way.from, way.to).unwrap())
        .collect();
    for (talk, to) in &mut talks {
        talk.say("before").unwrap_or_else(|error| panic!("{to}: {error}"));
    }
    sockets.iter().for_each(|socket| drop(speaker::ask(socket, "before").unwrap()));
    // Its outer side continues to answer: only who looks through it sees that nothing comes out.
    let inner = &site.segments[Net::FwIn as usize - 1];
    site.lab.set_plugged(&site.firewalls[0], inner, false).unwrap();
    site.wait_usable(1);
    let all = talks.len();
    let alive = talks.into_iter().filter_map(|(mut talk, _)| talk.say("after").ok()).count();
    assert!(0 < alive && alive < all, "{alive} of {all} connections went through the other firewall");
    sockets.iter().for_each(|socket| drop(speaker::ask(socket, "after").unwrap()));
    site.exchange();
    assert_eq!(site.counted(1, "split"), 0, "halves of flows at the firewall that is left");

    site.lab.set_plugged(&site.firewalls[0], inner, true).unwrap();
    site.wait_usable(2);
    site.exchange();
    for firewall in [0, 1] {
        assert_eq!(site.counted(firewall, "split"), 0, "halves of flows at firewall {firewall}");
    }
}
