//! Clients whose member does not serve them.

use crate::balance::Members;
use crate::balance::choose::Ask;

/// Whether the client is bound to a member that does not serve it, and no rule named one that does.
#[must_use]
pub fn is_away(ask: &Ask<'_>, members: &impl Members) -> bool {
    let serves = |place: Option<usize>| place.is_some_and(|place| members.serves_bound(place));
    ask.bound.is_some() && !serves(ask.bound) && !serves(ask.named)
}
