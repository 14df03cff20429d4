//! Counts the frames that a client sends, before anything is done about them, and says when there are too many of a
//! kind (RFC 9113 section 10.5).
//!
//! What costs a client nothing and Shunt something has a budget, which time fills up again, and which answers fill up
//! too where clients send such frames about them. Only the beginnings of frames are looked at.

use shunt_runtime::clock;

use crate::http::frames::{Follower, FrameHeader, flag, kind};

/// What a client sent too much of, in the order of the counter `http2_floods`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flood {
    /// RST_STREAM: requests that are taken back as soon as they are made (CVE-2023-44487).
    Resets,
    /// SETTINGS, each of which is acknowledged (CVE-2019-9515).
    Settings,
    /// PING, each of which is answered (CVE-2019-9512).
    Pings,
    /// Frames without content that end nothing (CVE-2019-9518).
    EmptyFrames,
    /// A head in more CONTINUATION frames than heads need (CVE-2024-27316).
    Continuations,
    /// A head that is larger as it comes than any head may be.
    Heads,
    /// WINDOW_UPDATE, PRIORITY and frames of unknown types.
    Others,
}

/// So many at once, and so many more with each second.
pub(in crate::http) struct Bound {
    pub(in crate::http) burst: u32,
    pub(in crate::http) per_second: u32,
}

/// Browsers and gRPC clients cancel what they need no more, a page of requests at once.
const RESETS: Bound = Bound { burst: 500, per_second: 50 };
/// Clients send one, and another when a window is to change.
const SETTINGS: Bound = Bound { burst: 50, per_second: 5 };
/// gRPC clients measure the round trip while answers come.
const PINGS: Bound = Bound { burst: 1_000, per_second: 100 };
const EMPTY_FRAMES: Bound = Bound { burst: 100, per_second: 10 };
const OTHERS: Bound = Bound { burst: 10_000, per_second: 1_000 };

/// Bytes of answers that pay for one more PING or WINDOW_UPDATE: a client may send one for each frame that it gets,
/// and small frames are rare.
const BYTES_PER_FRAME: usize = 1 << 10;

/// CONTINUATION frames of a head, and one more for as many bytes of `limits.head`: a frame has room for 16 KiB, and what
/// is somewhat too large gets 431.
const CONTINUATIONS: usize = 2;
const BYTES_PER_CONTINUATION: usize = 8 << 10;
const FRAME_SIZE: usize = 16 << 10;

/// A budget: how much of it is spent, as of when.
#[derive(Debug, Default)]
pub(in crate::http) struct Spent {
    frames: u32,
    at: u64,
}

impl Spent {
    pub(in crate::http) fn spend(&mut self, bound: &Bound, now: u64) -> bool {
        let filled = now.saturating_sub(self.at).saturating_mul(u64::from(bound.per_second)) / 1_000;
        if filled > 0 {
            self.frames = self.frames.saturating_sub(u32::try_from(filled).unwrap_or(u32::MAX));
            self.at = now;
        }
        self.frames += 1;
        self.frames <= bound.burst
    }

    pub(in crate::http) fn earn(&mut self, frames: u32) {
        self.frames = self.frames.saturating_sub(frames);
    }
}

/// RFC 9113 section 3.4.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What came on a connection so far.
#[derive(Debug)]
pub(super) struct Frames {
    /// The largest head that a request may have.
    most_head: usize,
    frames: Follower,
    /// Of the head that is coming in: its CONTINUATION frames and its bytes. `None`: between heads.
    head: Option<(usize, usize)>,
    /// The frame whose payload is coming in is part of a head.
    payload_of_head: bool,
    resets: Spent,
    settings: Spent,
    pings: Spent,
    empty_frames: Spent,
    others: Spent,
    /// Bytes of answers that have not paid for anything.
    written: usize,
}

impl Frames {
    pub(super) fn new(most_head: usize) -> Self {
        Frames {
            most_head,
            frames: Follower::behind(PREFACE.len()),
            head: None,
            payload_of_head: false,
            resets: Spent::default(),
            settings: Spent::default(),
            pings: Spent::default(),
            empty_frames: Spent::default(),
            others: Spent::default(),
            written: 0,
        }
    }

    /// Whether a head has begun that is not complete.
    pub(super) fn inside_head(&self) -> bool {
        self.head.is_some() || self.payload_of_head && self.frames.is_in_payload()
    }

    /// So many bytes went to the client.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written >= 64 * BYTES_PER_FRAME {
            let frames = u32::try_from(self.written / BYTES_PER_FRAME).unwrap_or(u32::MAX);
            self.written %= BYTES_PER_FRAME;
            self.pings.earn(frames);
            self.others.earn(frames);
        }
    }

    /// Takes the next bytes of the connection.
    ///
    /// # Errors
    /// There is too much of something.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<(), Flood> {
        self.follow_at(bytes, clock::monotonic_ms)
    }

    fn follow_at(&mut self, mut bytes: &[u8], now: impl Fn() -> u64) -> Result<(), Flood> {
        while let Some(frame) = self.frames.next(&mut bytes) {
            self.begin_frame(frame, &now)?;
        }
        Ok(())
    }

    fn begin_frame(&mut self, frame: FrameHeader, now: &impl Fn() -> u64) -> Result<(), Flood> {
        let FrameHeader { length, kind, flags, .. } = frame;
        self.payload_of_head = false;
        let within = |is: bool, flood| if is { Ok(()) } else { Err(flood) };
        match kind {
            kind::HEADERS => self.part_of_head(length, flags, 0),
            kind::CONTINUATION => {
                let frames = self.head.map_or(0, |(frames, _)| frames) + 1;
                let most = CONTINUATIONS + self.most_head / BYTES_PER_CONTINUATION;
                within(frames <= most, Flood::Continuations)?;
                if length == 0 {
                    within(self.empty_frames.spend(&EMPTY_FRAMES, now()), Flood::EmptyFrames)?;
                }
                self.part_of_head(length, flags, frames)
            }
            kind::DATA if length == 0 && flags & flag::END_STREAM == 0 => {
                within(self.empty_frames.spend(&EMPTY_FRAMES, now()), Flood::EmptyFrames)
            }
            kind::DATA => Ok(()),
            kind::RST_STREAM => within(self.resets.spend(&RESETS, now()), Flood::Resets),
            // Acknowledgements answer what Shunt sent.
            kind::SETTINGS | kind::PING if flags & flag::ACK != 0 => Ok(()),
            kind::SETTINGS => within(self.settings.spend(&SETTINGS, now()), Flood::Settings),
            kind::PING => within(self.pings.spend(&PINGS, now()), Flood::Pings),
            _ => within(self.others.spend(&OTHERS, now()), Flood::Others),
        }
    }

    fn part_of_head(&mut self, length: usize, flags: u8, frames: usize) -> Result<(), Flood> {
        let bytes = self.head.map_or(0, |(_, bytes)| bytes) + length;
        self.payload_of_head = true;
        self.head = (flags & flag::END_HEADERS == 0).then_some((frames, bytes));
        // What is only somewhat too large gets 431.
        if bytes > 2 * self.most_head + FRAME_SIZE { Err(Flood::Heads) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
