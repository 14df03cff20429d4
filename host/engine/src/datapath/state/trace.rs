//! What the datapath found about one packet, for operators who ask why ([`Datapath::explain`]).
//!
//! While packets are forwarded no trace is taken, and a note costs a branch on the slow path; packets of known
//! flows pass none.
//!
//! [`Datapath::explain`]: super::Datapath::explain

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use shunt_wire::Endpoint;

use crate::datapath::model::mode::Mode;
use crate::datapath::model::stage::Stage;
use crate::eligible::Ineligible;

/// Where on its way something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// Its headers.
    Frame,
    /// Which worker it belongs to.
    Worker,
    /// The parts of packets that are known.
    Fragments,
    /// Flows that are known.
    Table,
    /// Packets to Shunt itself.
    Shunt,
    Stage(Stage),
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub at: Point,
    /// A sentence without its end.
    pub text: String,
}

/// A member that could have been chosen, and what spoke for or against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    /// The virtual whose clients find the member so.
    pub virtual_: Arc<str>,
    /// In which they are forwarded.
    pub mode: Mode,
    pub pool: Arc<str>,
    pub member: Endpoint,
    pub weight: u32,
    /// Flows and requests in flight, over all workers.
    pub active: u32,
    pub why: Standing,
}

/// Why a member was chosen, or was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The rule named it.
    Named,
    /// The client is bound to it.
    Bound,
    /// It was its turn.
    Turn,
    /// The addresses of the packet lead to it.
    Hash,
    Down,
    /// Requests at it failed.
    Ejected,
    Disabled,
    Draining,
    /// It or its pool has as many connections as it may.
    Full,
    WeightZero,
    /// The mode does not bring packets of the client's IP family to it.
    OtherFamily,
    /// Its priority group is not in use.
    GroupNotInUse,
    /// The rule named another one.
    AnotherNamed,
    /// The client is bound to another one.
    AnotherBound,
    /// Another one's turn it was.
    AnotherTurn,
    /// The addresses of the packet lead to another one.
    AnotherHash,
    /// A rule wants another one.
    Vetoed,
    /// It might have been chosen, but no member was.
    NotAsked,
}

/// Takes notes, or does nothing.
#[derive(Debug, Default)]
pub(in crate::datapath) struct Trace(Option<Box<RefCell<Found>>>);

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::datapath) struct Found {
    pub(in crate::datapath) notes: Vec<Note>,
    pub(in crate::datapath) members: Vec<Considered>,
}

impl Trace {
    /// One that listens.
    pub(in crate::datapath) fn listening() -> Self {
        Self(Some(Box::default()))
    }

    /// While someone listens, nothing is taken that flows share: no binding, no place at a member.
    pub(in crate::datapath) const fn listens(&self) -> bool {
        self.0.is_some()
    }

    /// `text` is asked only if someone listens.
    #[inline]
    pub(in crate::datapath) fn note(&self, at: Point, text: impl FnOnce() -> String) {
        if let Some(found) = &self.0 {
            let text = text();
            found.borrow_mut().notes.push(Note { at, text });
        }
    }

    /// As [`note`](Self::note), of a stage.
    #[inline]
    pub(in crate::datapath) fn at(&self, stage: Stage, text: impl FnOnce() -> String) {
        self.note(Point::Stage(stage), text);
    }

    /// `members` is asked only if someone listens.
    #[inline]
    pub(in crate::datapath) fn consider<I: IntoIterator<Item = Considered>>(
        &self,
        members: impl FnOnce() -> I,
    ) {
        if let Some(found) = &self.0 {
            let members: Vec<Considered> = members().into_iter().collect();
            found.borrow_mut().members = members;
        }
    }

    pub(in crate::datapath) fn into_found(self) -> Found {
        self.0.map(|found| found.into_inner()).unwrap_or_default()
    }
}

impl Point {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Worker => "worker",
            Self::Fragments => "fragments",
            Self::Table => "flow-table",
            Self::Shunt => "shunt",
            Self::Stage(stage) => stage.as_str(),
        }
    }
}

impl From<Ineligible> for Standing {
    fn from(why: Ineligible) -> Self {
        match why {
            Ineligible::Down => Self::Down,
            Ineligible::Disabled => Self::Disabled,
            Ineligible::Draining => Self::Draining,
            Ineligible::Ejected => Self::Ejected,
            Ineligible::Full => Self::Full,
            Ineligible::WeightZero => Self::WeightZero,
            Ineligible::GroupNotInUse => Self::GroupNotInUse,
        }
    }
}

impl Standing {
    /// Is it the one that takes the flow?
    #[must_use]
    pub const fn is_chosen(self) -> bool {
        matches!(self, Self::Named | Self::Bound | Self::Turn | Self::Hash)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Bound => "bound",
            Self::Turn => "turn",
            Self::Hash => "hash",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::Disabled => "disabled",
            Self::Draining => "draining",
            Self::Full => "full",
            Self::WeightZero => "weight-zero",
            Self::OtherFamily => "other-family",
            Self::GroupNotInUse => "group-not-in-use",
            Self::AnotherNamed => "another-named",
            Self::AnotherBound => "another-bound",
            Self::AnotherTurn => "another-turn",
            Self::AnotherHash => "another-hash",
            Self::Vetoed => "vetoed",
            Self::NotAsked => "not-asked",
        }
    }

    /// What speaks for or against it, for operators.
    #[must_use]
    pub const fn means(self) -> &'static str {
        match self {
            Self::Named => "the rule named it",
            Self::Bound => "the client is bound to it",
            Self::Turn => "it is its turn",
            Self::Hash => "the hash of the addresses leads to it",
            Self::Down => "down",
            Self::Ejected => "ejected: requests at it failed",
            Self::Disabled => "disabled by an operator",
            Self::Draining => "draining: it gets no new clients",
            Self::Full => "full: it or the pool is at `max-connections`",
            Self::WeightZero => "weight 0: it is never chosen",
            Self::OtherFamily => "of the other IP family, which the mode cannot bridge here",
            Self::GroupNotInUse => "usable, but its priority group is not in use",
            Self::AnotherNamed => "usable, but the rule named another one",
            Self::AnotherBound => "usable, but the client is bound to another one",
            Self::AnotherTurn => "usable, but not its turn",
            Self::AnotherHash => "usable, but the hash of the addresses leads to another one",
            Self::Vetoed => "vetoed: a rule wants another one",
            Self::NotAsked => "usable, but no member was chosen",
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
