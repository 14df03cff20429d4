//! AF_XDP sockets: what comes in on one end of a cable, and what leaves.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::{Duration, Instant};

use shunt_sys::netlink::Link;
use shunt_sys::raw::Sender;
use shunt_sys::xdp::{Mode, Steering, Wanted};
use shunt_sys::xsk::{
    Fate, Options, Outbox, Received, Reception, Socket, Sockets, Statistics, Unsent, queues,
};
use shunt_wire::frame::HEADROOM;
use shunt_wire::{Address, Frame, Mac};
use socket2::{Domain, Type};

use crate::frames::{OTHER_MAC, OWN_MAC, UDP, packet, ports};
use crate::namespace::{cable, ip, link, run, within};

const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 80);
const SMALL: Options = Options { frames: 64 };
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(10);

/// The program, for frames to `VIP`.
fn steering() -> Steering {
    let mut steering = Steering::load().unwrap();
    let owned = [Address::from(VIP)].into();
    steering.steer(&Wanted { owned, ..Wanted::default() }).unwrap();
    steering
}

/// The program and one socket on the interface.
fn open(link: &Link, options: Options) -> (Steering, Sockets) {
    let socket = Socket::open(link, 0, options).unwrap();
    let mut steering = steering();
    assert!(matches!(steering.attach(link, [&socket]).unwrap(), Mode::Native));
    (steering, Sockets::new(vec![socket], vec![]).unwrap())
}

/// A frame to `VIP` of so many bytes of data, which `number` fills.
fn frame(number: u8, length: usize) -> Vec<u8> {
    let datagram = [ports(40000, 53), vec![number; length]].concat();
    packet("192.0.2.7", "203.0.113.80", UDP, &datagram)
}

/// A packet socket on the far end: what is sent to it and not by it, from the test's station.
struct Station {
    socket: socket2::Socket,
    sender: Sender,
}

impl Station {
    fn on(link: &Link) -> Self {
        // Network order, as packet(7) has it.
        let everything = i32::from((libc::ETH_P_ALL as u16).to_be());
        let socket = socket2::Socket::new(Domain::PACKET, Type::RAW, Some(everything.into())).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        Self { socket, sender: Sender::open(link).unwrap() }
    }

    fn send(&mut self, frame: &[u8]) {
        self.sender.send(frame).unwrap();
    }

    /// The next frame that comes back, which is one to this station.
    fn receive(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 4096];
        loop {
            let length = self.socket.read(&mut buffer).unwrap();
            if buffer[..6] == OTHER_MAC {
                return buffer[..length].to_vec();
            }
        }
    }
}

