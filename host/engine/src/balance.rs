//! Which member of a pool is next.
//!
//! A balance is a file beside this one and a row in the table below; nothing else lists them.

pub mod choose;
mod destination_hash;
mod fastest;
pub mod groups;
mod keyed;
mod least_connections;
mod least_response_time;
mod loads;
mod maglev;
#[cfg(test)]
pub(crate) mod model;
mod rendezvous;
mod round_robin;
mod slow_start;
mod source_hash;
mod symmetric_hash;
#[cfg(test)]
mod tests;
mod times;
mod two_random_choices;
mod url_hash;
mod weighted_round_robin;

use std::net::SocketAddr;

use groups::Priority;
use shunt_wire::{Address, Endpoint};
pub use slow_start::SlowStart;
use slow_start::Starts;

/// The members of a pool as one request or flow finds them.
pub trait Members {
    fn count(&self) -> usize;

    /// The member at this place, for someone who is not bound to any.
    fn candidate(&self, place: usize) -> Candidate;

    /// What a member is known by to every balancer with the same pool.
    fn endpoint(&self, place: usize) -> Endpoint;

    /// Whether the member serves who is bound to it, or was sent to it by name.
    fn serves_bound(&self, place: usize) -> bool;

    fn place(&self, member: SocketAddr) -> Option<usize>;

    /// The member's priority, where the pool has [groups].
    fn priority(&self, _place: usize) -> Priority {
        0
    }

    /// Whether the member counts as usable for its group: whatever else this request or flow asks of it.
    fn is_available(&self, place: usize) -> bool {
        self.candidate(place).may_be_chosen()
    }
}

/// What a choice needs to know of a member at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// May it be chosen now? (Up, enabled, not tried before, …)
    pub usable: bool,
    /// A member of weight 0 is never chosen.
    pub weight: u32,
    /// Requests and connections in flight.
    pub active: u32,
    /// What the balance asks for with [`Balance::time`], in microseconds; 0 where that is not known, or not asked.
    pub time: u32,
    /// How often the member [came](crate::member::MemberState::came), where those that come start slowly; else 0.
    pub came: u32,
}

impl Candidate {
    const fn may_be_chosen(&self) -> bool {
        self.usable && self.weight > 0
    }
}

/// The addresses of a flow, and what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub client: Address,
    /// What the client asks for: the address of the virtual, or on any address that of the packet.
    pub destination: Address,
    /// The [stable hash](crate::hash::stable) of what the balance asks for of a request; `None` where the request does
    /// not have it, or it is no request.
    pub key: Option<u64>,
    /// The time in milliseconds, where the [selector asks for it](Selector::asks_the_time); else 0.
    pub now: u64,
}

impl Ends {
    /// Of what is no request.
    #[must_use]
    pub const fn new(client: Address, destination: Address) -> Self {
        Self { client, destination, key: None, now: 0 }
    }
}

/// What a virtual must see, so that a balance can choose by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// What every virtual sees.
    Nothing,
    /// Packets, and with them destinations that differ.
    Packets,
    /// Requests and their answers.
    Requests,
}

/// A time that a balance compares members by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Until the first byte of an answer to a request.
    Answer,
    /// Until the answer to a probe.
    Probe,
}

/// What each balance does.
trait Kind: Sized {
    /// The addresses of a flow say which member it goes to, so that its middle can be placed as well as its beginning.
    const BY_ADDRESSES: bool = false;

    const NEEDS: Needs = Needs::Nothing;

    /// What [`Candidate::time`] is.
    const TIME: Option<Time> = None;

    /// `ahead`: by how many picks it is ahead of one with 0.
    fn new(ahead: usize) -> Self;

    /// The place of the next member, or `None` when none may be chosen. Each candidate is asked for at most once.
    fn pick(&mut self, ends: &Ends, members: &impl Members) -> Option<usize>;

    /// What is hashed, where that leads to a member; `None`: it is a matter of turns or of load.
    fn key(_: &Ends) -> Option<u64> {
        None
    }

    /// By how much each member is behind the others, by place: the member with the most is next. Empty where it has
    /// taken no turn yet, or takes none.
    fn owed(&self) -> Vec<i64> {
        Vec::new()
    }

    /// Whether a member that came counts as loaded as the others are, because it still has less than they.
    fn is_arriving(&self, _place: usize) -> bool {
        false
    }

