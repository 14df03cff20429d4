//! Whether the process takes new work: not while it has as much memory as it may.
//!
//! One thread looks at the memory; workers read one flag.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static OVERLOADED: AtomicBool = AtomicBool::new(false);

/// Of a hundred parts of the ceiling: as far must the memory go back before new work is taken again, so that the one is not
/// taken with what the other gave back.
const BACK: u64 = 95;

/// Whether new requests, connections and sessions are refused.
#[inline]
pub fn is_overloaded() -> bool {
    OVERLOADED.load(Relaxed)
}

/// Takes in how much memory the process has and may have, in bytes. Gives what it is from now on, if that is something else.
pub fn observe(resident: u64, most: Option<u64>) -> Option<bool> {
    let before = is_overloaded();
    let now = is_over(before, resident, most);
    OVERLOADED.store(now, Relaxed);
    (now != before).then_some(now)
}

fn is_over(before: bool, resident: u64, most: Option<u64>) -> bool {
    most.is_some_and(|most| resident >= if before { most / 100 * BACK } else { most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_below_the_ceiling() {
        let most = Some(1_000);
        let table = [
            (false, 999, most, false),
            (false, 1_000, most, true),
            (true, 950, most, true),
            (true, 949, most, false),
            (true, 5_000, None, false),
        ];
        for (before, resident, most, expected) in table {
            assert_eq!(is_over(before, resident, most), expected, "{before} {resident} {most:?}");
        }
    }
}
