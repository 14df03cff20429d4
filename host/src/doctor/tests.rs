use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use shunt_sys::netlink::{Hop, InterfaceAddress, Link, LocalMarks, Neighbour, NetworkState, Route, Vlan};
use shunt_wire::Mac;

use super::facts::{Expiring, PortFacts};
use super::*;
use shunt_config::model::ConnectFrom;
use shunt_config::monitors::{Monitor, Origin, Probe, Start, Tcp};
use shunt_packets::network_of;
use shunt_runtime::tls::{Revocation, RevocationKind, Served};

const CLIENTS: u32 = 2;
const SERVERS: u32 = 3;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn link(index: u32, name: &str) -> Link {
    let mac = Mac([2, 0, 0, 0, 0, index as u8]);
    Link { index, name: name.to_owned(), mac, mtu: 1500, up: true, vlan: None, tun: false }
}

/// A host between clients (eth0) and servers (eth1), where nothing is in the way.
fn facts() -> Facts {
    let mut state = NetworkState::default();
    for link in [link(CLIENTS, "eth0"), link(SERVERS, "eth1")] {
        state.links.insert(link.index, link);
    }
    for (interface, address) in [(CLIENTS, "192.0.2.1"), (SERVERS, "10.0.0.254")] {
        state.addresses.push(InterfaceAddress { interface, address: ip(address), prefix: 24 });
        let mut destination = ip(address).to_string();
        destination.replace_range(destination.rfind('.').unwrap().., ".0");
        let hops = vec![Hop { interface, gateway: None }];
        state.routes.push(Route { destination: ip(&destination), prefix: 24, metric: 0, hops });
    }
    let port = PortFacts { queues: Some(4) };
    Facts {
        kernel: "6.18.5-cloud".to_owned(),
        capabilities: u64::MAX,
        cores: 4,
        open_files: Some(1 << 20),
        network: network_of(&state, &BTreeSet::new()),
        local_marks: LocalMarks::default(),
        state,
        ports: [(CLIENTS, port.clone()), (SERVERS, port)].into(),
        sysctls: [("net/ipv4/ip_forward".to_owned(), "1".to_owned())].into(),
        certificates: BTreeMap::new(),
        now: 1_000_000_000,
    }
}

/// A virtual with two members and these keys.
fn configured(keys: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shunt.toml");
    let text = format!(
        "[[virtual]]\nname = 'web'\nlisten = '203.0.113.1:80'\nprotocol = 'packet'\npool = 'web'\n{keys}\n\
         [[pool]]\nname = 'web'\nmembers = [{{ address = '10.0.0.1:80' }}, {{ address = '10.0.0.2:80' }}]\n\
         [[snat-pool]]\nname = 'out'\naddresses = ['10.0.0.100-10.0.0.103']\n"
    );
    fs::write(&path, text).unwrap();
    shunt_config::load(&path).unwrap_or_else(|report| panic!("{report}"))
}

const BOTH: &str = "interfaces = ['eth0', 'eth1']";

/// What was found to be so, in words.
fn found(result: Outcome, config: &Config, facts: &Facts) -> Vec<String> {
    let findings = examine(config, facts);
    let some = findings.into_iter().filter(|it| it.result == result);
    some.map(|it| format!("{}: {}", it.about, it.found)).collect()
}

#[track_caller]
fn fails(config: &Config, facts: &Facts, expected: &[&str]) {
    assert_eq!(found(Outcome::Failed, config, facts), expected);
    for it in examine(config, facts) {
        let says_what_to_do = it.remedy.as_ref().is_some_and(|remedy| !remedy.is_empty());
        assert_eq!(says_what_to_do, it.result != Outcome::Good, "{it:?}");
    }
}

#[test]
fn nothing_is_in_the_way() {
    fails(&configured(BOTH), &facts(), &[]);
    let notes = found(Outcome::Note, &configured(BOTH), &facts());
    let gateway =
        "virtual web: nat: members must send replies through this host, also to clients of their own segment";
    assert_eq!(notes, [gateway]);
}

#[test]
fn without_packet_virtuals_nothing_is_asked_of_the_host() {
    let config = Config { packet_virtuals: Vec::new(), ..configured(BOTH) };
    let findings = examine(&config, &Facts::default());
    assert!(findings.len() == 1 && findings[0].result == Outcome::Good, "{findings:?}");
}

