//! The members that a name stands for: those of the last answers, and for a while those whose answers are missing.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use shunt_wire::dns::{Kind, Name};

/// Members of one name; of more, those with the lowest priorities and addresses are taken.
pub const MOST_MEMBERS: usize = 256;

/// The wait behind the first look-up that failed, and the longest.
const FIRST_RETRY_MS: u64 = 1_000;
const LAST_RETRY_MS: u64 = 30_000;

/// How long answers are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A shorter TTL counts as this one.
    pub min_ttl_ms: u64,
    /// A longer one as this.
    pub max_ttl_ms: u64,
    /// How long addresses stay that no answer has any more because none came, or because it was empty.
    pub hold_ms: u64,
}

/// An address that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    pub address: SocketAddr,
    /// Of a service: the lower, the sooner (RFC 2782); 0 otherwise.
    pub priority: u16,
    /// Of a service; `None` otherwise.
    pub weight: Option<u16>,
}

/// The answers of one question for addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What was asked.
    pub host: Name,
    pub kind: Kind,
    /// `None`: no server gave an answer.
    pub endpoints: Option<Vec<Endpoint>>,
}

/// What one look-up of a name found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No server said which hosts a service has.
    Unanswered,
    /// The parts, valid for so many seconds.
    Parts { parts: Vec<Part>, ttl: u32 },
}

/// A member by name, as the pool is to have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlacedMember {
    pub address: SocketAddr,
    /// What the records of a service say; `None` otherwise.
    pub service: Option<Service>,
}

/// What the records of a service say of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// As records have it: the lower, the sooner (RFC 2782).
    pub priority: u16,
    /// 1 to 256, in proportion to the weights of the records of the same priority.
    pub weight: u32,
}

/// What came of a look-up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learnt {
    /// Addresses, in their order.
    pub added: Vec<SocketAddr>,
    pub removed: Vec<SocketAddr>,
    /// The same addresses have other weights or priorities.
    pub ranked: bool,
}

impl Learnt {
    /// Whether the members are others.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.ranked || !self.added.is_empty() || !self.removed.is_empty()
    }
}

/// All that is known of a name.
#[derive(Clone, Debug, Default)]
pub struct Held {
    endpoints: BTreeMap<(Name, Kind, Endpoint), u64>,
    members: Vec<PlacedMember>,
    /// Look-ups in a row that lacked an answer, or found nothing.
    failures: u32,
    next_ms: u64,
    ttl: Option<u32>,
    stale: usize,
    left_out: usize,
}

impl Held {
    /// Takes what a look-up found.
    pub fn learn(&mut self, now_ms: u64, found: &Found, bounds: Bounds) -> Learnt {
        let none = Vec::new();
        let (parts, ttl) = match found {
            Found::Unanswered => (&none, None),
            Found::Parts { parts, ttl } => (parts, Some(*ttl)),
        };
        let mut next = BTreeMap::new();
        for Part { host, kind, endpoints } in parts {
            for endpoint in endpoints.iter().flatten().filter(|it| can_be_member(it.address)) {
                next.insert((*host, *kind, *endpoint), now_ms);
            }
        }
        let unanswered: BTreeSet<(Name, Kind)> =
            parts.iter().filter(|it| it.endpoints.is_none()).map(|it| (it.host, it.kind)).collect();
        // An empty answer is more often a mistake than the end of a service: all that was there is held.
        let all = next.is_empty();
        let (mut stale, mut expires) = (0, None::<u64>);
        for ((host, kind, endpoint), seen) in std::mem::take(&mut self.endpoints) {
            let end = seen.saturating_add(bounds.hold_ms);
            let held = (all || unanswered.contains(&(host, kind))) && now_ms < end;
            if held && next.insert((host, kind, endpoint), seen).is_none() {
                stale += 1;
                expires = Some(expires.map_or(end, |it| it.min(end)));
            }
        }
        self.endpoints = next;
        self.stale = stale;
        if all || !unanswered.is_empty() {
            self.failures = self.failures.saturating_add(1);
            let wait = FIRST_RETRY_MS << self.failures.saturating_sub(1).min(5);
            let retry = now_ms.saturating_add(wait.min(LAST_RETRY_MS).max(bounds.min_ttl_ms));
            self.next_ms = expires.map_or(retry, |end| retry.min(end));
        } else {
            self.failures = 0;
            let ttl = u64::from(ttl.unwrap_or_default()).saturating_mul(1000);
            self.next_ms = now_ms.saturating_add(ttl.clamp(bounds.min_ttl_ms, bounds.max_ttl_ms));
        }
        self.ttl = ttl.filter(|_| !all);
        self.place()
    }

