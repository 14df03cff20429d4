//! What a packet virtual must say where its flows keep their destinations, or where it takes any.

use std::net::SocketAddr;

use shunt_engine::datapath::{ModeName, Transport};

use super::super::report::{Cause, Refusal};
use super::super::walk::Table;

/// What a packet virtual takes, and how it forwards it.
pub(super) struct Asked {
    pub(super) listen: SocketAddr,
    pub(super) transport: Transport,
    pub(super) mode: ModeName,
}

/// What can lead its flows to members.
pub(super) struct Leads {
    pub(super) pool: bool,
    /// They may choose a pool and another mode.
    pub(super) rules: bool,
}

pub(super) fn check(table: &mut Table<'_>, asked: &Asked, leads: &Leads) {
    let mode = asked.mode.as_str();
    let is_wildcard = asked.listen.ip().is_unspecified();
    if asked.mode == ModeName::L3dsrDscp && is_wildcard {
        let message = "mode `l3dsr-dscp` tells members one address, and `listen` is every address";
        let refusal = Refusal::new(Cause::Conflict, message)
            .help("write one address, or choose `l2dsr` or a tunnel, which leave the destination as it is");
        table.refuse("listen", refusal);
    }
    // What has a destination of its own needs no member.
    let has_way = is_wildcard && matches!(asked.mode, ModeName::Route | ModeName::Snat);
    if !leads.pool && !leads.rules && !has_way && (is_wildcard || asked.mode == ModeName::Route) {
        let message = format!("mode `{mode}` sends packets to a member, and there is no `pool`");
        let refusal = Refusal::new(Cause::MissingKey, message).help(if is_wildcard {
            "name a `pool`; without one, `route` and `snat` go to where packets are addressed"
        } else {
            "name a `pool` whose members are routers; without one, `listen` must be every address"
        });
        table.refuse("mode", refusal);
    }
    if asked.transport == Transport::All && asked.mode == ModeName::Snat {
        let message = "mode `snat` tells clients apart by ports, which most protocols of `all` have not";
        let refusal = Refusal::new(Cause::Conflict, message).help(
            "write `transport = \"any\"`, and forward other protocols by a virtual of mode `nat` or `route`",
        );
        table.refuse("transport", refusal);
    }
    if table.wrote("return-to-sender") && !asked.mode.is_two_way() && !leads.rules {
        let message = "`return-to-sender` is about answers, and members answer directly";
        let refusal = Refusal::new(Cause::Conflict, message)
            .label(format!("`mode` is `{mode}`, and no rule could choose another"))
            .help("leave it out");
        table.refuse("return-to-sender", refusal);
    }
}
