//! The link by which probes come into the datapath and answers leave it: a TUN device of Shunt's own, with the
//! addresses that virtuals probe from, and routes to what is probed. It is gone when the process is.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use shunt_engine::network::{Hop, Network, Prefix, Route};
use shunt_sys::netlink::{Editor, NetworkState};
use shunt_sys::tun::Tun;
use shunt_wire::Address;

use crate::network::interface;
use shunt_config::model::Config;

/// What it is called; the kernel puts the first number that is free.
const NAME: &str = "shunt-probe%d";

/// The device as the control thread holds it. Its end is with the workers.
pub(crate) struct ProbeLink {
    index: u32,
    editor: Editor,
    has: Places,
}

/// Who speaks by it with whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// Where probes come from.
    pub(crate) from: BTreeSet<IpAddr>,
    /// Where they go.
    to: BTreeSet<IpAddr>,
}

/// What the datapath has to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProbeWay {
    pub(crate) link: u32,
    pub(crate) from: BTreeSet<IpAddr>,
}

impl Places {
    pub(crate) fn of(config: &Config) -> Places {
        let mut places = Places::default();
        for virtual_ in &config.packet_virtuals {
            let Some(from) = virtual_.probe_from else { continue };
            places.from.insert(from);
            if !virtual_.is_wildcard() {
                places.to.insert(virtual_.listen.ip());
                continue;
            }
            let reached = config.pools.iter().filter(|pool| virtual_.reaches(&pool.name));
            let targets = reached.flat_map(|pool| &pool.monitors).filter_map(|monitor| monitor.target);
            places.to.extend(targets.map(|target| target.address));
        }
        places
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.from.is_empty()
    }
}

