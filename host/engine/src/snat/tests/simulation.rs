//! The promise under ten million flows, held against a table of when each port may be offered again.

use super::*;

const MEMBERS: usize = 3;
const ADDRESSES: usize = 4;
/// Of 1,100 ports, the second of two workers owns about half.
const FIRST: u16 = 40_000;
const PORTS: usize = 1_100;
/// How much longer than it must a port may be quarantined: a slot of the longest quarantine that is configured.
const SLACK: u64 = 4 * SECOND;
const LEASED: u64 = u64::MAX;

/// What a second bookkeeper knows.
struct Model {
    /// From when each port may be offered toward each member: the promise.
    free_from: Vec<u64>,
    /// From when on it must be offered.
    free_by: Vec<u64>,
    leased: usize,
}

impl Model {
    fn index(member: usize, endpoint: Endpoint) -> usize {
        let address = (endpoint.address.lo - address(1).lo) as usize;
        (member * ADDRESSES + address) * PORTS + usize::from(endpoint.port - FIRST)
    }

    fn lease(&mut self, member: usize, endpoint: Endpoint, now: u64) {
        let index = Self::index(member, endpoint);
        let free_from = self.free_from[index];
        assert!(free_from != LEASED, "{endpoint} is leased twice toward member {member}");
        assert!(free_from <= now, "{endpoint} toward member {member} {} ms early", free_from - now);
        self.free_from[index] = LEASED;
        self.free_by[index] = LEASED;
        self.leased += 1;
    }

    fn end(&mut self, member: usize, endpoint: Endpoint, from: u64) {
        let index = Self::index(member, endpoint);
        self.free_from[index] = from;
        self.free_by[index] = from + SLACK;
        self.leased -= 1;
    }
}

/// What one simulation went through, so that one which goes through nothing fails.
#[derive(Debug, Default)]
struct Seen {
    opened: u64,
    exhausted: u64,
    reused: u64,
    dropped: u64,
    cancelled: u64,
}

struct Flow {
    lease: Lease,
    member: usize,
    /// Of the pool when it began.
    time_wait: u64,
}

/// Opens and closes until `opens` flows have come and gone.
fn simulate(seed: u64, opens: u64) -> Seen {
    let blocks = Blocks::new(1, 2);
    let mut ports = Ports::new(blocks, Keyed::new([seed, 2]), 0);
    let mut model = Model {
        free_from: vec![0; MEMBERS * ADDRESSES * PORTS],
        free_by: vec![0; MEMBERS * ADDRESSES * PORTS],
        leased: 0,
    };
    let mut state = seed;
    let mut seen = Seen::default();
    let mut flows: Vec<Flow> = Vec::new();
    let mut now = 0;
    let mut pool = configure(&mut state);
    // How many of 64 steps open a flow: load comes and goes.
    let mut load = 40;
    while seen.opened < opens {
        let dice = random(&mut state);
        if dice.is_multiple_of(1 << 16) {
            pool = configure(&mut state);
            load = 20 + random(&mut state) % 30;
        }
        // Mostly fractions of a millisecond pass, seldom seconds, once in a while days.
        now += match dice >> 16 & 0xffff {
            0 if dice.is_multiple_of(16) => 3 * 24 * 60 * 60 * SECOND,
            0..=3 => random(&mut state) % (20 * SECOND),
            4..16_000 => 1,
            _ => 0,
        };
        if dice >> 32 & 63 < load {
            let member = (dice >> 40) as usize % MEMBERS;
            match ports.lease(&pool, TCP, super::member(member as u16), random(&mut state), now) {
                Ok(lease) => {
                    seen.reused += u64::from(model.free_from[Model::index(member, lease.endpoint())] != 0);
                    assert_eq!(blocks.owner(lease.port()), 1, "seed {seed}");
                    model.lease(member, lease.endpoint(), now);
                    flows.push(Flow { lease, member, time_wait: pool.time_wait() });
                    seen.opened += 1;
                }
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::Exhausted);
                    seen.exhausted += 1;
                    if seen.exhausted.is_multiple_of(256) {
                        assert_nothing_is_free(&model, &pool, blocks, member, now);
                    }
                }
            }
        } else if !flows.is_empty() {
            let flow = flows.swap_remove((dice >> 40) as usize % flows.len());
            close(&mut ports, &mut model, flow, &mut state, now, &mut seen);
        }
        if dice >> 48 < 64 {
            ports.advance(now);
            let leased: u32 = ports.occupancy().map(|each| each.leased).sum();
            assert_eq!(leased as usize, model.leased, "seed {seed}: leases are conserved");
        }
    }
    for flow in flows {
        close(&mut ports, &mut model, flow, &mut state, now, &mut seen);
    }
    ports.advance(now);
    assert_eq!(ports.occupancy().map(|each| each.leased).sum::<u32>(), 0, "seed {seed}");
    ports.advance(now + 120 * SECOND + SLACK);
    assert_eq!(ports.occupancy().count(), 0, "seed {seed}: all counts end at zero");
    assert_eq!(model.leased, 0);
    assert_eq!((ports.counts().leases, ports.counts().exhausted), (seen.opened, seen.exhausted));
    assert_eq!(ports.counts().dropped, seen.dropped);
    seen
}

