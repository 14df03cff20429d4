//! Which member of a pool is next.

pub mod rendezvous;
#[cfg(test)]
mod tests;

/// How a member is chosen where nothing else decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Balance {
    /// Each in turn; weights do not count.
    #[default]
    RoundRobin,
    /// Smooth weighted round robin: shares follow the weights, and a heavy member's turns are
    /// spread out instead of coming in a row.
    WeightedRoundRobin,
    /// The fewest requests under way in proportion to the weight; among equals, weighted turns.
    LeastConnections,
    /// By the address that packets go to: equal destinations, equal members. Of packets only.
    DestinationHash,
    /// By both addresses, whichever is the source: both directions, equal members. Of packets only.
    SymmetricHash,
}

/// What a choice needs to know of a member at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// May it be chosen now? (Up, enabled, not tried before, …)
    pub usable: bool,
    /// A member of weight 0 is never chosen.
    pub weight: u32,
    /// Requests and connections under way. Only [`Balance::LeastConnections`] looks at it.
    pub active: u32,
}

/// Chooses members of one pool for one worker. It never allocates while the number of members stays.
///
/// Workers do not share a selector, so nothing on the way of a request is written by two of them.
/// That they do not all choose the same member at the same time is the work of `ahead`.
#[derive(Clone, Debug)]
pub struct Selector {
    balance: Balance,
    ahead: usize,
    /// Round robin: where the search for the next member begins.
    turn: usize,
    seats: Vec<Seat>,
}

/// What is remembered of a member between picks.
#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    candidate: Candidate,
    /// nginx's `current_weight`: how much the member is owed.
    owed: i64,
}

impl Balance {
    /// Do the addresses of a packet say which member it goes to?
    #[must_use]
    pub const fn is_hash(self) -> bool {
        matches!(self, Self::DestinationHash | Self::SymmetricHash)
    }
}

impl Selector {
    /// `ahead`: by how many picks this selector is ahead of one with 0; a worker gives its number.
    #[must_use]
    pub const fn new(balance: Balance, ahead: usize) -> Self {
        Self { balance, ahead, turn: 0, seats: Vec::new() }
    }

    #[must_use]
    pub const fn balance(&self) -> Balance {
        self.balance
    }

    /// The index of the next member, or `None` when no candidate is usable.
    ///
    /// `candidate` is asked once for each of the `members` (with round robin, only until a usable
    /// one is found). Number and weights may change between calls: the order of turns then begins
    /// anew. Members that are unusable for a while keep their place in it.
    pub fn pick(&mut self, members: usize, candidate: impl Fn(usize) -> Candidate) -> Option<usize> {
        match self.balance {
            // Who has no packet to hash takes turns.
            Balance::RoundRobin | Balance::DestinationHash | Balance::SymmetricHash => {
                self.next_in_turn(members, candidate)
            }
            Balance::WeightedRoundRobin => {
                self.seat(members, candidate);
                take_weighted_turn(&mut self.seats, |candidate| candidate.usable)
            }
            Balance::LeastConnections => {
                self.seat(members, candidate);
                let least =
                    self.seats.iter().map(|seat| seat.candidate).filter(|c| c.usable).min_by(by_load)?;
                take_weighted_turn(&mut self.seats, |candidate| {
                    candidate.usable && by_load(candidate, &least).is_eq()
                })
            }
        }
    }

    fn next_in_turn(&mut self, members: usize, candidate: impl Fn(usize) -> Candidate) -> Option<usize> {
        if self.seats.len() != members {
            self.seats = vec![Seat::default(); members];
            self.turn = self.ahead.checked_rem(members)?;
        }
        let order = (self.turn..members).chain(0..self.turn);
        let chosen = order.into_iter().find(|&index| {
            let candidate = candidate(index);
            candidate.usable && candidate.weight > 0
        })?;
        self.turn = if chosen + 1 == members { 0 } else { chosen + 1 };
        Some(chosen)
    }

    /// Takes in what the candidates are now; begins the turns anew where members or weights are others.
    fn seat(&mut self, members: usize, candidate: impl Fn(usize) -> Candidate) {
        let mut anew = self.seats.len() != members;
        self.seats.resize(members, Seat::default());
        for (index, seat) in self.seats.iter_mut().enumerate() {
            let mut now = candidate(index);
            now.usable &= now.weight > 0;
            anew |= now.weight != seat.candidate.weight;
            seat.candidate = now;
        }
        if anew {
            // Debts in old weights could keep a member from its turn for long.
            self.seats.iter_mut().for_each(|seat| seat.owed = 0);
            // The order repeats after the sum of the weights, so more than that is never needed.
            let round: usize = self.seats.iter().map(|seat| seat.candidate.weight as usize).sum();
            for _ in 0..self.ahead.checked_rem(round).unwrap_or(0) {
                take_weighted_turn(&mut self.seats, |candidate| candidate.weight > 0);
            }
        }
    }
}

/// One step of nginx's smooth weighted round robin among the members that are `eligible`: each is owed
/// its weight more, who is owed most is taken and pays the sum of the weights. Over a round of that
/// many picks each is taken as often as its weight says.
fn take_weighted_turn(seats: &mut [Seat], eligible: impl Fn(&Candidate) -> bool) -> Option<usize> {
    let mut total = 0;
    let mut most: Option<(usize, i64)> = None;
    for (index, seat) in seats.iter_mut().enumerate().filter(|(_, seat)| eligible(&seat.candidate)) {
        let weight = i64::from(seat.candidate.weight);
        seat.owed += weight;
        total += weight;
        if most.is_none_or(|(_, owed)| seat.owed > owed) {
            most = Some((index, seat.owed));
        }
    }
    let (index, _) = most?;
    seats[index].owed -= total;
    Some(index)
}

/// Compares `active / weight` without dividing.
fn by_load(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    let cross = |active: u32, weight: u32| u64::from(active) * u64::from(weight);
    cross(a.active, b.weight).cmp(&cross(b.active, a.weight))
}
