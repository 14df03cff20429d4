//! Randomness from a cryptographically secure generator.

use crate::bindings::random as wire;

/// A number, each equally likely.
pub fn number() -> u64 {
    wire::number()
}

/// A number from 0 up to and without `end`; 0 when `end` is 0.
///
/// Each is equally likely to within `end` in 2⁶⁴.
pub fn below(end: u64) -> u64 {
    // The high half of the product is the fraction of `end` (Lemire 2019).
    ((u128::from(number()) * u128::from(end)) >> 64) as u64
}

/// So many bytes; more than 4,096 is a fault.
pub fn bytes(len: u32) -> Vec<u8> {
    wire::bytes(len)
}