/// Takes frames until there have been so many.
fn take(sockets: &mut Sockets, wanted: usize, mut each: impl FnMut(Received<'_>) -> Fate) {
    let deadline = Instant::now() + LONG;
    let mut count = 0;
    while count < wanted {
        assert!(Instant::now() < deadline, "{count} of {wanted} frames came");
        sockets.wait(Some(Duration::from_millis(100))).unwrap();
        count += sockets.receive(|received, _| each(received));
    }
}

/// Back where it came from.
fn echo(received: Received<'_>) -> Fate {
    let Received { interface, buffer, start, end } = received;
    let mut frame = Frame::new(buffer, start, end);
    let bytes = frame.bytes_mut();
    let (to, from) = bytes[..12].split_at_mut(6);
    to.swap_with_slice(from);
    Fate::Send { interface, start, end }
}

fn statistics(sockets: &Sockets) -> Statistics {
    sockets.statistics().next().unwrap().2.unwrap()
}

#[test]
fn frames_come_back_as_they_went() {
    within("AF_XDP sockets", || {
        let (left, right) = cable();
        let (_steering, mut sockets) = open(&left, SMALL);
        let mut station = Station::on(&right);
        // Many times more than there are buffers, so that each is used again and again.
        for round in 0..200u8 {
            for length in [0, 1, 100, 1400] {
                station.send(&frame(round, length));
            }
            take(&mut sockets, 4, echo);
            for length in [0, 1, 100, 1400] {
                let mut expected = frame(round, length);
                expected[..12].copy_from_slice(&[OTHER_MAC, OWN_MAC].concat());
                assert_eq!(station.receive(), expected);
            }
        }
        let statistics = statistics(&sockets);
        assert_eq!((statistics.received, statistics.sent, statistics.copied), (800, 800, 0));
        assert_eq!((statistics.dropped, statistics.receive_full, statistics.no_buffer), (0, 0, 0));
    });
}

/// Notes what it is shown: how many frames are ahead when each comes.
#[derive(Default)]
struct Noting {
    ahead: VecDeque<Vec<u8>>,
    batches: Vec<usize>,
}

impl Reception for Noting {
    fn batch<'f>(&mut self, frames: impl Iterator<Item = &'f [u8]>) {
        assert!(self.ahead.is_empty(), "all frames of the batch before have come");
        self.ahead.extend(frames.map(<[u8]>::to_vec));
        self.batches.extend(Some(self.ahead.len()).filter(|count| *count > 0));
    }

    fn frame(&mut self, received: Received<'_>, _: &mut Outbox<'_>) -> Fate {
        let frame = received.buffer[received.start..received.end].to_vec();
        assert_eq!(self.ahead.pop_front(), Some(frame), "in the order in which they were shown");
        Fate::Recycle
    }
}

#[test]
fn a_batch_is_shown_before_its_first_frame() {
    within("AF_XDP sockets", || {
        let (left, right) = cable();
        let (_steering, mut sockets) = open(&left, SMALL);
        let mut station = Station::on(&right);
        for number in 0..40 {
            station.send(&frame(number, 10 + usize::from(number)));
        }
        let (mut noting, deadline) = (Noting::default(), Instant::now() + LONG);
        while noting.batches.iter().sum::<usize>() < 40 {
            assert!(Instant::now() < deadline, "{:?} came", noting.batches);
            sockets.wait(Some(Duration::from_millis(100))).unwrap();
            sockets.receive_by(&mut noting);
        }
        assert!(noting.ahead.is_empty());
        assert!(noting.batches.iter().any(|count| *count > 1), "{:?}", noting.batches);
    });
}

/// The bug is above; what comes later is not to be lost by it.
#[test]
fn a_panic_costs_no_more_than_its_batch() {
    within("AF_XDP sockets", || {
        let (left, right) = cable();
        let (_steering, mut sockets) = open(&left, SMALL);
        let mut station = Station::on(&right);
        for round in 0..3 {
            station.send(&frame(round, 10));
            let failed = catch_unwind(AssertUnwindSafe(|| {
                take(&mut sockets, 1, |_| resume_unwind(Box::new("a bug")));
            }));
            assert!(failed.is_err());
            station.send(&frame(round, 20));
            take(&mut sockets, 1, echo);
            assert_eq!(station.receive().len(), frame(round, 20).len());
        }
    });
}

#[test]
fn without_a_driver_for_it_frames_come_all_the_same() {
    within("AF_XDP sockets", || {
        let lo = Link { mac: Mac(OWN_MAC), mtu: 1500, ..link("lo") };
        let socket = Socket::open(&lo, 0, SMALL).unwrap();
        let mut steering = steering();
        let mode = steering.attach(&lo, [&socket]).unwrap();
        assert!(
            matches!(mode, Mode::Generic { refusal } if refusal.raw_os_error() == Some(libc::EOPNOTSUPP))
        );
        let mut sockets = Sockets::new(vec![socket], vec![]).unwrap();
        let mut station = Station::on(&lo);
        for length in [0, 1, 1400] {
            station.send(&frame(5, length));
            take(&mut sockets, 1, echo);
            let mut expected = frame(5, length);
            expected[..12].copy_from_slice(&[OTHER_MAC, OWN_MAC].concat());
            assert_eq!(station.receive(), expected);
        }
    });
}

