use super::super::choose::{Ask, Why, choose};
use super::super::tests::ends;
use super::super::{Balance, Selector};
use super::*;
use proptest::prelude::*;

/// Members by priority, and whether they are usable.
struct Pool<'a>(&'a [(Priority, bool)]);

impl Members for Pool<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn candidate(&self, place: usize) -> Candidate {
        Candidate { usable: self.0[place].1, weight: 1, ..Candidate::default() }
    }

    fn endpoint(&self, place: usize) -> Endpoint {
        SocketAddr::from(([10, 0, 0, place as u8], 80)).into()
    }

    fn serves_bound(&self, place: usize) -> bool {
        self.0[place].1
    }

    fn priority(&self, place: usize) -> Priority {
        self.0[place].0
    }

    fn place(&self, _: SocketAddr) -> Option<usize> {
        None
    }
}

fn ranked(groups: &Groups, min_members: u32, fail_back: FailBack, now: u64) -> Ranked<'_> {
    Ranked { groups, policy: Policy { min_members, fail_back }, now, only_explains: false }
}

/// One step of a story: the time, who is usable (`x`), and the groups then in use, highest and lowest.
type Step<'a> = (u64, &'a str, Option<(Priority, Priority)>);

fn tell(priorities: &[Priority], min_members: u32, fail_back: FailBack, story: &[Step<'_>]) -> Groups {
    let groups = Groups::default();
    groups.rank(priorities.iter().copied(), false);
    for (now, usable, expected) in story {
        let usable = usable.chars().map(|it| it == 'x');
        let members: Vec<_> = priorities.iter().copied().zip(usable).collect();
        let in_use = ranked(&groups, min_members, fail_back, *now).settle(&Pool(&members));
        let expected = expected.map(|(highest, lowest)| InUse { highest, lowest });
        assert_eq!(in_use, expected, "{fail_back:?}, at {now}");
    }
    groups
}

#[test]
fn the_next_group_joins_where_members_are_missing() {
    let story = [
        (0, "xxxx", Some((20, 20))),
        (1, "x-xx", Some((20, 10))),
        (2, "x---", Some((20, 20))),
        (3, "--xx", Some((10, 10))),
        (4, "----", None),
        (5, "xxxx", Some((20, 20))),
    ];
    let groups = tell(&[20, 20, 10, 10], 2, FailBack::Immediate, &story);
    assert_eq!(groups.changes(), 4);
}

#[test]
fn a_group_that_comes_back_waits() {
    let story = [
        (0, "xx", Some((2, 2))),
        (10, "-x", Some((1, 1))),
        (20, "xx", Some((1, 1))),
        (110, "-x", Some((1, 1))), // the time begins anew
        (120, "xx", Some((1, 1))),
        (219, "xx", Some((1, 1))),
        (220, "xx", Some((2, 2))),
        (230, "-x", Some((1, 1))),
        (231, "x-", Some((2, 2))), // nothing to wait with
    ];
    tell(&[2, 1], 1, FailBack::After(100), &story);
}

#[test]
fn what_stayed_in_use_is_used_on() {
    let story = [
        (0, "xxx", Some((2, 2))),
        (1, "x-x", Some((2, 1))),
        (2, "xxx", Some((2, 1))), // the second of the first group takes part at once
        (3, "--x", Some((1, 1))),
        (4, "xxx", Some((1, 1))),
    ];
    // One of the last group is too few where two are wanted and there are more.
    let story_of_two = [&story[..4], &[(4, "xxx", Some((2, 2)))]].concat();
    tell(&[2, 2, 1], 2, FailBack::Manual, &story_of_two);
    let story_of_one = [(0, "--x", Some((1, 1))), (1, "xxx", Some((1, 1)))];
    let groups = tell(&[2, 2, 1], 1, FailBack::Manual, &story_of_one);
    groups.fail_back();
    let members = [(2, true), (2, true), (1, true)];
    let in_use = ranked(&groups, 1, FailBack::Manual, 9).settle(&Pool(&members));
    assert_eq!(in_use, Some(InUse { highest: 2, lowest: 2 }));
}

#[test]
fn who_only_asks_changes_nothing() {
    let groups = Groups::default();
    let asks = Ranked { only_explains: true, ..ranked(&groups, 1, FailBack::Manual, 0) };
    assert_eq!(asks.settle(&Pool(&[(1, true)])), Some(InUse { highest: 1, lowest: 1 }));
    assert_eq!((groups.in_use(), groups.changes()), (None, 0));
}

#[test]
fn priorities_that_change_are_in_force_at_once() {
    let groups = Groups::default();
    groups.rank([1, 1], false);
    assert!(!groups.are_ranked());
    groups.rank([2, 1], false);
    assert!(groups.are_ranked());
    let settle = |members: &[_]| ranked(&groups, 1, FailBack::Manual, 0).settle(&Pool(members));
    assert_eq!(settle(&[(2, true), (1, true)]), Some(InUse { highest: 2, lowest: 2 }));
    groups.rank([1, 2], true);
    assert_eq!(settle(&[(1, true), (2, true)]), Some(InUse { highest: 2, lowest: 2 }));
}

#[test]
fn a_bound_client_stays_in_a_lower_group() {
    let groups = Groups::default();
    let members = [(2, true), (1, true)];
    let groups = Some(ranked(&groups, 1, FailBack::Immediate, 0));
    let mut ask =
        Ask { named: None, bound: Some(1), bind: None, ends: ends(1, 2), groups, is_mid_stream: false };
    let mut selector = Selector::new(Balance::RoundRobin, 1);
    let bound = choose(&ask, &Pool(&members), &mut selector).unwrap();
    assert_eq!((bound.place, bound.why), (1, Why::Bound));
    ask.bound = None;
    assert!((0..4).all(|_| choose(&ask, &Pool(&members), &mut selector).unwrap().place == 0));
}

/// The same by sorting, and in words of groups instead of priorities.
fn reference(
    before: Option<(Priority, Priority)>,
    since: &mut Option<u64>,
    members: &[(Priority, bool)],
    policy: Policy,
    now: u64,
) -> Option<(Priority, Priority)> {
    let mut usable: Vec<Priority> = members.iter().filter(|it| it.1).map(|it| it.0).collect();
    usable.sort_unstable_by(|a, b| b.cmp(a));
    let first = *usable.first()?;
    let enough = usable.len().min(policy.min_members as usize);
    let wanted = (first, usable[enough.saturating_sub(1)]);
    let held: Vec<Priority> = match before {
        Some((highest, lowest)) => usable.into_iter().filter(|it| (lowest..=highest).contains(it)).collect(),
        None => Vec::new(),
    };
    let stays = (!held.is_empty() && held.len() >= enough).then(|| (held[0], before.unwrap().1));
    match (stays, policy.fail_back) {
        (Some(stays), FailBack::Manual) => Some(stays),
        (Some(stays), FailBack::After(time)) if stays != wanted => {
            if now - *since.get_or_insert(now) < time {
                return Some(stays);
            }
            *since = None;
            Some(wanted)
        }
        _ => {
            *since = None;
            Some(wanted)
        }
    }
}

proptest! {
    /// With members that flap, whichever way of fail-back there is: the groups of the reference are in use, and each
    /// choice falls on a usable member of them.
    #[test]
    fn equals_the_reference(
        priorities in proptest::collection::vec(0u16..4, 1..7),
        min_members in 1u32..5,
        fail_back in prop_oneof![
            Just(FailBack::Immediate), Just(FailBack::Manual), (1u64..40).prop_map(FailBack::After)
        ],
        steps in proptest::collection::vec((0u64..15, any::<u8>()), 1..60),
    ) {
        let groups = Groups::default();
        let policy = Policy { min_members, fail_back };
        let mut selectors: Vec<Selector> =
            Balance::ALL.iter().map(|(_, balance)| Selector::new(*balance, 0)).collect();
        let (mut now, mut before, mut since) = (0, None, None);
        for (pause, usable) in steps {
            now += pause;
            let members: Vec<_> = priorities
                .iter().enumerate().map(|(place, priority)| (*priority, usable & 1 << place != 0)).collect();
            let expected = reference(before, &mut since, &members, policy, now);
            let ranked = Ranked { groups: &groups, policy, now, only_explains: false };
            let in_use = ranked.settle(&Pool(&members));
            prop_assert_eq!(in_use.map(|it| (it.highest, it.lowest)), expected);
            before = expected.or(before);
            for selector in &mut selectors {
                let ask = Ask {
                    named: None, bound: None, bind: None, ends: ends(1, 2), groups: Some(ranked), is_mid_stream: false,
                };
                match choose(&ask, &Pool(&members), selector) {
                    Ok(chosen) => {
                        let (priority, usable) = members[chosen.place];
                        prop_assert!(usable && in_use.is_some_and(|it| it.has(priority)));
                    }
                    Err(_) => prop_assert_eq!(in_use, None),
                }
            }
        }
    }
}
