//! How many different items were seen, in bounded memory.

use std::f64::consts::LN_2;

/// Items that are counted exactly.
const EXACT: usize = 64;
/// Bits of a hash that choose a register.
const BITS: u32 = 10;
const REGISTERS: usize = 1 << BITS;
/// Bits of a hash of which the leading zeros are counted.
const REST: usize = 64 - BITS as usize;

/// Hashes of items, and from more than [`EXACT`] on the registers of HyperLogLog (Flajolet and others 2007) with the
/// estimator of Ertl (2017, algorithm 6), whose standard error is 1.04 / √1024 = 3.3 % at any count.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Distinct {
    /// Sorted.
    Few(Vec<u64>),
    Many {
        registers: Box<[u8; REGISTERS]>,
        estimate: u64,
    },
}

impl Default for Distinct {
    fn default() -> Distinct {
        Distinct::Few(Vec::new())
    }
}

impl Distinct {
    /// Adds an item by its hash; how many there are now.
    pub(super) fn add(&mut self, hash: u64) -> u64 {
        match self {
            Distinct::Few(hashes) => {
                let Err(at) = hashes.binary_search(&hash) else { return hashes.len() as u64 };
                if hashes.len() < EXACT {
                    if hashes.len() == hashes.capacity() {
                        hashes.reserve_exact(hashes.len().max(2));
                    }
                    hashes.insert(at, hash);
                    return hashes.len() as u64;
                }
                let mut registers = Box::new([0; REGISTERS]);
                for hash in hashes.iter().chain([&hash]) {
                    raise(&mut registers, *hash);
                }
                let estimate = estimate(&registers);
                *self = Distinct::Many { registers, estimate };
                estimate
            }
            Distinct::Many { registers, estimate: known } => {
                if raise(registers, hash) {
                    *known = estimate(registers);
                }
                *known
            }
        }
    }

    pub(super) fn count(&self) -> u64 {
        match self {
            Distinct::Few(hashes) => hashes.len() as u64,
            Distinct::Many { estimate, .. } => *estimate,
        }
    }

    /// Bytes beside the entry.
    pub(super) fn heap(&self) -> usize {
        match self {
            Distinct::Few(hashes) => super::allocated(hashes.capacity() * size_of::<u64>()),
            Distinct::Many { .. } => super::allocated(REGISTERS),
        }
    }
}

/// Whether that changed a register.
fn raise(registers: &mut [u8; REGISTERS], hash: u64) -> bool {
    let register = &mut registers[(hash >> REST) as usize];
    // With a bit behind the last, so that there are at most `REST` zeros.
    let zeros = ((hash << BITS) | (1 << (BITS - 1))).leading_zeros();
    // At most 55.
    let rank = zeros as u8 + 1;
    let raised = rank > *register;
    if raised {
        *register = rank;
    }
    raised
}

fn estimate(registers: &[u8; REGISTERS]) -> u64 {
    let mut counts = [0_u32; REST + 2];
    for rank in registers {
        counts[usize::from(*rank)] += 1;
    }
    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - f64::from(counts[REST + 1]) / m);
    for count in counts[1..=REST].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    (m * m / (2.0 * LN_2 * z)).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn hash(number: u64) -> u64 {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    #[test]
    fn few_are_counted_exactly() {
        let mut distinct = Distinct::default();
        for number in 1..=EXACT as u64 {
            assert_eq!(distinct.add(hash(number)), number);
            assert_eq!(distinct.add(hash(number)), number);
        }
        assert!(distinct.heap() <= 600);
    }

    #[test]
    fn many_are_estimated_within_three_standard_errors() {
        let mut squares = 0.0;
        for seed in 0..20_u64 {
            let mut distinct = Distinct::default();
            for number in 1..=100_000_u64 {
                let found = distinct.add(hash(seed << 32 | number));
                if [65, 100, 500, 1000, 2500, 5000, 20_000, 100_000].contains(&number) {
                    let error = (found as f64 - number as f64) / number as f64;
                    // 160 estimates: one in a thousand would be beyond it.
                    assert!(error.abs() < 0.115, "{found} of {number}, seed {seed}");
                    squares += error * error;
                }
            }
            assert_eq!(distinct.add(hash(seed << 32 | 1)), distinct.count());
        }
        let error = (squares / 160.0).sqrt();
        assert!(error < 0.033, "{error}");
    }
}
