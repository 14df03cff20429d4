use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shunt_engine::datapath::{FlowProtocol, ModeName, PoolIndex, SnatPoolIndex};
use shunt_engine::network::NextHop;
use shunt_sys::netlink::{Hop, InterfaceAddress, Link, Neighbour, NetworkState, Route, Vlan};
use shunt_sys::xsk::Sockets;
use shunt_wire::steering::{ReturnEndpoint, Segment, TunnelEnd};
use shunt_wire::{Address, Mac};
use tokio::sync::oneshot;

use super::*;
use crate::control::change;
use crate::control::plane;
use crate::control::ports::Steered;
use crate::control::ports::{self, Named, Opened};
use crate::control::probe_link::ProbeWay;
use crate::control::snapshot::{Loaded, Parts, Takes, load};
use crate::network::{Follower, Watched};
use crate::worker::Command;
use crate::worker::hand_over;
use crate::worker::rules::{NewRules, other_port};
use shunt_config::model::Config;
use shunt_runtime::registry::Registry;
use shunt_runtime::{PacketVirtual, Snapshot};

const CLIENTS: u32 = 2;
const SERVERS: u32 = 3;
const TAGGED: u32 = 9;
const TUN: u32 = 11;
const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn address(text: &str) -> Address {
    ip(text).into()
}

/// Two interfaces, a VLAN on the first, and loopback.
pub(crate) fn state() -> NetworkState {
    let mut state = NetworkState::default();
    let link = |index, name: &str, mac, vlan| {
        (index, Link { index, name: name.to_owned(), mac, mtu: 1500, up: true, vlan, tun: false })
    };
    let vlan = Some(Vlan { parent: CLIENTS, id: 20 });
    let nested = Some(Vlan { parent: TAGGED, id: 30 });
    state.links.extend([
        link(1, "lo", Mac([0; 6]), None),
        link(CLIENTS, "eth0", MAC, None),
        link(SERVERS, "eth1", MAC, None),
        link(TAGGED, "eth0.20", MAC, vlan),
        link(10, "eth0.20.30", MAC, nested),
    ]);
    let (_, tun) = link(TUN, "siit", Mac([0; 6]), None);
    state.links.insert(TUN, Link { tun: true, ..tun });
    state.addresses.push(InterfaceAddress { interface: SERVERS, address: ip("10.0.0.254"), prefix: 24 });
    let hop = |interface, gateway: Option<&str>| Hop { interface, gateway: gateway.map(ip) };
    let route =
        |destination: &str, prefix, hops| Route { destination: ip(destination), prefix, metric: 0, hops };
    state.routes = vec![
        route("10.0.0.0", 24, vec![hop(SERVERS, None)]),
        route("10.20.0.0", 16, vec![hop(TAGGED, Some("10.20.0.1"))]),
        route("10.66.0.0", 16, Vec::new()),
        route("10.77.0.0", 16, vec![hop(TUN, None)]),
    ];
    state.neighbours.insert((SERVERS, ip("10.0.0.1")), Neighbour::Known { mac: MAC, stale: true });
    state.neighbours.insert((SERVERS, ip("10.0.0.2")), Neighbour::Failed);
    state
}

