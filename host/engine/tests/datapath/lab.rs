//! The network that all cases are set in, and the words that set virtuals into it.
//!
//! Clients are behind a router on `eth0`, members on `eth1`:
//!
//! | | `eth0` | `eth1` |
//! |---|---|---|
//! | Shunt | `02:00:00:00:00:01`, 198.18.0.1/24, 2001:db8:2::1/64 | `02:00:00:00:00:02`, 10.0.0.254/24, 2001:db8:a::fe/64 |
//! | neighbours | router `02:00:00:00:0a:01`, 198.18.0.254, 2001:db8:2::fe | members `02:00:00:00:0b:01` 10.0.0.1, 2001:db8:a::1; `…:02` 10.0.0.2, 2001:db8:a::2 |
//!
//! Words of a setting:
//!
//! ```text
//! virtual NAME ENDPOINT tcp|udp|any|all MODE [dscp N] [snat] [mss N] [idle MS] [persist MS] [refuse-when-down]
//!     [syn-rate N] [flow-rate N] [flows N] [gue-port N] [tunnel-from ADDRESS,ADDRESS] [on eth0,eth1] [no-pool] [return]
//!     [rule] [done] [probe-from ADDRESS] [prefix PREFIX/LENGTH] [map V4/N=V6/M]… [lowest BYTES]
//! siit NAME [on eth0,eth1] [prefix PREFIX/LENGTH] [map V4/N=V6/M]… [routers FIRST-LAST]… [lowest BYTES]
//! straight-when-empty              flows that find no member go to their own destination
//! balance turns|destination|symmetric
//! member ENDPOINT [weight N] [down] [down-on-path] [down-in MODE] [draining] [disabled]
//! probe ADDRESS:PORT ENDPOINT tcp|udp|icmp VIRTUAL MEMBER      a monitor sends it
//! forget-probes
//! snat FIRST-LAST-PORT ADDRESS…
//! mtu INTERFACE BYTES
//! vlan PARENT ID ADDRESS/LENGTH
//! neighbour INTERFACE ADDRESS MAC
//! route PREFIX/LENGTH INTERFACE GATEWAY|-|none
//! workers N WORKER
//! table FLOWS
//! random N                         the next random number
//! ruling next|reject|drop|fault|to [pool N] [member E] [mode M] [snat] [key TEXT]
//! ```

#[path = "knows.rs"]
mod knows;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use shunt_engine::balance::Balance;
use shunt_engine::balance::groups::Policy;
use shunt_engine::datapath::{
    Datapath, Dscp, Hooks, Limits, Member, ModeName, Modes, OnEmpty, OnPath, Options, PathHealth, PersistKey,
    Pool, PoolIndex, Probed, Ruling, Snapshot, SnatPool, SnatPoolIndex, SourcePersistence, Target,
    Translator, Transport, TunnelSources, Virtual, VirtualIndex,
};
use shunt_engine::hash::Keyed;
use shunt_engine::member::{Admin, MemberState};
use shunt_engine::network::{Hop, Interface, Network, Prefix, Route, Vlan};
use shunt_engine::persistence::{PersistenceTable, Source, key_prefix};
use shunt_engine::snat;
use shunt_wire::{Address, Endpoint, Family, FlowKey, Mac, icmp, ip};

use crate::case::Line;
use knows::Knows;

pub(crate) const ETH0: u32 = 1;
pub(crate) const ETH1: u32 = 2;
/// The probe interface.
pub(crate) const PROBES: u32 = 3;

/// What a case is set in.
pub(crate) struct Lab {
    pub(crate) network: Network,
    pub(crate) virtuals: Vec<Virtual>,
    pub(crate) translators: Vec<Translator>,
    pub(crate) pool: Pool,
    /// The pool that stands in for it.
    pub(crate) stand_in: Option<Pool>,
    pub(crate) snat_pools: Vec<SnatPool>,
    pub(crate) options: Options,
    pub(crate) ruling: Ruling,
    /// The next random number.
    pub(crate) random: u64,
    pub(crate) states: BTreeMap<Endpoint, Arc<MemberState>>,
    /// The same members as they were found on the service path.
    pub(crate) on_path: BTreeMap<Endpoint, Arc<MemberState>>,
    /// The same in modes that rules choose.
    in_mode: BTreeMap<(ModeName, Endpoint), Arc<MemberState>>,
    /// What monitors have sent: source, destination and protocol, virtual and member.
    pub(crate) probes: Vec<(FlowKey, String, Endpoint)>,
}

