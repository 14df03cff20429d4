use std::net::Ipv4Addr;

use proptest::prelude::*;
use shunt_wire::{Endpoint, ip};

use super::*;

const FRAME: &[u8] = &[7; 100];

fn fragment(source: u8, identification: u32, offset: u16, payload: u16, more: bool) -> Fragment {
    Fragment {
        source: Ipv4Addr::new(192, 0, 2, source).into(),
        destination: Ipv4Addr::new(203, 0, 113, 1).into(),
        protocol: ip::UDP,
        head: None,
        identification,
        identification_at: 18,
        offset,
        payload,
        more,
        length: payload + 20,
    }
}

fn part() -> FragmentOf {
    let end = Endpoint::default();
    FragmentOf { flow: FlowKey::new(end, end, ip::UDP), identification: 5 }
}

fn table() -> Fragments {
    Fragments::new(Keyed::new([1, 2]))
}

fn is_empty(table: &Fragments) -> bool {
    let of_sources = table.sources.is_empty() && table.due.is_empty();
    table.is_empty() && of_sources && (table.pending, table.bytes) == (0, 0)
}

/// Takes a fragment that is not the first, and keeps it.
fn defer(table: &mut Fragments, fragment: &Fragment, frame: &[u8]) -> Result<(), Refused> {
    assert_eq!(table.take(0, fragment)?, Standing::Unknown);
    table.defer(fragment, 1, frame)
}

