//! Members by name: which addresses a name stands for, by what DNS answered and what it answered before.
//!
//! [`answer`] reads one answer, [`Held`] makes a set of the answers of one look-up and those before.

pub mod answer;
mod held;

pub use held::{Bounds, Endpoint, Found, Held, Learnt, MOST_MEMBERS, Part, PlacedMember, Service};
