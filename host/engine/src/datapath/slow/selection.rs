//! Selection: which member takes the flow.

use std::net::SocketAddr;
use std::sync::Arc;

use super::translation::Bridge;
use super::{Choice, First};
use crate::datapath::model::index::PoolIndex;
use crate::datapath::model::pool::{Member, Pool};
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::stage::Stage;
use crate::datapath::model::virtual_::Virtual;
use crate::datapath::state::accounting::Accounting;
use crate::datapath::state::config::Config;
use crate::datapath::state::id::Seat;
use crate::datapath::state::trace::{Considered, Standing};
use crate::member::{Admin, MemberState};
use crate::selection::{Balance, Candidate, rendezvous};

/// The member that takes the flow; without a pool, the destination itself.
pub(super) struct Chosen {
    pub(super) member: Member,
    pub(super) seat: Seat,
}

/// In this order: the member that the rule named, the one that the client is bound to, the one whose turn
/// it is. A client whose member may not be used any more is bound to another.
///
/// The middle of a connection is never given to whoever's turn it is: that member would know nothing
/// of it. Where a rule, a binding, the addresses or a pool of one say which member has it, it goes on
/// there; else the client is reset, and connects anew.
pub(super) fn select(
    config: &Config,
    accounting: &mut Accounting,
    first: &First<'_>,
    choice: &Choice,
    bound: Option<SocketAddr>,
) -> Result<Chosen, DropReason> {
    let Some(index) = choice.pool else {
        let state = Arc::clone(&accounting.nobody);
        let member = Member { endpoint: first.vip(), weight: 1, state };
        first.trace.at(Stage::Selection, || format!("no pool: it goes to {} itself", first.vip()));
        return Ok(Chosen { member, seat: Seat::NOBODY });
    };
    let virtual_ = first.virtual_;
    let pool = config.snapshot.pool(index).ok_or(DropReason::NoPool)?;
    let among = Among { virtual_, index, pool };
    let bridge = Bridge::new(&config.snapshot, virtual_, choice.mode, first.client().address);
    first.trace.consider(|| among.considered(&bridge, None));
    let (place, why) = match among.named(choice)? {
        Some(place) => (place, Standing::Named),
        None => match among.usable_binding(bound) {
            Some(place) => (place, Standing::Bound),
            None if first.is_mid_stream() && pool.members.len() != 1 && !pool.balance.is_hash() => {
                return Err(DropReason::MidStream);
            }
            None => {
                let candidate = |place: usize| {
                    pool.members.get(place).map_or_else(Candidate::default, |member: &Member| Candidate {
                        usable: among.state(place, member).usable_for_new()
                            && bridge.why_not(member).is_none(),
                        weight: member.weight,
                        active: member.state.active(),
                    })
                };
                let seat = accounting.seats.pool_mut(index).ok_or(DropReason::NoPool)?;
                let turn = match by_hash(pool, first, candidate) {
                    Some(chosen) => chosen,
                    None => seat.selector.pick(pool.members.len(), candidate),
                };
                let turn = turn.ok_or_else(|| among.nobody(&bridge))?;
                let place = if first.trace.listens() { turn } else { among.bind(first, choice, turn) };
                (place, if pool.balance.is_hash() { Standing::Hash } else { Standing::Turn })
            }
        },
    };
    first.trace.consider(|| among.considered(&bridge, Some((place, why))));
    let member = among.member(place).ok_or(DropReason::NoMember)?;
    first.trace.at(Stage::Selection, || format!("{} takes it: {}", member.endpoint, why.means()));
    let seat = accounting.seats.of_member(index, place).ok_or(DropReason::NoMember)?;
    Ok(Chosen { member, seat })
}

/// The member that the addresses of a flow lead to, where the pool goes by them.
///
/// By the destination alone members are known by their addresses, so that balancers of one configuration agree
/// and a change of it moves few. By both ends they are known by their places: the balancers on both sides of
/// the same firewalls know these under different addresses.
fn by_hash(pool: &Pool, first: &First<'_>, candidate: impl Fn(usize) -> Candidate) -> Option<Option<usize>> {
    let (client, vip) = (first.client().address, first.vip().address);
    let members = pool.members.len();
    match pool.balance {
        Balance::DestinationHash => {
            let name = |place: usize| {
                let endpoint = pool.members.get(place).map(|member| member.endpoint).unwrap_or_default();
                [&endpoint.address.octets()[..], &endpoint.port.to_be_bytes()].concat()
            };
            Some(rendezvous::choose(&vip.octets(), members, name, candidate))
        }
        Balance::SymmetricHash => {
            let (low, high) = if client <= vip { (client, vip) } else { (vip, client) };
            let pair = [low.octets(), high.octets()].concat();
            Some(rendezvous::choose(&pair, members, |place| (place as u64).to_be_bytes(), candidate))
        }
        Balance::RoundRobin | Balance::WeightedRoundRobin | Balance::LeastConnections => None,
    }
}

