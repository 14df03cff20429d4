mod simulation;

use std::collections::BTreeSet;

use proptest::prelude::*;
use shunt_wire::Endpoint;

use super::*;
use crate::hash::Keyed;

const TCP: u8 = 6;
const SECOND: u64 = 1_000;
/// How much longer a port may be quarantined.
const SLOT: u64 = TIME_WAIT / 30;

fn address(last: u64) -> Address {
    Address { hi: 0, lo: 0xffff_0a0a_0100 + last }
}

fn member(port: u16) -> Endpoint {
    Endpoint { address: address(200), port }
}

fn pool(addresses: u64, ports: RangeInclusive<u16>) -> Pool {
    Pool::new(&Vec::from_iter((1..=addresses).map(address)), ports, TIME_WAIT)
}

fn ports() -> Ports {
    Ports::new(Blocks::new(0, 1), Keyed::new([1, 2]), 0)
}

/// Numbers that look random (splitmix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Leases one port of a pool with a single one, ends the flow at 0, and says from when on that port is to
/// be had again.
fn until_free(time_wait: u64, end: impl FnOnce(&mut Ports, Lease)) -> u64 {
    let one = Pool::new(&[address(1)], 5_000..=5_000, time_wait);
    let mut ports = ports();
    let lease = ports.lease(&one, TCP, member(80), 0, 0).unwrap();
    end(&mut ports, lease);
    (0..1_000).map(|n| n * 100).find(|&now| ports.lease(&one, TCP, member(80), 0, now).is_ok()).unwrap()
}

#[test]
fn how_long_a_port_rests_follows_the_ending() {
    let table = [
        (Ending::ServerClosed, 66),
        (Ending::Idle, 66),
        (Ending::Unknown, 66),
        (Ending::SynUnanswered, 30),
        (Ending::ClientReset, 16),
        (Ending::ClientClosed, 2),
        (Ending::ServerReset, 2),
    ];
    assert_eq!(table.len(), Ending::ALL.len());
    for (ending, seconds) in table {
        assert_eq!(quarantine(ending, TIME_WAIT), seconds * SECOND);
        let rested = until_free(TIME_WAIT, |ports, lease| ports.end(lease, ending, 0, 0));
        let due = seconds * SECOND;
        assert!((due..=due + SLOT).contains(&rested), "{ending}: {rested} ms");
    }
}

/// The time counts from the last segment, not from when the flow was found to be over.
#[test]
fn it_counts_from_the_last_segment() {
    let rested = until_free(TIME_WAIT, |ports, lease| ports.end(lease, Ending::ServerClosed, 0, 10 * SECOND));
    assert!((TIME_WAIT..=TIME_WAIT + SLOT).contains(&rested), "{rested} ms");
    let rested = until_free(TIME_WAIT, |ports, lease| ports.end(lease, Ending::ClientClosed, 0, 10 * SECOND));
    assert_eq!(rested, 0, "its time was over already");
}

#[test]
fn a_lease_that_is_dropped_rests_longest() {
    let dropped = until_free(TIME_WAIT, |_, lease| drop(lease));
    assert!((TIME_WAIT..=TIME_WAIT + SLOT).contains(&dropped), "{dropped} ms");
    let short = until_free(10 * SECOND, |_, lease| drop(lease));
    assert!((30_000..=31_000).contains(&short), "it may have been a SYN that nobody answered: {short} ms");
}

#[test]
fn without_a_time_wait_there_is_no_promise() {
    for ending in Ending::ALL {
        assert_eq!(until_free(0, |ports, lease| ports.end(lease, ending, 0, 0)), 0, "{ending}");
    }
    assert_eq!(until_free(0, |_, lease| drop(lease)), 0);
}

#[test]
fn a_lease_that_was_not_used_is_free_at_once() {
    assert_eq!(until_free(TIME_WAIT, |ports, lease| ports.cancel(lease, 0)), 0);
}