#[test]
fn headers_are_put_in_front_and_bytes_behind() {
    within("AF_XDP sockets", || {
        let (left, right) = cable();
        let (_steering, mut sockets) = open(&left, SMALL);
        let mut station = Station::on(&right);
        let sent = frame(7, 20);
        station.send(&sent);
        take(&mut sockets, 1, |received| {
            let Received { interface, buffer, start, end } = received;
            assert_eq!(start, HEADROOM);
            assert_eq!(buffer[start..end], sent);
            let mut frame = Frame::new(buffer, start, end);
            frame.grow_front(HEADROOM).unwrap();
            frame.grow_back(100).unwrap();
            let bytes = frame.bytes_mut();
            let length = bytes.len();
            bytes[..HEADROOM].fill(0xaa);
            bytes[..6].copy_from_slice(&OTHER_MAC);
            bytes[length - 100..].fill(0xbb);
            Fate::Send { interface, start: 0, end: length }
        });
        let mut expected = [vec![0xaa; HEADROOM], sent.clone(), vec![0xbb; 100]].concat();
        expected[..6].copy_from_slice(&OTHER_MAC);
        assert_eq!(station.receive(), expected);
    });
}

#[test]
fn frames_leave_by_another_interface() {
    within("AF_XDP sockets", || {
        let (left, right) = cable();
        ip("link add near address 02:00:00:00:00:03 type veth peer name far address 02:00:00:00:00:04");
        ip("link set dev near up");
        ip("link set dev far up");
        let (near, far) = (link("near"), link("far"));
        let socket = Socket::open(&left, 0, SMALL).unwrap();
        let mut steering = steering();
        steering.attach(&left, [&socket]).unwrap();
        let (mut sent, mut answered) = (Station::on(&right), Station::on(&far));
        let to_station = |mut frame: Vec<u8>| {
            frame[..6].copy_from_slice(&OTHER_MAC);
            frame
        };

        // By a socket of that interface, by a sender on it, and by neither.
        let nowhere = 4711;
        for (others, senders) in [
            (vec![Socket::open(&near, 0, SMALL).unwrap()], vec![]),
            (vec![], vec![Sender::open(&near).unwrap()]),
        ] {
            let all = std::iter::once(Socket::open(&right, 0, SMALL).unwrap()).chain(others).collect();
            let mut sockets = Sockets::new(all, senders).unwrap();
            sockets.outbox().send(near.index, &to_station(frame(1, 10))).unwrap();
            assert_eq!(sockets.outbox().send(nowhere, &frame(2, 10)), Err(Unsent::NoInterface));
            sockets.flush();
            assert_eq!(answered.receive(), to_station(frame(1, 10)));
            assert_eq!(sockets.no_interface(), 1);
        }

        // What was received leaves there as well; a copy of it stays behind for a second one.
        let mut sockets = Sockets::new(vec![socket, Socket::open(&near, 0, SMALL).unwrap()], vec![]).unwrap();
        sent.send(&frame(3, 1000));
        let deadline = Instant::now() + LONG;
        while sockets.receive(|received, outbox| {
            let Received { buffer, start, end, .. } = received;
            buffer[start..start + 6].copy_from_slice(&OTHER_MAC);
            outbox.send(near.index, &buffer[start..end]).unwrap();
            Fate::Send { interface: near.index, start, end }
        }) == 0
        {
            assert!(Instant::now() < deadline);
            sockets.wait(Some(LONG)).unwrap();
        }
        assert_eq!(answered.receive(), to_station(frame(3, 1000)));
        assert_eq!(answered.receive(), to_station(frame(3, 1000)));
        let counts: Vec<u64> = sockets.statistics().map(|(_, _, it)| it.unwrap().copied).collect();
        assert_eq!(counts, [0, 2]);
    });
}

