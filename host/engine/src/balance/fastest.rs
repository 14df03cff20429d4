//! The member whose monitor is answered soonest: the nearest, where members are far from each other.

use super::Time;

super::times::by_time!(Fastest, Time::Probe, rounded);

/// Times that differ by less than about an eighth are equal: what is left of the difference is chance.
const fn rounded(time: u32) -> u32 {
    /// The bits that count.
    const BITS: u32 = 3;
    let drop = (u32::BITS - time.leading_zeros()).saturating_sub(BITS);
    time >> drop << drop
}

#[cfg(test)]
mod tests {
    use super::super::tests::{picks, weighted};
    use super::super::{Balance, Candidate, Selector};
    use super::rounded;

    fn probed(time: u32, active: u32) -> Candidate {
        Candidate { time, active, ..weighted(1) }
    }

    #[test]
    fn the_nearest_is_taken_until_it_has_more_in_flight() {
        let mut selector = Selector::new(Balance::Fastest, 0);
        assert_eq!(picks(&mut selector, &[probed(900, 0), probed(200, 0)], 3), "bbb");
        assert_eq!(picks(&mut selector, &[probed(900, 0), probed(200, 4)], 3), "aaa");
        // Chance makes no difference.
        assert_eq!(picks(&mut selector, &[probed(1_040, 0), probed(1_150, 0)], 4).matches('a').count(), 2);
    }

    #[test]
    fn times_are_rounded_down_by_less_than_a_quarter() {
        for time in (0..2_000).chain([u32::MAX]) {
            assert!(rounded(time) <= time && rounded(time) >= time - time / 4, "{time}");
        }
        assert_eq!(rounded(0b1011_0110), 0b1010_0000);
    }
}
