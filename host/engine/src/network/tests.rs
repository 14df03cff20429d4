use super::*;
use std::net::IpAddr;

use shunt_wire::Family;

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

fn prefix(text: &str) -> Prefix {
    let (bits, length) = text.split_once('/').unwrap();
    Prefix::new(address(bits), length.parse().unwrap()).unwrap()
}

fn interface(index: u32, addresses: &[(&str, u8)], vlan: Option<Vlan>) -> Interface {
    Interface {
        index,
        name: format!("eth{index}").into(),
        mac: Mac([2, 0, 0, 0, 0, index as u8]),
        mtu: 1500,
        addresses: addresses.iter().map(|(text, length)| (address(text), *length)).collect(),
        vlan,
        point_to_point: false,
    }
}

fn route(destination: &str, gateway: Option<&str>, interface: u32, metric: u32) -> Route {
    let hop = Some(Hop { gateway: gateway.map(address), interface });
    Route { destination: prefix(destination), hop, metric }
}

/// Two interfaces, a VLAN on the second, a default route in each family.
fn network() -> Network {
    let mut network = Network::default();
    network.set_interface(interface(1, &[("192.0.2.1", 24), ("fe80::1", 64), ("2001:db8::1", 64)], None));
    network.set_interface(interface(2, &[("10.0.0.1", 24), ("10.0.1.1", 24)], None));
    network.set_interface(interface(7, &[("10.7.0.1", 24)], Some(Vlan { parent: 2, id: 70 })));
    network.add_route(route("192.0.2.0/24", None, 1, 0));
    network.add_route(route("10.0.0.0/24", None, 2, 0));
    network.add_route(route("10.7.0.0/24", None, 7, 0));
    network.add_route(route("0.0.0.0/0", Some("192.0.2.254"), 1, 100));
    network.add_route(route("2001:db8::/64", None, 1, 0));
    network.add_route(route("::/0", Some("fe80::fe"), 1, 100));
    network
}

fn via(network: &Network, destination: &str) -> Option<(u32, String)> {
    match network.next_hop(address(destination)) {
        NextHop::Known(via, _) | NextHop::NeedsSolicitation(via) => {
            Some((via.interface, via.neighbour.to_string()))
        }
        NextHop::NoRoute => None,
    }
}

#[test]
fn the_longest_prefix_decides() {
    let mut network = network();
    network.add_route(route("10.0.0.128/25", Some("192.0.2.9"), 1, 0));
    network.add_route(route("10.0.0.200/32", None, 2, 0));
    for (destination, interface, neighbour) in [
        ("10.0.0.5", 2, "10.0.0.5"),
        ("10.0.0.129", 1, "192.0.2.9"),
        ("10.0.0.200", 2, "10.0.0.200"),
        ("198.51.100.1", 1, "192.0.2.254"),
        ("2001:db8::7", 1, "2001:db8::7"),
        ("2001:db8:1::7", 1, "fe80::fe"),
    ] {
        assert_eq!(via(&network, destination), Some((interface, neighbour.to_string())), "{destination}");
    }
}

#[test]
fn a_default_route_is_for_its_own_family() {
    let mut network = network();
    network.remove_route(&route("0.0.0.0/0", Some("192.0.2.254"), 1, 100));
    assert_eq!(via(&network, "198.51.100.1"), None);
    assert!(via(&network, "2001:db8:1::7").is_some());
    network.remove_route(&route("::/0", Some("fe80::fe"), 1, 100));
    assert_eq!(via(&network, "2001:db8:1::7"), None);
}

#[test]
fn the_lowest_metric_counts_and_equal_ones_share() {
    let mut network = network();
    network.add_route(route("0.0.0.0/0", Some("192.0.2.253"), 1, 200));
    assert_eq!(via(&network, "198.51.100.1"), Some((1, "192.0.2.254".into())));
    network.add_route(route("0.0.0.0/0", Some("192.0.2.252"), 1, 100));
    let mut taken: Vec<_> =
        (0..64).map(|host| via(&network, &format!("198.51.100.{host}")).unwrap().1).collect();
    assert_eq!(via(&network, "198.51.100.0").unwrap().1, taken[0], "one destination keeps its way");
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken, ["192.0.2.252", "192.0.2.254"]);
}

#[test]
fn an_unreachable_route_hides_the_default() {
    let mut network = network();
    network.add_route(Route { destination: prefix("203.0.113.0/24"), hop: None, metric: 0 });
    assert_eq!(network.next_hop(address("203.0.113.1")), NextHop::NoRoute);
}