#[test]
fn a_picture_becomes_a_network() {
    let network = network_of(&state(), &BTreeSet::new());
    let hop = |to: &str| network.next_hop(address(to));
    // Stale is good to use, failed is not.
    let NextHop::Known(via, MAC) = hop("10.0.0.1") else { panic!("{:?}", hop("10.0.0.1")) };
    assert_eq!((via.interface, via.on_link, via.mtu), (SERVERS, true, 1500));
    assert!(matches!(hop("10.0.0.2"), NextHop::NeedsSolicitation(_)));
    // A VLAN's frames leave tagged, by what carries it.
    let NextHop::NeedsSolicitation(via) = hop("10.20.7.7") else { panic!("{:?}", hop("10.20.7.7")) };
    assert_eq!((via.interface, via.link, via.vlan), (CLIENTS, TAGGED, Some(20)));
    assert_eq!(via.neighbour, address("10.20.0.1"));
    // An unreachable route and none at all.
    assert_eq!((hop("10.66.0.1"), hop("192.0.2.1")), (NextHop::NoRoute, NextHop::NoRoute));
    assert_eq!(network.own_address(SERVERS, address("10.0.0.1")), Some(address("10.0.0.254")));
    assert!(network.interface(1).is_none(), "loopback carries no Ethernet");
    // A TUN leads somewhere where Shunt is its other end.
    assert_eq!(hop("10.77.0.1"), NextHop::NoRoute);
    let network = network_of(&state(), &BTreeSet::from([TUN]));
    let NextHop::Known(via, Mac([0, 0, 0, 0, 0, 0])) = network.next_hop(address("10.77.0.1")) else {
        panic!("{:?}", network.next_hop(address("10.77.0.1")));
    };
    assert_eq!(via.interface, TUN);
    // There is this host, at its other addresses as well; and Shunt speaks from one of them.
    let NextHop::Known(via, _) = network.next_hop(address("10.0.0.254")) else {
        panic!("no way to the host")
    };
    assert_eq!(via.interface, TUN);
    assert_eq!(network.own_address(TUN, address("10.77.0.1")), Some(address("10.0.0.254")));
}

/// The address that probes come from is the host's, but not beyond any other device.
#[test]
fn answers_to_probes_leave_by_their_link() {
    const PROBES: u32 = 12;
    let mut state = state();
    let link = Link { index: PROBES, name: "shunt-probe0".to_owned(), ..state.links[&TUN].clone() };
    state.links.insert(PROBES, link);
    let from = ip("192.0.2.77");
    state.addresses.push(InterfaceAddress { interface: PROBES, address: from, prefix: 32 });
    let mut network = network_of(&state, &BTreeSet::from([TUN]));
    ProbeWay { link: PROBES, from: BTreeSet::from([from]) }.put_into(&mut network, &state);
    let NextHop::Known(via, _) = network.next_hop(from.into()) else { panic!("no way to {from}") };
    assert_eq!(via.interface, PROBES);
}

/// What Shunt gives its own link, no other may have.
#[test]
fn addresses_of_the_host_are_refused() {
    let text = CONFIG.replace("10.10.1.2", "10.0.0.254")
        + "
[[virtual]]
name = 'anywhere'
listen = '0.0.0.0:0'
transport = 'all'
protocol = 'packet'
interfaces = ['eth0']
pool = 'routers'
mode = 'route'
probe-from = '10.0.0.253'

[[pool]]
name = 'routers'
members = [{ address = '10.0.0.9:0' }]
monitor = { ping = true, target = '192.0.2.9' }
";
    let mut state = state();
    state.addresses.push(InterfaceAddress { interface: SERVERS, address: ip("10.0.0.253"), prefix: 24 });
    let Err(problems) = ports::find(&configured_by(&text), &state) else { panic!("it is not refused") };
    // The interfaces of the state are none of this machine.
    let [probes, leased, ..] = &problems[..] else { panic!("{problems:#?}") };
    assert!(probes.starts_with("virtual anywhere: probe-from: 10.0.0.253 is an address of this host"));
    assert!(leased.starts_with("snat-pool out: 10.0.0.254 is an address of this host"));
}

#[test]
fn interfaces_are_found_with_what_carries_them() {
    let state = state();
    assert_eq!(carrier("eth1", &state), Ok((SERVERS, SERVERS)));
    assert_eq!(carrier("eth0.20", &state), Ok((TAGGED, CLIENTS)));
    assert_eq!(carrier("siit", &state), Ok((TUN, TUN)));
    let refused = |name| carrier(name, &state).unwrap_err();
    assert!(refused("eth7").contains("did you mean eth"), "{}", refused("eth7"));
    assert!(refused("lan").contains("`ip link` lists"), "{}", refused("lan"));
    assert!(refused("lo").contains("not an Ethernet"), "{}", refused("lo"));
    assert!(refused("eth0.20.30").contains("one tag"), "{}", refused("eth0.20.30"));

    let of = |link, carrier| Named::new(link, carrier, &state);
    assert_eq!(of(SERVERS, SERVERS), Named { link: SERVERS, segment: Segment::new(SERVERS, 0) });
    assert_eq!(of(TAGGED, CLIENTS), Named { link: TAGGED, segment: Segment::new(CLIENTS, 20) });
}

