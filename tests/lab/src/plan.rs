//! What Shunt is told in a lab.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::{Family, Mode, Place};
use crate::member::Member;
use crate::topology::Topology;

/// A configuration: for each family a virtual `web-4` or `web-6` for TCP on port 80, `echo-4` or `echo-6` for UDP and ICMP
/// echo on port 53, and a pool of the same name for each.
#[derive(Clone, Debug)]
pub struct Plan {
    pub mode: Mode,
    /// The family of the members, where it is not the virtual's: behind tunnels.
    pub outer: Option<Family>,
    /// Members of each virtual are of the other family.
    pub crossed: bool,
    /// Of which there are virtuals.
    pub families: Vec<Family>,
    /// How many of the members there are.
    pub members: usize,
    /// More keys of every virtual, in which `PROBES` stands for the address that monitors probe from.
    pub keys: String,
    /// A rule of every virtual: `[[virtual.rule]]` and its keys, in which `POOL` and `OUT` stand for the names of the
    /// virtual's pool and SNAT pool.
    pub rule: String,
    /// More keys of every pool.
    pub pool: String,
    /// More keys of the SNAT pools, which are there where the mode or a rule may want them, or these keys.
    pub snat: String,
    pub workers: usize,
}

impl Plan {
    #[must_use]
    pub fn new(mode: Mode) -> Plan {
        Plan {
            mode,
            outer: None,
            crossed: false,
            families: Family::BOTH.to_vec(),
            members: 2,
            keys: String::new(),
            rule: String::new(),
            pool: String::new(),
            snat: String::new(),
            workers: 1,
        }
    }

    /// With a monitor that is quick to see what becomes of a member.
    #[must_use]
    pub fn watched(mode: Mode) -> Plan {
        let pool = "monitor = { tcp = true, interval = \"100ms\", rise = 2, fall = 2 }".to_owned();
        Plan { pool, ..Plan::new(mode) }
    }

    /// The same with members of the other family.
    #[must_use]
    pub fn crossed(mode: Mode) -> Plan {
        Plan { crossed: true, ..Plan::new(mode) }
    }

    /// The family of the members of a virtual.
    #[must_use]
    pub fn behind(&self, family: Family) -> Family {
        let crossed = if self.crossed { family.other() } else { family };
        self.outer.unwrap_or(crossed)
    }

    /// How members see a client of a virtual of this family.
    #[must_use]
    pub fn seen(&self, topology: &Topology, family: Family, client: IpAddr) -> IpAddr {
        match (self.mode, client) {
            (Mode::Snat, _) => topology.snat_address(self.behind(family)),
            (_, IpAddr::V4(v4)) if self.crossed => {
                Ipv6Addr::from_bits(EMBEDDING.to_bits() | u128::from(v4.to_bits())).into()
            }
            (_, IpAddr::V6(v6)) if self.crossed => {
                let [.., station] = v6.octets();
                let [a, b, c, _] = STANDING_IN.octets();
                Ipv4Addr::new(a, b, c, station).into()
            }
            (_, client) => client,
        }
    }

    /// The name of a virtual and its pool.
    #[must_use]
    pub fn name(kind: &str, family: Family) -> String {
        format!("{kind}-{}", &family.option()[1..])
    }

    /// The port of the members, which is another one where it is translated.
    #[must_use]
    pub fn port(&self, ports: [u16; 2]) -> u16 {
        ports[usize::from(!self.mode.is_direct())]
    }

    /// The configuration of this plan.
    #[must_use]
    pub fn config(&self, topology: &Topology) -> String {
        let mut lines = vec!["[process]".to_owned(), format!("workers = {}", self.workers), String::new()];
        for family in self.families.iter().copied() {
            self.add_virtual(&mut lines, topology, family, "web", "tcp", Member::HTTP);
            self.add_virtual(&mut lines, topology, family, "echo", "any", Member::ECHO);
            if self.mode == Mode::Snat || !self.rule.is_empty() || !self.snat.is_empty() {
                let (name, address) = (Plan::name("out", family), topology.snat_address(self.behind(family)));
                lines.push("[[snat-pool]]".to_owned());
                lines.push(format!("name = \"{name}\"\naddresses = [\"{address}\"]"));
                lines.extend(more(&self.snat));
            }
        }
        lines.join("\n") + "\n"
    }

    fn add_virtual(
        &self,
        lines: &mut Vec<String>,
        topology: &Topology,
        family: Family,
        kind: &str,
        transport: &str,
        ports: [u16; 2],
    ) {
        let (name, mode) = (Plan::name(kind, family), self.mode);
        let (out, has_rule) = (Plan::name("out", family), !self.rule.is_empty());
        let listen = topology.virtual_address(family, ports[0]);
        lines.push("[[virtual]]".to_owned());
        lines.push(format!("name = \"{name}\"\nlisten = \"{listen}\"\nprotocol = \"packet\""));
        lines.push(format!("transport = \"{transport}\"\ninterfaces = {:?}", topology.interfaces()));
        lines.push(format!("pool = \"{name}\"\nmode = \"{mode}\""));
        // A rule may choose any mode, each with what it needs.
        if mode == Mode::Snat || has_rule {
            lines.push(format!("snat-pool = \"{out}\""));
        }
        if mode == Mode::L3dsrDscp || has_rule {
            lines.push(format!("dscp = {}", Member::DSCP));
        }
        if self.crossed && mode == Mode::Nat {
            lines.push(format!("translation = {{ {} }}", translation(family)));
        }
        let rule = self.rule.replace("POOL", &name).replace("OUT", &out);
        let keys = self.keys.replace("PROBES", &topology.probe_address(family).to_string());
        lines.extend(more(&format!("{keys}\n{rule}")));

        let address = |at| topology.member_address(self.behind(family), at, self.port(ports));
        let members: Vec<_> =
            (0..self.members).map(|at| format!("{{ address = \"{}\" }}", address(at))).collect();
        lines.push(format!("[[pool]]\nname = \"{name}\"\nmembers = [{}]", members.join(", ")));
        lines.extend(more(&self.pool));
    }
}

/// How members of IPv6 know clients of IPv4 (RFC 6052): behind these 96 bits.
const EMBEDDING: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0, 0, 0, 0, 0);
/// How members of IPv4 know clients of IPv6 (RFC 7757): in these 24 bits, by the last byte of their address.
const STANDING_IN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 0);

/// The translation of clients of a family.
fn translation(family: Family) -> String {
    match family {
        Family::V4 => format!("prefix = \"{EMBEDDING}/96\""),
        Family::V6 => {
            let clients = Place::Clients.address(family, 0);
            format!("map = [{{ v4 = \"{STANDING_IN}/24\", v6 = \"{clients}/120\" }}]")
        }
    }
}

/// More keys, and the blank line after a table.
fn more(keys: &str) -> impl Iterator<Item = String> {
    let keys = Some(keys.trim().to_owned()).filter(|it| !it.is_empty());
    keys.into_iter().chain([String::new()])
}
