//! Bytes of relayed connections.

use crate::bindings::on_data as wire;

pub use wire::{Direction, Rest};

crate::hooks::hook! {
    /// The hook `on_data`.
    OnData in on_data: steers refuses
}

/// What `on_data` may return: `next()`, `to_pool(…)`, `as_configured()` and what follows them, `reject()`,
/// [`need`], [`pass`], [`pass_as`] and [`replace`].
///
/// ```
/// # use shunt_sdk::prelude::*;
/// # fn show(data: &Data) -> data::Verdict {
/// // A message begins with its length, and then says what it is.
/// match data.bytes.as_slice() {
///     [_, _, b'W', ..] => to_pool("writers"),
///     [_, _, _, ..] => to_pool("readers"),
///     short if data.is_open() => data::need(3 - short.len()),
///     _ => reject(),
/// }
/// # }
/// ```
pub type Verdict = crate::Verdict<OnData>;

/// Holds the bytes, and calls again when so many more have come. It is a fault where none can be asked for: see
/// [`Data::is_open`].
pub fn need(more: usize) -> Verdict {
    Verdict::new(wire::Verdict::Need(u32::try_from(more).unwrap_or(u32::MAX)))
}

/// Passes on so many of the bytes, from the first, and calls again with what is behind them. At least one.
pub fn pass(length: usize) -> Verdict {
    part(length, None)
}

/// As [`pass`], and sends something else in their place.
pub fn pass_as(length: usize, replacement: impl Into<Vec<u8>>) -> Verdict {
    part(length, Some(replacement.into()))
}

/// Sends this in place of the bytes; what comes behind them is passed on unseen.
pub fn replace(bytes: impl Into<Vec<u8>>) -> Verdict {
    Verdict::new(wire::Verdict::Replace(bytes.into()))
}

fn part(length: usize, replacement: Option<Vec<u8>>) -> Verdict {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    Verdict::new(wire::Verdict::Pass(wire::Part { length, replacement }))
}

/// What was received of one direction of a connection, and not passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Which way they go.
    pub direction: Direction,
    /// They are empty only where a client whose first bytes choose the member has sent none.
    pub bytes: Vec<u8>,
    /// How many bytes of this direction were received before these, and are no longer held.
    pub offset: u64,
    /// Whether more can be asked for.
    pub rest: Rest,
}

impl Data {
    /// Whether more can be asked for, by [`need`].
    pub fn is_open(&self) -> bool {
        self.rest == Rest::Open
    }

    /// Whether a client sent them.
    pub fn is_of_client(&self) -> bool {
        self.direction == Direction::ToServer
    }
}

#[doc(hidden)]
impl From<wire::Data> for Data {
    fn from(data: wire::Data) -> Self {
        let wire::Data { direction, bytes, offset, rest } = data;
        Data { direction, bytes, offset, rest }
    }
}
