//! Following links, addresses, neighbours and routes.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use shunt_sys::netlink::{
    Hop, InterfaceAddress, Link, LocalMarks, Neighbour, Netlink, NetworkState, Route, Solicitor, is_own,
};
use shunt_wire::Mac;

use crate::namespace::{cable, ip, within};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(10);

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Waits until the state is as it should be.
fn follow(netlink: &mut Netlink, story: &str, is_so: impl Fn(&NetworkState) -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so(netlink.state()) {
        assert!(Instant::now() < deadline, "{story}: {:#?}", netlink.state());
        netlink.wait(Some(Duration::from_millis(100))).unwrap();
    }
}

fn route<'a>(state: &'a NetworkState, destination: &str) -> Option<&'a Route> {
    let (bits, prefix) = destination.split_once('/').unwrap();
    state.routes.iter().find(|it| it.destination == address(bits) && it.prefix == prefix.parse().unwrap())
}

fn named<'a>(state: &'a NetworkState, name: &str) -> Option<&'a Link> {
    state.links.values().find(|link| link.name == name)
}

#[test]
fn what_is_there_is_seen_at_once() {
    within("interfaces of its own", || {
        let (left, right) = cable();
        ip("address add 192.0.2.1/24 dev left");
        ip("address add 10.9.0.1 peer 10.9.0.2/30 dev right");
        ip("neighbour add 192.0.2.7 lladdr 02:00:00:00:00:07 dev left nud permanent");
        ip("route add default via 192.0.2.254 dev left metric 50");
        let netlink = Netlink::open().unwrap();
        let state = netlink.state();

        assert_eq!((left.mac, left.mtu, left.up), (Mac([2, 0, 0, 0, 0, 1]), 1500, true));
        assert_eq!(state.links[&left.index], left);
        let has = |interface, text, prefix| {
            let wanted = InterfaceAddress { interface, address: address(text), prefix };
            state.addresses.contains(&wanted)
        };
        assert!(has(left.index, "192.0.2.1", 24));
        assert!(has(right.index, "10.9.0.1", 30), "the near end, not the far one");
        assert!(has(1, "127.0.0.1", 8));
        assert_eq!(
            state.neighbours[&(left.index, address("192.0.2.7"))],
            Neighbour::Known { mac: Mac([2, 0, 0, 0, 0, 7]), stale: false }
        );
        let hop = Hop { interface: left.index, gateway: Some(address("192.0.2.254")) };
        let default = route(state, "0.0.0.0/0").unwrap();
        assert_eq!((default.metric, default.hops.as_slice()), (50, [hop].as_slice()));
        let on_link = Hop { interface: left.index, gateway: None };
        assert_eq!(route(state, "192.0.2.0/24").unwrap().hops, [on_link]);
        assert_eq!(route(state, "127.0.0.1/32"), None, "the local table is another one");
        assert_eq!(netlink.undecodable(), 0);
    });
}

#[test]
fn links_and_addresses_are_followed() {
    within("interfaces of its own", || {
        let mut netlink = Netlink::open().unwrap();
        let (left, _right) = cable();
        follow(&mut netlink, "a new link", |it| named(it, "left").is_some_and(|link| link.up));
        ip("link set dev left mtu 1400 address 02:00:00:00:00:11");
        follow(&mut netlink, "another MTU and MAC", |it| {
            it.links[&left.index].mtu == 1400 && it.links[&left.index].mac == Mac([2, 0, 0, 0, 0, 0x11])
        });
        ip("link set dev right down");
        follow(&mut netlink, "no carrier", |it| !it.links[&left.index].up);
        let wanted = InterfaceAddress { interface: left.index, address: address("192.0.2.1"), prefix: 24 };
        ip("address add 192.0.2.1/24 dev left");
        follow(&mut netlink, "a new address", |it| it.addresses.contains(&wanted));
        ip("address delete 192.0.2.1/24 dev left");
        follow(&mut netlink, "an address less", |it| !it.addresses.contains(&wanted));
        ip("link delete dev left");
        follow(&mut netlink, "a link less", |it| !it.links.contains_key(&left.index));
    });
}