/// The members of a pool as the flows of one virtual find them.
struct Among<'a> {
    virtual_: &'a Virtual,
    index: PoolIndex,
    pool: &'a Pool,
}

impl Among<'_> {
    fn state<'a>(&'a self, place: usize, member: &'a Member) -> &'a Arc<MemberState> {
        self.virtual_.state(self.index, place, member)
    }

    /// A member with the state that it has here.
    fn member(&self, place: usize) -> Option<Member> {
        let member = self.pool.members.get(place)?;
        Some(Member { state: Arc::clone(self.state(place, member)), ..member.clone() })
    }

    fn is_usable(&self, place: usize) -> bool {
        self.pool.members.get(place).is_some_and(|member| self.state(place, member).usable_for_persistent())
    }

    /// The member that a rule named, as long as it may be used.
    fn named(&self, choice: &Choice) -> Result<Option<usize>, DropReason> {
        let Some(endpoint) = choice.named else { return Ok(None) };
        let place = self.pool.position(endpoint).ok_or(DropReason::NoSuchMember)?;
        Ok(Some(place).filter(|place| self.is_usable(*place)))
    }

    /// The place of the member that a client is bound to, as long as it may be used.
    fn usable_binding(&self, bound: Option<SocketAddr>) -> Option<usize> {
        let place = self.pool.position(bound?.into())?;
        self.is_usable(place).then_some(place)
    }

    /// Binds the client to the member whose turn it is, unless another worker was quicker.
    fn bind(&self, first: &First<'_>, choice: &Choice, turn: usize) -> usize {
        let (Some(key), Some(member)) = (&choice.key, self.pool.members.get(turn)) else { return turn };
        let address = SocketAddr::from(member.endpoint);
        let keep = |bound: &SocketAddr| self.usable_binding(Some(*bound)).is_some();
        let bound = self.pool.bindings.bind(key.bytes(), address, key.timeout, first.now, keep).into_inner();
        self.pool.position(bound.into()).unwrap_or(turn)
    }

    /// Why there is none to choose.
    fn nobody(&self, bridge: &Bridge<'_>) -> DropReason {
        let usable = |(place, member): &(usize, &Member)| {
            self.state(*place, member).usable_for_new() && member.weight > 0
        };
        let first = self.pool.members.iter().enumerate().find(usable);
        first.and_then(|(_, member)| bridge.why_not(member)).unwrap_or(DropReason::NoMember)
    }

    /// What spoke for and against each member.
    fn considered(
        &self,
        bridge: &Bridge<'_>,
        chosen: Option<(usize, Standing)>,
    ) -> impl Iterator<Item = Considered> {
        (0..).zip(&self.pool.members).map(move |(place, member)| {
            let state = self.state(place, member);
            let why = match chosen {
                Some((chosen, why)) if chosen == place => why,
                _ if !state.is_up() => Standing::Down,
                _ if state.admin() == Admin::Disabled => Standing::Disabled,
                _ if state.admin() == Admin::Draining => Standing::Draining,
                _ if member.weight == 0 => Standing::WeightZero,
                _ if bridge.why_not(member).is_some() => Standing::OtherFamily,
                Some((_, Standing::Named)) => Standing::AnotherNamed,
                Some((_, Standing::Bound)) => Standing::AnotherBound,
                Some((_, Standing::Hash)) => Standing::AnotherHash,
                Some(_) => Standing::AnotherTurn,
                None => Standing::NotAsked,
            };
            Considered {
                virtual_: Arc::clone(&self.virtual_.name),
                pool: Arc::clone(&self.pool.name),
                member: member.endpoint,
                weight: member.weight,
                active: state.active(),
                why,
            }
        })
    }
}
