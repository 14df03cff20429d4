//! Selection: which member takes the flow.

use std::net::SocketAddr;
use std::sync::Arc;

use shunt_wire::Endpoint;

use super::translation::Bridge;
use super::{Choice, First};
use crate::balance::choose::{self, Ask, Bind, NotChosen, Why};
use crate::balance::groups::{InUse, Priority, Ranked};
use crate::balance::{Candidate, Ends, Members, Time};
use crate::datapath::model::id::EntryId;
use crate::datapath::model::mode::Mode;
use crate::datapath::model::pool::{Member, Pool};
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::stage::Stage;
use crate::datapath::model::virtual_::{PathHealth, Virtual};
use crate::datapath::state::accounting::Accounting;
use crate::datapath::state::config::Config;
use crate::datapath::state::trace::{Considered, Standing};
use crate::member::MemberState;
use crate::persistence::is_away;

/// The member that takes the flow; without a pool, the destination itself.
pub(super) struct Chosen {
    pub(super) member: Member,
    pub(super) entry: EntryId,
}

/// In the order of [`choose`]: the member that the rule named, the one that the client is bound to, the one whose
/// turn it is. The middle of a connection that none of these has is reset, and the client connects again.
pub(super) fn select(
    config: &Config,
    accounting: &mut Accounting,
    first: &First<'_>,
    choice: &Choice,
    bound: Option<SocketAddr>,
) -> Result<Chosen, DropReason> {
    let Some(index) = choice.pool else {
        let state = Arc::clone(&accounting.no_member);
        let member = Member { endpoint: first.vip(), weight: 1, state };
        first.trace.at(Stage::Selection, || format!("no pool: the flow goes to {} itself", first.vip()));
        return Ok(Chosen { member, entry: EntryId::NONE });
    };
    let virtual_ = first.virtual_;
    let pool = config.snapshot.pool(index).ok_or(DropReason::NoPool)?;
    let bridge = Bridge::new(&config.snapshot, virtual_, choice.mode, first.client().address);
    let found = virtual_.found(index, choice.mode);
    let groups = found.map_or(&pool.groups, |it| &it.groups);
    let ranked = groups.are_ranked().then(|| Ranked {
        groups,
        policy: pool.policy,
        now: first.now,
        only_explains: first.trace.listens(),
    });
    let among = Among { virtual_, mode: choice.mode, pool, found, bridge };
    let in_use = ranked.filter(|_| first.trace.listens()).and_then(|ranked| ranked.settle(&among));
    first.trace.consider(|| among.considered(None, in_use));
    let named = match choice.named {
        Some(endpoint) => Some(pool.position(endpoint).ok_or(DropReason::NoSuchMember)?),
        None => None,
    };
    // A packet that is only explained binds no client.
    let key = choice.key.as_ref().filter(|_| !first.trace.listens());
    let ask = Ask {
        named,
        bound: bound.and_then(|member| among.place(member)),
        bind: key.map(|key| Bind { bindings: &pool.bindings, key, now: first.now }),
        ends: Ends { now: first.now, ..Ends::new(first.client().address, first.vip().address) },
        groups: ranked,
        is_mid_stream: first.is_mid_stream(),
    };
    let is_away = is_away(&ask, &among);
    if is_away && virtual_.persistence.is_some_and(|it| it.refuses_when_down) {
        first
            .trace
            .at(Stage::Selection, || "the client's member is down, and `when-down` is to refuse".to_owned());
        count_away(accounting, first, REFUSED);
        return Err(DropReason::BoundMemberDown);
    }
    let selector = accounting.entries.selector(&config.snapshot, index).ok_or(DropReason::NoPool)?;
    let chosen = choose::choose(&ask, &among, selector).map_err(|why| match why {
        NotChosen::MidStream => DropReason::MidStream,
        NotChosen::NoMember => among.why_none(),
    })?;
    if is_away {
        count_away(accounting, first, RESELECTED);
    }
    let place = chosen.place;
    let why = match chosen.why {
        Why::Named => Standing::Named,
        Why::Bound => Standing::Bound,
        Why::Balanced if pool.balance.is_hash() => Standing::Hash,
        Why::Balanced => Standing::Turn,
    };
    first.trace.consider(|| among.considered(Some((place, why)), in_use));
    let member = among.member(place).ok_or(DropReason::NoMember)?;
    first.trace.at(Stage::Selection, || format!("{} is chosen: {}", member.endpoint, why.means()));
    let entry = config.snapshot.member_entry(index, place).ok_or(DropReason::NoMember)?;
    Ok(Chosen { member, entry })
}