#[test]
fn what_waits_for_another_worker_is_bounded() {
    let sockets = Sockets::new(Vec::new(), Vec::new()).unwrap();
    let (outlet, inbox) = hand_over::queue(sockets.waker());
    let taken = (0..10_000).take_while(|_| outlet.offer(CLIENTS, b"frame", None)).count();
    assert!((1..10_000).contains(&taken));
    let first = inbox.try_recv().unwrap();
    assert_eq!((first.ingress, &first.buffer[first.start..first.end]), (CLIENTS, &b"frame"[..]));
    assert!(first.start >= shunt_wire::frame::HEADROOM && first.end < first.buffer.len(), "room around it");
    assert!(outlet.offer(CLIENTS, b"frame", None), "room again");
}

pub(crate) const CONFIG: &str = "
[[virtual]]
name = 'web'
listen = '203.0.113.1:80'
protocol = 'packet'
transport = 'any'
interfaces = ['eth1', 'eth0']
pool = 'web'
timeouts = { idle = '7s' }
limits = { flow-rate = 10 }

[[virtual]]
name = 'leased'
listen = '203.0.113.2:80'
protocol = 'packet'
interfaces = ['eth0']
mode = 'snat'
snat-pool = 'out'
pool = 'other'
persistence = { source = true, timeout = '5s' }

[[pool]]
name = 'other'
members = [{ address = '10.0.0.3:8080' }]

[[pool]]
name = 'web'
members = [{ address = '10.0.0.1:80' }, { address = '10.0.0.2:80', weight = 3 }]

[[snat-pool]]
name = 'out'
addresses = ['10.10.1.2', '10.10.1.1']
time-wait = '9s'
";

fn configured() -> Config {
    configured_by(CONFIG)
}

pub(crate) fn configured_by(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shunt.toml");
    fs::write(&path, text).unwrap();
    shunt_config::load(&path).unwrap_or_else(|report| panic!("{report}"))
}

pub(crate) fn live(config: &Config) -> Snapshot {
    let mut registry = Registry::new(1, [1, 2]);
    let virtuals = config.packet_virtuals.iter();
    Snapshot {
        pools: config.pools.iter().map(|pool| Arc::new(registry.pool(pool))).collect(),
        packet_virtuals: virtuals
            .map(|it| {
                Arc::new(PacketVirtual { settings: it.clone(), rules: Vec::new(), on_path: Vec::new() })
            })
            .collect(),
        ..Snapshot::empty()
    }
}

pub(crate) fn made(live: &Snapshot, config: &Config, links: &HashMap<String, Named>, takes: Takes) -> Loaded {
    let parts = Parts { snapshot: live, snat_pools: &config.snat_pools, links, probes: None, takes };
    load(&parts, None).unwrap()
}

#[test]
fn names_become_places() {
    let (config, state) = (configured(), state());
    let links = [("eth0", CLIENTS), ("eth1", SERVERS)];
    let links = links.map(|(name, link)| (name.to_owned(), Named::new(link, link, &state))).into();
    let live = live(&config);
    let loaded = made(&live, &config, &links, Takes::NewFlows);
    let [web, leased] = loaded.engine.virtuals() else { panic!("two virtuals") };
    assert_eq!((&*web.name, &web.interfaces[..], web.idle), ("web", &[SERVERS, CLIENTS][..], Some(7_000)));
    assert_eq!((web.pool, leased.pool), (loaded.pool("web"), loaded.pool("other")));
    assert_eq!(leased.modes.default_mode().name(), ModeName::Snat);
    assert_eq!(leased.modes.snat_pool(), Some(SnatPoolIndex(0)));
    assert_eq!(leased.persistence.map(|it| it.timeout), Some(5_000));
    assert_eq!((web.limits.flow_rate, leased.limits.flow_rate), (Some(10), None));
    assert!(!web.hooks.on_flow && !web.hooks.on_done);
    assert_eq!(loaded.engine.snat_pools()[0].ports.time_wait(), 9_000);
    // Members are those that monitors and proxies know.
    let pool = loaded.engine.pool(web.pool.unwrap()).unwrap();
    assert!(Arc::ptr_eq(&pool.members[1].state, &live.pools[1].members[1].state));
    assert!(Arc::ptr_eq(&pool.bindings, &live.pools[1].bindings));
    assert_eq!(pool.members[1].weight, 3);

    let closing = made(&live, &config, &links, Takes::Nothing);
    assert!(closing.engine.virtuals().iter().all(|it| it.limits.flow_rate == Some(0)));
}