#[test]
fn exhaustion_refuses_the_new_and_leaves_the_old_alone() {
    let (two, mut ports) = (pool(2, 5_000..=5_009), ports());
    let mut leases: Vec<_> =
        (0..20).map(|n| ports.lease(&two, TCP, member(80), n * 0x1357_9bdf_0246, 0).unwrap()).collect();
    let endpoints: BTreeSet<_> = leases.iter().map(Lease::endpoint).collect();
    assert_eq!(endpoints.len(), 20);
    assert_eq!(ports.lease(&two, TCP, member(80), 1, 0).unwrap_err(), Refusal::Exhausted);
    assert_eq!(ports.counts(), Counts { leases: 20, exhausted: 1, dropped: 0 });

    // Another endpoint of the member, and another protocol, have ports of their own.
    for (protocol, member) in [(TCP, member(81)), (17, member(80))] {
        leases.push(ports.lease(&two, protocol, member, 1, 0).unwrap());
    }
    let given_back = leases.swap_remove(3);
    let endpoint = given_back.endpoint();
    ports.end(given_back, Ending::ServerReset, 0, 0);
    assert_eq!(ports.lease(&two, TCP, member(80), 1, 1_999).unwrap_err(), Refusal::Exhausted);
    assert_eq!(ports.lease(&two, TCP, member(80), 1, 4_000).unwrap().endpoint(), endpoint);
}

#[test]
fn the_address_with_most_free_ports_is_chosen() {
    let (three, mut ports) = (pool(3, 5_000..=5_063), ports());
    let mut state = 1;
    let mut leases = Vec::new();
    for _ in 0..90 {
        leases.push(ports.lease(&three, TCP, member(80), random(&mut state), 0).unwrap());
        let by_address =
            [1, 2, 3].map(|n| leases.iter().filter(|lease| lease.address() == address(n)).count());
        assert!(by_address.iter().max().unwrap() - by_address.iter().min().unwrap() <= 1, "{by_address:?}");
    }
    // Among equals each is as good as the other.
    let mut first = [0; 3];
    for n in 0..3_000 {
        let lease = ports.lease(&three, TCP, member(n), random(&mut state), 0).unwrap();
        first[(lease.address().lo - address(1).lo) as usize] += 1;
        leases.push(lease);
    }
    assert!(first.iter().all(|&count| (900..1_100).contains(&count)), "{first:?}");
}

/// RFC 6056: a port does not follow from the one before it.
#[test]
fn ports_are_spread_over_the_range() {
    let (one, mut ports) = (pool(1, 1_024..=65_535), ports());
    let mut state = 7;
    let leases: Vec<_> =
        (0..6_300).map(|_| ports.lease(&one, TCP, member(80), random(&mut state), 0).unwrap()).collect();
    let mut parts = [0u32; 63];
    leases.iter().for_each(|lease| parts[usize::from(lease.port() - 1_024) / 1_024] += 1);
    assert!(parts.iter().all(|&count| (60..140).contains(&count)), "{parts:?}");
    let neighbours = leases.windows(2).filter(|pair| pair[0].port().abs_diff(pair[1].port()) < 100);
    assert!(neighbours.count() < 60, "of 6,300, where 20 are expected");
}

#[test]
fn families_do_not_mix() {
    let v6 = Address { hi: 0x2001_0db8 << 32, lo: 1 };
    let both = Pool::new(&[address(1), v6], 5_000..=5_099, TIME_WAIT);
    let mut ports = ports();
    let v6_member = Endpoint { address: Address { lo: 99, ..v6 }, port: 80 };
    for n in 0..100 {
        assert_eq!(ports.lease(&both, TCP, member(80), n << 40, 0).unwrap().address(), address(1));
        assert_eq!(ports.lease(&both, TCP, v6_member, n << 40, 0).unwrap().address(), v6);
    }
    let only = pool(2, 5_000..=5_099);
    assert_eq!(ports.lease(&only, TCP, v6_member, 0, 0).unwrap_err(), Refusal::NoAddress);
    assert_eq!(ports.counts().exhausted, 0);
}

