//! The networks in which load balancers are put.
//!
//! Clients are always behind a router, as they are in life: packets to the service come from its one MAC, and what a
//! member sends to a client by itself goes there.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, bail};

use crate::address::{Family, Mode, Place};
use crate::host::Host;
use crate::member::Member;
use crate::network::{Lab, Offloads, Segment};

/// Where the load balancer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Between two networks: members are on one of their own, whose only way out it is.
    TwoArm,
    /// Beside its members, on one network.
    OneArm,
    /// On one network, members on another one, a router between.
    Routed,
}

/// A lab with everything but the load balancer.
#[derive(Debug)]
pub struct Topology {
    pub shape: Shape,
    /// Has the addresses [`Topology::CLIENTS`].
    pub client: Host,
    pub router: Host,
    /// Where the load balancer will be; has an address of its own on each network, and forwards nothing.
    pub shunt: Host,
    pub members: [Member; 2],
    segments: Vec<(Place, Segment)>,
    // After the hosts: what was captured is kept when they are gone.
    pub lab: Lab,
}

/// Stations of the networks.
const ROUTER: u8 = 1;
const SHUNT: u8 = 2;
const MEMBERS: [u8; 2] = [11, 12];
const VIRTUAL: u8 = 100;
const SNAT: u8 = 200;

impl Topology {
    /// Stations of the one client; each is a client of its own to the load balancer.
    pub const CLIENTS: [u8; 4] = [11, 12, 13, 14];

    /// Builds it. `story` names the captures that are kept when something fails.
    ///
    /// # Errors
    /// Not root, or a program is missing.
    pub fn build(story: &str, shape: Shape) -> Result<Self> {
        Topology::with(story, shape, Offloads::default())
    }