#[test]
fn routes_are_followed() {
    within("interfaces of its own", || {
        let (left, right) = cable();
        ip("address add 192.0.2.1/24 dev left");
        ip("address add 198.51.100.1/24 dev right");
        let mut netlink = Netlink::open().unwrap();
        let via = |gateway: &str, interface: u32| Hop { interface, gateway: Some(address(gateway)) };

        ip("route add 10.0.0.0/8 via 192.0.2.9");
        follow(&mut netlink, "a new route", |it| {
            route(it, "10.0.0.0/8").is_some_and(|route| route.hops == [via("192.0.2.9", left.index)])
        });
        ip("route replace 10.0.0.0/8 nexthop via 192.0.2.10 nexthop via 198.51.100.10");
        let both = [via("192.0.2.10", left.index), via("198.51.100.10", right.index)];
        follow(&mut netlink, "two ways", |it| {
            route(it, "10.0.0.0/8").is_some_and(|route| route.hops == both)
        });
        ip("route add unreachable 10.1.0.0/16");
        follow(&mut netlink, "a way to nowhere", |it| {
            route(it, "10.1.0.0/16").is_some_and(|route| route.hops.is_empty())
        });
        ip("route add 10.2.0.0/16 via 192.0.2.9 table 7");
        ip("route add 10.3.0.0/16 via 192.0.2.9");
        follow(&mut netlink, "another table's", |it| route(it, "10.3.0.0/16").is_some());
        assert_eq!(route(netlink.state(), "10.2.0.0/16"), None);

        // The kernel says nothing of routes that leave with their interface.
        ip("link set dev left down");
        follow(&mut netlink, "routes of an interface that is down", |it| {
            route(it, "10.3.0.0/16").is_none() && route(it, "192.0.2.0/24").is_none()
        });
    });
}

#[test]
fn routes_of_ipv6_are_followed() {
    within("interfaces of its own", || {
        let (left, _right) = cable();
        if std::fs::write("/proc/sys/net/ipv6/conf/left/disable_ipv6", "0").is_err() {
            println!("skipped: this system has no IPv6");
            return;
        }
        let mut netlink = Netlink::open().unwrap();
        ip("address add 2001:db8::1/64 dev left nodad");
        ip("route add default via 2001:db8::fe dev left");
        let hop = Hop { interface: left.index, gateway: Some(address("2001:db8::fe")) };
        follow(&mut netlink, "a default route", |it| {
            route(it, "::/0").is_some_and(|route| route.hops == [hop])
        });
        follow(&mut netlink, "a prefix on link", |it| route(it, "2001:db8::/64").is_some());
        ip("route delete default via 2001:db8::fe dev left");
        follow(&mut netlink, "a route less", |it| route(it, "::/0").is_none());
        let own = |it: &InterfaceAddress| it.address == address("2001:db8::1") && it.prefix == 64;
        assert!(netlink.state().addresses.iter().any(own));
    });
}

/// The far end in a namespace of its own, where somebody answers.
fn neighbour_that_answers(test: impl FnOnce(&Link)) {
    let (left, _right) = cable();
    let (moved, at) = std::sync::mpsc::channel();
    let (done, until) = std::sync::mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            moved.send(nix::unistd::gettid()).unwrap();
            // Until the test is over, however it ends.
            let _ = until.recv();
        });
        let there = at.recv().unwrap();
        ip(&format!("link set dev right netns {there}"));
        let inside = format!("-t {there} -n ip");
        crate::namespace::run("nsenter", &format!("{inside} address add 192.0.2.2/24 dev right"));
        crate::namespace::run("nsenter", &format!("{inside} link set dev right up"));
        ip("address add 192.0.2.1/24 dev left");
        test(&left);
        drop(done);
    });
}

#[test]
fn a_neighbour_is_solicited_and_appears() {
    within("interfaces of its own", || {
        neighbour_that_answers(|left| {
            let mut netlink = Netlink::open().unwrap();
            follow(&mut netlink, "the carrier", |it| it.links[&left.index].up);
            let solicitor = Solicitor::open().unwrap();
            let there = (left.index, address("192.0.2.2"));
            assert_eq!(netlink.state().neighbours.get(&there), None);
            solicitor.solicit(left.index, there.1).unwrap();
            let known = Neighbour::Known { mac: Mac([2, 0, 0, 0, 0, 2]), stale: false };
            follow(&mut netlink, "an answer", |it| it.neighbours.get(&there) == Some(&known));

            ip("neighbour change 192.0.2.2 dev left nud stale");
            let stale = Neighbour::Known { mac: Mac([2, 0, 0, 0, 0, 2]), stale: true };
            follow(&mut netlink, "what nobody confirmed", |it| it.neighbours.get(&there) == Some(&stale));
            solicitor.solicit(left.index, there.1).unwrap();
            follow(&mut netlink, "what is confirmed again", |it| it.neighbours.get(&there) == Some(&known));

            let nobody = (left.index, address("192.0.2.77"));
            solicitor.solicit(left.index, nobody.1).unwrap();
            follow(&mut netlink, "no answer", |it| it.neighbours.get(&nobody) == Some(&Neighbour::Failed));
            ip("neighbour delete 192.0.2.2 dev left");
            follow(&mut netlink, "a neighbour less", |it| {
                !matches!(it.neighbours.get(&there), Some(Neighbour::Known { .. }))
            });
        });
    });
}

