//! Which member of a pool is next.
//!
//! A balance is a file beside this one and a row in the table below; nothing else lists them.

pub mod choose;
mod destination_hash;
pub mod groups;
mod least_connections;
mod rendezvous;
mod round_robin;
mod symmetric_hash;
#[cfg(test)]
mod tests;
mod url_hash;
mod weighted_round_robin;

use std::net::SocketAddr;

use groups::Priority;
use shunt_wire::{Address, Endpoint};

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
    /// The [stable hash](crate::hash::stable) of the URL of a request, for balances that ask for it; else 0.
    pub url: u64,
}

/// What each balance does.
trait Kind: Sized {
    /// The addresses of a flow say which member it goes to, so that its middle can be placed as well as its beginning.
    const BY_ADDRESSES: bool = false;

    /// `ahead`: by how many picks it is ahead of one with 0.
    fn new(ahead: usize) -> Self;

    /// The place of the next member, or `None` when none may be chosen. Each candidate is asked for at most once.
    fn pick(&mut self, ends: &Ends, members: &impl Members) -> Option<usize>;

    /// By how much each member is behind the others, by place: the member with the most is next. Empty where it has
    /// taken no turn yet, or takes none.
    fn owed(&self) -> Vec<i64> {
        Vec::new()
    }

    /// Continues where another stopped: `owed` is not empty, and has a value for each member.
    fn resume(&mut self, _owed: &[i64]) {}
}

/// Writes the enum of all balances, and the one of their states, from the rows.
macro_rules! balances {
    ($($(#[$doc:meta])* $name:literal => $variant:ident($state:path);)+) => {
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

            fn owed(&self) -> Vec<i64> {
                match self {
                    $(Self::$variant(state) => state.owed(),)+
                }
            }

            fn resume(&mut self, owed: &[i64]) {
                match self {
                    $(Self::$variant(state) => state.resume(owed),)+
                }
            }
        }
    };
}

balances! {
    /// Each in turn; weights do not count.
    "round-robin" => RoundRobin(round_robin::RoundRobin);
    /// Smooth weighted round robin: shares follow the weights, and a heavy member's turns are spread out instead of
    /// coming in a row.
    "weighted-round-robin" => WeightedRoundRobin(weighted_round_robin::WeightedRoundRobin);
    /// The fewest requests in flight in proportion to the weight; among equals, weighted turns.
    "least-connections" => LeastConnections(least_connections::LeastConnections);
    /// By the address that packets go to: equal destinations, equal members.
    "destination-hash" => DestinationHash(destination_hash::DestinationHash);
    /// By both addresses, whichever is the source: both directions, equal members.
    "symmetric-hash" => SymmetricHash(symmetric_hash::SymmetricHash);
    /// By the URL of a request: equal URLs, equal members.
    "url-hash" => UrlHash(url_hash::UrlHash);
}

/// Chooses members of one pool for one worker. It never allocates while the number of members stays.
///
/// Workers do not share a selector, so nothing on the way of a request is written by two of them.
/// That they do not all choose the same member at the same time is the work of `ahead`.
#[derive(Clone, Debug)]
pub struct Selector {
    state: State,
}

impl Selector {
    /// `ahead`: by how many picks this selector is ahead of one with 0; a worker gives its number.
    #[must_use]
    pub fn new(balance: Balance, ahead: usize) -> Self {
        Self { state: State::new(balance, ahead) }
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
        next.state.resume(&owed);
        next
    }

    #[must_use]
    pub const fn balance(&self) -> Balance {
        self.state.balance()
    }

    /// The place of the next member, or `None` when no candidate is usable.
    ///
    /// Weights may change between calls. Members that are unusable for a while keep their place in the order.
    pub fn pick(&mut self, ends: &Ends, members: &impl Members) -> Option<usize> {
        self.state.pick(ends, members)
    }
}