    /// The same with other offloads.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn with(story: &str, shape: Shape, offloads: Offloads) -> Result<Self> {
        let lab = Lab::with(story, offloads)?;
        let places: &[Place] = match shape {
            Shape::OneArm => &[Place::Clients, Place::Service],
            Shape::TwoArm | Shape::Routed => &[Place::Clients, Place::Service, Place::Servers],
        };
        let segment = |place: &Place| Ok((*place, lab.segment(place.name(), place.number())?));
        let segments = places.iter().map(segment).collect::<Result<Vec<_>>>()?;
        let [client, router, shunt] = ["client", "router", "shunt"].map(|name| lab.host(name));
        let (client, router, shunt) = (client?, router?, shunt?);
        let member = |at: usize| -> Result<Member> {
            Ok(Member::new(lab.host(&format!("m{}", at + 1))?, shape, MEMBERS[at]))
        };
        let members = [member(0)?, member(1)?];
        let built = Topology { shape, client, router, shunt, members, segments, lab };
        built.connect()?;
        Ok(built)
    }

    fn connect(&self) -> Result<()> {
        self.plug(&self.client, Place::Clients, &Self::CLIENTS)?;
        self.plug(&self.router, Place::Clients, &[ROUTER])?;
        self.plug(&self.router, Place::Service, &[ROUTER])?;
        self.plug(&self.shunt, Place::Service, &[SHUNT])?;
        match self.shape {
            Shape::OneArm => {}
            Shape::TwoArm => self.plug(&self.shunt, Place::Servers, &[SHUNT])?,
            Shape::Routed => self.plug(&self.router, Place::Servers, &[ROUTER])?,
        }
        for (member, station) in self.members.iter().zip(MEMBERS) {
            self.plug(&member.host, self.shape.servers(), &[station])?;
        }
        self.router.all(&[
            "sysctl -w net.ipv4.ip_forward=1",
            "sysctl -w net.ipv6.conf.all.forwarding=1",
            // Where members are behind it too, it carries its own errors on to them, which comes of there being only one
            // router: in life the narrow link is at another one.
            "sysctl -w net.ipv4.conf.all.accept_local=1",
        ])?;
        for family in Family::BOTH {
            let (probes, shunt) = (self.probe_address(family), self.shunt_address(family));
            self.router.run(&format!("ip route add {probes} via {shunt}"))?;
            self.client.run(&default_route(Place::Clients.address(family, ROUTER)))?;
            self.shunt.run(&default_route(self.gateway(family)))?;
        }
        Ok(())
    }

    fn plug(&self, host: &Host, place: Place, stations: &[u8]) -> Result<()> {
        let addresses: Vec<_> = Family::BOTH
            .iter()
            .flat_map(|family| stations.iter().map(|it| place.interface(*family, *it)))
            .collect();
        self.lab.plug(host, self.segment(place), stations[0], &addresses)
    }

    /// The segment of a place.
    ///
    /// # Panics
    /// This shape does not have it.
    #[must_use]
    #[allow(clippy::expect_used, reason = "whoever asks knows the shape")]
    pub fn segment(&self, place: Place) -> &Segment {
        let found = self.segments.iter().find(|(it, _)| *it == place);
        &found.expect("a place of this shape").1
    }

    /// The links of the load balancer.
    #[must_use]
    pub fn interfaces(&self) -> &'static [&'static str] {
        match self.shape {
            Shape::TwoArm => &["service", "servers"],
            Shape::OneArm | Shape::Routed => &["service"],
        }
    }

    /// An address of the client, the first for 0.
    #[must_use]
    pub fn client_address(&self, family: Family, number: usize) -> IpAddr {
        Place::Clients.address(family, Self::CLIENTS[number])
    }

    /// The router's address on the network of the service.
    #[must_use]
    pub fn gateway(&self, family: Family) -> IpAddr {
        Place::Service.address(family, ROUTER)
    }

    /// Shunt's own address there, which is no virtual's.
    #[must_use]
    pub fn shunt_address(&self, family: Family) -> IpAddr {
        Place::Service.address(family, SHUNT)
    }

    /// Where virtuals listen, with this port.
    #[must_use]
    pub fn virtual_address(&self, family: Family, port: u16) -> SocketAddr {
        Place::Service.socket(family, VIRTUAL, port)
    }

    /// An address of no network here, which the router has a route to: by the load balancer.
    #[must_use]
    pub fn probe_address(&self, family: Family) -> IpAddr {
        match family {
            // From the third range for documentation (RFC 5737).
            Family::V4 => IpAddr::from([203, 0, 113, 77]),
            Family::V6 => IpAddr::from([0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 0x77]),
        }
    }

    /// The first of 50 addresses for SNAT, on a network that the load balancer is on.
    #[must_use]
    pub fn snat_address(&self, family: Family) -> IpAddr {
        let place = if self.shape == Shape::TwoArm { Place::Servers } else { Place::Service };
        place.address(family, SNAT)
    }

    /// The address of a member, the first for 0, with this port.
    #[must_use]
    pub fn member_address(&self, family: Family, number: usize, port: u16) -> SocketAddr {
        self.shape.servers().socket(family, MEMBERS[number], port)
    }

    /// Configures both members for these modes, of which one may be other than `snat`, and starts what they serve.
    ///
    /// # Errors
    /// A command is refused, or members cannot be reached by this mode here.
    pub fn serve(&mut self, modes: &[Mode]) -> Result<()> {
        let virtuals = Family::BOTH.map(|family| self.virtual_address(family, 0).ip());
        self.members.iter_mut().try_for_each(|member| member.serve(modes, virtuals))
    }

    /// Makes the way from the service to the clients narrower than anybody can see at its ends: the router refuses what
    /// is larger. A capture shows the errors that it sends.
    ///
    /// # Errors
    /// The router refuses the route.
    pub fn narrow_clients(&self, mtu: u32) -> Result<()> {
        Family::BOTH.into_iter().try_for_each(|family| self.narrow_clients_of(family, mtu))
    }

    /// The same for one family.
    ///
    /// # Errors
    /// The router refuses the route.
    pub fn narrow_clients_of(&self, family: Family, mtu: u32) -> Result<()> {
        self.narrow(Place::Clients, family, mtu)
    }

    /// The same on the way from the load balancer to the members, where a router is between.
    ///
    /// # Errors
    /// The router refuses the route.
    pub fn narrow_servers(&self, mtu: u32) -> Result<()> {
        Family::BOTH.into_iter().try_for_each(|family| self.narrow_servers_of(family, mtu))
    }

    /// The same for one family.
    ///
    /// # Errors
    /// The router refuses the route.
    pub fn narrow_servers_of(&self, family: Family, mtu: u32) -> Result<()> {
        self.narrow(Place::Servers, family, mtu)
    }

    fn narrow(&self, place: Place, family: Family, mtu: u32) -> Result<()> {
        let (option, network, link) = (family.option(), place.network(family), place.name());
        // Before the kernel's own route, whose metric is 0 or 256. Locked: else the kernel heeds it only for
        // what it sends itself.
        let metric = if family == Family::V4 { 0 } else { 1 };
        let route = format!("{network} dev {link} metric {metric} mtu lock {mtu}");
        self.router.run(&format!("ip {option} route replace {route}")).map(drop)
    }

    /// What it looks like, for a terminal, and who has which addresses.
    #[must_use]
    pub fn drawing(&self) -> String {
        let picture: &[&str] = match self.shape {
            Shape::TwoArm => &[
                "    clients          service          servers",
                "client ─────── router ─────── shunt ──────┬────── m1",
                "                                          └────── m2",
            ],
            Shape::OneArm => &[
                "    clients          service",
                "client ─────── router ───────┬────── shunt",
                "                             ├────── m1",
                "                             └────── m2",
            ],
            Shape::Routed => &[
                "    clients          service",
                "client ─────── router ────────────── shunt",
                "                 │       servers",
                "                 └───────────┬────── m1",
                "                             └────── m2",
            ],
        };
        let addresses = [
            ("client", Place::Clients, Self::CLIENTS[0]),
            ("router", Place::Service, ROUTER),
            ("shunt", Place::Service, SHUNT),
            ("virtuals", Place::Service, VIRTUAL),
            ("m1", self.shape.servers(), MEMBERS[0]),
            ("m2", self.shape.servers(), MEMBERS[1]),
        ];
        let lines = addresses.map(|(name, place, station)| {
            let [v4, v6] = Family::BOTH.map(|family| place.address(family, station).to_string());
            format!("{name:<10}{v4:<17}{v6}\n")
        });
        format!("{}\n\n{}", picture.join("\n"), lines.concat())
    }
}

impl Shape {
    /// Where members are.
    #[must_use]
    pub fn servers(self) -> Place {
        match self {
            Shape::OneArm => Place::Service,
            Shape::TwoArm | Shape::Routed => Place::Servers,
        }
    }

    /// The way from members back to clients: through the load balancer or by themselves. `None`: they need none.
    pub(crate) fn way_back(self, mode: Mode, family: Family) -> Result<Option<IpAddr>> {
        let via = |station| Ok(Some(self.servers().address(family, station)));
        match (self, mode) {
            (Shape::OneArm | Shape::TwoArm, Mode::Nat) => via(SHUNT),
            // A member answers the address that it sees, and knows no client.
            (Shape::OneArm | Shape::TwoArm, Mode::Snat) => Ok(None),
            (Shape::OneArm, _) | (Shape::Routed, Mode::Snat) => via(ROUTER),
            (Shape::Routed, mode) if mode.is_direct() && mode != Mode::L2dsr => via(ROUTER),
            (Shape::Routed | Shape::TwoArm, mode) => bail!("{mode} does not work in this shape: {self:?}"),
        }
    }
}

pub(crate) fn default_route(gateway: IpAddr) -> String {
    format!("ip route replace default via {gateway}")
}
