//! What is remembered of a flow.

use super::seats::Seat;
use super::stages::compile::{Path, Plan};
use super::world::Traffic;
use crate::flow::tcp::Conversation;
use crate::flow::{Direction, Ending};
use crate::member::Active;
use crate::snat::Lease;

/// A flow that is carried. What every packet touches stands first.
#[repr(C)]
pub(super) struct Carried {
    /// By [`Direction`]. Of a flow whose answers go elsewhere only the first counts.
    pub(super) paths: [Path; 2],
    /// What each direction carried, by [`Direction`].
    pub(super) traffic: [Traffic; 2],
    /// When its last packet came, in milliseconds.
    pub(super) last: u64,
    /// If it is TCP.
    pub(super) conversation: Option<Conversation>,
    /// The member, counted as busy with this flow until it ends.
    pub(super) active: Active,
    pub(super) virtual_: Seat,
    pub(super) member: Seat,
    /// When its first packet came, in milliseconds.
    pub(super) begun: u64,
    /// When the first packet of the member came, in milliseconds.
    pub(super) first_answer: Option<u64>,
    /// How long it may be silent, in milliseconds; of TCP: while it is open.
    pub(super) idle: u64,
    /// The interface that its first packet came in by.
    pub(super) ingress: u32,
    pub(super) plan: Plan,
    /// The port that it has in mode `snat`.
    pub(super) lease: Option<Lease>,
}

impl Carried {
    /// How long it lives after its last packet, in milliseconds.
    pub(super) fn lifetime(&self) -> u64 {
        self.conversation.map_or(self.idle, |conversation| conversation.lifetime(self.idle))
    }

    /// When it ends if nothing more comes.
    pub(super) fn deadline(&self) -> u64 {
        self.last.saturating_add(self.lifetime())
    }

    /// How it ended, if it ends now because its time is up.
    pub(super) fn ending(&self) -> Ending {
        self.conversation.map_or(Ending::Idle, |conversation| conversation.ending())
    }

    /// Its state, as operators see it.
    pub(super) fn state(&self) -> &'static str {
        self.conversation.map_or("active", |conversation| conversation.state().as_str())
    }

    pub(super) const fn path(&self, direction: Direction) -> &Path {
        &self.paths[direction as usize]
    }
}