/// Some of the addresses, a part of the range, and a time that is seldom zero.
fn configure(state: &mut u64) -> Pool {
    let addresses: Vec<_> =
        (1..=ADDRESSES as u64).filter(|_| !random(state).is_multiple_of(4)).map(address).collect();
    let addresses = if addresses.is_empty() { vec![address(1)] } else { addresses };
    let last = FIRST + PORTS as u16 - 1;
    let range = FIRST + (random(state) % 500) as u16..=last - (random(state) % 500) as u16;
    let time_wait = [60, 60, 60, 10, 1, 120, 60, 0][random(state) as usize % 8] * SECOND;
    Pool::new(&addresses, range, time_wait)
}

fn close(ports: &mut Ports, model: &mut Model, flow: Flow, state: &mut u64, now: u64, seen: &mut Seen) {
    let Flow { lease, member, time_wait } = flow;
    let endpoint = lease.endpoint();
    let dice = random(state);
    let quarantine = match dice % 16 {
        0 => {
            ports.cancel(lease, now);
            seen.cancelled += 1;
            0
        }
        1 => {
            drop(lease);
            // It is taken in when the time is known again, here at once, so that the model knows it too.
            ports.advance(now);
            seen.dropped += 1;
            quarantine(Ending::Unknown, time_wait)
        }
        _ => {
            let ending = Ending::ALL[(dice >> 8) as usize % Ending::ALL.len()];
            // The last segment was now or some time ago.
            let ago = if dice >> 16 & 1 == 0 { 0 } else { (dice >> 20) % (5 * SECOND) };
            let last = now.saturating_sub(ago);
            ports.end(lease, ending, last, now);
            model.end(member, endpoint, last + quarantine(ending, time_wait));
            return;
        }
    };
    model.end(member, endpoint, now + quarantine);
}

/// A refusal is right only where every port of the pool is leased or quarantined.
fn assert_nothing_is_free(model: &Model, pool: &Pool, blocks: Blocks, member: usize, now: u64) {
    for &address in pool.addresses() {
        for port in pool.ports().clone().filter(|&port| blocks.owner(port) == 1) {
            let free_by = model.free_by[Model::index(member, Endpoint { address, port })];
            assert!(free_by > now, "{address} {port} has been free for {} ms", now - free_by);
        }
    }
}

#[test]
fn ten_million_opens_and_closes() {
    let mut total = Seen::default();
    for seed in 0..10 {
        let seen = simulate(seed, 1_000_000);
        total.opened += seen.opened;
        total.exhausted += seen.exhausted;
        total.reused += seen.reused;
        total.dropped += seen.dropped;
        total.cancelled += seen.cancelled;
    }
    assert_eq!(total.opened, 10_000_000);
    assert!(total.reused > 9_000_000 && total.exhausted > 100_000, "{total:?}");
    assert!(total.dropped > 100_000 && total.cancelled > 100_000, "{total:?}");
}
