//! What the kernel of the test machine may not have, and what no kernel should say.

use netlink_packet_route::link::InfoKind;

use super::*;

#[test]
fn a_vlan_names_its_parent_and_its_number() {
    let mut message = LinkMessage::default();
    message.header.index = 9;
    message.header.flags = LinkFlags::Up;
    message.attributes = vec![
        LinkAttribute::IfName("eth0.70".to_owned()),
        LinkAttribute::Address(vec![2, 0, 0, 0, 0, 9]),
        LinkAttribute::Mtu(1496),
        LinkAttribute::Link(3),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Vlan),
            LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Id(70)])),
        ]),
    ];
    let expected = Link {
        index: 9,
        name: "eth0.70".to_owned(),
        mac: Mac([2, 0, 0, 0, 0, 9]),
        mtu: 1496,
        up: false,
        vlan: Some(Vlan { parent: 3, id: 70 }),
        tun: false,
    };
    assert_eq!(link(&message), Some(expected), "switched on, and without a carrier");
    // The other end of a veth is a parent too, and no VLAN.
    message.attributes.pop();
    assert_eq!(link(&message).unwrap().vlan, None);
    message.attributes.remove(0);
    assert_eq!(link(&message), None, "a message without a name is about something else");
}

#[test]
fn a_tunnels_address_is_no_mac() {
    let mut message = LinkMessage::default();
    message.attributes =
        vec![LinkAttribute::IfName("tunl0".to_owned()), LinkAttribute::Address(vec![192, 0, 2, 1])];
    assert_eq!(link(&message).unwrap().mac, Mac([0; 6]));
}

fn neighbour_in(state: NeighbourState, family: AddressFamily, station: Option<Vec<u8>>) -> Option<Neighbour> {
    let mut message = NeighbourMessage::default();
    message.header.family = family;
    message.header.state = state;
    message.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet([192, 0, 2, 1].into())));
    message.attributes.extend(station.map(NeighbourAttribute::LinkLayerAddress));
    neighbour(&message).map(|(_, neighbour)| neighbour)
}

#[test]
fn each_state_of_a_neighbour_says_whether_it_can_be_reached() {
    let mac = Mac([2, 0, 0, 0, 0, 7]);
    let known = |stale| Neighbour::Known { mac, stale };
    let cases = [
        (NeighbourState::Incomplete, Neighbour::Asked),
        (NeighbourState::None, Neighbour::Asked),
        (NeighbourState::Failed, Neighbour::Failed),
        (NeighbourState::Stale, known(true)),
        (NeighbourState::Reachable, known(false)),
        (NeighbourState::Delay, known(false)),
        (NeighbourState::Probe, known(false)),
        (NeighbourState::Permanent, known(false)),
        (NeighbourState::Noarp, known(false)),
    ];
    for (state, expected) in cases {
        let station = Some(mac.0.to_vec());
        assert_eq!(neighbour_in(state, AddressFamily::Inet, station), Some(expected), "{state}");
    }
    let reachable = |family, station| neighbour_in(NeighbourState::Reachable, family, station);
    assert_eq!(reachable(AddressFamily::Inet, None), Some(Neighbour::Asked), "no MAC is known yet");
    assert_eq!(reachable(AddressFamily::Bridge, Some(mac.0.to_vec())), None, "a bridge's port");
}

fn routed(kind: RouteType, attributes: Vec<RouteAttribute>) -> Option<Route> {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.kind = kind;
    message.attributes = attributes;
    route(&message)
}

#[test]
fn only_routes_that_say_where_packets_go_are_taken() {
    let oif = || vec![RouteAttribute::Oif(3)];
    let everything = IpAddr::from([0, 0, 0, 0]);
    let hops = |hops| Some(Route { destination: everything, prefix: 0, metric: 0, hops });
    let on_link = Hop { interface: 3, gateway: None };
    assert_eq!(routed(RouteType::Unicast, oif()), hops(vec![on_link]));
    assert_eq!(routed(RouteType::Prohibit, oif()), hops(vec![]));
    assert_eq!(routed(RouteType::BlackHole, vec![]), hops(vec![]));
    for other in [RouteType::Local, RouteType::Broadcast, RouteType::Multicast, RouteType::Throw] {
        assert_eq!(routed(other, oif()), None, "{other:?}");
    }
    let elsewhere = vec![RouteAttribute::Oif(3), RouteAttribute::Table(1000)];
    assert_eq!(routed(RouteType::Unicast, elsewhere), None, "a table whose number takes an attribute");
}

#[test]
fn a_gateway_may_be_of_the_other_family() {
    let v6 = "fe80::1".parse().unwrap();
    let attributes = vec![RouteAttribute::Oif(3), RouteAttribute::Via(RouteVia::Inet6(v6))];
    let route = routed(RouteType::Unicast, attributes).unwrap();
    assert_eq!(route.hops, [Hop { interface: 3, gateway: Some(IpAddr::V6(v6)) }]);
}

#[test]
fn ways_that_are_down_are_left_out() {
    let hop = |interface_index, flags| {
        let mut hop = RouteNextHop::default();
        hop.interface_index = interface_index;
        hop.flags = flags;
        hop
    };
    let several = vec![
        hop(3, RouteNextHopFlags::Linkdown),
        hop(4, RouteNextHopFlags::Onlink),
        hop(5, RouteNextHopFlags::Dead),
    ];
    let route = routed(RouteType::Unicast, vec![RouteAttribute::MultiPath(several)]).unwrap();
    assert_eq!(route.hops, [Hop { interface: 4, gateway: None }]);
}
