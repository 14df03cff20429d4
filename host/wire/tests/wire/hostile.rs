//! Whatever the bytes and the layout are, nothing panics, and what refuses changes nothing.

use proptest::prelude::*;
use shunt_wire::checksum::partial;
use shunt_wire::frame::HEADROOM;
use shunt_wire::icmp::{self, Report};
use shunt_wire::layout::Part;
use shunt_wire::rewrite::{Change, Dscp, FamilyTranslation, Outer, Translate, Tunnel};
use shunt_wire::{Family, Frame, Hop, Layout, Rewrite, tcp};

use crate::packets::{address, endpoint, key, rewrite};

fn layouts() -> impl Strategy<Value = Layout> {
    // Offsets as they are, or anything.
    let offsets =
        prop_oneof![(Just(14), prop_oneof![Just(34u16), Just(54)], 30u16..120), any::<(u16, u16, u16)>(),];
    let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
    let protocol = prop_oneof![Just(1), Just(6), Just(17), Just(58), any::<u8>()];
    let part = prop_oneof![Just(Part::Whole), Just(Part::First), Just(Part::Later)];
    (offsets, family, protocol, part).prop_map(|((l3, l4, end), family, protocol, part)| Layout {
        l3,
        l4,
        end,
        family,
        protocol,
        part,
    })
}

fn changes() -> impl Strategy<Value = Change> {
    let of = key("192.0.2.7:1", "203.0.113.1:2", 6);
    let of6 = key("[2001:db8::7]:1", "[2001:db8::8]:2", 6);
    let tunnel = Tunnel::Gue { source_port: 1, destination_port: 2 };
    prop_oneof![
        Just(Change::None),
        Just(Change::Translate(Translate::new(&of, endpoint("10.0.0.1:3"), endpoint("10.0.0.2:4")).unwrap())),
        Just(Change::Translate(Translate::new(&of6, of6.destination(), of6.source()).unwrap())),
        Just(Change::TranslateFamily(FamilyTranslation::new(&of, of6.source(), of6.destination()).unwrap())),
        Just(Change::TranslateFamily(FamilyTranslation::new(&of6, of.source(), of.destination()).unwrap())),
        Just(Change::Dscp(Dscp::new(&of, address("10.0.0.1"), 3).unwrap())),
        Just(Change::Dscp(Dscp::new(&of6, address("2001:db8::9"), 3).unwrap())),
        Just(Change::Encapsulate(
            Outer::new(address("10.0.0.1"), address("10.0.0.2"), Tunnel::Gre, 1).unwrap()
        )),
        Just(Change::Encapsulate(Outer::new(address("2001:db8::1"), address("::2"), tunnel, 1).unwrap())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_panics_and_refusals_change_nothing(
        bytes in proptest::collection::vec(any::<u8>(), 0..140),
        room in prop_oneof![Just(HEADROOM), 0..HEADROOM],
        layout in layouts(),
        embedded in layouts(),
        change in changes(),
        keep: bool,
        mss: u16,
        which in 0usize..7,
    ) {
        let hop = if keep { Hop::Keep } else { Hop::Decrement };
        let rewrite = Rewrite { hop, mss, ..rewrite(change) };
        let mut buffer = vec![0; room];
        buffer.extend(&bytes);
        let end = buffer.len();
        let mut frame = Frame::new(&mut buffer, room, end);
        let done = match which {
            0 => rewrite.apply(&mut frame, &layout).is_ok(),
            1 => rewrite.apply_to_error(&mut frame, &layout, &embedded).is_ok(),
            2 => icmp::report(&mut frame, &layout, address("10.0.0.1"), Report::HopLimit).is_ok(),
            3 => icmp::echo_reply(&mut frame, &layout).is_some(),
            4 => tcp::refuse(&mut frame, &layout).is_some(),
            5 => partial::finish(frame.bytes_mut(), &layout),
            _ => tcp::clamp_mss(frame.bytes_mut(), &layout, mss),
        };
        if !done {
            prop_assert_eq!(frame.bytes(), bytes);
        }
    }
}
