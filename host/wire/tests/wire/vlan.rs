//! Tags put on, taken off and changed.

use shunt_wire::Frame;
use shunt_wire::vlan::{change, number};

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

fn changed(frame: &[u8], tci: Option<u16>, to: Option<u16>) -> Vec<u8> {
    let mut buffer = [&[0xee; 8], frame].concat();
    let end = buffer.len();
    let mut frame = Frame::new(&mut buffer, 8, end);
    change(&mut frame, tci, to).unwrap();
    frame.bytes().to_vec()
}

#[test]
fn a_tag_is_put_on_taken_off_and_changed() {
    let plain = [&MACS[..], &[0x08, 0x00, 0x45]].concat();
    let tagged = [&MACS[..], &[0x81, 0x00, 0x00, 70, 0x08, 0x00, 0x45]].concat();
    let urgent = [&MACS[..], &[0x81, 0x00, 0xe0, 70, 0x08, 0x00, 0x45]].concat();
    let moved = [&MACS[..], &[0x81, 0x00, 0xe0, 71, 0x08, 0x00, 0x45]].concat();
    assert_eq!(changed(&plain, None, None), plain);
    assert_eq!(changed(&plain, None, Some(70)), tagged);
    assert_eq!(changed(&tagged, Some(70), None), plain);
    assert_eq!(changed(&urgent, Some(0xe000 | 70), Some(71)), moved);
    assert_eq!((number(0xe000 | 70), number(0xe000)), (Some(70), None));
}

#[test]
fn a_priority_tag_stays_on_an_untagged_link() {
    let urgent = [&MACS[..], &[0x81, 0x00, 0xe0, 0, 0x08, 0x00, 0x45]].concat();
    assert_eq!(changed(&urgent, Some(0xe000), None), urgent);
}

#[test]
fn without_room_nothing_is_done() {
    let mut buffer = [7; 20];
    let mut frame = Frame::new(&mut buffer, 0, 20);
    assert_eq!(change(&mut frame, None, Some(70)), None);
    assert_eq!(frame.bytes(), [7; 20]);
}