impl Default for Lab {
    fn default() -> Self {
        Self {
            network: network(),
            virtuals: Vec::new(),
            translators: Vec::new(),
            pool: Pool {
                name: "web".into(),
                balance: Balance::RoundRobin,
                members: Vec::new(),
                slow_start: None,
                bindings: Arc::new(PersistenceTable::new(1000, [7, 7])),
                policy: Policy::default(),
                groups: Arc::default(),
                on_empty: OnEmpty::Nowhere,
            },
            stand_in: None,
            snat_pools: Vec::new(),
            options: Options { worker: 0, workers: 1, key: Keyed::new([1, 2]), flows: 1000 },
            ruling: Ruling::Next,
            random: 0,
            states: BTreeMap::new(),
            on_path: BTreeMap::new(),
            in_mode: BTreeMap::new(),
            probes: Vec::new(),
        }
    }
}

impl Lab {
    /// Sets up what the lines of a case say.
    pub(crate) fn new(setting: &[Line]) -> Result<Self, String> {
        let mut lab = Self::default();
        for line in setting {
            lab.set(&line.word, &line.rest).map_err(|error| format!("line {}: {error}", line.number))?;
        }
        Ok(lab)
    }

    pub(crate) fn datapath(&self, now: u64) -> Result<Datapath, String> {
        Ok(Datapath::new(now, self.options, self.snapshot()?, Arc::new(self.network.clone())))
    }

    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>, String> {
        self.built().map(Arc::new)
    }

    /// What follows the snapshot that these workers have.
    pub(crate) fn next_snapshot(&self, workers: &[Datapath]) -> Result<Arc<Snapshot>, String> {
        let built = self.built()?;
        let Some(first) = workers.first() else { return Ok(Arc::new(built)) };
        let released = workers.iter().fold(first.snapshot().left(), |left, worker| worker.released(left));
        Ok(Arc::new(built.after(first.snapshot(), &released)))
    }

    fn built(&self) -> Result<Snapshot, String> {
        let (virtuals, snat_pools) = (self.virtuals.clone(), self.snat_pools.clone());
        // The second pool is for rules to choose: it has the same members in the opposite order.
        let mut other = self.pool.clone();
        other.name = "other".into();
        other.members.reverse();
        other.on_empty = OnEmpty::Nowhere;
        let mut pools = vec![self.pool.clone(), other];
        pools.extend(self.stand_in.clone());
        let mut virtuals = virtuals;
        for virtual_ in &mut virtuals {
            let modes = virtual_.modes;
            let Some(on_path) = &mut virtual_.on_path else { continue };
            let health = |mode, found: &dyn Fn(Endpoint) -> Arc<MemberState>| {
                let members = self.pool.members.iter().map(|it| found(it.endpoint)).collect();
                PathHealth { pool: PoolIndex(0), mode, members, groups: Arc::default() }
            };
            on_path.health = vec![health(modes.default_mode(), &|it| Arc::clone(&self.on_path[&it]))];
            let chosen: BTreeSet<ModeName> = self.in_mode.keys().map(|(mode, _)| *mode).collect();
            for name in chosen {
                let Ok(mode) = modes.choose(Some(name), None) else { continue };
                let found = |it| Arc::clone(self.in_mode.get(&(name, it)).unwrap_or(&self.on_path[&it]));
                on_path.health.push(health(mode, &found));
            }
        }
        let snapshot = Snapshot::new(virtuals, pools, snat_pools);
        let snapshot = snapshot.and_then(|it| it.with_translators(self.translators.clone()));
        snapshot.map_err(|conflict| format!("{conflict:?}"))
    }

