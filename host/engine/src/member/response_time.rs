//! How long a member takes to answer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The moving average of the time until the first byte of a member's answers. It falls while none comes: one that was
/// slow gets no requests by which it could show that it is quick again.
///
/// Two workers that record at the same time may lose one of both: an average is no count.
#[derive(Debug, Default)]
pub struct ResponseTime(
    /// Microseconds in the upper half, 0 before the first answer; below them when the last came, in milliseconds modulo
    /// 2^32.
    AtomicU64,
);

/// In so many milliseconds without an answer the average falls to its half.
const HALF_LIFE: u32 = 10_000;
/// The part that an answer has in the average: an eighth, as in TCP's round-trip time (RFC 6298 section 2).
const PART: u32 = 8;

impl ResponseTime {
    /// The average in microseconds; 0: nothing is known, not any more or not yet. `now` is in milliseconds.
    #[must_use]
    pub fn at(&self, now: u64) -> u32 {
        let (average, last) = parts(self.0.load(Relaxed));
        let silence = (now as u32).wrapping_sub(last);
        // An answer that another worker has just recorded may be later than this `now`.
        if average == 0 || silence > u32::MAX / 2 {
            return average;
        }
        let halved = average.checked_shr(silence / HALF_LIFE).unwrap_or(0);
        let rest = u64::from(silence % HALF_LIFE) * u64::from(halved / 2) / u64::from(HALF_LIFE);
        halved - rest as u32
    }

    /// A copy, which goes its own way.
    pub(super) fn apart(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Relaxed)))
    }

    /// An answer began after so many microseconds.
    pub fn record(&self, took: u32, now: u64) {
        let average = match self.at(now) {
            0 => took,
            before => before - before / PART + took / PART,
        };
        self.0.store(u64::from(average.max(1)) << 32 | u64::from(now as u32), Relaxed);
    }
}

const fn parts(both: u64) -> (u32, u32) {
    ((both >> 32) as u32, both as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_follows() {
        let time = ResponseTime::default();
        assert_eq!(time.at(0), 0);
        time.record(8_000, 5);
        assert_eq!(time.at(5), 8_000);
        time.record(800, 5);
        assert_eq!(time.at(5), 7_100);
        (0..60).for_each(|_| time.record(800, 5));
        assert!((800..850).contains(&time.at(5)), "{}", time.at(5));
    }

    #[test]
    fn it_falls_over_silence() {
        let time = ResponseTime::default();
        let begin = u64::from(u32::MAX) - 3_000;
        time.record(8_000, begin);
        for (after, average) in
            [(0, 8_000), (5_000, 6_000), (10_000, 4_000), (15_000, 3_000), (20_000, 2_000)]
        {
            assert_eq!(time.at(begin + after), average);
        }
        assert_eq!(time.at(begin + 1_000_000), 0);
        // Of another worker's clock, which is a little behind.
        assert_eq!(time.at(begin - 1), 8_000);
        // An answer after long silence is worth more than one among many.
        time.record(80, begin + 60_000);
        assert!(time.at(begin + 60_000) < 125);
    }
}