    /// Continues where another stopped: `owed` is not empty, and has a value for each member; `arrives` says which of
    /// them are new, or were [arriving](Self::is_arriving).
    fn resume(&mut self, _owed: &[i64], _arrives: &[bool]) {}
}

/// Writes the enum of all balances, and the one of their states, from the rows.
macro_rules! balances {
    ($($(#[$doc:meta])* $name:literal $([$of:literal])? => $variant:ident($state:path);)+) => {
        /// How a member is chosen where nothing else decides.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Balance {
            $($(#[$doc])* $variant,)+
        }

        impl Balance {
            /// All of them, by the names that configurations give them.
            pub const ALL: &[(&str, Self)] = &[$(($name, Self::$variant)),+];

            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Which of several it hashes is to be said: of what, as `header field`.
            #[must_use]
            pub const fn which(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => first(&[$($of)?]),)+
                }
            }

            #[must_use]
            pub const fn needs(self) -> Needs {
                match self {
                    $(Self::$variant => <$state>::NEEDS,)+
                }
            }

            /// The time that it compares members by.
            #[must_use]
            pub const fn time(self) -> Option<Time> {
                match self {
                    $(Self::$variant => <$state>::TIME,)+
                }
            }

            /// Whether the addresses of a flow say which member it goes to.
            #[must_use]
            pub const fn is_hash(self) -> bool {
                match self {
                    $(Self::$variant => <$state>::BY_ADDRESSES,)+
                }
            }
        }

        #[derive(Clone, Debug)]
        enum State {
            $($variant($state),)+
        }

        impl State {
            fn new(balance: Balance, ahead: usize) -> Self {
                match balance {
                    $(Balance::$variant => Self::$variant(Kind::new(ahead)),)+
                }
            }

            const fn balance(&self) -> Balance {
                match self {
                    $(Self::$variant(_) => Balance::$variant,)+
                }
            }

            fn pick(&mut self, ends: &Ends, members: &impl Members) -> Option<usize> {
                match self {
                    $(Self::$variant(state) => state.pick(ends, members),)+
                }
            }

            fn key(&self, ends: &Ends) -> Option<u64> {
                match self {
                    $(Self::$variant(_) => <$state>::key(ends),)+
                }
            }

            fn owed(&self) -> Vec<i64> {
                match self {
                    $(Self::$variant(state) => state.owed(),)+
                }
            }

            fn is_arriving(&self, place: usize) -> bool {
                match self {
                    $(Self::$variant(state) => state.is_arriving(place),)+
                }
            }

            fn resume(&mut self, owed: &[i64], arrives: &[bool]) {
                match self {
                    $(Self::$variant(state) => state.resume(owed, arrives),)+
                }
            }
        }
    };
}

const fn first(of: &[&'static str]) -> Option<&'static str> {
    match of {
        [first, ..] => Some(first),
        [] => None,
    }
}

balances! {
    /// Each in turn; weights do not count.
    "round-robin" => RoundRobin(round_robin::RoundRobin);
    /// Smooth weighted round robin: shares follow the weights, and a heavy member's turns are spread out instead of
    /// coming in a row.
    "weighted-round-robin" => WeightedRoundRobin(weighted_round_robin::WeightedRoundRobin);
    /// The fewest requests in flight in proportion to the weight; among equals, weighted turns.
    "least-connections" => LeastConnections(least_connections::LeastConnections);
    /// The least time until the first byte of answers, times what is in flight, in proportion to the weight.
    "least-response-time" => LeastResponseTime(least_response_time::LeastResponseTime);
    /// The same by the time of the monitor's probes.
    "fastest" => Fastest(fastest::Fastest);
    /// Of two that chance chooses by weight, the one with fewer requests in flight.
    "two-random-choices" => TwoRandomChoices(two_random_choices::TwoRandomChoices);
    /// By the address of the client: equal clients, equal members.
    "source-hash" => SourceHash(source_hash::SourceHash);
    /// The same, but no member has much more in flight than its share.
    "maglev" => Maglev(maglev::Maglev);
    /// By the address that packets go to: equal destinations, equal members.
    "destination-hash" => DestinationHash(destination_hash::DestinationHash);
    /// By both addresses, whichever is the source: both directions, equal members.
    "symmetric-hash" => SymmetricHash(symmetric_hash::SymmetricHash);
    /// By the URL of a request: equal URLs, equal members.
    "url-hash" => UrlHash(url_hash::UrlHash);
    /// By a header field of a request; without it, weighted turns.
    "header-hash" ["header field"] => HeaderHash(keyed::KeyOrTurn);
    /// By a cookie of a request; without it, weighted turns.
    "cookie-hash" ["cookie"] => CookieHash(keyed::KeyOrTurn);
}

/// Chooses members of one pool for one worker. It never allocates while the number of members stays.
///
/// Workers do not share a selector, so nothing on the way of a request is written by two of them.
/// That they do not all choose the same member at the same time is the work of `ahead`.
#[derive(Clone, Debug)]
pub struct Selector {
    state: State,
    /// Where members that come start slowly.
    starts: Option<Starts>,
}

impl Selector {
    /// `ahead`: by how many picks this selector is ahead of one with 0; a worker gives its number.
    #[must_use]
    pub fn new(balance: Balance, ahead: usize) -> Self {
        Self { state: State::new(balance, ahead), starts: None }
    }

    /// The selector of a pool that had this one before: turns continue where they were, whichever members came, went or
    /// changed places, and whichever way of taking turns it has now. `before` says at which place a member was.
    #[must_use]
    pub fn next(
        &self,
        balance: Balance,
        ahead: usize,
        members: usize,
        before: impl Fn(usize) -> Option<usize>,
    ) -> Self {
        let mut next = Self::new(balance, ahead);
        next.starts = self.starts.as_ref().map(|starts| starts.next(members, &before));
        let owed = self.state.owed();
        if owed.is_empty() || members == 0 {
            return next;
        }
        let known: Vec<Option<i64>> = (0..members).map(|place| owed.get(before(place)?).copied()).collect();
        // A new member is as far as the others are on average.
        let stay = known.iter().flatten().count();
        let sum: i64 = known.iter().flatten().sum();
        let average = i64::try_from(stay).ok().and_then(|stay| sum.checked_div_euclid(stay)).unwrap_or(0);
        let owed: Vec<i64> = known.into_iter().map(|owed| owed.unwrap_or(average)).collect();
        let arrives = |place| before(place).is_none_or(|before| self.state.is_arriving(before));
        next.state.resume(&owed, &(0..members).map(arrives).collect::<Vec<_>>());
        next
    }

    /// The same, and from now on members that come start so.
    #[must_use]
    pub fn starting(mut self, slowly: Option<SlowStart>) -> Self {
        self.starts = slowly.map(|slowly| Starts::new(slowly, self.starts.take()));
        self
    }

    #[must_use]
    pub const fn balance(&self) -> Balance {
        self.state.balance()
    }

    /// Whether it goes by [`Ends::now`].
    #[must_use]
    pub const fn asks_the_time(&self) -> bool {
        self.starts.is_some() || matches!(self.balance().time(), Some(Time::Answer))
    }

    /// Whether a hash leads to the member, and no turn or load.
    #[must_use]
    pub fn hashes(&self, ends: &Ends) -> bool {
        self.state.key(ends).is_some()
    }

    /// The place of the next member, or `None` when no candidate is usable.
    ///
    /// Weights may change between calls. Members that are unusable for a while keep their place in the order.
    pub fn pick(&mut self, ends: &Ends, members: &impl Members) -> Option<usize> {
        let turn = self.state.pick(ends, members)?;
        let Some(starts) = &mut self.starts else { return Some(turn) };
        if !starts.passes_over(turn, self.state.key(ends), ends.now, members) {
            return Some(turn);
        }
        // With only such as start slowly, each takes its turns.
        let place = self.state.pick(ends, &starts.others(members)).unwrap_or(turn);
        starts.taken(place);
        Some(place)
    }
}

/// Some of the members of a pool.
struct Only<'a, M, F> {
    members: &'a M,
    may: F,
}

impl<M: Members, F: Fn(usize, &Candidate) -> bool> Members for Only<'_, M, F> {
    fn count(&self) -> usize {
        self.members.count()
    }

    fn candidate(&self, place: usize) -> Candidate {
        let candidate = self.members.candidate(place);
        Candidate { usable: candidate.usable && (self.may)(place, &candidate), ..candidate }
    }

    fn endpoint(&self, place: usize) -> Endpoint {
        self.members.endpoint(place)
    }

    fn serves_bound(&self, place: usize) -> bool {
        self.members.serves_bound(place)
    }

    fn place(&self, member: SocketAddr) -> Option<usize> {
        self.members.place(member)
    }
}