#[test]
fn what_is_not_taken_in_time_is_lost_and_counted_and_the_rest_goes_on() {
    within("AF_XDP sockets", || {
        let (left, right) = cable();
        let (_steering, mut sockets) = open(&left, SMALL);
        let mut station = Station::on(&right);
        for number in 0..200 {
            station.send(&frame(number, 100));
        }
        // 64 buffers were there to receive into.
        let mut first = 0;
        take(&mut sockets, 64, |received| {
            assert_eq!(received.buffer[received.end - 1], first);
            first += 1;
            Fate::Recycle
        });
        let statistics = statistics(&sockets);
        assert_eq!(statistics.received, 64);
        assert_eq!(statistics.no_buffer + statistics.receive_full, 200 - 64);
        station.send(&frame(250, 100));
        take(&mut sockets, 1, |received| {
            assert_eq!(received.buffer[received.end - 1], 250);
            Fate::Recycle
        });
    });
}

#[test]
fn more_than_fits_on_the_way_out_is_refused_and_comes_back() {
    within("AF_XDP sockets", || {
        let (left, right) = cable();
        let mut sockets = Sockets::new(vec![Socket::open(&left, 0, SMALL).unwrap()], vec![]).unwrap();
        ip("link set dev left down");
        let sent = (0..100).filter(|_| sockets.outbox().send(left.index, &frame(1, 100)).is_ok()).count();
        assert_eq!(sent, 64);
        assert_eq!(statistics(&sockets).send_full, 36);
        ip("link set dev left up");
        let deadline = Instant::now() + LONG;
        while sockets.outbox().send(left.index, &frame(2, 100)).is_err() {
            assert!(Instant::now() < deadline, "nothing left the ring");
            sockets.wait(Some(Duration::from_millis(1))).unwrap();
            sockets.flush();
        }
        drop(right);
    });
}

#[test]
fn a_frame_that_is_no_frame_is_refused() {
    within("AF_XDP sockets", || {
        let (left, right) = cable();
        let (_steering, mut sockets) = open(&left, SMALL);
        assert_eq!(sockets.outbox().send(left.index, &[]), Err(Unsent::TooLong));
        assert_eq!(sockets.outbox().send(left.index, &[0; 4000]), Err(Unsent::TooLong));
        let mut station = Station::on(&right);
        // A fate that makes no sense costs the frame, and no buffer.
        for fate in [(0, 0), (10, 5), (0, usize::MAX), (usize::MAX, usize::MAX)] {
            for _ in 0..100 {
                station.send(&frame(1, 10));
                take(&mut sockets, 1, |received| Fate::Send {
                    interface: received.interface,
                    start: fate.0,
                    end: fate.1,
                });
            }
        }
        assert_eq!(statistics(&sockets).sent, 0);
        station.send(&frame(1, 10));
        take(&mut sockets, 1, echo);
        station.receive();
    });
}

#[test]
fn sockets_come_and_go_while_others_stay() {
    within("AF_XDP sockets", || {
        let (left, right) = cable();
        let mut steering = steering();
        let mut sockets = Sockets::new(vec![Socket::open(&right, 0, SMALL).unwrap()], vec![]).unwrap();
        let waker = sockets.waker();
        for number in 0..3 {
            let socket = Socket::open(&left, 0, SMALL).unwrap();
            steering.attach(&left, [&socket]).unwrap();
            sockets.add(socket);
            // From the one that stays to the one that came.
            sockets.outbox().send(right.index, &frame(number, 10)).unwrap();
            sockets.flush();
            take(&mut sockets, 1, |received| {
                assert_eq!(received.buffer[received.end - 1], number);
                Fate::Recycle
            });
            waker.wake();
            sockets.wait(None).unwrap();
            steering.detach(left.index);
            sockets.remove(left.index);
            assert_eq!(sockets.outbox().send(left.index, &frame(number, 10)), Err(Unsent::NoInterface));
        }
    });
}

