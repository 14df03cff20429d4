//! Selection: which member takes the flow.

use std::net::SocketAddr;

use super::{Choice, First};
use crate::datapath::Datapath;
use crate::datapath::mode::ModeName;
use crate::datapath::reason::DropReason;
use crate::datapath::seats::Seat;
use crate::datapath::snapshot::{Member, Pool};
use crate::selection::Candidate;

/// The member that takes the flow.
pub(super) struct Chosen {
    pub(super) member: Member,
    pub(super) seat: Seat,
}

impl Datapath {
    /// In this order: the member that the rule named, the one that the client is bound to, the one whose turn
    /// it is. A client whose member may not be used any more is bound to another.
    ///
    /// The middle of a connection is never given to whoever's turn it is: that member would know nothing
    /// of it. Where a rule, a binding or a pool of one says which member has it, it goes on there; else
    /// the client is reset, and connects anew.
    pub(super) fn selection(
        &mut self,
        first: &First<'_>,
        choice: &Choice,
        bound: Option<SocketAddr>,
    ) -> Result<Chosen, DropReason> {
        let pool = self.snapshot.pool(choice.pool).ok_or(DropReason::NoPool)?;
        let place = match named(pool, choice)? {
            Some(place) => place,
            None => match usable_binding(pool, bound) {
                Some(place) => place,
                None if first.is_mid_stream() && pool.members.len() != 1 => {
                    return Err(DropReason::MidStream);
                }
                None => {
                    let fits = super::translation::fits(choice.mode.name(), first.client().address);
                    let seat = self.seats.pool_mut(choice.pool).ok_or(DropReason::NoPool)?;
                    let turn = seat.selector.pick(pool.members.len(), |place| {
                        pool.members.get(place).map_or_else(Candidate::default, |member| Candidate {
                            usable: member.state.usable_for_new() && fits(member),
                            weight: member.weight,
                            active: member.state.active(),
                        })
                    });
                    bind(first, choice, pool, turn.ok_or_else(|| nobody(pool, choice.mode.name(), first))?)
                }
            },
        };
        let member = pool.members.get(place).cloned().ok_or(DropReason::NoMember)?;
        let seat = self.seats.of_member(choice.pool, place).ok_or(DropReason::NoMember)?;
        Ok(Chosen { member, seat })
    }
}

/// The member that a rule named, as long as it may be used.
fn named(pool: &Pool, choice: &Choice) -> Result<Option<usize>, DropReason> {
    let Some(endpoint) = choice.named else { return Ok(None) };
    let place = pool.position(endpoint).ok_or(DropReason::NoSuchMember)?;
    Ok(Some(place).filter(|place| pool.members[*place].state.usable_for_persistent()))
}

/// The place of the member that a client is bound to, as long as it may be used.
fn usable_binding(pool: &Pool, bound: Option<SocketAddr>) -> Option<usize> {
    let place = pool.position(bound?.into())?;
    pool.members[place].state.usable_for_persistent().then_some(place)
}

/// Binds the client to the member whose turn it is, unless another worker was quicker.
fn bind(first: &First<'_>, choice: &Choice, pool: &Pool, turn: usize) -> usize {
    let (Some(key), Some(member)) = (&choice.key, pool.members.get(turn)) else { return turn };
    let address = SocketAddr::from(member.endpoint);
    let keep = |bound: &SocketAddr| usable_binding(pool, Some(*bound)).is_some();
    let bound = pool.bindings.bind(key.bytes(), address, key.timeout, first.now, keep).into_inner();
    pool.position(bound.into()).unwrap_or(turn)
}

/// Why there is none to choose.
fn nobody(pool: &Pool, mode: ModeName, first: &First<'_>) -> DropReason {
    let fits = super::translation::fits(mode, first.client().address);
    let usable = |member: &&Member| member.state.usable_for_new() && member.weight > 0;
    match pool.members.iter().find(usable) {
        Some(member) if !fits(member) => DropReason::OtherFamily,
        _ => DropReason::NoMember,
    }
}