#[test]
fn sessions_of_udp_need_room_and_ports() {
    let proxy = "[[virtual]]\nname = 'dns'\nlisten = '127.0.0.1:53'\nprotocol = 'udp'\npool = 'web'\n\
                 limits = { connections = 80_000 }\n\
                 [process]\nworkers = 2\n";
    let config = configured(&format!("{BOTH}\n{proxy}"));
    let mut facts = facts();
    let sysctls = [("net/core/rmem_max", "212992"), ("net/ipv4/ip_local_port_range", "32768\t60999")];
    facts.sysctls.extend(sysctls.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let ports = "virtual dns: may have 80000 sessions, each with a port of its own, of 28232";
    let room = "UDP buffers: the kernel holds 212992 bytes for a socket at most, of 4194304 that Shunt asks for: bursts lose more";
    let notes = |config: &Config, facts: &Facts| {
        let about = |it: &String| it.starts_with("virtual dns") || it.starts_with("UDP");
        found(Outcome::Note, config, facts).into_iter().filter(about).collect::<Vec<_>>()
    };
    assert_eq!(notes(&config, &facts), [ports]);
    assert_eq!(notes(&config, &Facts { capabilities: 0, ..facts.clone() }), [room, ports]);
    let mut more = config.clone();
    more.pools[0].source = ConnectFrom::Addresses(["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(ip).to_vec());
    assert_eq!(notes(&more, &facts), Vec::<String>::new());
    let without = Config { virtuals: Vec::new(), ..config };
    assert_eq!(notes(&without, &Facts { capabilities: 0, ..facts }), Vec::<String>::new());
}

#[test]
fn certificates_that_end_are_told() {
    let served = |file: &str, days: i64| Served {
        file: file.into(),
        names: Vec::new(),
        not_after: 1_000_000_000 + days * 24 * 60 * 60,
    };
    let revocation = |kind, file: &str, hours: i64| Revocation {
        kind,
        file: file.into(),
        next_update: 1_000_000_000 + hours * 60 * 60,
    };
    let read = Ok(Expiring {
        certificates: vec![served("old.pem", -1), served("soon.pem", 20), served("new.pem", 60)],
        revocation: vec![
            revocation(RevocationKind::Crl, "old.crl", -1),
            revocation(RevocationKind::Crl, "new.crl", 48),
            revocation(RevocationKind::Ocsp, "soon.ocsp", 3),
        ],
    });
    let wrong = Err(vec!["a.key: gone".to_owned()]);
    let certificates = [("shop".to_owned(), read), ("other".to_owned(), wrong)].into();
    let facts = Facts { certificates, ..facts() };
    fails(
        &configured(BOTH),
        &facts,
        &[
            "virtual other: a.key: gone",
            "certificate old.pem of virtual shop: expired at 2001-09-08T01:46:40Z",
            "CRL old.crl of virtual shop: expired at 2001-09-09T00:46:40Z: clients of its CA are refused",
        ],
    );
    let notes = found(Outcome::Note, &configured(BOTH), &facts);
    let soon = "certificate soon.pem of virtual shop: expires at 2001-09-29T01:46:40Z, in 20 days";
    assert!(notes.contains(&soon.to_owned()), "{notes:?}");
    let soon = "OCSP response soon.ocsp of virtual shop: expires at 2001-09-09T04:46:40Z, in 3 hours";
    assert!(notes.contains(&soon.to_owned()), "{notes:?}");
}

#[test]
fn privileges_are_the_daemons_and_only_noted() {
    let facts = Facts { capabilities: 1 << 12, ..facts() };
    fails(&configured(BOTH), &facts, &[]);
    let notes = found(Outcome::Note, &configured(BOTH), &facts);
    assert!(
        notes.contains(&"privileges: this user has no CAP_NET_RAW, CAP_PERFMON, CAP_BPF".to_owned()),
        "{notes:?}"
    );
}

#[test]
fn a_kernel_that_is_too_old_fails() {
    let facts = Facts { kernel: "5.4.0-150-generic".to_owned(), ..facts() };
    fails(&configured(BOTH), &facts, &["kernel: Linux 5.4.0-150-generic is older than 5.9"]);
}

#[test]
fn interfaces_must_be_there_and_up_with_an_mtu_that_fits() {
    let mut facts = facts();
    if let Some(link) = facts.state.links.get_mut(&CLIENTS) {
        (link.up, link.mtu) = (false, 9000);
    }
    let config = configured("interfaces = ['eth0', 'eth1', 'eth3', 'lan']");
    let findings = examine(&config, &facts);
    let remedy = |about: &str| {
        let it = findings.iter().find(|it| it.about == about && it.result == Outcome::Failed);
        it.and_then(|it| it.remedy.clone()).unwrap_or_default()
    };
    assert!(remedy("interface eth3").starts_with("did you mean eth0?"), "{}", remedy("interface eth3"));
    assert_eq!(remedy("interface lan"), "name one of eth0, eth1");
    let failed = found(Outcome::Failed, &config, &facts);
    assert!(failed.contains(&"interface eth0: is down, or has no carrier".to_owned()), "{failed:?}");
    assert!(failed.iter().any(|it| it.starts_with("interface eth0: its MTU is 9000")), "{failed:?}");
}

#[test]
fn a_vlan_is_carried_by_its_parent() {
    let mut facts = facts();
    let vlan = Some(Vlan { parent: CLIENTS, id: 20 });
    facts.state.links.insert(9, Link { vlan, ..link(9, "eth0.20") });
    facts.ports.remove(&SERVERS);
    let config = configured("interfaces = ['eth0.20', 'eth1']");
    fails(&config, &facts, &[]);
    let notes = found(Outcome::Note, &config, &facts);
    assert!(
        notes.contains(&"interface eth1: does not tell how many receive queues it has".to_owned()),
        "{notes:?}"
    );
}

#[test]
fn one_queue_is_noted() {
    let mut facts = facts();
    facts.ports.insert(CLIENTS, PortFacts { queues: Some(1) });
    fails(&configured(BOTH), &facts, &[]);
    let notes = found(Outcome::Note, &configured(BOTH), &facts).join("\n");
    assert!(notes.contains("interface eth0: has 1 receive queue: one of 4 cores handles all"), "{notes}");
}

#[test]
fn addresses_of_the_host_are_not_shunts() {
    let mut facts = facts();
    for address in ["203.0.113.1", "10.0.0.101"] {
        facts.state.addresses.push(InterfaceAddress { interface: CLIENTS, address: ip(address), prefix: 32 });
    }
    let expected = [
        "virtual web: 203.0.113.1 is an address of this host, and must be Shunt's alone",
        "snat-pool out: 10.0.0.101 is an address of this host, and must be Shunt's alone",
    ];
    fails(&configured(BOTH), &facts, &expected);
}

#[test]
fn the_ways_to_members_are_looked_at() {
    let mut facts = facts();
    facts.state.neighbours.insert((SERVERS, ip("10.0.0.2")), Neighbour::Failed);
    fails(&configured(BOTH), &facts, &["virtual web: member 10.0.0.2 does not answer ARP"]);
    facts.state.routes.clear();
    facts.network = network_of(&facts.state, &BTreeSet::new());
    let expected = [
        "virtual web: there is no route to member 10.0.0.1",
        "virtual web: there is no route to member 10.0.0.2",
    ];
    fails(&configured(BOTH), &facts, &expected);
}

#[test]
fn answers_come_in_where_shunt_takes_them() {
    let only_clients = "interfaces = ['eth0']";
    let expected = ["virtual web: members reply through eth1, which is not in the virtual's `interfaces`"];
    fails(&configured(only_clients), &facts(), &expected);
    // Answers of a direct mode go past it.
    fails(&configured(&format!("mode = 'l2dsr'\n{only_clients}")), &facts(), &[]);
}

#[test]
fn l2dsr_needs_one_segment_and_tunnels_an_address() {
    let mut facts = facts();
    let gateway = Some(ip("192.0.2.254"));
    let hops = vec![Hop { interface: CLIENTS, gateway }];
    facts.state.routes[1] = Route { destination: ip("10.0.0.0"), prefix: 24, metric: 0, hops };
    facts.network = network_of(&facts.state, &BTreeSet::new());
    let far = |number| {
        format!(
            "virtual web: mode l2dsr needs member 10.0.0.{number} on a segment of this host, and a router is between them"
        )
    };
    let expected = [far(1), far(2)];
    fails(&configured("mode = 'l2dsr'\ninterfaces = ['eth0']"), &facts, &[&expected[0], &expected[1]]);
    facts.state.addresses.clear();
    facts.network = network_of(&facts.state, &BTreeSet::new());
    let failed = found(Outcome::Failed, &configured("mode = 'l3dsr-gre'\ninterfaces = ['eth0']"), &facts);
    assert!(
        failed[0].contains("eth0, toward member 10.0.0.1, has no IPv4 address to send a tunnel from"),
        "{failed:?}"
    );
}

/// What members offer must leave room for the outer header, which an MSS clamp here cannot do.
#[test]
fn tunnels_that_are_too_small_say_by_how_much() {
    for (mode, room, needed, advmss) in
        [("l3dsr-ipip", 1480, 1520, 1440), ("l3dsr-gre", 1476, 1524, 1436), ("l3dsr-gue", 1468, 1532, 1428)]
    {
        let config = configured(&format!("mode = '{mode}'\ninterfaces = ['eth0']"));
        let findings = examine(&config, &facts());
        let small = findings.iter().find(|it| it.found.contains("room for")).unwrap();
        assert_eq!(small.result, Outcome::Note);
        assert!(small.found.ends_with(&format!("room for {room}")), "{}", small.found);
        let remedy = small.remedy.as_deref().unwrap();
        assert!(
            remedy.contains(&format!("mtu {needed}")) && remedy.contains(&format!("advmss {advmss}`")),
            "{remedy}"
        );

        let mut wide = facts();
        wide.state.links.get_mut(&SERVERS).unwrap().mtu = 1600;
        wide.network = network_of(&wide.state, &BTreeSet::new());
        let good = found(Outcome::Good, &config, &wide);
        assert!(good.contains(&"virtual web: packets of 1500 bytes fit its tunnels".to_owned()), "{good:?}");
    }
}

#[test]
fn each_mode_reminds_of_what_members_need() {
    for (keys, word) in [
        ("", "ip route replace default via 10.0.0.254"),
        ("mode = 'l2dsr'", "arp_ignore=1"),
        ("mode = 'l3dsr-dscp'\ndscp = 7", "dscp 7"),
        ("mode = 'l3dsr-ipip'", "type ipip"),
        ("mode = 'l3dsr-gre'", "type gre"),
        ("mode = 'l3dsr-gue'\ngue-port = 6081", "encap-dport 6081"),
    ] {
        let findings = examine(&configured(&format!("{keys}\n{BOTH}")), &facts());
        let remedies = findings.iter().filter_map(|it| it.remedy.as_deref());
        assert!(remedies.clone().any(|it| it.contains(word)), "{keys}: {:?}", remedies.collect::<Vec<_>>());
    }
    // Leased addresses of the members' own segment need no route.
    let near = configured(&format!("mode = 'snat'\nsnat-pool = 'out'\n{BOTH}"));
    assert_eq!(found(Outcome::Note, &near, &facts()), Vec::<String>::new());
    let mut far = near;
    far.snat_pools[0].addresses = vec![ip("10.9.0.1")];
    let notes = found(Outcome::Note, &far, &facts());
    assert_eq!(notes, ["virtual web: snat: 10.9.0.1 of `out` is on no segment of the members"]);
}

#[test]
fn monitors_that_do_not_take_the_way_of_clients_are_named() {
    let mut config = configured(&format!("{BOTH}\nmode = 'l2dsr'"));
    config.pools[0].monitors = vec![Monitor {
        probe: Probe::Tcp(Tcp),
        interval: Duration::from_secs(5),
        interval_down: Duration::from_secs(5),
        interval_changing: None,
        jitter: 0,
        timeout: Duration::from_secs(2),
        rise: 2,
        fall: 3,
        start: Start::Up,
        inverse: false,
        origin: Origin::default(),
        target: None,
    }];
    let notes = |config: &Config| found(Outcome::Note, config, &facts()).join("\n");
    assert!(
        notes(&config).contains("the monitor of `web` connects to members directly"),
        "{}",
        notes(&config)
    );
    config.packet_virtuals[0].probe_from = Some(ip("10.0.0.200"));
    assert!(notes(&config).contains("10.0.0.200 is on the members' own segment"), "{}", notes(&config));
    config.packet_virtuals[0].probe_from = Some(ip("203.0.113.77"));
    let findings = examine(&config, &facts());
    let mut remedies = findings.iter().filter_map(|it| it.remedy.as_deref());
    assert!(remedies.any(|it| it.contains("`ip route add 203.0.113.77 via 10.0.0.254`")), "{findings:?}");
}

#[test]
fn addresses_of_probes_are_shunts_alone() {
    let mut config = configured(BOTH);
    config.packet_virtuals[0].probe_from = Some(ip("192.0.2.1"));
    let expected =
        "probe-from of virtual web: 192.0.2.1 is an address of this host, and must be Shunt's alone";
    fails(&config, &facts(), &[expected]);
    // While a daemon runs it is on a TUN device of that.
    let mut facts = facts();
    facts.state.links.get_mut(&CLIENTS).unwrap().tun = true;
    assert!(!found(Outcome::Failed, &config, &facts).iter().any(|it| it == expected));
}

#[test]
fn every_address_is_no_address() {
    let mut config = configured(BOTH);
    config.packet_virtuals[0].listen = "0.0.0.0:0".parse().unwrap();
    let good = found(Outcome::Good, &config, &facts());
    assert!(!good.iter().any(|it| it.contains("0.0.0.0")), "{good:?}");
}

#[test]
fn what_a_running_daemon_says_of_its_interfaces() {
    let findings = [attached("eth0", "native"), attached("eth1", "generic"), attached("siit", "gone")];
    assert_eq!(findings.map(|it| it.result), [Outcome::Good, Outcome::Note, Outcome::Failed]);
}

#[test]
fn sysctls_that_matter_are_read() {
    let mut facts = facts();
    facts.sysctls.insert("net/ipv4/ip_forward".to_owned(), "0".to_owned());
    let notes = found(Outcome::Note, &configured(BOTH), &facts).join("\n");
    assert!(notes.contains("net.ipv4.ip_forward is 0"), "{notes}");
    facts.sysctls.insert("net/ipv6/conf/eth0/disable_ipv6".to_owned(), "1".to_owned());
    fails(&configured(BOTH), &facts, &[]);
    let mut v6 = configured(BOTH);
    v6.packet_virtuals[0].listen = "[2001:db8::1]:80".parse().unwrap();
    v6.packet_virtuals[0].pool = None;
    fails(&v6, &facts, &["interface eth0: IPv6 is switched off, and an IPv6 virtual uses it"]);
}

#[test]
fn replies_to_clients_addresses_must_reach_this_host() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shunt.toml");
    let text = "[[virtual]]\nname = 'web'\nlisten = '192.0.2.1:80'\nprotocol = 'http'\npool = 'web'\n\
         [[pool]]\nname = 'web'\nsource = 'client'\nmembers = [{ address = '10.0.0.1:80' }]\n";
    fs::write(&path, text).unwrap();
    let config = shunt_config::load(&path).unwrap_or_else(|report| panic!("{report}"));
    let mut facts = facts();
    fails(
        &config,
        &facts,
        &[
            "pool web: members' replies to other IPv4 addresses do not reach Shunt: no rule sends marked packets to a table \
           in which every address is local",
        ],
    );
    facts.local_marks.v4.push(7);
    facts.capabilities = 1;
    fails(&config, &facts, &[]);
    let notes: Vec<_> =
        examine(&config, &facts).into_iter().filter(|it| it.result == Outcome::Note).collect();
    let remedies: Vec<_> = notes.iter().filter_map(|it| it.remedy.as_deref()).collect();
    let [privilege, mark, route] = remedies.as_slice() else { panic!("{notes:?}") };
    assert!(privilege.contains("CAP_NET_RAW") && mark.contains("meta mark set 7"), "{notes:?}");
    assert_eq!(*route, "on each member: `ip route replace default via 10.0.0.254`");
}
