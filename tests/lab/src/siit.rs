//! A network of IPv6, one of IPv4, and between them a host for a translator that knows no flows.

use std::net::IpAddr;

use anyhow::Result;

use crate::address::Family;
use crate::echo::Echo;
use crate::host::Host;
use crate::member::Member;
use crate::network::{Lab, Offloads, Segment};
use crate::origin::Origin;
use crate::topology::default_route;

/// A line of five hosts, two of them routers. All it lacks is the translator itself.
#[derive(Debug)]
pub struct Siit {
    /// Has IPv6 only; and a second address, to talk to itself by way of the translator.
    pub client: Host,
    pub router6: Host,
    /// Where the translator will be.
    pub shunt: Host,
    pub router4: Host,
    /// Has IPv4 only.
    pub server: Host,
    // What runs on the hosts ends before they go.
    _serving: [(Origin, Echo); 2],
    through: Through,
    segments: Vec<Segment>,
    pub lab: Lab,
}

/// How packets come to the translator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// The host routes them to a TUN device.
    Tun,
    /// It takes them off the host's two links, and the host routes nothing.
    Links,
}

/// The segments in their order, each with what is plugged in: host, address, length of its prefix, and station.
type Plug = (&'static str, &'static str, u8, u8);
const SEGMENTS: [(&str, &[Plug]); 4] = [
    (
        "six",
        &[
            ("client", "2001:db8:6::5", 64, 5),
            ("client", "2001:db8:6::6", 64, 5),
            // No address of IPv4 stands for it.
            ("router6", "2001:db8:6::1:1", 64, 1),
        ],
    ),
    ("core6", &[("router6", "2001:db8:600::1", 64, 1), ("shunt", "2001:db8:600::2", 64, 2)]),
    ("core4", &[("shunt", "203.0.113.2", 24, 2), ("router4", "203.0.113.1", 24, 1)]),
    ("four", &[("router4", "198.51.100.1", 24, 1), ("server", "198.51.100.5", 24, 5)]),
];

/// The device of [`Through::Tun`].
const TUN: &str = "siit";
/// Its addresses, which the translator reports errors from.
const TUN_ADDRESSES: [&str; 2] = ["203.0.113.254/32", "2001:db8:600::fe/128"];

/// Behind it are all addresses of IPv4 (RFC 6052).
const PREFIX: &str = "2001:db8:64::/96";
/// These stand for each other (RFC 7757).
const MAP: [&str; 2] = ["192.0.2.0/24", "2001:db8:6::/120"];
/// Stand in for routers of IPv6 (RFC 6791).
const ROUTERS: [&str; 2] = ["192.0.2.240", "192.0.2.247"];

impl Siit {
    /// Builds it. `story` names the captures that are kept when something fails.
    ///
    /// # Errors
    /// Not root, or a program is missing.
    pub fn build(story: &str, through: Through) -> Result<Self> {
        Siit::with(story, through, Offloads::default())
    }