#[test]
fn a_reload_leaves_leases_as_they_are() {
    let mut ports = ports();
    let old = pool(2, 5_000..=5_009);
    let leases: Vec<_> = (0..20).map(|_| ports.lease(&old, TCP, member(80), 5, 0).unwrap()).collect();
    let parted = leases.into_iter().partition::<Vec<_>, _>(|lease| lease.port() < 5_005);
    let (leases, ended) = parted;
    for lease in ended {
        ports.end(lease, Ending::ServerClosed, 0, 0);
    }
    // An address goes, one comes, the range grows, the time shrinks.
    let new = Pool::new(&[address(2), address(3)], 5_000..=5_014, 10 * SECOND);
    let mut fresh = Vec::new();
    while let Ok(lease) = ports.lease(&new, TCP, member(80), 9, 50 * SECOND) {
        fresh.push(lease);
    }
    let of = |n| fresh.iter().filter(|lease| lease.address() == address(n)).count();
    assert_eq!(
        (of(1), of(2), of(3)),
        (0, 5, 15),
        "what was leased or quarantined under the old time is not free"
    );
    for lease in leases.into_iter().chain(fresh) {
        ports.end(lease, Ending::ServerClosed, 50 * SECOND, 50 * SECOND);
    }
    ports.advance(TIME_WAIT + SLOT);
    let count: u32 = ports.occupancy().map(|each| each.quarantined).sum();
    assert_eq!(count, 10, "of the new time; the old leases keep the time that they were leased with");
    ports.advance(TIME_WAIT + 2 * SLOT);
    assert_eq!(ports.occupancy().map(|each| each.quarantined).sum::<u32>(), 10);
    ports.advance(50 * SECOND + TIME_WAIT + SLOT);
    assert_eq!(ports.occupancy().count(), 0);
}

#[test]
fn occupancy_adds_up() {
    let (two, mut ports) = (pool(2, 5_000..=5_099), ports());
    let mut leases = Vec::new();
    for n in 0..60 {
        leases.push(ports.lease(&two, TCP, member(80 + n % 2), u64::from(n) << 50, 0).unwrap());
    }
    for lease in leases.drain(..20) {
        ports.end(lease, Ending::Idle, 0, 0);
    }
    for each in ports.occupancy() {
        assert_eq!(each.free + each.leased + each.quarantined, 100, "{each:?}");
        assert_eq!(each.leased + each.quarantined, 15, "{each:?}");
    }
    let addresses = ports.occupancy_by_address();
    assert_eq!(addresses.len(), 2);
    assert_eq!(addresses.values().map(|each| each.leased).sum::<u32>(), 40);
    assert_eq!(addresses.values().map(|each| each.quarantined).sum::<u32>(), 20);
    assert!(addresses.values().all(|each| each.free == 85));
}

/// State is there for what is used, and for nothing else.
#[test]
fn what_is_free_again_costs_nothing() {
    let (one, mut ports) = (pool(1, 1_024..=65_535), ports());
    let empty = ports.memory();
    for n in 0..50 {
        let lease = ports.lease(&one, TCP, member(n), 0, 0).unwrap();
        ports.end(lease, Ending::ServerClosed, 0, 0);
    }
    assert!(ports.memory() > empty);
    ports.advance(TIME_WAIT - 1);
    assert_eq!(ports.occupancy().count(), 50);
    ports.advance(TIME_WAIT);
    assert_eq!(ports.occupancy().count(), 0);
    assert!(ports.memory() < empty + 32 * 1024, "{} bytes", ports.memory());
}

/// Where members begin connections, there are as many endpoints as servers that they reach.
#[test]
fn an_endpoint_costs_what_is_in_use() {
    let (one, mut ports) = (pool(1, 1_024..=65_535), ports());
    let mut leases = Vec::new();
    for n in 0..10_000 {
        let lease = ports.lease(&one, TCP, member(n), 0, 0).unwrap();
        ports.end(lease, Ending::ServerClosed, 0, 0);
        leases.push(ports.lease(&one, TCP, member(n), 0, 0).unwrap());
    }
    let each = ports.memory() / 10_000;
    assert!(each < 1_024, "{each} bytes for a port in use and one in quarantine");
    // As many toward one endpoint are known by their bits.
    for n in 0..10_000u64 {
        leases.push(ports.lease(&one, TCP, member(10_000), n << 40, 0).unwrap());
    }
    let each = ports.memory() / 10_000;
    assert!(each < 1_024, "{each} bytes");
}