#[test]
fn an_interface_that_is_not_there_cannot_be_asked_on() {
    within("interfaces of its own", || {
        let error = Solicitor::open().unwrap().solicit(4711, address("192.0.2.2")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    });
}

#[test]
fn lost_messages_cost_asking_anew_and_nothing_else() {
    within("interfaces of its own", || {
        let (left, _right) = cable();
        ip("address add 10.0.0.1/8 dev left");
        let mut netlink = Netlink::open().unwrap();
        // More messages than the buffer takes, while nobody reads.
        let batch = tempfile_of((0..60_000u32).map(|number| {
            let [_, a, b, c] = number.to_be_bytes();
            format!("neighbour replace 10.{a}.{b}.{c} lladdr 02:00:00:00:00:07 dev left nud permanent\n")
        }));
        std::fs::write("/proc/sys/net/ipv4/neigh/default/gc_thresh3", "100000").ok();
        ip(&format!("-batch {}", batch.display()));
        std::fs::remove_file(batch).unwrap();
        let last = (left.index, address("10.0.234.95"));
        follow(&mut netlink, "the last of many", |it| it.neighbours.contains_key(&last));
        assert!(netlink.state().neighbours.len() >= 60_000);
        assert!(netlink.resynchronized() > 0, "the buffer was not too small for this");
        ip("neighbour delete 10.0.234.95 dev left");
        follow(&mut netlink, "what came after", |it| !it.neighbours.contains_key(&last));
    });
}

fn tempfile_of(lines: impl Iterator<Item = String>) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("shunt-neighbours-{}", std::process::id()));
    std::fs::write(&path, lines.collect::<String>()).unwrap();
    path
}

#[test]
fn a_wait_ends_when_woken_and_says_whether_anything_changed() {
    within("interfaces of its own", || {
        let mut netlink = Netlink::open().unwrap();
        while netlink.wait(Some(Duration::from_millis(10))).unwrap() {}
        netlink.waker().wake();
        assert!(!netlink.wait(None).unwrap());
        ip("link add left type veth peer name right");
        let deadline = Instant::now() + LONG;
        while !netlink.wait(Some(LONG)).unwrap() {
            assert!(Instant::now() < deadline);
        }
        assert!(named(netlink.state(), "left").is_some());
    });
}

#[test]
fn marks_of_packets_that_are_this_hosts_are_known() {
    within("rules of its own", || {
        assert_eq!(LocalMarks::read().unwrap(), LocalMarks::default());
        for family in ["-4", "-6"] {
            ip(&format!("{family} rule add fwmark 7 lookup 300"));
            // To a table that has something else.
            ip(&format!("{family} rule add fwmark 8 lookup 301"));
        }
        ip("-4 rule add fwmark 9 lookup 100");
        ip("-4 route add local default dev lo table 300");
        ip("-4 route add local 192.0.2.0/24 dev lo table 301");
        ip("-6 route add local ::/0 dev lo table 300");
        assert_eq!(LocalMarks::read().unwrap(), LocalMarks { v4: vec![7], v6: vec![7] });
    });
}

#[test]
fn own_addresses_are_told_from_others() {
    within("addresses of its own", || {
        let _ = cable();
        ip("address add 192.0.2.1/24 dev left");
        // Of the same network as another: the kernel would send to it from that one.
        ip("address add 192.0.2.2/24 dev left");
        ip("address add 2001:db8::1/64 dev lo nodad");
        for (text, own) in [
            ("127.9.9.9", true),
            ("192.0.2.1", true),
            ("192.0.2.2", true),
            ("192.0.2.3", false),
            ("198.51.100.1", false),
            ("2001:db8::1", true),
            ("2001:db8::2", false),
        ] {
            assert_eq!(is_own(address(text)).unwrap(), own, "{text}");
        }
    });
}