    /// What monitors have sent, as the datapath asks for it.
    pub(crate) fn probed(&self) -> Vec<(FlowKey, Probed)> {
        let probed = |(key, name, member): &(FlowKey, String, Endpoint)| {
            let virtual_ = self.virtuals.iter().position(|it| *it.name == **name).map(VirtualIndex)?;
            Some((
                *key,
                Probed { virtual_, pool: PoolIndex(0), member: *member, mode: None, snat_pool: None },
            ))
        };
        self.probes.iter().filter_map(probed).collect()
    }

    pub(crate) fn set(&mut self, word: &str, rest: &str) -> Result<(), String> {
        let mut words = Words(rest.split_whitespace().collect::<Vec<_>>().into_iter());
        match word {
            "virtual" => self.set_virtual(&mut words)?,
            "no-virtual" => {
                let name = words.next()?;
                self.virtuals.retain(|virtual_| &*virtual_.name != name);
            }
            "member" => self.set_member(&mut words)?,
            "stand-in" => {
                let mut members = Vec::new();
                for word in words.0.by_ref() {
                    members.push(Member { endpoint: endpoint(word)?, weight: 1, state: MemberState::new() });
                }
                let pool =
                    Pool { name: "sorry".into(), members, on_empty: OnEmpty::Nowhere, ..self.pool.clone() };
                self.stand_in = Some(pool);
                self.pool.on_empty = OnEmpty::Pool(PoolIndex(2));
            }
            "straight-when-empty" => self.pool.on_empty = OnEmpty::Route,
            "probe" => {
                let (from, to) = (endpoint(words.next()?)?, endpoint(words.next()?)?);
                let protocol = match (words.next()?, from.address.family()) {
                    ("tcp", _) => ip::TCP,
                    ("udp", _) => ip::UDP,
                    ("icmp", family) => icmp::protocol_of(family),
                    (other, _) => return Err(format!("no protocol: {other}")),
                };
                let (virtual_, member) = (words.next()?.to_owned(), endpoint(words.next()?)?);
                self.probes.push((FlowKey::new(from, to, protocol), virtual_, member));
            }
            "forget-probes" => self.probes.clear(),
            "balance" => {
                self.pool.balance = match words.next()? {
                    "turns" => Balance::RoundRobin,
                    "destination" => Balance::DestinationHash,
                    "symmetric" => Balance::SymmetricHash,
                    other => return Err(format!("no balance: {other}")),
                }
            }
            "snat" => {
                let (first, last) = words.next()?.split_once('-').ok_or("FIRST-LAST-PORT")?;
                let ports = number::<u16>(first)?..=number::<u16>(last)?;
                let addresses = words.0.by_ref().map(address).collect::<Result<Vec<_>, _>>()?;
                let name = format!("out{}", self.snat_pools.len()).into();
                self.snat_pools.push(SnatPool { name, ports: snat::Pool::new(&addresses, ports, 60_000) });
            }
            "no-snat" => {
                self.snat_pools.clear();
            }
            "mtu" => {
                let index = interface(words.next()?)?;
                let mut changed = self.network.interface(index).cloned().ok_or("no such interface")?;
                changed.mtu = number(words.next()?)?;
                self.network.set_interface(changed);
            }
            "tun" => {
                let index = interface(words.next()?)?;
                let known = self.network.interface(index).cloned().ok_or("no such interface")?;
                let line = Interface { mac: Mac::default(), point_to_point: true, ..known };
                self.network.set_interface(line);
            }
            "vlan" => {
                let parent = interface(words.next()?)?;
                let id = number(words.next()?)?;
                let (own, length) = prefix(words.next()?)?;
                let index = 100 + u32::from(id);
                let mac = self.network.interface(parent).map(|it| it.mac).ok_or("no such interface")?;
                self.network.set_interface(Interface {
                    index,
                    name: format!("vlan{id}").into(),
                    mac,
                    mtu: 1500,
                    addresses: vec![(own, length)],
                    vlan: Some(Vlan { parent, id }),
                    point_to_point: false,
                });
                let destination = Prefix::new(own, length).ok_or("no prefix")?;
                let hop = Some(Hop { gateway: None, interface: index });
                self.network.add_route(Route { destination, hop, metric: 0 });
            }
            "neighbour" => {
                let link = interface(words.next()?)?;
                self.network.set_neighbour(link, address(words.next()?)?, mac(words.next()?)?);
            }
            "no-neighbour" => {
                let link = interface(words.next()?)?;
                self.network.remove_neighbour(link, address(words.next()?)?);
            }
            "route" => {
                let (bits, length) = prefix(words.next()?)?;
                let destination = Prefix::new(bits, length).ok_or("no prefix")?;
                let interface = interface(words.next()?)?;
                let hop = match words.next()? {
                    "none" => None,
                    "-" => Some(Hop { gateway: None, interface }),
                    gateway => Some(Hop { gateway: Some(address(gateway)?), interface }),
                };
                self.network.add_route(Route { destination, hop, metric: 0 });
            }
            "no-route" => {
                for (family, gateway) in [(Family::V4, "198.18.0.254"), (Family::V6, "2001:db8:2::fe")] {
                    self.network.remove_route(&default_route(family, gateway)?);
                }
            }
            "workers" => {
                self.options.workers = number(words.next()?)?;
                self.options.worker = number(words.next()?)?;
            }
            "table" => self.options.flows = number(words.next()?)?,
            "random" => self.random = number(words.next()?)?,
            "siit" => self.set_siit(&mut words)?,
            "ruling" => self.ruling = ruling(&mut words)?,
            other => return Err(format!("no word of a setting: {other}")),
        }
        words.end()
    }

