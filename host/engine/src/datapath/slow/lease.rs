//! SNAT lease: the source that the member sees, in mode `snat`.

use shunt_wire::Endpoint;

use super::selection::Chosen;
use super::{Choice, First};
use crate::datapath::driver::Driver;
use crate::datapath::model::flow::FlowProtocol;
use crate::datapath::model::mode::Mode;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::stage::Stage;
use crate::datapath::state::config::Config;
use crate::snat::Ports;
use crate::snat::{Lease, Refusal};

/// The middle of a connection cannot continue under another port than it began with: that is not known any
/// more, so the client is reset, and connects again.
pub(super) fn lease(
    config: &Config,
    leases: &mut Ports,
    first: &First<'_>,
    choice: &Choice,
    chosen: &Chosen,
    driver: &mut impl Driver,
) -> Result<Option<Lease>, DropReason> {
    let Mode::Snat(index) = choice.mode else {
        first.trace.at(Stage::SnatLease, || format!("mode {} needs no port", choice.mode.name()));
        return Ok(None);
    };
    if let FlowProtocol::Other(_) = first.protocol {
        return Err(DropReason::NoPorts);
    }
    if first.is_mid_stream() {
        return Err(DropReason::MidStream);
    }
    let pool = config.snapshot.snat_pool(index).ok_or(DropReason::ModeIncomplete)?;
    let member = first.toward(chosen.member.endpoint);
    let protocol = first.packet.key.protocol();
    match leases.lease(&pool.ports, protocol, member, driver.random(), first.now) {
        Ok(lease) => {
            first.trace.at(Stage::SnatLease, || {
                format!("{} of SNAT pool {} is free toward {member}", lease.endpoint(), pool.name)
            });
            Ok(Some(lease))
        }
        Err(Refusal::Exhausted) => {
            first.trace.at(Stage::SnatLease, || {
                format!("every port of SNAT pool {} is in use or quarantined toward {member}", pool.name)
            });
            Err(DropReason::SnatExhausted)
        }
        Err(Refusal::NoAddress) => Err(DropReason::SnatFamily),
    }
}

impl First<'_> {
    /// The endpoint of a member that the flow goes to: a member of any port gets the one that was asked for, and
    /// what has no ports has none.
    pub(super) fn toward(&self, member: Endpoint) -> Endpoint {
        match self.protocol {
            FlowProtocol::Tcp | FlowProtocol::Udp if member.port != 0 => member,
            FlowProtocol::Tcp | FlowProtocol::Udp => Endpoint { port: self.vip().port, ..member },
            FlowProtocol::Icmp | FlowProtocol::Other(_) => Endpoint { port: 0, ..member },
        }
    }
}
