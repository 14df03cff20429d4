//! Interfaces: what is wrong with them told at once, sockets opened, the XDP program attached and told
//! whose frames are whose.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use shunt_rules::suggest::nearest;
use shunt_sys::netlink::{Link, NetworkState};
use shunt_sys::tun::{self, Tun};
use shunt_sys::xdp::{Mode, Steering, Wanted, XdpError};
use shunt_sys::xsk::{self, Socket};
use shunt_wire::Address;
use shunt_wire::steering::{self, ReturnEndpoint, Segment, TunnelEnd};

use crate::control::snapshot::{needs, reaches};
use crate::network::{holder, is_ethernet};
use shunt_config::model::{Config, PacketVirtual};

/// The XDP program, and what its maps hold. Shared by the control thread and the one that follows the
/// network.
pub(crate) struct Steered {
    steering: Steering,
    /// What the configuration wants.
    wanted: Wanted,
    /// Endpoints of members that left it, and that flows may still have answers of.
    leaving: BTreeSet<ReturnEndpoint>,
    /// Ends of tunnels that left it, and that flows may still go into.
    leaving_tunnels: BTreeSet<TunnelEnd>,
    ports: BTreeMap<u32, OpenPort>,
    /// The probe interface, whose addresses are not the host's.
    probe_link: Option<u32>,
    /// The kernel refused the last change of the program's maps.
    is_behind: bool,
}

/// An interface that the program runs on, or a TUN device.
#[derive(Clone, Debug)]
pub(crate) struct OpenPort {
    pub(crate) name: String,
    pub(crate) queues: u32,
    pub(crate) way: Way,
    /// It was there when the network was last looked at.
    pub(crate) is_there: bool,
}

/// How frames of an interface come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Its driver runs the program.
    Native,
    /// The kernel's general receive path runs it.
    Generic,
    /// As datagrams, of a TUN device.
    Tun,
}

impl Way {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Way::Native => "native",
            Way::Generic => "generic",
            Way::Tun => "tun",
        }
    }
}

/// What is open for one worker.
#[derive(Default)]
pub(crate) struct Opened {
    pub(crate) sockets: Vec<Socket>,
    /// The TUN devices that it reads.
    pub(crate) tuns: Vec<Tun>,
    /// For the TUN devices that another reads.
    pub(crate) writers: Vec<tun::Writer>,
}

impl Opened {
    pub(crate) fn is_empty(&self) -> bool {
        self.sockets.is_empty() && self.tuns.is_empty() && self.writers.is_empty()
    }
}

/// What a configuration needs of the interfaces, found to be there.
pub(crate) struct Needed {
    /// The interfaces that virtuals name.
    pub(crate) links: HashMap<String, Named>,
    /// The interfaces that frames come in by: those that are named, and the carriers of VLANs.
    pub(crate) ports: Vec<Needs>,
    /// The TUN devices that are named.
    pub(crate) tuns: Vec<Link>,
}

/// What the kernel knows an interface by that virtuals name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) link: u32,
    /// Its frames, as they come in.
    pub(crate) segment: Segment,
}

impl Named {
    /// An interface whose frames come in by its carrier.
    pub(crate) fn new(link: u32, carrier: u32, state: &NetworkState) -> Named {
        let vlan = state.links.get(&link).and_then(|it| it.vlan);
        Named { link, segment: Segment::new(carrier, vlan.map_or(0, |vlan| vlan.id)) }
    }
}

/// An interface with its receive queues.
pub(crate) struct Needs {
    pub(crate) link: Link,
    pub(crate) queues: u32,
}

