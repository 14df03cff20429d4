//! The member that answers soonest: by the moving average of the time until the first byte of its answers, and what it
//! has in flight.

use super::Time;

super::times::by_time!(LeastResponseTime, Time::Answer, |time| time);

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, picks, weighted};
    use super::super::{Balance, Candidate, Selector};
    use proptest::prelude::*;

    fn timed(time: u32, active: u32, weight: u32) -> Candidate {
        Candidate { time, active, ..weighted(weight) }
    }

    #[test]
    fn what_is_in_flight_counts() {
        let mut selector = Selector::new(Balance::LeastResponseTime, 0);
        assert_eq!(picks(&mut selector, &[timed(100, 0, 1), timed(300, 0, 1)], 3), "aaa");
        assert_eq!(picks(&mut selector, &[timed(100, 3, 1), timed(300, 0, 1)], 3), "bbb");
        assert_eq!(picks(&mut selector, &[timed(100, 3, 2), timed(300, 0, 1)], 3), "aaa");
        // One of which nothing is known is as the others are.
        assert_eq!(picks(&mut selector, &[timed(100, 0, 1), timed(0, 0, 1), timed(300, 0, 1)], 2), "aa");
        assert_eq!(picks(&mut selector, &[timed(100, 1, 1), timed(0, 0, 1), timed(100, 1, 1)], 2), "bb");
    }

    proptest! {
        /// Requests that take their time on members that take theirs: all are used, and the faster ones more.
        #[test]
        fn the_faster_get_more(times in proptest::collection::vec(1u32..20, 2..6)) {
            let mut selector = Selector::new(Balance::LeastResponseTime, 0);
            let mut members: Vec<_> = times.iter().map(|time| timed(*time * 100, 0, 1)).collect();
            let mut taken = vec![0u32; times.len()];
            let mut ends: Vec<(u32, usize)> = Vec::new();
            for now in 0..2_000 {
                ends.retain(|(end, place)| {
                    let goes_on = *end > now;
                    if !goes_on {
                        members[*place].active -= 1;
                    }
                    goes_on
                });
                for _ in 0..times.len() {
                    let place = Pool(&members).pick(&mut selector).unwrap();
                    members[place].active += 1;
                    taken[place] += 1;
                    ends.push((now + times[place], place));
                }
            }
            for (one, other) in (0..times.len()).flat_map(|one| (0..times.len()).map(move |other| (one, other))) {
                let is_more = f64::from(taken[one]) > 1.2 * f64::from(taken[other]) + 20.0;
                prop_assert!(times[one] <= times[other] || !is_more, "{:?} {:?}", times, taken);
            }
        }
    }
}
