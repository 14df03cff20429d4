//! Random numbers from a cryptographically secure generator.

use crate::bindings::random as wire;

/// A number, uniformly distributed.
pub fn number() -> u64 {
    wire::number()
}

/// A number from 0 to `end` - 1; 0 when `end` is 0.
///
/// Uniformly distributed to within `end` in 2⁶⁴.
pub fn below(end: u64) -> u64 {
    // The high half of the product is the fraction of `end` (Lemire 2019).
    ((u128::from(number()) * u128::from(end)) >> 64) as u64
}

/// `len` random bytes. Asking for more than 4,096 is a fault.
pub fn bytes(len: u32) -> Vec<u8> {
    wire::bytes(len)
}