    /// The same with other offloads.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn with(story: &str, through: Through, offloads: Offloads) -> Result<Self> {
        let lab = Lab::with(story, offloads)?;
        let [client, router6, shunt, router4, server] =
            ["client", "router6", "shunt", "router4", "server"].map(|name| lab.host(name));
        let (client, router6, shunt, router4, server) = (client?, router6?, shunt?, router4?, server?);
        let mut segments = Vec::new();
        for (number, (name, plugs)) in (1..).zip(SEGMENTS) {
            let segment = lab.segment(name, number)?;
            for host in [&client, &router6, &shunt, &router4, &server] {
                let of_host: Vec<&Plug> = plugs.iter().filter(|it| it.0 == host.name()).collect();
                let addresses: Vec<_> = of_host.iter().map(|it| format!("{}/{}", it.1, it.2)).collect();
                if let Some((.., station)) = of_host.first() {
                    lab.plug(host, &segment, *station, &addresses)?;
                }
            }
            segments.push(segment);
        }
        let gateway = |text: &str| -> Result<String> { Ok(default_route(text.parse()?)) };
        client.run(&gateway("2001:db8:6::1:1")?)?;
        server.run(&gateway("198.51.100.1")?)?;
        router6.all(&["sysctl -w net.ipv6.conf.all.forwarding=1", &gateway("2001:db8:600::2")?])?;
        router4.all(&["sysctl -w net.ipv4.ip_forward=1", &gateway("203.0.113.2")?])?;
        shunt.all(&Self::ways(through))?;
        let serve = |host: &Host, addresses: &[&str]| -> Result<(Origin, Echo)> {
            let addresses = addresses.iter().map(|it| it.parse()).collect::<Result<Vec<IpAddr>, _>>()?;
            let origin = Origin::start(host, &addresses, &Member::HTTP[..1])?;
            Ok((origin, Echo::start(host, &addresses, &Member::ECHO[..1])?))
        };
        let serving =
            [serve(&client, &["2001:db8:6::5", "2001:db8:6::6"])?, serve(&server, &["198.51.100.5"])?];
        Ok(Siit { client, router6, shunt, router4, server, _serving: serving, through, segments, lab })
    }

    /// Waits until packets come to the translator, which runs.
    ///
    /// # Errors
    /// It has not taken its end of the device.
    pub fn wait_ready(&self) -> Result<()> {
        if self.through == Through::Tun { self.shunt.wait_carrier(TUN) } else { Ok(()) }
    }

    /// What an operator types on the translator's host.
    #[must_use]
    pub fn ways(through: Through) -> Vec<String> {
        let mut lines = vec![
            "ip route add 2001:db8:6::/64 via 2001:db8:600::1".to_owned(),
            "ip route add 198.51.100.0/24 via 203.0.113.1".to_owned(),
        ];
        if through == Through::Tun {
            lines.extend(
                ["sysctl -w net.ipv4.ip_forward=1", "sysctl -w net.ipv6.conf.all.forwarding=1"]
                    .map(str::to_owned),
            );
            lines.push(format!("ip tuntap add mode tun dev {TUN}"));
            lines.push(format!("ip link set dev {TUN} up"));
            lines.extend(TUN_ADDRESSES.map(|address| format!("ip address add {address} dev {TUN}")));
            lines.push(format!("ip route add {PREFIX} dev {TUN}"));
            lines.push(format!("ip route add {} dev {TUN}", MAP[0]));
        }
        lines
    }

    /// The configuration of the translator.
    #[must_use]
    pub fn configured(through: Through, workers: usize) -> String {
        let interfaces = match through {
            Through::Tun => vec![TUN],
            Through::Links => vec!["core6", "core4"],
        };
        let ([v4, v6], [first, last]) = (MAP, ROUTERS);
        format!(
            "\
[process]
workers = {workers}

[[virtual]]
name = \"siit\"
protocol = \"packet\"
mode = \"siit\"
interfaces = {interfaces:?}

[virtual.translation]
prefix = \"{PREFIX}\"
map = [{{ v4 = \"{v4}\", v6 = \"{v6}\" }}]
routers = [\"{first}-{last}\"]
"
        )
    }

    /// The one that serves what the network of this family asks for, and the one that asks.
    #[must_use]
    pub fn client_of(&self, family: Family) -> &Host {
        if family == Family::V6 { &self.client } else { &self.server }
    }

    /// An end of the line under the address by which it is known in a family: its own, or that which stands for it.
    #[must_use]
    pub fn client_address(&self, family: Family) -> IpAddr {
        of_texts(family, "192.0.2.5", "2001:db8:6::5")
    }

    /// The client's second address.
    #[must_use]
    pub fn second_address(&self, family: Family) -> IpAddr {
        of_texts(family, "192.0.2.6", "2001:db8:6::6")
    }

    /// As [`client_address`](Self::client_address), of the other end.
    #[must_use]
    pub fn server_address(&self, family: Family) -> IpAddr {
        of_texts(family, "198.51.100.5", "2001:db8:64::198.51.100.5")
    }

    /// From whom to whom one asks in a family: an end with its own address, and the other with that which stands for it.
    #[must_use]
    pub fn ends(&self, family: Family) -> (IpAddr, IpAddr) {
        match family {
            Family::V6 => (self.client_address(family), self.server_address(family)),
            Family::V4 => (self.server_address(family), self.client_address(family)),
        }
    }

    /// How whoever asks in a family is seen at the other end.
    #[must_use]
    pub fn seen(&self, family: Family) -> IpAddr {
        match family {
            Family::V6 => self.client_address(Family::V4),
            Family::V4 => self.server_address(Family::V6),
        }
    }

    /// The hops of a way that begins in this family, by the addresses that they report errors from, up to the
    /// other end. Of routers that have no address of their own there it is the first and the last that may stand in.
    #[must_use]
    pub fn hops(&self, family: Family) -> Vec<[IpAddr; 2]> {
        let host = |text| (self.through == Through::Tun).then_some(text);
        let translator = match (self.through, family) {
            (Through::Tun, Family::V6) => "2001:db8:600::fe",
            (Through::Tun, Family::V4) => "203.0.113.254",
            (Through::Links, Family::V6) => "2001:db8:600::2",
            (Through::Links, Family::V4) => "203.0.113.2",
        };
        let texts: Vec<[&str; 2]> = match family {
            Family::V6 => [Some("2001:db8:6::1:1"), host("2001:db8:600::2"), Some(translator)]
                .into_iter()
                .flatten()
                .chain(["2001:db8:64::203.0.113.1", "2001:db8:64::198.51.100.5"])
                .map(|text| [text, text])
                .collect(),
            Family::V4 => [Some("198.51.100.1"), host("203.0.113.2"), Some(translator)]
                .into_iter()
                .flatten()
                .map(|text| [text, text])
                .chain([ROUTERS, ["192.0.2.5"; 2]])
                .collect(),
        };
        texts.into_iter().map(|range| range.map(|text| of_texts(family, text, text))).collect()
    }

    /// Makes the last link toward an end narrower than anybody can see before it: the router there refuses what is
    /// larger.
    ///
    /// # Errors
    /// The router refuses the route.
    pub fn narrow(&self, family: Family, mtu: u32) -> Result<()> {
        let (router, route) = match family {
            Family::V6 => (&self.router6, "2001:db8:6::/64 dev six metric 1"),
            Family::V4 => (&self.router4, "198.51.100.0/24 dev four metric 0"),
        };
        let option = family.option();
        // Locked: else the kernel heeds it only for what it sends itself.
        router.run(&format!("ip {option} route replace {route} mtu lock {mtu}")).map(drop)
    }

    /// The links of the translator's host, by family.
    #[must_use]
    pub fn segment(&self, family: Family) -> &Segment {
        &self.segments[if family == Family::V6 { 1 } else { 2 }]
    }

    /// What it looks like, for a terminal, and who has which addresses.
    #[must_use]
    pub fn drawing(&self) -> String {
        let shown = |name: &str| {
            let plugs = SEGMENTS.iter().flat_map(|(_, plugs)| plugs.iter()).filter(|it| it.0 == name);
            let addresses: Vec<_> = plugs.map(|it| it.1).collect();
            format!("{name:<10}{}\n", addresses.join("  "))
        };
        let hosts = ["client", "router6", "shunt", "router4", "server"].map(shown);
        let [client, server] = [self.client_address(Family::V4), self.server_address(Family::V6)];
        format!(
            "            six             core6         core4             four\n\
             client ─────── router6 ─────── shunt ─────── router4 ─────── server\n\n\
             {}\n\
             To the server the client is {client}, to the client the server is {server}.\n",
            hosts.concat()
        )
    }
}

#[allow(clippy::expect_used, reason = "they are written above")]
fn of_texts(family: Family, v4: &str, v6: &str) -> IpAddr {
    let text = if family == Family::V4 { v4 } else { v6 };
    text.parse().expect("an address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_an_address_is_as_the_configuration_says() {
        let prefix: std::net::Ipv6Addr = PREFIX.trim_end_matches("/96").parse().unwrap();
        for (v4, v6) in
            [("198.51.100.5", "2001:db8:64::198.51.100.5"), ("203.0.113.1", "2001:db8:64::203.0.113.1")]
        {
            let embedded =
                u128::from(prefix) | u128::from(v4.parse::<std::net::Ipv4Addr>().unwrap().to_bits());
            assert_eq!(std::net::Ipv6Addr::from(embedded), v6.parse::<std::net::Ipv6Addr>().unwrap());
        }
    }
}
