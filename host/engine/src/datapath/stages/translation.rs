//! Translation: how the packet comes to an address of the member's family.
//!
//! This is where IPv4 and IPv6 meet. Tunnels carry either family in either, and `l2dsr` touches no address.
//! The modes that rewrite addresses keep the family, so here a flow to a member of the other one is refused by
//! name.

use shunt_wire::Address;

use super::selection::Chosen;
use super::{Choice, First};
use crate::datapath::Datapath;
use crate::datapath::mode::ModeName;
use crate::datapath::reason::DropReason;
use crate::datapath::snapshot::Member;
use crate::datapath::stage::Stage;
use crate::datapath::words;

impl Datapath {
    pub(super) fn translation(
        &self,
        first: &First<'_>,
        choice: &Choice,
        chosen: &Chosen,
    ) -> Result<(), DropReason> {
        let fits = fits(choice.mode.name(), first.client().address);
        self.trace.at(Stage::Translation, || {
            let (client, member) = (first.client().address.family(), chosen.member.endpoint.address.family());
            if client == member {
                "client and member are of one family: nothing to settle".to_owned()
            } else {
                let [client, member] = [client, member].map(words::family);
                format!("the client is of {client}, the member of {member}")
            }
        });
        if fits(&chosen.member) { Ok(()) } else { Err(DropReason::OtherFamily) }
    }
}

/// Can packets of the client come to a member?
pub(super) fn fits(mode: ModeName, client: Address) -> impl Fn(&Member) -> bool {
    move |member| !mode.needs_same_family() || member.endpoint.address.family() == client.family()
}
