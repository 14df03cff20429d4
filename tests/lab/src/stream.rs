//! Bodies that show it when a byte is missing, twice there, or at another place.

use sha2::{Digest as _, Sha256};

/// So many bytes, each from its own place in the stream.
#[must_use]
pub fn bytes(length: usize) -> Vec<u8> {
    // Knuth's multiplier: neighbours differ, and no power of two is a period.
    (0u32..).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).take(length).collect()
}

/// SHA-256, in hexadecimal.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
