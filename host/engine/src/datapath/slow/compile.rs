//! Compile: what is done to every packet of a direction, decided once.

use std::hash::BuildHasher;

use shunt_wire::Endpoint;
use shunt_wire::translation::LOWEST_IPV6_MTU;

use super::selection::Chosen;
use super::{Choice, First};
use crate::datapath::compile::outer::Outside;
use crate::datapath::compile::plan::{Ends, Path, Plan, mss, way_back};
use crate::datapath::compile::render;
use crate::datapath::model::arrival::Sender;
use crate::datapath::model::mode::{Mode, ModeName};
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::stage::Stage;
use crate::datapath::state::config::Config;
use crate::flow::Direction;

/// Compiles both directions; that of return traffic only where it passes through Shunt.
pub(super) fn compile(
    config: &Config,
    first: &First<'_>,
    choice: &Choice,
    chosen: &Chosen,
    seen: Option<Endpoint>,
) -> Result<(Plan, Ends, [Path; 2]), DropReason> {
    let (virtual_, network) = (first.virtual_, &*config.network);
    let mode = choice.mode.name();
    let two_way = mode.is_two_way();
    let sender = (two_way && virtual_.return_to_sender).then(|| first.arrival.sender());
    let ends = Ends { forward: first.packet.key, seen, mode, sender };
    let member = first.toward(chosen.member.endpoint);
    let client = first.client().address;
    // A router takes packets as they are; any other member takes those of its own family.
    let family = if mode == ModeName::Route { client.family() } else { member.address.family() };
    let ways =
        [(way_back(sender, client, network), client.family()), (network.next_hop(member.address), family)];
    let plan = Plan {
        member,
        entropy: config.options.key.hash_one(ends.forward) as u32,
        gue_port: virtual_.gue_port,
        mss: mss(virtual_.mss, if two_way { &ways } else { &[] }),
        lowest_ipv6_mtu: virtual_.translation.as_ref().map_or(LOWEST_IPV6_MTU, |it| it.lowest_ipv6_mtu),
        idle: first.idle(),
        dscp: match choice.mode {
            Mode::L3dsrDscp(dscp) => Some(dscp),
            _ => None,
        },
    };
    let outside =
        Outside::new(Some(virtual_), (member.address, Some(&*chosen.member.state)), plan.entropy, first.now);
    let compile = |direction| {
        first.trace.at(Stage::Compile, || match (direction, ends.sender) {
            (Direction::ToServer, _) => render::way(network, plan.member.address),
            (Direction::ToClient, None) => render::way(network, client),
            (Direction::ToClient, Some(Sender { mac, .. })) => {
                format!("replies go back to {mac}, which sent the packet")
            }
        });
        plan.compile(&ends, direction, &outside, network, config.epoch)
    };
    let to_server = compile(Direction::ToServer)?.path;
    let to_client = if two_way { compile(Direction::ToClient)?.path } else { to_server };
    Ok((plan, ends, [to_server, to_client]))
}