/// What it did when it failed nobody knows, so its flows go with it; it takes commands and frames as before.
#[tokio::test]
async fn a_worker_that_fails_starts_again() {
    let config = configured();
    let probes = Arc::default();
    let workers = worker::start(1, [1, 2], 100, &probes).unwrap();
    let loaded = made(&live(&config), &config, &HashMap::new(), Takes::NewFlows);
    let (done, applied) = oneshot::channel();
    let handle = workers[0].handle();
    let rules = NewRules::prepare(&loaded, None);
    handle.send(Command::Apply { loaded: Arc::new(loaded), rules, opened: Opened::default(), done });
    applied.await.unwrap();
    for again in [false, true, false] {
        handle.send(Command::Fail { again });
        let (reply, answer) = oneshot::channel();
        handle.send(Command::Report { reply });
        let report = answer.await.expect("it answers again");
        assert_eq!(report.counters.virtuals.len(), 2, "it has the configuration");
    }
}

#[test]
fn draining_waits_for_what_can_be_told_to_be_under_way() {
    let waits = plane::is_waited_for;
    assert!(waits(FlowProtocol::Tcp, "established", 250_000), "a connection may be silent");
    assert!(!waits(FlowProtocol::Tcp, "closed", 0));
    assert!(waits(FlowProtocol::Udp, "active", 500) && waits(FlowProtocol::Icmp, "active", 500));
    assert!(!waits(FlowProtocol::Udp, "active", 5_000) && !waits(FlowProtocol::Icmp, "active", 5_000));
}

#[test]
fn frames_are_steered_by_what_is_configured() {
    let config = configured();
    let loaded = made(&live(&config), &config, &HashMap::new(), Takes::NewFlows);
    let wanted = loaded.wanted();
    let owned = ["203.0.113.1", "203.0.113.2", "10.10.1.1", "10.10.1.2"].map(address);
    assert_eq!(wanted.owned, owned.into());
    // Answers of nat alone come to addresses that are not Shunt's.
    let web = ["10.0.0.1", "10.0.0.2"].map(address);
    let expected = web.into_iter().flat_map(|member| {
        [(80, 6), (80, 17), (0, 1), (0, 58)]
            .map(|(port, protocol)| ReturnEndpoint::new(member, port, protocol))
    });
    assert_eq!(wanted.return_endpoints, expected.collect());
    assert_eq!(loaded.destinations, ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(address));
    assert!(wanted.tunnels.is_empty() && wanted.whole.is_empty());
}

#[test]
fn errors_about_tunnels_are_steered_by_the_modes_that_have_them() {
    let mut config = configured();
    let mut tunnels = |mode| {
        let leased = &mut config.packet_virtuals[1];
        (leased.mode, leased.snat_pool) = (mode, None);
        leased.dscp = (mode == ModeName::L3dsrDscp).then_some(1);
        made(&live(&config), &config, &HashMap::new(), Takes::NewFlows).wanted().tunnels
    };
    let member = address("10.0.0.3");
    let of = |protocols: &[u8]| protocols.iter().map(|it| TunnelEnd::of_protocol(member, *it)).collect();
    assert_eq!(tunnels(ModeName::L3dsrIpip), of(&[4, 41]));
    assert_eq!(tunnels(ModeName::L3dsrGre), of(&[47]));
    assert_eq!(tunnels(ModeName::L3dsrGue), [TunnelEnd::udp(member, 6080)].into());
    assert!(tunnels(ModeName::L3dsrDscp).is_empty());
}

