//! Translation: as whom the member sees the client.
//!
//! This is where IPv4 and IPv6 meet. Tunnels carry either family in either, and `l2dsr` touches no address. `snat`
//! sees to it by itself: the member gets a leased address of its own family. In `nat` the member sees the client's
//! address, or in the other family the one that the virtual's mapping has for it; a client without one is
//! refused by name.

use shunt_wire::{Address, Endpoint};

use super::selection::Chosen;
use super::{Choice, First};
use crate::datapath::compile::render;
use crate::datapath::model::mode::{Mode, ModeName};
use crate::datapath::model::pool::Member;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::stage::Stage;
use crate::datapath::model::virtual_::Virtual;
use crate::datapath::snapshot::Snapshot;
use crate::datapath::state::config::Config;
use crate::snat::Lease;

/// Whom the member sees; `None` where return traffic does not pass through Shunt.
pub(super) fn seen(
    config: &Config,
    first: &First<'_>,
    choice: &Choice,
    chosen: &Chosen,
    lease: Option<&Lease>,
) -> Result<Option<Endpoint>, DropReason> {
    let bridge = Bridge::new(&config.snapshot, first.virtual_, choice.mode, first.client().address);
    bridge.why_not(&chosen.member).map_or(Ok(()), Err)?;
    let seen = match choice.mode {
        Mode::Nat => {
            let client = first.client();
            let same = client.address.family() == chosen.member.endpoint.address.family();
            let address = if same { Some(client.address) } else { bridge.client };
            Some(Endpoint { address: address.ok_or(DropReason::ClientUnmapped)?, ..client })
        }
        Mode::Snat(_) => lease.map(Lease::endpoint),
        _ => None,
    };
    first.trace.at(Stage::Translation, || {
        let (client, member) = (first.client().address.family(), chosen.member.endpoint.address.family());
        if client == member {
            return "client and member are of one IP family: nothing to translate".to_owned();
        }
        let [client, member] = [client, member].map(render::family);
        let seen = seen.map(|seen| format!(", which sees the client as {seen}")).unwrap_or_default();
        format!("the client is of {client}, the member of {member}{seen}")
    });
    Ok(seen)
}

/// What a flow can bridge between IPv4 and IPv6.
pub(super) struct Bridge<'a> {
    snapshot: &'a Snapshot,
    virtual_: &'a Virtual,
    mode: Mode,
    /// As it came.
    address: Address,
    /// In the other family, in mode `nat`.
    client: Option<Address>,
}

impl<'a> Bridge<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, virtual_: &'a Virtual, mode: Mode, address: Address) -> Self {
        let translation = virtual_.translation.as_ref().filter(|_| mode == Mode::Nat);
        let client = translation.and_then(|translation| translation.mapping.across(address));
        Self { snapshot, virtual_, mode, address, client }
    }

    /// Why packets of the client cannot come to a member; `None` if they can.
    pub(super) fn why_not(&self, member: &Member) -> Option<DropReason> {
        let family = member.endpoint.address.family();
        let same = family == self.address.family();
        match self.mode {
            Mode::Snat(pool) => {
                let pool = self.snapshot.snat_pool(pool);
                let mut addresses = pool.iter().flat_map(|pool| pool.ports.addresses());
                let has = addresses.any(|address| address.family() == family);
                (!has).then_some(DropReason::SnatFamily)
            }
            Mode::Nat if same || self.client.is_some() => None,
            mode if mode.name().needs_same_family() && !same => Some(self.unknown()),
            _ => None,
        }
    }

    /// Why the client has no address of the other family.
    fn unknown(&self) -> DropReason {
        let translation = self.virtual_.translation.as_ref().filter(|_| self.mode == Mode::Nat);
        match translation.map(|translation| &translation.mapping).filter(|mapping| mapping.knows_any()) {
            Some(mapping) if mapping.is_forged(self.address) => DropReason::Forged,
            Some(_) => DropReason::ClientUnmapped,
            None => DropReason::OtherFamily,
        }
    }
}

impl ModeName {
    /// The client's packet itself is put on the way to the member's address. A tunnel has an outer header of its
    /// own, and `l2dsr` needs only the member's MAC.
    const fn needs_same_family(self) -> bool {
        matches!(self, Self::Nat | Self::L3dsrDscp)
    }
}