    fn set_virtual(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let name = words.next()?;
        let listen = endpoint(words.next()?)?;
        let transport = match words.next()? {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            "any" => Transport::Any,
            "all" => Transport::All,
            other => return Err(format!("no transport: {other}")),
        };
        let mode: ModeName = words.next()?.parse().map_err(|()| "no mode")?;
        let mut virtual_ = Virtual {
            name: name.into(),
            listen,
            transport,
            interfaces: vec![ETH0],
            pool: Some(PoolIndex(0)),
            modes: Modes::new(ModeName::Nat, None, None).map_err(|lacks| format!("{lacks:?}"))?,
            gue_port: 6080,
            tunnel_sources: TunnelSources::default(),
            mss: None,
            translation: None,
            persistence: None,
            return_to_sender: false,
            idle: None,
            limits: Limits::default(),
            hooks: Hooks::default(),
            on_path: None,
        };
        let (mut dscp, mut snat_pool, mut knows) = (None, None, Knows::default());
        while let Some(word) = words.0.next() {
            match word {
                "dscp" => dscp = Some(Dscp::new(number(words.next()?)?).ok_or("no DSCP")?),
                "snat" => snat_pool = Some(SnatPoolIndex(0)),
                "mss" => virtual_.mss = Some(number(words.next()?)?),
                "idle" => virtual_.idle = Some(number(words.next()?)?),
                "persist" => {
                    let prefix = key_prefix(&virtual_.name);
                    let (source, timeout) = (Source::ADDRESS, number(words.next()?)?);
                    let refuses_when_down = false;
                    virtual_.persistence =
                        Some(SourcePersistence { source, prefix, timeout, refuses_when_down });
                }
                "refuse-when-down" => {
                    let persistence = virtual_.persistence.as_mut().ok_or("`persist` comes first")?;
                    persistence.refuses_when_down = true;
                }
                "syn-rate" => virtual_.limits.syn_rate = Some(number(words.next()?)?),
                "flow-rate" => virtual_.limits.flow_rate = Some(number(words.next()?)?),
                "flows" => virtual_.limits.flows = Some(number(words.next()?)?),
                "tunnel-from" => {
                    let sources = words.next()?.split(',').map(address).collect::<Result<Vec<_>, _>>()?;
                    virtual_.tunnel_sources = TunnelSources::new(sources);
                }
                "gue-port" => virtual_.gue_port = number(words.next()?)?,
                "on" => {
                    virtual_.interfaces =
                        words.next()?.split(',').map(interface).collect::<Result<_, _>>()?;
                }
                "probe-from" => {
                    let from = address(words.next()?)?;
                    self.add_probe_link(from);
                    virtual_.on_path = Some(OnPath { from, link: PROBES, health: Vec::new() });
                }
                "no-pool" => virtual_.pool = None,
                "return" => virtual_.return_to_sender = true,
                "rule" => virtual_.hooks.on_flow = true,
                "done" => virtual_.hooks.on_done = true,
                other if knows.take(other, words.peek())? => drop(words.next()),
                other => return Err(format!("no word of a virtual: {other}")),
            }
        }
        virtual_.modes = Modes::new(mode, snat_pool, dscp).map_err(|lacks| format!("it lacks {lacks:?}"))?;
        virtual_.translation = knows.translation()?;
        self.virtuals.push(virtual_);
        Ok(())
    }