/// Looks up what a configuration needs.
///
/// # Errors
/// Everything that is wrong, a line each.
pub(crate) fn find(config: &Config, state: &NetworkState) -> Result<Needed, Vec<String>> {
    let mut problems = Vec::new();
    let mut links = HashMap::new();
    let mut carriers = BTreeSet::new();
    let virtuals = config.packet_virtuals.iter().map(|it| (&it.name, &it.interfaces, false));
    let translators = config.translators.iter().map(|it| (&it.name, &it.interfaces, true));
    for (whose, interfaces, makes_tun) in virtuals.chain(translators) {
        for name in interfaces {
            match carrier(name, state) {
                Ok((link, carrier)) => {
                    links.insert(name.clone(), Named::new(link, carrier, state));
                    carriers.insert(carrier);
                }
                Err(problem) => {
                    let makes = if makes_tun && named(name, state).is_none() {
                        format!("; `ip tuntap add mode tun dev {name}` makes a TUN device")
                    } else {
                        String::new()
                    };
                    problems.push(format!("virtual {whose}: {problem}{makes}"));
                }
            }
        }
    }
    problems.extend(addresses_of_others(config, state));
    problems.extend(too_many(config, state));
    let (mut ports, mut tuns) = (Vec::new(), Vec::new());
    for link in carriers.into_iter().filter_map(|index| state.links.get(&index)) {
        if link.tun {
            tuns.push(link.clone());
            continue;
        }
        match xsk::queues(link) {
            Ok(queues) => ports.push(Needs { link: link.clone(), queues }),
            Err(error) => problems.push(format!("interface {}: cannot read its queues: {error}", link.name)),
        }
    }
    if problems.is_empty() { Ok(Needed { links, ports, tuns }) } else { Err(problems) }
}

fn named<'a>(name: &str, state: &'a NetworkState) -> Option<&'a Link> {
    state.links.values().find(|link| link.name == name)
}

/// The number of an interface, and of the one that carries its frames.
pub fn carrier(name: &str, state: &NetworkState) -> Result<(u32, u32), String> {
    let link = named(name, state).ok_or_else(|| {
        let hint = match nearest(name, state.links.values().map(|link| link.name.as_str())) {
            Some(near) => format!("did you mean {near}?"),
            None => "`ip link` lists the interfaces".to_owned(),
        };
        format!("there is no interface {name}; {hint}")
    })?;
    if link.tun {
        return Ok((link.index, link.index));
    }
    if !is_ethernet(link) {
        return Err(format!("interface {name} is not an Ethernet interface, which packet virtuals need"));
    }
    let carrier = link.vlan.map_or(link.index, |vlan| vlan.parent);
    let found = state.links.get(&carrier).filter(|carrier| carrier.vlan.is_none() && is_ethernet(carrier));
    match found {
        Some(_) => Ok((link.index, carrier)),
        None => Err(format!("interface {name} is a VLAN inside another; packet virtuals support one tag")),
    }
}

/// Addresses that Shunt has to own alone, and that the host has.
fn addresses_of_others(config: &Config, state: &NetworkState) -> Vec<String> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    let mut refuse = |what: String, address: IpAddr| {
        if let Some((link, prefix)) = holder(state, address)
            && seen.insert(address)
        {
            let name = &link.name;
            problems.push(format!(
                "{what}: {address} is an address of this host, and must be Shunt's alone; \
                 `ip address del {address}/{prefix} dev {name}` removes it"
            ));
        }
    };
    for virtual_ in &config.packet_virtuals {
        if !virtual_.is_wildcard() {
            refuse(format!("virtual {}", virtual_.name), virtual_.listen.ip());
        }
        for address in &virtual_.tunnel_sources {
            refuse(format!("tunnel-sources of virtual {}", virtual_.name), *address);
        }
        if let Some(from) = virtual_.probe_from {
            refuse(format!("virtual {}: probe-from", virtual_.name), from);
        }
    }
    for pool in &config.snat_pools {
        for address in &pool.addresses {
            refuse(format!("snat-pool {}", pool.name), *address);
        }
    }
    problems
}

