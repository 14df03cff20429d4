use shunt_engine::packet::{ErrorPacket, FlowPacket, Kind, Packet, Unreadable, dissect};
use shunt_wire::frame::HEADROOM;
use shunt_wire::icmp::{self, Report};
use shunt_wire::rewrite::{Change, Dscp, Outer, Translate, Tunnel};
use shunt_wire::{Address, Endpoint, Family, FlowKey, Frame, Hop, Mac, Rewrite, RewriteError, ip};

/// Takes a frame that can be read through what it can meet: the first byte says what, the others are the frame.
pub fn replay(data: &[u8]) {
    let Some((&how, bytes)) = data.split_first() else { return };
    // A frame that grows stays below what a length field can say.
    let Some(packet) = dissect(bytes).ok().filter(|_| bytes.len() < 60_000) else { return };
    match packet.kind {
        Kind::Flow(flow) => match how % 8 {
            0 => pass(bytes, &packet, &flow),
            1 => translate(bytes, &packet, &flow),
            2 => mark(bytes, &packet, &flow),
            how @ 3..=6 => encapsulate(bytes, &packet, &flow, how),
            _ => report(bytes, &packet, &flow),
        },
        Kind::IcmpError(error) => translate_error(bytes, &packet, &error),
        _ => {}
    }
}

fn pass(bytes: &[u8], packet: &Packet, flow: &FlowPacket) {
    if let Some(out) = apply(bytes, packet, flow, Change::None) {
        assert_eq!(read(&out), FlowPacket { ttl: flow.ttl - 1, ..*flow });
    }
}

fn translate(bytes: &[u8], packet: &Packet, flow: &FlowPacket) {
    let key = new_key(&flow.key);
    let translate = Translate::new(&flow.key, key.source(), key.destination()).expect("one family");
    if let Some(out) = apply(bytes, packet, flow, Change::Translate(translate)) {
        assert_eq!(read(&out), FlowPacket { key, ttl: flow.ttl - 1, ..*flow });
    }
}

fn mark(bytes: &[u8], packet: &Packet, flow: &FlowPacket) {
    let destination = Endpoint { address: own(flow.key.family(), 1), ..flow.key.destination() };
    let dscp = Dscp::new(&flow.key, destination.address, 5).expect("one family");
    if let Some(out) = apply(bytes, packet, flow, Change::Dscp(dscp)) {
        let key = FlowKey::new(flow.key.source(), destination, flow.key.protocol());
        let traffic_class = 5 << 2 | flow.traffic_class & 3;
        assert_eq!(read(&out), FlowPacket { key, traffic_class, ttl: flow.ttl - 1, ..*flow });
    }
}

fn encapsulate(bytes: &[u8], packet: &Packet, flow: &FlowPacket, how: u8) {
    let gue = Tunnel::Gue { source_port: 50_000, destination_port: 6080 };
    let (tunnel, family) = match how {
        3 => (Tunnel::Ipip, Family::V4),
        4 => (Tunnel::Gre, Family::V6),
        5 => (gue, Family::V4),
        _ => (gue, Family::V6),
    };
    let outer = Outer::new(own(family, 1), own(family, 2), tunnel, 7).expect("one family");
    let Some(out) = apply(bytes, packet, flow, Change::Encapsulate(outer)) else { return };
    let around = dissect(&out).expect("what was written can be read");
    assert_eq!(usize::from(around.layout.end), out.len());
    match around.kind {
        Kind::Flow(around) => assert_eq!(around.key.destination().port, 6080),
        Kind::Other(around) => assert!([ip::IPIP, ip::IPV6, ip::GRE].contains(&around.protocol)),
        other => panic!("{other:?}"),
    }
    // Taken out of the tunnel, behind an Ethernet header of its family, it is the packet of before.
    let l3 = usize::from(packet.layout.l3);
    let mut inner = bytes[..l3].to_vec();
    inner.extend(&out[l3 + usize::from(outer.len())..]);
    assert_eq!(read(&inner), FlowPacket { ttl: flow.ttl - 1, ..*flow });
}

