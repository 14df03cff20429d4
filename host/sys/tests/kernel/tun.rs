//! TUN devices: what the host sends by them, and what comes to it.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use shunt_sys::netlink::{Editor, Link, Netlink};
use shunt_sys::tun::Tun;
use shunt_sys::xsk::{Fate, Received, Sockets, Statistics, Unsent};
use shunt_wire::frame::HEADROOM;

use crate::namespace::{cable, ip, link, within};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(10);
/// Of each family: the host's address on the device, and one that is routed to it.
const ENDS: [(&str, &str, u8); 2] =
    [("192.0.2.1", "198.51.100.7", 32), ("2001:db8:1::1", "2001:db8:2::7", 128)];

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A device that is up, with addresses and routes of both families.
fn device() -> Tun {
    let tun = Tun::create("tun%d").unwrap();
    let editor = Editor::open().unwrap();
    editor.set_mtu(tun.interface(), 9000).unwrap();
    editor.bring_up(tun.interface()).unwrap();
    // Twice is as good as once.
    for _ in 0..2 {
        for (near, far, prefix) in ENDS {
            editor.add_address(tun.interface(), address(near), prefix).unwrap();
            editor.add_route(address(far), prefix, tun.interface()).unwrap();
        }
    }
    tun
}

/// A datagram that turns round: its addresses and ports change places, which no checksum notices.
fn turn(datagram: &mut [u8]) {
    let (at, length) = if datagram[0] >> 4 == 4 { (12, 4) } else { (8, 16) };
    let (source, destination) = datagram[at..at + 2 * length].split_at_mut(length);
    source.swap_with_slice(destination);
    let (from, to) = datagram[at + 2 * length..][..4].split_at_mut(2);
    from.swap_with_slice(to);
}

/// The next datagram of UDP; the host says other things as well.
fn is_udp(datagram: &[u8]) -> bool {
    let at = if datagram[0] >> 4 == 4 { 9 } else { 6 };
    datagram[at] == 17
}