/// More than the XDP program can know.
fn too_many(config: &Config, state: &NetworkState) -> Vec<String> {
    let vips = config.packet_virtuals.iter().map(|it| it.listen.ip());
    let leased = config.snat_pools.iter().flat_map(|it| it.addresses.iter().copied());
    let probes = config.packet_virtuals.iter().filter_map(|it| it.probe_from);
    let own = state.addresses.iter().map(|it| it.address);
    let sources = config.packet_virtuals.iter().flat_map(|it| it.tunnel_sources.iter().copied());
    let addresses = vips.chain(leased).chain(sources).chain(probes).chain(own).collect::<BTreeSet<_>>().len();
    let members = |virtual_: &PacketVirtual| -> usize {
        let pools = config.pools.iter().filter(|pool| reaches(virtual_, &pool.name));
        pools.map(|pool| pool.members.len()).sum()
    };
    // Four protocols at most, one entry for all others, and one for each address.
    let return_endpoints: usize = config.packet_virtuals.iter().map(|it| members(it) * 6).sum();
    let ends = |it: &PacketVirtual| members(it) * needs(it).tunnel_protocols().len();
    let tunnels: usize = config.packet_virtuals.iter().map(ends).sum();
    let mut problems = Vec::new();
    for (what, count, most) in [
        ("addresses of this host and of Shunt", addresses, steering::MAX_ADDRESSES),
        ("endpoints of members", return_endpoints, steering::MAX_RETURN_ENDPOINTS),
        ("ends of tunnels", tunnels, steering::MAX_TUNNELS),
    ] {
        if count > most as usize {
            problems
                .push(format!("too many {what} for the XDP program: {count}, and it has room for {most}"));
        }
    }
    problems
}

/// Opens a socket for each queue of an interface.
///
/// # Errors
/// What keeps it from that.
pub(crate) fn open(needs: &Needs) -> Result<Vec<Socket>, String> {
    (0..needs.queues)
        .map(|queue| {
            Socket::open(&needs.link, queue, xsk::Options::default()).map_err(|error| error.to_string())
        })
        .collect()
}

impl Steered {
    /// Loads the program; it runs nowhere yet.
    ///
    /// # Errors
    /// The kernel does not let it in.
    pub(crate) fn load() -> Result<Steered, XdpError> {
        let steering = Steering::load()?;
        Ok(Steered {
            steering,
            wanted: Wanted::default(),
            leaving: BTreeSet::new(),
            leaving_tunnels: BTreeSet::new(),
            ports: BTreeMap::new(),
            probe_link: None,
            is_behind: false,
        })
    }

    pub(crate) fn ports(&self) -> &BTreeMap<u32, OpenPort> {
        &self.ports
    }

    /// Attaches the program to an interface whose sockets are open.
    ///
    /// # Errors
    /// The interface is then as it was.
    pub(crate) fn attach(&mut self, needs: &Needs, sockets: &[Socket]) -> Result<(), XdpError> {
        let Link { index, name, .. } = &needs.link;
        let way = match self.steering.attach(&needs.link, sockets)? {
            Mode::Native => Way::Native,
            Mode::Generic { refusal } => {
                tracing::warn!(interface = %name, %refusal, "the driver runs no XDP program, so the kernel runs it for every frame, which costs more");
                Way::Generic
            }
        };
        self.ports.insert(*index, OpenPort { name: name.clone(), queues: needs.queues, way, is_there: true });
        Ok(())
    }

    /// Takes note of the probe interface.
    pub(crate) fn set_probe_link(&mut self, link: Option<u32>) {
        self.probe_link = link;
    }

    /// Takes note of a TUN device whose end is open; the program has no part in it.
    pub(crate) fn add_tun(&mut self, link: &Link) {
        let port = OpenPort { name: link.name.clone(), queues: 1, way: Way::Tun, is_there: true };
        self.ports.insert(link.index, port);
    }

    /// The TUN devices whose ends are open.
    pub(crate) fn tuns(&self) -> BTreeSet<u32> {
        self.ports.iter().filter(|(_, port)| port.way == Way::Tun).map(|(index, _)| *index).collect()
    }

    pub(crate) fn detach(&mut self, interface: u32) {
        self.steering.detach(interface);
        self.ports.remove(&interface);
    }

    pub(crate) fn detach_all(&mut self) {
        for interface in std::mem::take(&mut self.ports).into_keys() {
            self.steering.detach(interface);
        }
    }

