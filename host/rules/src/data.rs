//! Bytes of a relayed connection, as `on-data` shows them.

use bytes::Bytes;

/// Which way they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    ToServer,
    ToClient,
}

impl Direction {
    /// The name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Direction::ToServer => "to-server",
            Direction::ToClient => "to-client",
        }
    }
}

/// Whether more can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rest {
    Open,
    /// The side has ended what it sends.
    Ended,
    /// What was asked for did not come in time.
    Late,
    /// As many are held as may be.
    Full,
}

/// What was received of one direction and not passed on.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    pub direction: Direction,
    pub bytes: &'a [u8],
    /// How many were received before these, and are no longer held.
    pub offset: u64,
    pub rest: Rest,
    /// How many may be held, and how long a replacement may be.
    pub most: usize,
    /// The connection has its member.
    pub connected: bool,
}

/// What is passed on before the rule is called again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// At least one, and no more than were shown.
    pub length: usize,
    /// What goes in their place.
    pub replacement: Option<Bytes>,
}