/// Takes what comes until a datagram of UDP was there.
fn take(sockets: &mut Sockets, mut each: impl FnMut(Received<'_>) -> Fate) {
    let deadline = Instant::now() + LONG;
    let mut taken = false;
    while !taken {
        assert!(Instant::now() < deadline, "no datagram came");
        sockets.wait(Some(Duration::from_millis(100))).unwrap();
        sockets.receive(|received, _| {
            if !is_udp(&received.buffer[received.start + 14..received.end]) {
                return Fate::Recycle;
            }
            taken = true;
            each(received)
        });
    }
}

/// What comes a little later: a child of another test that has not yet become its program holds what was
/// open when it was made.
fn in_time<T>(story: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        match look() {
            Some(found) => return found,
            None => assert!(Instant::now() < deadline, "{story}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn client(near: &str) -> UdpSocket {
    let client = UdpSocket::bind(SocketAddr::new(address(near), 0)).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    client
}

#[test]
fn datagrams_come_as_frames_and_frames_leave_as_datagrams() {
    within("a TUN device", || {
        let tun = device();
        let (index, writer) = (tun.interface(), tun.writer());
        let mut sockets = Sockets::new(vec![], vec![]).unwrap();
        sockets.add_tun(tun);
        // Another thread has the writer alone.
        let mut others = Sockets::new(vec![], vec![]).unwrap();
        others.add_writer(writer);
        for ((near, far, _), ether_type) in ENDS.into_iter().zip([[0x08, 0x00], [0x86, 0xdd]]) {
            let (client, far) = (client(near), SocketAddr::new(address(far), 53));
            // Kernels drop where other tests keep this core busy: then it is tried again.
            client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            for length in [1, 100, 1400, 8900] {
                let come = |attempt: u8| {
                    let sent = vec![attempt; length];
                    client.send_to(&sent, far).unwrap();
                    take(&mut sockets, |received| {
                        let Received { interface, buffer, start, end } = received;
                        assert_eq!((interface, start), (index, HEADROOM));
                        assert_eq!(buffer[start..start + 14], [[0; 12].as_slice(), &ether_type].concat());
                        turn(&mut buffer[start + 14..end]);
                        others.outbox().send(index, &buffer[start..end]).unwrap();
                        Fate::Send { interface, start, end }
                    });
                    let mut buffer = [0; 9000];
                    let mut answers = 0;
                    while answers < 2 {
                        let Ok((length, from)) = client.recv_from(&mut buffer) else { return false };
                        assert_eq!(from, far);
                        answers += u8::from(buffer[..length] == sent);
                    }
                    true
                };
                assert!((1..10).any(come), "{far}: {length} bytes");
            }
        }
        let counts = |sockets: &Sockets| -> Statistics { sockets.statistics().next().unwrap().2.unwrap() };
        let (reader, writer) = (counts(&sockets), counts(&others));
        assert_eq!(reader.sent, writer.sent);
        assert!(reader.sent >= 8 && reader.received >= reader.sent, "{reader:?}");
    });
}

#[test]
fn what_is_no_datagram_is_refused_and_counted() {
    within("a TUN device", || {
        let tun = device();
        let index = tun.interface();
        let mut sockets = Sockets::new(vec![], vec![]).unwrap();
        sockets.add_tun(tun);
        let arp = [[0; 12].as_slice(), &[0x08, 0x06, 0, 1, 8, 0, 6, 4], &[0; 22]].concat();
        for refused in [&[][..], &[0; 14], &arp] {
            assert_eq!(sockets.outbox().send(index, refused), Err(Unsent::TooLong), "{refused:?}");
        }
        ip(&format!("link set dev {} down", Netlink::open().unwrap().state().links[&index].name));
        let datagram = [[0; 14].as_slice(), &[0x45], &[0; 19]].concat();
        assert_eq!(sockets.outbox().send(index, &datagram), Err(Unsent::Full));
        let counts = sockets.statistics().next().unwrap().2.unwrap();
        assert_eq!((counts.sent, counts.send_full), (0, 4));
    });
}

#[test]
fn a_device_that_was_made_leaves_with_its_last_end_and_one_that_was_opened_stays() {
    within("TUN devices", || {
        let there = |name: &str| Netlink::open().unwrap().state().links.values().any(|it| it.name == name);
        let tun = Tun::create("made").unwrap();
        let (index, writer) = (tun.interface(), tun.writer());
        let seen = link("made");
        assert_eq!((seen.index, seen.tun, seen.up), (index, true, false));
        drop(tun);
        assert!(there("made"));
        drop(writer);
        in_time("the device is there still", || (!there("made")).then_some(()));

        ip("tuntap add mode tun dev lasting");
        ip("tuntap add mode tun dev shared multi_queue");
        for name in ["lasting", "shared"] {
            let tun = Tun::open(&link(name)).unwrap();
            assert_eq!((tun.interface(), tun.name()), (link(name).index, name));
            drop(tun);
            assert!(there(name));
            // Once more, now that nobody has it.
            in_time("its end is not free", || Tun::open(&link(name)).ok());
        }
    });
}

#[test]
fn routes_and_addresses_are_taken_away_again() {
    within("a TUN device", || {
        let tun = device();
        let editor = Editor::open().unwrap();
        for (near, far, prefix) in ENDS {
            let client = client(near);
            client.send_to(&[1], SocketAddr::new(address(far), 53)).unwrap();
            editor.remove_route(address(far), prefix, tun.interface()).unwrap();
            let error = client.send_to(&[1], SocketAddr::new(address(far), 53)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
            let error = editor.remove_route(address(far), prefix, tun.interface()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
            editor.remove_address(tun.interface(), address(near), prefix).unwrap();
            let error = UdpSocket::bind(SocketAddr::new(address(near), 0)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        }
        assert!(editor.set_mtu(tun.interface(), 1 << 20).is_err(), "larger than any datagram");
    });
}

/// Whoever announces a VIP has a route to it that nobody is to follow.
#[test]
fn routes_of_others_stay() {
    within("a TUN device", || {
        let tun = device();
        let editor = Editor::open().unwrap();
        for (near, far, prefix) in ENDS {
            let client = client(near);
            let send = || client.send_to(&[1], SocketAddr::new(address(far), 53));
            editor.remove_route(address(far), prefix, tun.interface()).unwrap();
            ip(&format!("route add blackhole {far}/{prefix}"));
            assert!(send().is_err());
            for _ in 0..2 {
                editor.add_route(address(far), prefix, tun.interface()).unwrap();
                send().expect("the way by the device comes first");
            }
            editor.remove_route(address(far), prefix, tun.interface()).unwrap();
            assert!(send().is_err());
            ip(&format!("route delete blackhole {far}/{prefix}"));
        }
    });
}

#[test]
fn what_cannot_be_opened_says_why() {
    within("TUN devices", || {
        let (left, _right) = cable();
        let text = |link: &Link| Tun::open(link).err().unwrap().to_string();
        assert!(text(&left).starts_with("left is not a TUN device"), "{}", text(&left));
        ip("tuntap add mode tap dev ethernet");
        assert!(text(&link("ethernet")).starts_with("ethernet is not a TUN device"));
        let taken = Tun::create("taken").unwrap();
        assert!(text(&link("taken")).contains("in use by another process"), "{}", text(&link("taken")));
        let again = Tun::create("taken").err().unwrap().to_string();
        assert!(again.contains("its name by another interface"), "{again}");
        let gone = link("taken");
        drop(taken);
        in_time("it is not gone", || (text(&gone) == "the TUN device taken no longer exists").then_some(()));
        let is_left = || Netlink::open().unwrap().state().links.values().any(|it| it.name == "taken");
        in_time("asking has made one", || (!is_left()).then_some(()));
        assert!(Tun::create("a-name-that-is-too-long").is_err());
    });
}

#[test]
fn a_device_that_goes_does_not_keep_the_thread_busy() {
    within("a TUN device", || {
        ip("tuntap add mode tun dev going");
        let tun = Tun::open(&link("going")).unwrap();
        let mut sockets = Sockets::new(vec![], vec![]).unwrap();
        sockets.add_tun(tun);
        ip("link delete dev going");
        // It may be told of once.
        sockets.wait(Some(Duration::from_millis(50))).unwrap();
        let began = Instant::now();
        sockets.wait(Some(Duration::from_millis(50))).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(50), "it waits");
        assert_eq!(sockets.receive(|_, _| Fate::Recycle), 0);
        sockets.remove(4711);
        sockets.wait(Some(Duration::from_millis(1))).unwrap();
    });
}