    /// Is there room in the program's maps for the change?
    ///
    /// # Errors
    /// What there is too much of.
    pub(crate) fn admits(&self, wanted: Wanted) -> Result<(), XdpError> {
        let mut told = Wanted { host: self.wanted.host.clone(), ..wanted };
        for known in [&self.wanted.return_endpoints, &self.leaving] {
            told.return_endpoints.extend(known);
        }
        for known in [&self.wanted.tunnels, &self.leaving_tunnels] {
            told.tunnels.extend(known);
        }
        self.steering.admits(&told)
    }

    /// Whose frames are whose from now on; the host's own addresses stay as they are known. Members that
    /// are gone are remembered until [`release`](Self::release).
    ///
    /// To be asked first whether it [admits](Self::admits) it. The kernel may still refuse for a moment, as it does where
    /// two write to one bucket of a map; then it is written again by [`catch_up`](Self::catch_up).
    pub(crate) fn steer(&mut self, wanted: Wanted) {
        self.leaving.extend(&self.wanted.return_endpoints);
        self.leaving.retain(|endpoint| !wanted.return_endpoints.contains(endpoint));
        self.leaving_tunnels.extend(&self.wanted.tunnels);
        self.leaving_tunnels.retain(|end| !wanted.tunnels.contains(end));
        self.wanted = Wanted { host: std::mem::take(&mut self.wanted.host), ..wanted };
        self.is_behind = true;
        self.catch_up();
    }

    /// Tells the program again what the kernel refused. False: it still refuses.
    pub(crate) fn catch_up(&mut self) -> bool {
        if self.is_behind {
            match self.tell() {
                Ok(()) => self.is_behind = false,
                Err(error) => {
                    let error = chain(&error);
                    tracing::error!(%error, "cannot update the XDP program; trying again");
                }
            }
        }
        !self.is_behind
    }

    /// Whether members that left are remembered.
    pub(crate) fn remembers(&self) -> bool {
        !self.leaving.is_empty() || !self.leaving_tunnels.is_empty()
    }

    /// Forgets the members that left, but for those at these addresses.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub(crate) fn release(&mut self, in_use: &BTreeSet<Address>) -> Result<(), XdpError> {
        self.leaving.retain(|endpoint| in_use.contains(&endpoint.address()));
        self.leaving_tunnels.retain(|end| in_use.contains(&end.address()));
        self.tell()
    }

    fn tell(&mut self) -> Result<(), XdpError> {
        let mut told = self.wanted.clone();
        told.return_endpoints.extend(&self.leaving);
        told.tunnels.extend(&self.leaving_tunnels);
        self.steering.steer(&told)
    }

    /// Tells the program what the host's addresses and MACs are now.
    pub(crate) fn network_changed(&mut self, state: &NetworkState) {
        let own = state.addresses.iter().filter(|own| Some(own.interface) != self.probe_link);
        let host: BTreeSet<Address> = own.map(|own| own.address.into()).collect();
        if host != self.wanted.host {
            for address in host.difference(&self.wanted.host).filter(|it| self.wanted.owned.contains(it)) {
                tracing::error!(%address, "this host has got an address that must be Shunt's alone: remove it");
            }
            self.wanted.host = host;
            self.is_behind = true;
            self.catch_up();
        }
        for (index, port) in &mut self.ports {
            let (link, name) = (state.links.get(index), &port.name);
            if link.is_none() && port.is_there {
                tracing::warn!(interface = %name, "the interface is gone; run `shunt reload` once it exists again");
            }
            port.is_there = link.is_some();
            if let Some(link) = link
                && let Err(error) = self.steering.set_mac(*index, link.mac)
            {
                tracing::error!(interface = %name, error = %chain(&error), "cannot give the XDP program the new MAC of the interface");
            }
        }
    }

    /// How often the program did what.
    pub(crate) fn outcomes(&self) -> Vec<(&'static str, u64)> {
        match self.steering.outcomes() {
            Ok(outcomes) => outcomes.into_iter().map(|(outcome, count)| (outcome.name(), count)).collect(),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot read the counters of the XDP program");
                Vec::new()
            }
        }
    }
}

/// An error with all that lies beneath it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
