use super::*;
use proptest::prelude::*;

const BOUNDS: Bounds = Bounds { min_ttl_ms: 1_000, max_ttl_ms: 60_000, hold_ms: 100_000 };

fn host(number: u8) -> Name {
    Name::parse(&format!("h{number}.test")).unwrap()
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 80))
}

fn plain(last: u8) -> Endpoint {
    Endpoint { address: address(last), priority: 0, weight: None }
}

fn part(number: u8, endpoints: Option<&[u8]>) -> Part {
    let endpoints = endpoints.map(|it| it.iter().copied().map(plain).collect());
    Part { host: host(number), kind: Kind::A, endpoints }
}

fn found(parts: &[Part], ttl: u32) -> Found {
    Found::Parts { parts: parts.to_vec(), ttl }
}

fn lasts(held: &Held) -> Vec<u8> {
    let last = |it: &PlacedMember| match it.address.ip() {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(_) => 0,
    };
    held.members().iter().map(last).collect()
}

#[test]
fn answers_are_followed_by_their_ttl() {
    let mut held = Held::default();
    let learnt = held.learn(0, &found(&[part(0, Some(&[2, 1]))], 5), BOUNDS);
    assert_eq!(learnt.added, [address(1), address(2)]);
    assert_eq!((lasts(&held), held.next_ms(), held.ttl()), (vec![1, 2], 5_000, Some(5)));
    let learnt = held.learn(5_000, &found(&[part(0, Some(&[2, 3]))], 0), BOUNDS);
    assert_eq!((learnt.added, learnt.removed), (vec![address(3)], vec![address(1)]));
    assert_eq!(held.next_ms(), 6_000, "no sooner than the least TTL");
    let learnt = held.learn(6_000, &found(&[part(0, Some(&[3, 2]))], 86_400), BOUNDS);
    assert!(!learnt.is_change(), "the order of answers means nothing");
    assert_eq!(held.next_ms(), 66_000);
}

#[test]
fn what_vanishes_is_held_for_a_while() {
    let mut held = Held::default();
    held.learn(0, &found(&[part(0, Some(&[1, 2]))], 10), BOUNDS);
    for (now, next) in
        [(10_000, 11_000), (11_000, 13_000), (13_000, 17_000), (17_000, 25_000), (25_000, 41_000)]
    {
        let found = if now % 2_000 == 0 { found(&[part(0, Some(&[]))], 10) } else { Found::Unanswered };
        assert!(!held.learn(now, &found, BOUNDS).is_change());
        assert_eq!((held.next_ms(), held.stale(), held.ttl()), (next, 2, None));
    }
    held.learn(71_000, &Found::Unanswered, BOUNDS);
    assert_eq!(held.next_ms(), 100_000, "when they are held no more");
    let learnt = held.learn(100_000, &Found::Unanswered, BOUNDS);
    assert_eq!((learnt.removed, lasts(&held)), (vec![address(1), address(2)], vec![]));
    assert_eq!(held.next_ms(), 130_000);
    held.learn(130_000, &found(&[part(0, Some(&[2]))], 10), BOUNDS);
    assert_eq!((lasts(&held), held.next_ms(), held.stale()), (vec![2], 140_000, 0));
}

#[test]
fn one_part_that_is_missing_keeps_its_own_addresses_only() {
    let mut held = Held::default();
    held.learn(0, &found(&[part(0, Some(&[1])), part(1, Some(&[2, 3]))], 10), BOUNDS);
    held.learn(10_000, &found(&[part(0, Some(&[4])), part(1, None)], 10), BOUNDS);
    assert_eq!((lasts(&held), held.stale(), held.ttl()), (vec![2, 3, 4], 2, Some(10)));
    assert_eq!(held.next_ms(), 11_000);
    held.learn(11_000, &found(&[part(0, Some(&[4])), part(1, Some(&[3]))], 10), BOUNDS);
    assert_eq!((lasts(&held), held.stale()), (vec![3, 4], 0));
    // A host that is no part of the service any more is gone at once.
    held.learn(21_000, &found(&[part(0, Some(&[4]))], 10), BOUNDS);
    assert_eq!(lasts(&held), [4]);
}

