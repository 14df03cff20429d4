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
        let message = "in mode `l3dsr-dscp` the DSCP stands for one address, and `listen` is every address";
        let refusal = Refusal::new(Cause::Conflict, message)
            .help("use one address, or mode `l2dsr` or a tunnel, which keep the destination");
        table.refuse("listen", refusal);
    }
    // What has a destination of its own needs no member.
    let has_way = is_wildcard && matches!(asked.mode, ModeName::Route | ModeName::Snat);
    if !leads.pool && !leads.rules && !has_way && (is_wildcard || asked.mode == ModeName::Route) {
        let message = format!("mode `{mode}` forwards packets to a member, and the virtual has no `pool`");
        let refusal = Refusal::new(Cause::MissingKey, message).help(if is_wildcard {
            "add a `pool`; only modes `route` and `snat` work without one, and forward packets to their own destination"
        } else {
            "add a `pool` whose members are routers; without one, `listen` must be every address: `0.0.0.0:0`, `[::]:0`"
        });
        table.refuse("mode", refusal);
    }
    if asked.transport == Transport::All && asked.mode == ModeName::Snat {
        let message = "mode `snat` tells flows apart by their ports, and most protocols of `all` have none";
        let refusal = Refusal::new(Cause::Conflict, message)
            .help("use `transport = \"any\"`, and for other protocols a virtual of mode `nat` or `route`");
        table.refuse("transport", refusal);
    }
    if table.wrote("return-to-sender") && !asked.mode.is_two_way() && !leads.rules {
        let message =
            "`return-to-sender` is for replies through Shunt, and members send replies directly to clients";
        let refusal = Refusal::new(Cause::Conflict, message)
            .label(format!("`mode` is `{mode}`, and no rule could choose another"))
            .help("remove it");
        table.refuse("return-to-sender", refusal);
    }
}