#[test]
fn a_neighbour_comes_and_goes() {
    let mut network = network();
    let mac = Mac([2, 9, 9, 9, 9, 9]);
    assert!(matches!(network.next_hop(address("10.0.0.5")), NextHop::NeedsSolicitation(_)));
    network.set_neighbour(2, address("10.0.0.5"), mac);
    let NextHop::Known(via, found) = network.next_hop(address("10.0.0.5")) else { panic!("not known") };
    assert_eq!((via.source_mac, via.on_link, found), (Mac([2, 0, 0, 0, 0, 2]), true, mac));
    network.remove_interface(2);
    assert_eq!(network.next_hop(address("10.0.0.5")), NextHop::NoRoute);
    network.set_interface(interface(2, &[], None));
    assert!(matches!(network.next_hop(address("10.0.0.5")), NextHop::NeedsSolicitation(_)));
}

#[test]
fn frames_of_a_vlan_leave_by_its_parent() {
    let network = network();
    let NextHop::NeedsSolicitation(via) = network.next_hop(address("10.7.0.9")) else { panic!("known") };
    assert_eq!((via.interface, via.link, via.vlan), (2, 7, Some(70)));
    assert_eq!((network.link(2, Some(70)), network.link(2, Some(71)), network.link(2, None)), (7, 2, 2));
}

#[test]
fn nobody_is_asked_for_at_the_other_end_of_a_line() {
    let mut network = network();
    network.set_interface(Interface { mac: Mac::default(), point_to_point: true, ..interface(9, &[], None) });
    network.add_route(route("198.51.100.0/24", None, 9, 0));
    network.add_route(route("2001:db8:9::/48", Some("fe80::9"), 9, 0));
    for destination in ["198.51.100.1", "2001:db8:9::1"] {
        let NextHop::Known(via, mac) = network.next_hop(address(destination)) else {
            panic!("{destination}")
        };
        assert_eq!((via.interface, via.source_mac, mac), (9, Mac::default(), Mac::default()));
    }
}

#[test]
fn shunt_speaks_from_an_address_that_the_peer_shares() {
    let network = network();
    let own = |link, peer| network.own_address(link, address(peer)).map(|it| it.to_string());
    assert_eq!(own(2, "10.0.1.77").as_deref(), Some("10.0.1.1"));
    assert_eq!(own(2, "198.51.100.1").as_deref(), Some("10.0.0.1"), "the first where none shares");
    assert_eq!(own(1, "fe80::77").as_deref(), Some("2001:db8::1"), "never a link-local one");
    assert_eq!(own(2, "2001:db8::7"), None);
}

/// RFC 3927 section 2.7: no router forwards what comes from 169.254/16.
#[test]
fn shunt_never_sends_from_a_link_local_address_of_ipv4() {
    let mut network = network();
    network.set_interface(interface(3, &[("169.254.7.1", 16), ("198.18.0.1", 24)], None));
    network.set_interface(interface(4, &[("169.254.8.1", 16)], None));
    let own = |link, peer| network.own_address(link, address(peer)).map(|it| it.to_string());
    assert_eq!(own(3, "192.0.2.9").as_deref(), Some("198.18.0.1"));
    assert_eq!(own(3, "169.254.7.9").as_deref(), Some("198.18.0.1"), "though it shares the prefix");
    assert_eq!(own(4, "192.0.2.9"), None);
}

#[test]
fn a_prefix_is_shown_as_written() {
    for text in ["192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0"] {
        assert_eq!(prefix(text).to_string(), text);
    }
    assert_eq!(Prefix::all(Family::V4), prefix("0.0.0.0/0"));
    assert_eq!(Prefix::all(Family::V6), prefix("::/0"));
    assert_eq!(prefix("192.0.2.77/24"), prefix("192.0.2.0/24"), "host bits are cleared");
    assert_eq!(Prefix::new(address("192.0.2.0"), 33), None);
    assert_eq!(Prefix::new(address("::"), 129), None);
}

/// A VLAN may move to another parent, or its number to another interface.
#[test]
fn a_tagged_frame_belongs_to_the_vlan_of_now() {
    let mut network = network();
    assert_eq!((network.link(2, Some(70)), network.link(1, Some(70)), network.link(2, None)), (7, 1, 2));
    network.set_interface(interface(7, &[("10.7.0.1", 24)], Some(Vlan { parent: 1, id: 70 })));
    assert_eq!((network.link(2, Some(70)), network.link(1, Some(70))), (2, 7));
    network.set_interface(interface(8, &[], Some(Vlan { parent: 1, id: 70 })));
    network.remove_interface(7);
    assert_eq!(network.link(1, Some(70)), 8);
    network.remove_interface(8);
    assert_eq!(network.link(1, Some(70)), 1);
}