#[test]
fn services_have_priorities_and_weights() {
    let mut held = Held::default();
    let record = |last, priority, weight| Endpoint { priority, weight: Some(weight), ..plain(last) };
    let service =
        |records: &[Endpoint]| found(&[Part { endpoints: Some(records.to_vec()), ..part(0, None) }], 10);
    let told = |held: &Held| {
        let services = held.members().iter().filter_map(|it| it.service);
        services.map(|it| (it.priority, it.weight)).collect::<Vec<_>>()
    };
    held.learn(0, &service(&[record(1, 10, 3), record(2, 10, 0), record(3, 20, 900)]), BOUNDS);
    assert_eq!((lasts(&held), told(&held)), (vec![1, 2, 3], vec![(10, 3), (10, 1), (20, 256)]));
    held.learn(0, &service(&[record(1, 10, 65_535), record(2, 10, 32_768), record(3, 10, 1)]), BOUNDS);
    assert_eq!(told(&held), [(10, 256), (10, 128), (10, 1)]);
    let learnt = held.learn(0, &service(&[record(1, 10, 0), record(2, 10, 0), record(3, 10, 0)]), BOUNDS);
    assert_eq!(told(&held), [(10, 1); 3]);
    assert!(learnt.is_change() && learnt.ranked);
    // An address that is there twice.
    let learnt = held.learn(0, &service(&[record(3, 20, 1), record(3, 10, 7), record(3, 10, 8)]), BOUNDS);
    assert_eq!((learnt.removed, told(&held)), (vec![address(1), address(2)], vec![(10, 8)]));
}

#[test]
fn addresses_that_nobody_answers_at_and_too_many_are_left_out() {
    let mut held = Held::default();
    let at = |text: &str| Endpoint { address: text.parse().unwrap(), priority: 0, weight: None };
    let odd = [
        "0.0.0.0:80",
        "255.255.255.255:80",
        "224.0.0.1:80",
        "[::]:80",
        "[ff02::1]:80",
        "10.0.0.1:0",
        "[::ffff:10.0.0.1]:80",
    ];
    let odd = Part { endpoints: Some(odd.into_iter().map(at).collect()), ..part(0, None) };
    held.learn(0, &found(&[odd], 10), BOUNDS);
    assert!(held.members().is_empty());
    let many = (0..1_000u32).map(|it| Endpoint {
        address: SocketAddr::from((std::net::Ipv4Addr::from(0x0a00_0000 + it), 80)),
        ..plain(0)
    });
    let many = Part { endpoints: Some(many.collect()), ..part(0, None) };
    held.learn(0, &found(&[many], 10), BOUNDS);
    assert_eq!((held.members().len(), held.left_out()), (MOST_MEMBERS, 1_000 - MOST_MEMBERS));
}

/// A part: its host, and what it gave.
type Given = (u8, Option<Vec<u8>>);

/// The plain reference: of each address when its part gave it last.
#[derive(Default)]
struct Model(BTreeMap<(u8, u8), u64>);

impl Model {
    fn learn(&mut self, now: u64, parts: Option<&[Given]>) {
        let answered: Vec<(u8, u8)> = parts
            .into_iter()
            .flatten()
            .flat_map(|(host, lasts)| lasts.iter().flatten().map(move |last| (*host, *last)))
            .collect();
        self.0.retain(|(host, _), seen| {
            let missing =
                parts.is_some_and(|it| it.iter().any(|(part, lasts)| part == host && lasts.is_none()));
            (answered.is_empty() || missing) && now - *seen < BOUNDS.hold_ms
        });
        self.0.extend(answered.into_iter().map(|it| (it, now)));
    }
}

type Parts = Vec<Given>;

fn look_up() -> impl Strategy<Value = (u64, Option<Parts>)> {
    let part = prop::option::weighted(0.7, prop::collection::vec(1u8..12, 0..4));
    let parts = prop::collection::btree_map(0u8..3, part, 0..3).prop_map(|it| it.into_iter().collect());
    (0u64..60_000, prop::option::weighted(0.8, parts))
}

proptest! {
    /// Whatever is answered, and whenever: the members are those of the reference, changes add up to them, and the next
    /// look-up comes within its bounds.
    #[test]
    fn as_the_reference(look_ups in prop::collection::vec(look_up(), 1..40)) {
        let (mut held, mut model, mut now) = (Held::default(), Model::default(), 0);
        let mut summed = BTreeSet::new();
        for (later, parts) in look_ups {
            now += later;
            let given = match &parts {
                None => Found::Unanswered,
                Some(parts) => found(&parts.iter().map(|(host, lasts)| part(*host, lasts.as_deref())).collect::<Vec<_>>(), 5),
            };
            let learnt = held.learn(now, &given, BOUNDS);
            model.learn(now, parts.as_deref());
            let expected: BTreeSet<u8> = model.0.keys().map(|(_, last)| *last).collect();
            prop_assert_eq!(lasts(&held), expected.iter().copied().collect::<Vec<_>>());
            for gone in &learnt.removed {
                prop_assert!(summed.remove(gone));
            }
            for new in learnt.added {
                prop_assert!(summed.insert(new));
            }
            prop_assert_eq!(summed.len(), expected.len());
            prop_assert!((now + 1..=now + BOUNDS.max_ttl_ms).contains(&held.next_ms()));
        }
    }
}