/// What became of a client whose member is down: its place in the counters of the virtual.
const RESELECTED: usize = 0;
const REFUSED: usize = 1;

fn count_away(accounting: &mut Accounting, first: &First<'_>, then: usize) {
    let entry = accounting.entries.virtual_mut(first.entry).filter(|_| !first.trace.listens());
    if let Some(entry) = entry {
        entry.persistence_down[then] += 1;
    }
}

/// The members of a pool as a flow of one virtual finds them.
struct Among<'a> {
    virtual_: &'a Virtual,
    mode: Mode,
    pool: &'a Pool,
    /// Where the virtual probes on the path of these flows.
    found: Option<&'a PathHealth>,
    bridge: Bridge<'a>,
}

impl Members for Among<'_> {
    fn count(&self) -> usize {
        self.pool.members.len()
    }

    fn candidate(&self, place: usize) -> Candidate {
        self.pool.members.get(place).map_or_else(Candidate::default, |member| {
            let state = self.state(place, member);
            Candidate {
                usable: state.usable_for_new() && self.bridge.why_not(member).is_none(),
                weight: state.weight(member.weight),
                active: state.active(),
                time: match self.pool.balance.time() {
                    Some(Time::Probe) => state.probe_time(),
                    Some(Time::Answer) | None => 0,
                },
                came: self.pool.slow_start.map_or(0, |_| state.came()),
            }
        })
    }

    fn endpoint(&self, place: usize) -> Endpoint {
        self.pool.members.get(place).map(|member| member.endpoint).unwrap_or_default()
    }

    fn serves_bound(&self, place: usize) -> bool {
        self.pool.members.get(place).is_some_and(|member| self.state(place, member).usable_for_persistent())
    }

    fn place(&self, member: SocketAddr) -> Option<usize> {
        self.pool.position(member.into())
    }

    fn priority(&self, place: usize) -> Priority {
        self.pool.members.get(place).map_or(0, |member| member.state.priority())
    }

    /// Groups are for clients of either family.
    fn is_available(&self, place: usize) -> bool {
        let member = self.pool.members.get(place);
        member.is_some_and(|member| {
            self.state(place, member).usable_for_new() && member.state.weight(member.weight) > 0
        })
    }
}

impl Among<'_> {
    fn state<'a>(&'a self, place: usize, member: &'a Member) -> &'a Arc<MemberState> {
        self.found.and_then(|it| it.members.get(place)).unwrap_or(&member.state)
    }

    /// A member with the state that it has here.
    fn member(&self, place: usize) -> Option<Member> {
        let member = self.pool.members.get(place)?;
        let Member { endpoint, weight, .. } = *member;
        Some(Member { endpoint, weight, state: Arc::clone(self.state(place, member)) })
    }

    /// Why there is none to choose.
    fn why_none(&self) -> DropReason {
        let usable = |(place, member): &(usize, &Member)| {
            self.state(*place, member).usable_for_new() && member.state.weight(member.weight) > 0
        };
        let first = self.pool.members.iter().enumerate().find(usable);
        first.and_then(|(_, member)| self.bridge.why_not(member)).unwrap_or(DropReason::NoMember)
    }

    /// What spoke for and against each member.
    fn considered(
        &self,
        chosen: Option<(usize, Standing)>,
        in_use: Option<InUse>,
    ) -> impl Iterator<Item = Considered> {
        (0..).zip(&self.pool.members).map(move |(place, member)| {
            let state = self.state(place, member);
            let out = state.ineligible(member.weight);
            let why = match chosen {
                Some((chosen, why)) if chosen == place => why,
                _ if out.is_some() => out.map_or(Standing::NotAsked, Standing::from),
                _ if self.bridge.why_not(member).is_some() => Standing::OtherFamily,
                _ if in_use.is_some_and(|it| !it.has(state.priority())) => Standing::GroupNotInUse,
                Some((_, Standing::Named)) => Standing::AnotherNamed,
                Some((_, Standing::Bound)) => Standing::AnotherBound,
                Some((_, Standing::Hash)) => Standing::AnotherHash,
                Some(_) => Standing::AnotherTurn,
                None => Standing::NotAsked,
            };
            Considered {
                virtual_: Arc::clone(&self.virtual_.name),
                mode: self.mode,
                pool: Arc::clone(&self.pool.name),
                member: member.endpoint,
                weight: member.weight,
                active: state.active(),
                why,
            }
        })
    }
}
