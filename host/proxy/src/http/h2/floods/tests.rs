use std::cell::Cell;

use super::*;
use crate::http::frames::HEADER;

fn frame(kind: u8, flags: u8, stream: u32, length: usize) -> Vec<u8> {
    let length_bytes = u32::try_from(length).unwrap().to_be_bytes();
    let mut frame = length_bytes[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.resize(HEADER + length, 0);
    frame
}

/// A client whose preface is there, and a clock that stands.
struct Client {
    frames: Frames,
    now: Cell<u64>,
}

impl Client {
    fn new() -> Client {
        let mut client = Client { frames: Frames::new(64 << 10), now: Cell::new(1) };
        client.send(PREFACE).unwrap();
        client
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Flood> {
        self.frames.follow_at(bytes, || self.now.get())
    }

    /// How many of these come through, and what the next is called.
    fn until_refused(&mut self, frame: &[u8]) -> (u32, Flood) {
        for count in 0..100_000 {
            if let Err(flood) = self.send(frame) {
                return (count, flood);
            }
        }
        panic!("all are let through");
    }
}

#[test]
fn each_kind_has_a_bound() {
    for (what, frame, burst, flood) in [
        ("RST_STREAM", frame(kind::RST_STREAM, 0, 1, 4), RESETS.burst, Flood::Resets),
        ("SETTINGS", frame(kind::SETTINGS, 0, 0, 0), SETTINGS.burst, Flood::Settings),
        ("PING", frame(kind::PING, 0, 0, 8), PINGS.burst, Flood::Pings),
        ("empty DATA", frame(kind::DATA, 0, 1, 0), EMPTY_FRAMES.burst, Flood::EmptyFrames),
        ("PRIORITY", frame(2, 0, 1, 5), OTHERS.burst, Flood::Others),
        ("WINDOW_UPDATE", frame(8, 0, 0, 4), OTHERS.burst, Flood::Others),
        ("an unknown type", frame(77, 0, 0, 4), OTHERS.burst, Flood::Others),
    ] {
        assert_eq!(Client::new().until_refused(&frame), (burst, flood), "{what}");
    }
}

#[test]
fn time_fills_budgets_up() {
    let mut client = Client::new();
    let reset = frame(kind::RST_STREAM, 0, 1, 4);
    (0..RESETS.burst).for_each(|_| client.send(&reset).unwrap());
    client.now.set(2_001);
    assert_eq!(client.until_refused(&reset).0, 2 * RESETS.per_second);
    // As many as a second fills up are let through for ever.
    let mut client = Client::new();
    for second in 1..100 {
        client.now.set(1_000 * second);
        (0..RESETS.per_second).for_each(|_| client.send(&reset).unwrap());
    }
}

#[test]
fn answers_pay_for_the_frames_about_them() {
    let mut client = Client::new();
    for kind in [kind::PING, 8] {
        for _ in 0..100 * OTHERS.burst {
            client.frames.wrote(BYTES_PER_FRAME);
            client.send(&frame(kind, 0, 0, 8)).unwrap();
        }
    }
}

#[test]
fn acknowledgements_and_ends_cost_nothing() {
    let mut client = Client::new();
    for frame in [
        frame(kind::SETTINGS, flag::ACK, 0, 0),
        frame(kind::PING, flag::ACK, 0, 8),
        frame(kind::DATA, flag::END_STREAM, 1, 0),
        frame(kind::DATA, 0, 1, 1),
    ] {
        (0..20_000).for_each(|_| client.send(&frame).unwrap());
    }
}

#[test]
fn heads_are_bounded_in_frames_and_bytes() {
    let mut client = Client::new();
    client.send(&frame(kind::HEADERS, 0, 1, 10)).unwrap();
    assert!(client.frames.inside_head());
    let most = u32::try_from(CONTINUATIONS + (64 << 10) / BYTES_PER_CONTINUATION).unwrap();
    assert_eq!(client.until_refused(&frame(kind::CONTINUATION, 0, 1, 1)), (most, Flood::Continuations));

    let mut client = Client::new();
    client.send(&frame(kind::HEADERS, 0, 1, 16 << 10)).unwrap();
    assert_eq!(client.until_refused(&frame(kind::CONTINUATION, 0, 1, 16 << 10)), (8, Flood::Heads));

    // Head by head the count begins anew.
    let mut client = Client::new();
    for stream in 0..1_000 {
        client.send(&frame(kind::HEADERS, 0, 2 * stream + 1, 60_000)).unwrap();
        client.send(&frame(kind::CONTINUATION, flag::END_HEADERS, 2 * stream + 1, 60_000)).unwrap();
        assert!(!client.frames.inside_head());
    }
}

/// However the bytes come, the frames are the same.
#[test]
fn frames_in_pieces_are_counted_alike() {
    let mut bytes = PREFACE.to_vec();
    for stream in 0..20 {
        bytes.extend(frame(kind::HEADERS, 0, 2 * stream + 1, 100));
        bytes.extend(frame(kind::CONTINUATION, flag::END_HEADERS, 2 * stream + 1, 7));
        bytes.extend(frame(kind::DATA, 0, 2 * stream + 1, 3));
        bytes.extend(frame(kind::RST_STREAM, 0, 2 * stream + 1, 4));
    }
    for piece in 1..40 {
        let mut frames = Frames::new(64 << 10);
        for piece in bytes.chunks(piece) {
            frames.follow_at(piece, || 1).unwrap();
        }
        assert_eq!(frames.resets.frames, 20, "pieces of {piece}");
        assert!(!frames.inside_head());
        frames.follow_at(&frame(kind::HEADERS, flag::END_HEADERS, 99, 10)[..12], || 1).unwrap();
        assert!(frames.inside_head(), "its payload is not here");
    }
}