    /// Which of the addresses are members.
    fn place(&mut self) -> Learnt {
        // Of an address that is there several times, what comes first by its priority, with the greatest weight.
        let mut known: BTreeMap<SocketAddr, (u16, Option<u16>)> = BTreeMap::new();
        let mut most: BTreeMap<u16, u16> = BTreeMap::new();
        for (_, _, it) in self.endpoints.keys() {
            let (priority, weight) = known.entry(it.address).or_insert((it.priority, it.weight));
            match it.priority.cmp(priority) {
                Ordering::Less => (*priority, *weight) = (it.priority, it.weight),
                Ordering::Equal => *weight = (*weight).max(it.weight),
                Ordering::Greater => {}
            }
            let most = most.entry(it.priority).or_default();
            *most = (*most).max(it.weight.unwrap_or_default());
        }
        self.left_out = known.len().saturating_sub(MOST_MEMBERS);
        let mut sorted: Vec<_> =
            known.into_iter().map(|(address, (priority, weight))| (priority, address, weight)).collect();
        // Of too many, those of the last priorities are left out.
        sorted.sort_unstable();
        sorted.truncate(MOST_MEMBERS);
        sorted.sort_unstable_by_key(|(_, address, _)| *address);
        let placed = |(priority, address, weight): (u16, SocketAddr, Option<u16>)| {
            let most = most.get(&priority).copied().unwrap_or_default();
            let service = weight.map(|weight| Service { priority, weight: scaled(weight, most) });
            PlacedMember { address, service }
        };
        let members: Vec<PlacedMember> = sorted.into_iter().map(placed).collect();
        let before = std::mem::replace(&mut self.members, members);
        let addresses = |of: &[PlacedMember]| of.iter().map(|it| it.address).collect::<BTreeSet<_>>();
        let (old, new) = (addresses(&before), addresses(&self.members));
        Learnt {
            added: new.difference(&old).copied().collect(),
            removed: old.difference(&new).copied().collect(),
            ranked: old == new && before != self.members,
        }
    }

    /// In the order of their addresses, each once.
    #[must_use]
    pub fn members(&self) -> &[PlacedMember] {
        &self.members
    }

    /// When to look it up again.
    #[must_use]
    pub fn next_ms(&self) -> u64 {
        self.next_ms
    }

    /// How long the last answer said that it is valid, in seconds; `None`: it had no addresses.
    #[must_use]
    pub fn ttl(&self) -> Option<u32> {
        self.ttl
    }

    /// How many addresses are held that the last answers do not have.
    #[must_use]
    pub fn stale(&self) -> usize {
        self.stale
    }

    /// How many addresses are no members because there are more than [`MOST_MEMBERS`].
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }
}

/// Somebody must be able to answer there.
fn can_be_member(address: SocketAddr) -> bool {
    let sound = match address.ip() {
        IpAddr::V4(v4) => !v4.is_broadcast(),
        // RFC 4291 section 2.5.5.2: such addresses stand for IPv4 in programs, never in packets.
        IpAddr::V6(v6) => v6.to_ipv4_mapped().is_none(),
    };
    sound && address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast()
}

/// A weight of a record as one of a member. 0 means a very small chance (RFC 2782), unless all have it.
fn scaled(weight: u16, most: u16) -> u32 {
    let (weight, most) = (u32::from(weight), u32::from(most));
    if most <= 256 { weight.max(1) } else { ((weight * 256 + most / 2) / most).max(1) }
}

#[cfg(test)]
mod tests;