fn report(bytes: &[u8], packet: &Packet, flow: &FlowPacket) {
    let mut buffer = buffer(bytes);
    let mut frame = frame(&mut buffer);
    let from = own(flow.key.family(), 1);
    if icmp::report(&mut frame, &packet.layout, from, Report::Prohibited).is_err() {
        assert_eq!(frame.bytes(), bytes);
        return;
    }
    match dissect(frame.bytes()) {
        Ok(Packet { kind: Kind::IcmpError(error), .. }) => {
            assert_eq!(error.embedded, flow.key);
            assert_eq!((error.source, error.destination), (from, flow.key.source().address));
        }
        // Extension headers longer than an error may be.
        Err(Unreadable::Embedded) if packet.layout.l4 - packet.layout.l3 > 1200 => {}
        other => panic!("{other:?}"),
    }
}

fn translate_error(bytes: &[u8], packet: &Packet, error: &ErrorPacket) {
    let of = error.embedded.reversed();
    let key = new_key(&of);
    let translate = Translate::new(&of, key.source(), key.destination()).expect("one family");
    let mut buffer = buffer(bytes);
    let mut frame = frame(&mut buffer);
    let rewrite = rewrite(Change::Translate(translate));
    match rewrite.apply_to_error(&mut frame, &packet.layout, &error.embedded_layout) {
        Ok(()) => match dissect(frame.bytes()) {
            Ok(Packet { kind: Kind::IcmpError(read), .. }) => {
                let expected = ErrorPacket {
                    source: key.source().address,
                    destination: key.destination().address,
                    embedded: key.reversed(),
                    ttl: error.ttl - 1,
                    ..*error
                };
                assert_eq!(read, expected);
            }
            other => panic!("{other:?}"),
        },
        Err(refused) => {
            assert_eq!(refused, RewriteError::HopLimit);
            assert!(error.ttl <= 1);
            assert_eq!(frame.bytes(), bytes);
        }
    }
}

/// The frame after the rewrite, unless it has no hop left.
fn apply(bytes: &[u8], packet: &Packet, flow: &FlowPacket, change: Change) -> Option<Vec<u8>> {
    let mut buffer = buffer(bytes);
    let mut frame = frame(&mut buffer);
    match rewrite(change).apply(&mut frame, &packet.layout) {
        Ok(()) => Some(frame.bytes().to_vec()),
        Err(error) => {
            assert_eq!(error, RewriteError::HopLimit);
            assert!(flow.ttl <= 1);
            assert_eq!(frame.bytes(), bytes);
            None
        }
    }
}

fn rewrite(change: Change) -> Rewrite {
    Rewrite {
        epoch: 1,
        interface: 2,
        destination_mac: Mac([2, 0, 0, 0, 0, 1]),
        source_mac: Mac([2, 0, 0, 0, 0, 2]),
        mtu: u16::MAX,
        mss: 1200,
        hop: Hop::Decrement,
        change,
    }
}

fn read(bytes: &[u8]) -> FlowPacket {
    match dissect(bytes) {
        Ok(Packet { kind: Kind::Flow(flow), .. }) => flow,
        other => panic!("{other:?}"),
    }
}

/// Other addresses, and other ports or identifiers where there are some.
fn new_key(of: &FlowKey) -> FlowKey {
    let end = |old: Endpoint, last, port| Endpoint {
        address: own(of.family(), last),
        port: if matches!(of.protocol(), ip::TCP | ip::UDP) {
            port
        } else {
            old.port ^ u16::from(old.port != 0)
        },
    };
    let (source, destination) = (end(of.source(), 1, 1111), end(of.destination(), 2, 2222));
    FlowKey::new(source, destination, of.protocol())
}

fn own(family: Family, last: u8) -> Address {
    match family {
        Family::V4 => std::net::Ipv4Addr::new(10, 9, 8, last).into(),
        Family::V6 => std::net::Ipv6Addr::new(0x2001, 0xdb8, 9, 8, 0, 0, 0, last.into()).into(),
    }
}

fn buffer(bytes: &[u8]) -> Vec<u8> {
    [&[0; HEADROOM][..], bytes].concat()
}

fn frame(buffer: &mut [u8]) -> Frame<'_> {
    let end = buffer.len();
    Frame::new(buffer, HEADROOM, end)
}
