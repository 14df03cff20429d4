use shunt_wire::frame::HEADROOM;
use shunt_wire::icmp::{self, Report};
use shunt_wire::layout::Part;
use shunt_wire::rewrite::{Change, Dscp, FamilyTranslation, Outer, Translate, Tunnel};
use shunt_wire::{Address, Endpoint, Family, FlowKey, Frame, Hop, Layout, Mac, Rewrite, arp, ndp, tcp};

/// The bytes in front of the frame: what is done, two layouts, and how.
const HEAD: usize = 22;

/// Does to a frame what its first bytes say, by layouts that they say too, true or not.
pub fn rewrite(data: &[u8]) {
    let Some((head, bytes)) = data.split_first_chunk::<HEAD>() else { return };
    let room = usize::from(head[1]) % (HEADROOM + 1);
    let (layout, embedded) = (layout(&head[2..]), layout(&head[11..]));
    let mut buffer = vec![0; room];
    buffer.extend(bytes);
    let end = buffer.len();
    let mut frame = Frame::new(&mut buffer, room, end);
    let rewrite = compile(head);
    let done = match head[0] % 8 {
        0 => rewrite.apply(&mut frame, &layout).is_ok(),
        1 => rewrite.apply_to_error(&mut frame, &layout, &embedded).is_ok(),
        2 => icmp::report(&mut frame, &layout, own(layout.family), Report::HopLimit).is_ok(),
        3 => icmp::echo_reply(&mut frame, &layout).is_some(),
        4 => tcp::refuse(&mut frame, &layout).is_some(),
        5 => tcp::clamp_mss(frame.bytes_mut(), &layout, u16::from(head[20]) << 4),
        6 => {
            let (sender, target) = ([192, 0, 2, 1].into(), [203, 0, 113, 1].into());
            let request = arp::Request { sender_mac: Mac::default(), sender, target };
            arp::answer(&mut frame, layout.l3, &request, Mac::default()).is_some()
        }
        _ => {
            let (source, target) = (1.into(), 2.into());
            let solicitation = ndp::Solicitation { source, source_mac: None, target };
            let _ = ndp::answer(&mut frame, layout.l3, &solicitation, Mac::default());
            // A frame that is too short is cut while it is made longer.
            true
        }
    };
    if !done {
        assert_eq!(frame.bytes(), bytes, "what refuses changes nothing");
    }
}

fn layout(bytes: &[u8]) -> Layout {
    let field = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    Layout {
        l3: field(0),
        l4: field(2),
        end: field(4),
        family: if bytes[6] & 1 == 0 { Family::V4 } else { Family::V6 },
        protocol: bytes[7],
        part: [Part::Whole, Part::First, Part::Later][usize::from(bytes[8]) % 3],
    }
}

fn compile(head: &[u8; HEAD]) -> Rewrite {
    let family = if head[20] & 1 == 0 { Family::V4 } else { Family::V6 };
    let end = |port| Endpoint { address: own(family), port };
    let of = FlowKey::new(end(1), end(2), 6);
    let tunnel = [Tunnel::Ipip, Tunnel::Gre, Tunnel::Gue { source_port: 1, destination_port: 2 }]
        [usize::from(head[21]) % 3];
    let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
    let beyond = |port| Endpoint { address: own(other), port };
    let change = match head[20] >> 1 & 3 {
        0 if head[20] & 0x10 != 0 => {
            FamilyTranslation::new(&of, beyond(3), beyond(4)).map(Change::TranslateFamily)
        }
        0 => None,
        1 => Translate::new(&of, end(3), end(4)).map(Change::Translate),
        2 => Dscp::new(&of, own(family), 5).map(Change::Dscp),
        _ => Outer::new(own(family), own(family), tunnel, 7).map(Change::Encapsulate),
    };
    Rewrite {
        epoch: 1,
        interface: 2,
        destination_mac: Mac::BROADCAST,
        source_mac: Mac::default(),
        mtu: 1500,
        mss: u16::from(head[21]) << 3,
        hop: if head[20] & 8 == 0 { Hop::Decrement } else { Hop::Keep },
        change: change.unwrap_or(Change::None),
    }
}

fn own(family: Family) -> Address {
    match family {
        Family::V4 => std::net::Ipv4Addr::new(10, 0, 0, 1).into(),
        Family::V6 => std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    }
}