impl ProbeLink {
    /// Makes the device. It has no addresses yet.
    ///
    /// # Errors
    /// What keeps it from that.
    pub(crate) fn open() -> Result<(ProbeLink, Tun), String> {
        let tun = Tun::create(NAME).map_err(|error| format!("probe-from: {error}"))?;
        let editor = Editor::open().map_err(|error| format!("probe-from: {error}"))?;
        let link = ProbeLink { index: tun.interface(), editor, has: Places::default() };
        link.editor.bring_up(link.index).map_err(|error| format!("probe-from: {}: {error}", tun.name()))?;
        Ok((link, tun))
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn way(&self) -> ProbeWay {
        ProbeWay { link: self.index, from: self.has.from.clone() }
    }

    /// What it has.
    pub(crate) fn places(&self) -> &Places {
        &self.has
    }

    /// Gives it the addresses and routes of `places` that it has not yet; returns which these were.
    ///
    /// # Errors
    /// What it cannot be given; it has then what it had.
    pub(crate) fn add(&mut self, places: &Places) -> Result<Places, String> {
        let ProbeLink { index, editor, has } = self;
        let new = Places { from: &places.from - &has.from, to: &places.to - &has.to };
        let mut added = Places::default();
        let give = |what: &str, address: IpAddr, outcome: io::Result<()>, to: &mut BTreeSet<IpAddr>| {
            outcome.map_err(|error| told(what, address, &error))?;
            to.insert(address);
            Ok(())
        };
        let mut outcome: Result<(), String> = Ok(());
        for from in &new.from {
            if outcome.is_err() {
                break;
            }
            let given = editor.add_address(*index, *from, bits(*from));
            outcome = give("the address", *from, given, &mut added.from);
        }
        for to in &new.to {
            if outcome.is_err() {
                break;
            }
            let given = editor.add_route(*to, bits(*to), *index);
            outcome = give("a route to", *to, given, &mut added.to);
        }
        has.from.extend(&added.from);
        has.to.extend(&added.to);
        match outcome {
            Ok(()) => Ok(added),
            Err(problem) => {
                self.remove(&added);
                Err(problem)
            }
        }
    }

    /// Takes these addresses and routes off. What the kernel does not let go of is tried again by the next reload.
    pub(crate) fn remove(&mut self, places: &Places) {
        let ProbeLink { index, editor, has } = self;
        let done = |address: &IpAddr, outcome: io::Result<()>| {
            if let Err(error) = &outcome {
                tracing::error!(%address, %error, "cannot remove the address from the probe interface");
            }
            outcome.is_err()
        };
        has.to.retain(|it| !places.to.contains(it) || done(it, editor.remove_route(*it, bits(*it), *index)));
        has.from.retain(|it| {
            !places.from.contains(it) || done(it, editor.remove_address(*index, *it, bits(*it)))
        });
    }

    /// Takes off what is not of these places.
    pub(crate) fn keep(&mut self, places: &Places) {
        let gone = Places { from: &self.has.from - &places.from, to: &self.has.to - &places.to };
        self.remove(&gone);
    }
}

impl ProbeWay {
    /// Makes the network lead back to where probes come from. The kernel's routes by this link are for monitors
    /// alone: to the datapath what they lead to is elsewhere.
    pub(crate) fn put_into(&self, network: &mut Network, state: &NetworkState) {
        for route in state.routes.iter().filter(|it| it.hops.iter().any(|hop| hop.interface == self.link)) {
            let Some(destination) = Prefix::new(route.destination.into(), route.prefix) else { continue };
            for hop in &route.hops {
                let hop = Hop { gateway: hop.gateway.map(Address::from), interface: hop.interface };
                network.remove_route(&Route { destination, hop: Some(hop), metric: route.metric });
            }
        }
        let Some(link) = state.links.get(&self.link) else { return };
        let mut interface = interface(link, state);
        // They are Shunt's, and no other host is on this link.
        interface.addresses.clear();
        network.set_interface(interface);
        for from in &self.from {
            let Some(destination) = Prefix::new(Address::from(*from), bits(*from)) else { continue };
            let by = |interface| {
                let hop = Some(Hop { gateway: None, interface });
                Route { destination, hop, metric: 0 }
            };
            // To other devices it looks like an address of the host as any other.
            for other in state.links.values().filter(|link| link.tun && link.index != self.link) {
                network.remove_route(&by(other.index));
            }
            network.add_route(by(self.link));
        }
    }
}

/// What the probe interface cannot be given, and what to do.
fn told(what: &str, address: IpAddr, error: &io::Error) -> String {
    // It may be changed, for it could be made; so what is not permitted is IPv6 (net/ipv6/addrconf.c, `addrconf_add_dev`).
    let help = match error.kind() {
        io::ErrorKind::PermissionDenied if address.is_ipv6() => {
            "; new interfaces have no IPv6 here: `sysctl -w net.ipv6.conf.default.disable_ipv6=0` lets them"
        }
        _ => "",
    };
    format!("probe-from: cannot add {what} {address}: {error}{help}")
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use nix::sched::{CloneFlags, unshare};
    use shunt_sys::netlink::Netlink;

    use super::*;

    /// What comes behind the address that cannot be added is not added, either.
    #[test]
    fn a_link_has_what_it_had_where_something_cannot_be_added() {
        if !shunt_lab::needs::root("a TUN device") {
            return;
        }
        let test = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let (mut link, _tun) = ProbeLink::open().unwrap();
            // Which no interface can have, before one that any can.
            let from = ["::", "2001:db8::1"].map(|it| it.parse().unwrap());
            let refused = link.add(&Places { from: from.into(), to: BTreeSet::new() }).unwrap_err();
            assert!(refused.starts_with("probe-from: cannot add the address ::: "), "{refused}");
            assert!(link.places().is_empty());
            let netlink = Netlink::open().unwrap();
            let mut addresses = netlink.state().addresses.iter().map(|it| it.address);
            assert!(addresses.all(|address| !from.contains(&address)));
        };
        thread::scope(|scope| scope.spawn(test).join()).unwrap();
    }
}