    /// A virtual of mode `siit`; one of the name that is there already is replaced.
    fn set_siit(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let name = words.next()?;
        let mut interfaces = vec![ETH0, ETH1];
        let mut knows = Knows::default();
        while let Some(word) = words.0.next() {
            match word {
                "on" => interfaces = words.next()?.split(',').map(interface).collect::<Result<_, _>>()?,
                other if knows.take(other, words.peek())? => drop(words.next()),
                other => return Err(format!("no word of mode siit: {other}")),
            }
        }
        let translation = knows.translation()?.ok_or("it knows no address")?;
        self.translators.retain(|it| &*it.name != name);
        self.translators.push(Translator { name: name.into(), interfaces, translation });
        Ok(())
    }

    /// A member; one that is there already changes its state.
    fn set_member(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let endpoint = endpoint(words.next()?)?;
        let state = Arc::clone(self.states.entry(endpoint).or_default());
        let on_path = Arc::clone(self.on_path.entry(endpoint).or_insert_with(|| state.view()));
        on_path.set_up(true);
        self.in_mode.retain(|(_, it), _| *it != endpoint);
        state.set_up(true);
        state.set_admin(Admin::Enabled);
        let mut weight = 1;
        while let Some(word) = words.0.next() {
            match word {
                "weight" => weight = number(words.next()?)?,
                "priority" => state.set_priority(number(words.next()?)?),
                "down" => state.set_up(false),
                "down-on-path" => on_path.set_up(false),
                "most" => state.limit(number(words.next()?)?, 0),
                "down-in" => {
                    let mode: ModeName = words.next()?.parse().map_err(|()| "no such mode".to_owned())?;
                    let found = self.in_mode.entry((mode, endpoint)).or_insert_with(|| state.view());
                    found.set_up(false);
                }
                "draining" => state.set_admin(Admin::Draining),
                "disabled" => state.set_admin(Admin::Disabled),
                other => return Err(format!("no word of a member: {other}")),
            }
        }
        match self.pool.position(endpoint) {
            Some(place) => self.pool.members[place].weight = weight,
            None => self.pool.members.push(Member { endpoint, weight, state }),
        }
        self.pool.groups.rank(self.pool.members.iter().map(|it| it.state.priority()), true);
        Ok(())
    }
}

impl Lab {
    /// What drivers see to: the link that probes come in by, and the way back to their address.
    fn add_probe_link(&mut self, from: Address) {
        self.network.set_interface(Interface {
            index: PROBES,
            name: "probes".into(),
            mac: Mac([0; 6]),
            mtu: 1500,
            addresses: Vec::new(),
            vlan: None,
            point_to_point: true,
        });
        let bits = if from.family() == Family::V4 { 32 } else { 128 };
        if let Some(destination) = Prefix::new(from, bits) {
            let hop = Some(Hop { gateway: None, interface: PROBES });
            self.network.add_route(Route { destination, hop, metric: 0 });
        }
    }
}

/// The interface of a name.
pub(crate) fn interface(name: &str) -> Result<u32, String> {
    match name {
        "eth0" => Ok(ETH0),
        "eth1" => Ok(ETH1),
        "probes" => Ok(PROBES),
        _ => match name.strip_prefix("vlan") {
            Some(id) => Ok(100 + number::<u32>(id)?),
            None => Err(format!("no interface: {name}")),
        },
    }
}

pub(crate) fn interface_name(index: u32) -> String {
    match index {
        ETH0 => "eth0".to_owned(),
        ETH1 => "eth1".to_owned(),
        PROBES => "probes".to_owned(),
        vlan => format!("vlan{}", vlan - 100),
    }
}

pub(crate) fn address(text: &str) -> Result<Address, String> {
    text.parse::<IpAddr>().map(Address::from).map_err(|_| format!("no address: {text}"))
}

