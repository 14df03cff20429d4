//! Whether the path of a flow can be replayed.

use crate::datapath::model::reason::DropReason;
use crate::network::Via;

/// Why a path cannot be replayed now.
pub(in crate::datapath) enum Blocked {
    /// The MAC of the next hop has to be asked for.
    Unresolved(Via),
    Refused(DropReason),
}