#[test]
fn those_before_the_first_leave_by_their_place() {
    let mut table = table();
    let (first, last) = (fragment(1, 9, 0, 16, true), fragment(1, 9, 32, 5, false));
    for (offset, number) in [(24, 1), (16, 2)] {
        let frame = [number; 60];
        defer(&mut table, &fragment(1, 9, offset, 8, true), &frame).unwrap();
    }
    assert_eq!((table.pending(), table.bytes), (2, 120));
    assert_eq!(table.take(0, &first), Ok(Standing::Unknown));
    let pending = table.learn(&PacketId::of(&first), part());
    assert_eq!(pending.iter().map(|pending| pending.bytes[0]).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((table.pending(), table.bytes, table.len()), (0, 0, 1));
    assert_eq!(table.take(0, &last), Ok(Standing::Known(part())));
    assert!(is_empty(&table), "nothing is missing any more");
}

/// RFC 8200 section 4.5: fragments of an IPv6 packet may have different next headers, and are of one packet.
#[test]
fn a_packet_is_told_by_its_identification() {
    let v4 = |protocol| PacketId::of(&Fragment { protocol, ..fragment(1, 9, 0, 8, true) });
    assert_ne!(v4(6), v4(17));
    let address = std::net::Ipv6Addr::LOCALHOST.into();
    let v6 = |protocol, identification| {
        let source = fragment(1, identification, 0, 8, true);
        PacketId::of(&Fragment { protocol, source: address, destination: address, ..source })
    };
    assert_eq!(v6(60, 9), v6(17, 9));
    assert_ne!(v6(17, 9), v6(17, 9 | 1 << 16));
}

#[test]
fn a_packet_is_forgotten_two_seconds_after_its_last_fragment_and_after_a_minute() {
    let mut table = table();
    defer(&mut table, &fragment(1, 9, 8, 8, true), FRAME).unwrap();
    assert_eq!(table.give_up(TIME_OUT - 1), 0);
    assert_eq!((table.give_up(TIME_OUT), is_empty(&table)), (1, true));

    let first = fragment(1, 9, 0, 8, true);
    table.take(0, &first).unwrap();
    table.learn(&PacketId::of(&first), part());
    let mut now = 0;
    for number in 1..100 {
        now = u64::from(number) * 1_000;
        assert_eq!(table.give_up(now), 0);
        if table.is_empty() {
            break;
        }
        assert!(table.take(now, &fragment(1, 9, number * 8, 8, true)).is_ok());
    }
    assert_eq!((now, is_empty(&table)), (REASSEMBLY, true));
}

#[test]
fn one_source_does_not_take_it_all() {
    let mut table = table();
    let full = |pending| Err(Refused { why: Why::Full, pending });
    for number in 0..PACKETS_OF_SOURCE {
        defer(&mut table, &fragment(1, number as u32, 8, 8, true), &[]).unwrap();
    }
    assert_eq!(table.take(0, &fragment(1, 70_000, 8, 8, true)), full(0));
    for source in 2..=8 {
        for number in 0..PACKETS_OF_SOURCE {
            defer(&mut table, &fragment(source, number as u32, 8, 8, true), &[]).unwrap();
        }
    }
    assert_eq!(table.len(), PACKETS);
    assert_eq!(table.take(0, &fragment(9, 0, 8, 8, true)), full(0));
    assert_eq!(table.take(0, &fragment(1, 0, 16, 8, true)), Ok(Standing::Unknown), "the old are left alone");
    assert_eq!((table.give_up(TIME_OUT), is_empty(&table)), (PACKETS, true));
}

#[test]
fn what_waits_is_bounded_in_bytes() {
    let mut table = table();
    let frame = vec![0; BYTES_OF_SOURCE / 4];
    let full = |pending| Err(Refused { why: Why::Full, pending });
    for number in 0..4 {
        defer(&mut table, &fragment(1, number, 8, 8, true), &frame).unwrap();
    }
    assert_eq!(defer(&mut table, &fragment(1, 9, 8, 8, true), &frame), full(0));
    assert_eq!(defer(&mut table, &fragment(1, 0, 16, 8, true), &frame), full(1), "with what waited");
    defer(&mut table, &fragment(1, 10, 8, 8, true), &frame).unwrap();
    for source in 2..=16 {
        for number in 0..4 {
            defer(&mut table, &fragment(source, number, 8, 8, true), &frame).unwrap();
        }
    }
    assert_eq!(table.bytes, BYTES);
    assert_eq!(defer(&mut table, &fragment(17, 0, 8, 8, true), &frame), full(0));
    table.give_up(TIME_OUT);
    assert!(is_empty(&table));
}

#[test]
fn a_packet_has_so_many_fragments() {
    let mut table = table();
    for number in 1..=PIECES {
        defer(&mut table, &fragment(1, 9, number as u16 * 8, 8, true), &[]).unwrap();
    }
    let one_more = table.take(0, &fragment(1, 9, 8 * (PIECES as u16 + 1), 8, true));
    assert_eq!(one_more, Err(Refused { why: Why::Full, pending: PIECES }));
    assert_eq!(table.take(0, &fragment(1, 9, 0, 8, true)).map_err(|refused| refused.why), Err(Why::Refused));
}

proptest! {
    /// Against a map of all bytes: what is taken overlaps nothing and ends where the packet ends, a packet is
    /// whole when every byte is there, and in the end nothing is left.
    #[test]
    fn pieces_are_apart(steps in proptest::collection::vec((0u16..12, 1u16..4, 0u8..8), 1..24)) {
        let mut table = table();
        let mut bytes = [false; 16];
        let (mut length, mut refused, mut pieces) = (None, false, Vec::new());
        let mut id = None;
        for (start, len, kind) in steps {
            let it = fragment(1, 9, start * 8, len * 8, kind != 0);
            let (from, to) = (usize::from(start), usize::from(start + len));
            let outcome = table.take(0, &it).map_err(|refused| refused.why);
            let ends_elsewhere = if it.more {
                length.is_some_and(|length| to >= length)
            } else {
                length.is_some_and(|length| length != to) || bytes[to..].contains(&true)
            };
            let expected = if refused {
                Err(Why::Refused)
            } else if pieces.contains(&(from, to, it.more)) {
                Err(Why::Twice)
            } else if ends_elsewhere || pieces.contains(&(from, to, !it.more)) {
                Err(Why::Length)
            } else if bytes[from..to].contains(&true) {
                Err(Why::Overlap)
            } else {
                Ok(Standing::Unknown)
            };
            prop_assert_eq!(outcome, expected);
            match expected {
                Ok(_) => {
                    bytes[from..to].fill(true);
                    pieces.push((from, to, it.more));
                    if !it.more {
                        length = Some(to);
                    }
                }
                Err(Why::Twice | Why::Refused) => {}
                Err(_) => refused = true,
            }
            id = Some(PacketId::of(&it));
        }
        let whole = !refused && length.is_some_and(|length| bytes[..length].iter().all(|byte| *byte));
        table.learn(&id.unwrap(), part());
        prop_assert_eq!(table.is_empty(), whole);
        table.give_up(TIME_OUT);
        prop_assert!(is_empty(&table));
    }
}