pub(crate) fn endpoint(text: &str) -> Result<Endpoint, String> {
    text.parse::<SocketAddr>().map(Endpoint::from).map_err(|_| format!("no endpoint: {text}"))
}

pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("no number for its place: {text}"))
}

fn mac(text: &str) -> Result<Mac, String> {
    let octets: Vec<u8> = text.split(':').filter_map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    octets.try_into().map(Mac).map_err(|_| format!("no MAC: {text}"))
}

fn prefix(text: &str) -> Result<(Address, u8), String> {
    let (bits, length) = text.split_once('/').ok_or_else(|| format!("no prefix: {text}"))?;
    Ok((address(bits)?, number(length)?))
}

fn ruling(words: &mut Words<'_>) -> Result<Ruling, String> {
    Ok(match words.next()? {
        "next" => Ruling::Next,
        "reject" => Ruling::Reject,
        "drop" => Ruling::Drop,
        "fault" => Ruling::Fault,
        "to" => {
            let mut target = Target::default();
            while let Some(word) = words.0.next() {
                match word {
                    "pool" => target.pool = Some(PoolIndex(number(words.next()?)?)),
                    "member" => target.member = Some(endpoint(words.next()?)?),
                    "mode" => target.mode = Some(words.next()?.parse().map_err(|()| "no mode")?),
                    "snat" => target.snat_pool = Some(SnatPoolIndex(0)),
                    "key" => {
                        target.persist = Some(PersistKey { key: words.next()?.into(), timeout: None });
                    }
                    other => return Err(format!("no word of a ruling: {other}")),
                }
            }
            Ruling::To(target)
        }
        other => return Err(format!("no ruling: {other}")),
    })
}

fn network() -> Network {
    let of = |text: &str| text.parse::<IpAddr>().unwrap().into();
    let mut network = Network::default();
    let mut interface = |index, last, addresses: [(&str, u8); 2]| {
        let addresses = addresses.map(|(text, length)| (of(text), length)).to_vec();
        for (own, length) in &addresses {
            network.add_route(Route {
                destination: Prefix::new(*own, *length).unwrap(),
                hop: Some(Hop { gateway: None, interface: index }),
                metric: 0,
            });
        }
        let name = interface_name(index).into();
        network.set_interface(Interface {
            index,
            name,
            mac: Mac([2, 0, 0, 0, 0, last]),
            mtu: 1500,
            addresses,
            vlan: None,
            point_to_point: false,
        });
    };
    interface(ETH0, 1, [("198.18.0.1", 24), ("2001:db8:2::1", 64)]);
    interface(ETH1, 2, [("10.0.0.254", 24), ("2001:db8:a::fe", 64)]);
    network.add_route(default_route(Family::V4, "198.18.0.254").unwrap());
    network.add_route(default_route(Family::V6, "2001:db8:2::fe").unwrap());
    for (link, addresses, mac) in [
        (ETH0, ["198.18.0.254", "2001:db8:2::fe"], [0x0a, 1]),
        (ETH1, ["10.0.0.1", "2001:db8:a::1"], [0x0b, 1]),
        (ETH1, ["10.0.0.2", "2001:db8:a::2"], [0x0b, 2]),
    ] {
        for text in addresses {
            network.set_neighbour(link, of(text), Mac([2, 0, 0, 0, mac[0], mac[1]]));
        }
    }
    network
}

fn default_route(family: Family, gateway: &str) -> Result<Route, String> {
    let hop = Some(Hop { gateway: Some(address(gateway)?), interface: ETH0 });
    Ok(Route { destination: Prefix::all(family), hop, metric: 0 })
}

/// The words of a line.
struct Words<'a>(std::vec::IntoIter<&'a str>);

impl<'a> Words<'a> {
    /// The next word, if there is one.
    fn peek(&self) -> &'a str {
        self.0.as_slice().first().copied().unwrap_or_default()
    }

    fn next(&mut self) -> Result<&'a str, String> {
        self.0.next().ok_or_else(|| "a word is missing".to_owned())
    }

    fn end(&mut self) -> Result<(), String> {
        self.0.next().map_or(Ok(()), |word| Err(format!("too much: {word}")))
    }
}