#[test]
fn a_wait_ends_when_woken() {
    within("AF_XDP sockets", || {
        let (left, _right) = cable();
        let (_steering, mut sockets) = open(&left, SMALL);
        let waker = sockets.waker();
        // Before the wait, and while it continues.
        waker.wake();
        sockets.wait(None).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| sockets.wait(None));
            while !waiting.is_finished() {
                waker.wake();
                thread::yield_now();
            }
            waiting.join().unwrap().unwrap();
        });
    });
}

#[test]
fn an_interface_that_goes_does_not_keep_the_thread_busy() {
    within("AF_XDP sockets", || {
        let (left, _right) = cable();
        let (_steering, mut sockets) = open(&left, SMALL);
        ip("link delete dev left");
        // It may be told of once.
        sockets.wait(Some(Duration::from_millis(50))).unwrap();
        let began = Instant::now();
        sockets.wait(Some(Duration::from_millis(50))).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(50), "it waits");
        assert_eq!(sockets.receive(|_, _| Fate::Recycle), 0);
    });
}

#[test]
fn what_cannot_be_opened_says_why() {
    within("AF_XDP sockets", || {
        let (left, _right) = cable();
        let text = |link: &Link, queue| Socket::open(link, queue, SMALL).err().unwrap().to_string();
        let first = Socket::open(&left, 0, SMALL).unwrap();
        assert!(text(&left, 0).starts_with("another AF_XDP socket is bound to queue 0 of left"));
        drop(first);
        assert!(text(&left, 9).starts_with("left has no queue 9"), "{}", text(&left, 9));
        assert!(text(&Link { mtu: 9000, ..left.clone() }, 0).starts_with("the MTU of left is 9000"));
        let gone = Link { index: 4711, name: "gone".to_owned(), ..left };
        assert_eq!(text(&gone, 0), "the interface gone no longer exists");
    });
}

#[test]
fn queues_are_counted() {
    within("interfaces of its own", || {
        ip("link add left numrxqueues 4 numtxqueues 4 type veth peer name right numrxqueues 4 numtxqueues 4");
        run("ethtool", "-L left rx 3 tx 2");
        assert_eq!(queues(&link("left")).unwrap(), 3);
        assert_eq!(queues(&link("lo")).unwrap(), 1);
        let gone = Link { name: "gone".to_owned(), ..link("lo") };
        assert_eq!(queues(&gone).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn each_queue_has_its_socket() {
    within("AF_XDP sockets", || {
        ip("link add left numrxqueues 2 numtxqueues 2 address 02:00:00:00:00:01 \
            type veth peer name right numrxqueues 2 numtxqueues 2");
        run("ethtool", "-L left rx 2 tx 2");
        run("ethtool", "-L right rx 2 tx 2");
        ip("link set dev left up");
        ip("link set dev right up");
        let (left, right) = (link("left"), link("right"));
        let sockets: Vec<Socket> = (0..2).map(|queue| Socket::open(&left, queue, SMALL).unwrap()).collect();
        assert!(sockets.iter().all(|socket| socket.as_raw_fd() >= 0));
        let mut steering = steering();
        steering.attach(&left, &sockets).unwrap();
        let mut sockets = Sockets::new(sockets, vec![]).unwrap();
        // A socket sends by its queue, and a cable leads from each queue to the same one.
        let mut far: Vec<Sockets> = (0..2)
            .map(|queue| Sockets::new(vec![Socket::open(&right, queue, SMALL).unwrap()], vec![]).unwrap())
            .collect();
        for (queue, sender) in far.iter_mut().enumerate() {
            sender.outbox().send(right.index, &frame(queue as u8, 10)).unwrap();
            sender.flush();
            take(&mut sockets, 1, |received| {
                assert_eq!(usize::from(received.buffer[received.end - 1]), queue);
                Fate::Recycle
            });
        }
        let counts: Vec<u64> = sockets.statistics().map(|(_, _, it)| it.unwrap().received).collect();
        assert_eq!(counts, [1, 1]);
    });
}