/// A panic elsewhere loses flows, not what is known of their ports.
#[test]
fn ports_of_flows_that_a_panic_took_rest() {
    let (three, mut ports) = (pool(1, 5_000..=5_002), ports());
    let [lost, ended] = [0, 1].map(|_| ports.lease(&three, TCP, member(80), 0, 0).unwrap());
    ports.end(ended, Ending::ServerClosed, 0, 0);
    let mut ports = ports.after_panic(10 * SECOND);
    drop(lost);
    let mut at = |now| ports.lease(&three, TCP, member(80), 0, now);
    let _third = at(10 * SECOND).expect("one was never in use");
    assert_eq!(at(TIME_WAIT - 1).unwrap_err(), Refusal::Exhausted);
    let _ended = at(TIME_WAIT + SLOT).expect("that of the flow that had ended");
    assert_eq!(
        at(TIME_WAIT + SLOT).unwrap_err(),
        Refusal::Exhausted,
        "that of the lost one stays in quarantine"
    );
    let _lost = at(10 * SECOND + TIME_WAIT + SLOT).unwrap();
    assert_eq!(ports.counts(), Counts { leases: 5, exhausted: 2, dropped: 1 });
}

/// One in the midst of a change leaves nothing that could be believed.
#[test]
fn what_a_panic_left_half_done_is_not_believed() {
    let (long, short) = (pool(1, 5_000..=5_009), Pool::new(&[address(1)], 5_000..=5_009, SECOND));
    let off = Pool::new(&[address(1)], 6_000..=6_009, 0);
    let mut ports = ports();
    let lost = ports.lease(&long, TCP, member(80), 0, 0).unwrap();
    ports.changing = true;
    let mut ports = ports.after_panic(SECOND);
    drop(lost);
    let _off = ports.lease(&off, TCP, member(80), 0, SECOND).expect("there was no promise");
    // Also where a reload has made the time shorter: the lost lease began under the longer one.
    for pool in [&long, &short] {
        let refused = ports.lease(pool, TCP, member(80), 0, SECOND + TIME_WAIT - 1);
        assert_eq!(refused.unwrap_err(), Refusal::Exhausted);
    }
    let _long = ports.lease(&long, TCP, member(80), 0, SECOND + TIME_WAIT).unwrap();
    assert_eq!(ports.counts().dropped, 0, "its lease was of ports that are no more");
}

#[test]
fn a_lease_of_another_worker_goes_back_there() {
    let (one, mut here, mut there) = (pool(1, 5_000..=5_000), ports(), ports());
    let lease = here.lease(&one, TCP, member(80), 0, 0).unwrap();
    there.end(lease, Ending::ClientClosed, 0, 0);
    assert_eq!(there.occupancy().count(), 0);
    assert!(
        here.lease(&one, TCP, member(80), 0, 30 * SECOND).is_err(),
        "it is quarantined, as of unknown ending"
    );
    assert_eq!(here.counts().dropped, 1);
}

proptest! {
    /// Workers share the ports without meeting, and together they have all of them.
    #[test]
    fn workers_own_blocks(workers in 1u16..9, first in 1_000u16..1_200, len in 0u16..600) {
        let range = first..=first + len;
        let pool = pool(1, range.clone());
        let mut seen = BTreeSet::new();
        for worker in 0..workers {
            let mut ports = Ports::new(Blocks::new(worker, workers), Keyed::new([3, 4]), 0);
            let mut leases = Vec::new();
            let mut state = u64::from(worker);
            while let Ok(lease) = ports.lease(&pool, TCP, member(80), random(&mut state), 0) {
                prop_assert_eq!(ports.blocks().owner(lease.port()), worker);
                prop_assert!(seen.insert(lease.port()), "{} twice", lease.port());
                leases.push(lease);
            }
            prop_assert_eq!(leases.len() as u32, ports.blocks().count(&range));
        }
        prop_assert_eq!(seen.len(), range.count());
    }
}
