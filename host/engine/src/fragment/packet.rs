//! What is known of one packet that comes in fragments.

use super::{FragmentOf, PIECES, REASSEMBLY, TIME_OUT};
use crate::packet::Fragment;

#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) state: State,
    /// The bytes that came: the first of each fragment, and the one behind its last. In order, and apart.
    pieces: Vec<(u16, u16)>,
    /// How long it is, once its last fragment has come.
    length: Option<u16>,
    /// When the first fragment came, whichever it was, and the last one so far; in milliseconds.
    begun: u64,
    last: u64,
    /// When it is looked at next, in milliseconds.
    pub(super) due: u64,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    /// For the first fragment.
    Pending(Vec<PendingFragment>),
    Known(FragmentOf),
    Refused,
}

/// A frame as it came in, which holds a fragment that came before the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingFragment {
    pub(super) offset: u16,
    pub ingress: u32,
    pub bytes: Box<[u8]>,
}

/// Why a fragment is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It came before. Networks do that, and the others of its packet are none the worse (RFC 8200 section
    /// 4.5).
    Twice,
    /// Other fragments have some of its bytes (RFC 5722 section 3 shows what for).
    Overlap,
    /// It lies beyond the packet's end, or ends the packet elsewhere than another one did.
    Length,
    /// There is no room for it, or its packet consists of too many.
    Full,
    /// Its packet was refused before.
    Refused,
}

impl Why {
    /// Is all of the packet refused?
    pub(super) const fn is_of_packet(self) -> bool {
        matches!(self, Self::Overlap | Self::Length | Self::Full)
    }
}

impl Packet {
    pub(super) const fn new(now: u64) -> Self {
        Self {
            state: State::Pending(Vec::new()),
            pieces: Vec::new(),
            length: None,
            begun: now,
            last: now,
            due: now.saturating_add(TIME_OUT),
        }
    }

    /// Takes in where a fragment stands.
    pub(super) fn fit(&mut self, now: u64, fragment: &Fragment) -> Result<(), Why> {
        if matches!(self.state, State::Refused) {
            return Err(Why::Refused);
        }
        let (start, end) = (fragment.offset, fragment.offset.saturating_add(fragment.payload));
        let is_end = self.length == Some(end);
        let place = self.pieces.partition_point(|piece| piece.0 < start);
        let next = self.pieces.get(place).copied();
        if next == Some((start, end)) {
            return Err(if fragment.more == is_end { Why::Length } else { Why::Twice });
        }
        let contradicts = match (fragment.more, self.length) {
            (true, Some(length)) => end >= length,
            (true, None) => false,
            (false, Some(_)) => !is_end,
            (false, None) => self.pieces.last().is_some_and(|last| last.1 > end),
        };
        if contradicts {
            return Err(Why::Length);
        }
        let before = place.checked_sub(1).and_then(|before| self.pieces.get(before));
        if before.is_some_and(|before| before.1 > start) || next.is_some_and(|next| next.0 < end) {
            return Err(Why::Overlap);
        }
        if self.pieces.len() >= PIECES {
            return Err(Why::Full);
        }
        self.pieces.insert(place, (start, end));
        if !fragment.more {
            self.length = Some(end);
        }
        self.last = now;
        Ok(())
    }

    /// Has every byte come, of one that is forwarded?
    pub(super) fn is_complete(&self) -> bool {
        let came: u32 = self.pieces.iter().map(|(start, end)| u32::from(end - start)).sum();
        !matches!(self.state, State::Refused) && self.length.is_some_and(|length| came == u32::from(length))
    }

    /// When it is given up if nothing more comes.
    pub(super) fn deadline(&self) -> u64 {
        self.last.saturating_add(TIME_OUT).min(self.begun.saturating_add(REASSEMBLY))
    }

    /// Returns what waited for that.
    pub(super) fn become_known(&mut self, part: FragmentOf) -> Vec<PendingFragment> {
        let State::Pending(pending) = &mut self.state else { return Vec::new() };
        let pending = std::mem::take(pending);
        self.state = State::Known(part);
        pending
    }

    /// Returns what waited, in vain.
    pub(super) fn become_refused(&mut self) -> Vec<PendingFragment> {
        match std::mem::replace(&mut self.state, State::Refused) {
            State::Pending(pending) => pending,
            State::Known(_) | State::Refused => Vec::new(),
        }
    }
}
