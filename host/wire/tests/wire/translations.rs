//! Single packets translated without state, clause by clause of RFC 7915.

mod errors;
mod extensions;
mod fragments;
mod headers;
mod properties;

use shunt_wire::fragment::cut;
use shunt_wire::frame::HEADROOM;
use shunt_wire::translation::{Limits, Mapped, Subject, translate, translate_to_cut};
use shunt_wire::{Address, Family, Frame, Hop, RewriteError};

use crate::frame::{read, write};
use crate::packets::IN;

/// Everything may pass.
const WIDE: Limits = Limits { mtu: 1500, mtu_back: 1500, lowest_ipv6_mtu: 1280, hop: Hop::Decrement };

/// An address of one family is the last four bytes of one of the other, behind this prefix.
const PREFIX: u64 = 0x2001_0db8_0064_0000;

fn map(from: Address) -> Address {
    match from.to_ipv4() {
        Some(v4) => Address { hi: PREFIX, lo: v4.to_bits().into() },
        None => std::net::Ipv4Addr::from_bits(from.lo as u32).into(),
    }
}

/// Translates a frame of text, behind the Ethernet header of [`IN`].
fn translated(text: &str, limits: &Limits) -> Result<Vec<u8>, RewriteError> {
    let bytes = frame_of(text);
    within(&bytes, |frame| change(frame, limits, false).map(|_| frame.bytes().to_vec()))
}

/// The same for what must be fragmented: all its pieces.
fn pieces(text: &str, limits: &Limits) -> Result<Vec<Vec<u8>>, RewriteError> {
    let bytes = frame_of(text);
    assert_eq!(translated(text, limits), Err(RewriteError::MustFragment));
    within(&bytes, |frame| {
        let longest = change(frame, limits, true)?;
        let mut pieces = Vec::new();
        cut(frame, longest, |piece| pieces.push(piece.to_vec())).unwrap();
        pieces.push(frame.bytes().to_vec());
        Ok(pieces)
    })
}

fn frame_of(text: &str) -> Vec<u8> {
    read(&format!("{IN} | {text}")).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Puts the frame into a buffer with headroom, and less room behind than the longest padding. A refusal must leave it as it was.
fn within<T>(
    bytes: &[u8],
    how: impl FnOnce(&mut Frame<'_>) -> Result<T, RewriteError>,
) -> Result<T, RewriteError> {
    let end = HEADROOM + bytes.len();
    let mut buffer = vec![0xaa; end + 64];
    buffer[HEADROOM..end].copy_from_slice(bytes);
    let mut frame = Frame::new(&mut buffer, HEADROOM, end);
    let result = how(&mut frame);
    if result.is_err() {
        assert_eq!(frame.bytes(), bytes, "a refusal leaves the frame alone");
    }
    result
}

fn change(frame: &mut Frame<'_>, limits: &Limits, to_cut: bool) -> Result<u16, RewriteError> {
    let family = if frame.bytes()[12..14] == [0x08, 0x00] { Family::V4 } else { Family::V6 };
    let subject = Subject::read(frame.bytes(), 14, family)?;
    let mapped = Mapped {
        source: map(subject.source),
        destination: map(subject.destination),
        inner: subject.inner.map(|(source, destination)| (map(source), map(destination))),
    };
    if to_cut {
        translate_to_cut(frame, &subject.layout, &mapped, limits)
    } else {
        translate(frame, &subject.layout, &mapped, limits).map(|()| 0)
    }
}

/// The frame is what the text says. `id ?` stands for an identification that the translator chose: that of the first
/// IPv4 header, and then that of the one in an ICMP error.
fn assert_is(case: &str, got: &[u8], expected: &str) {
    let mut expected = expected.to_owned();
    for at in [18, 46] {
        let chosen = got.get(at..at + 2).map_or(0, |id| u16::from_be_bytes([id[0], id[1]]));
        expected = expected.replacen("id ?", &format!("id {chosen}"), 1);
    }
    let bytes = frame_of(&expected);
    if got != bytes {
        assert_eq!(write(got), write(&bytes), "{case}");
    }
    assert_eq!(got, bytes, "{case}");
}

/// Each text becomes the other.
fn assert_each(cases: &[(&str, &str)], limits: &Limits) {
    for (before, after) in cases {
        match translated(before, limits) {
            Ok(got) => assert_is(before, &got, after),
            Err(error) => panic!("{before}: {error:?}"),
        }
    }
}