#[test]
fn a_snat_pool_has_ports_for_every_worker_or_is_refused() {
    let pool = |ports| shunt_config::model::SnatPool {
        name: "out".to_owned(),
        addresses: vec![ip("10.9.0.1")],
        ports,
        time_wait: Duration::ZERO,
    };
    assert_eq!(plane::without_ports(&pool(20_000..=20_000), 1), None);
    assert_eq!(plane::without_ports(&pool(1_024..=1_151), 2), None);
    let refused = plane::without_ports(&pool(1_024..=1_087), 2).unwrap();
    assert_eq!(refused, "snat-pool out: it has too few ports for 2 workers; give it 65 or more");
}

/// Port 0 is the one that was asked for: a direct mode leaves it as it is.
#[test]
fn a_member_of_any_port_takes_packets_for_every_port() {
    let other = |members: &str| {
        let text = CONFIG.replace("[{ address = '10.0.0.3:8080' }]", members);
        let config = configured_by(&text);
        let loaded = made(&live(&config), &config, &HashMap::new(), Takes::NewFlows);
        other_port(loaded.engine.pool(PoolIndex(0)).unwrap(), 80).map(|member| member.to_string())
    };
    assert_eq!(other("[{ address = '10.0.0.3:0' }, { address = '10.0.0.4:80' }]"), None);
    let one = "[{ address = '10.0.0.3:0' }, { address = '10.0.0.4:81' }]";
    assert_eq!(other(one).as_deref(), Some("10.0.0.4:81"));
}

/// What of a snapshot is for proxies alone is nothing to packet workers: they have no part of it, and a change of it does
/// not reach them.
#[test]
fn changes_of_proxies_do_not_concern_packets() {
    let text = CONFIG.to_owned()
        + "
[[virtual]]
name = 'proxy'
listen = '127.0.0.1:8080'
protocol = 'http'
pool = 'pages'

[[pool]]
name = 'pages'
members = [{ address = '10.0.0.9:80' }]
";
    let config = configured_by(&text);
    let before = live(&config);
    let loaded = made(&before, &config, &HashMap::new(), Takes::NewFlows);
    let names: Vec<_> = loaded.engine.pools().iter().map(|pool| pool.name.to_string()).collect();
    assert_eq!(names, ["other", "web"]);

    // As a rule of a proxy that is loaded, or one of its members that comes or goes, makes the next one.
    let next = || Snapshot {
        epoch: before.epoch + 1,
        virtuals: before.virtuals.clone(),
        packet_virtuals: before.packet_virtuals.clone(),
        translators: before.translators.clone(),
        pools: before.pools.clone(),
    };
    let mut registry = Registry::new(1, [1, 2]);
    let mut change = |name: &str| {
        let place = config.pools.iter().position(|pool| pool.name == name).unwrap();
        let mut snapshot = next();
        snapshot.pools[place] = Arc::new(registry.pool(&config.pools[place]));
        change::concerns(&before, &snapshot)
    };
    assert_eq!((change("pages"), change("web")), (false, true));
    assert!(!change::concerns(&before, &next()));
    let mut snapshot = next();
    let PacketVirtual { settings, rules, on_path } = &*before.packet_virtuals[0];
    let (settings, rules, on_path) = (settings.clone(), rules.clone(), on_path.clone());
    snapshot.packet_virtuals[0] = Arc::new(PacketVirtual { settings, rules, on_path });
    assert!(change::concerns(&before, &snapshot), "as a rule of its own makes it");
}

/// A follower that failed continues to follow the network.
#[tokio::test]
async fn a_follower_that_fails_goes_on() {
    let workers = worker::start(1, [1, 2], 100, &Arc::default()).unwrap();
    if !shunt_lab::needs::root("the XDP program") {
        return;
    }
    let steered = Steered::load().unwrap();
    let handles = workers.iter().map(|worker| worker.handle().clone()).collect();
    let follower = Follower::start(handles, Arc::new(Mutex::new(steered))).unwrap();
    for time in ["it fails", "it continues, and fails again"] {
        follower.fails.store(true, Relaxed);
        follower.watch(Watched::default());
        let failed = async {
            while follower.fails.load(Relaxed) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), failed).await.expect(time);
    }
}
