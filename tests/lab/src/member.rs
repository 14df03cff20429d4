//! A member: a Linux host that serves, configured as the book says.

use std::net::IpAddr;

use anyhow::Result;

use crate::address::{Family, Mode};
use crate::echo::Echo;
use crate::host::Host;
use crate::origin::Origin;
use crate::topology::{Shape, default_route};
use crate::tunnel::TunnelEnd;

/// A host that serves HTTP and answers datagrams, both on the ports of virtuals and on others, so that a port that is
/// translated shows.
#[derive(Debug)]
pub struct Member {
    pub host: Host,
    shape: Shape,
    station: u8,
    listening: Vec<IpAddr>,
    tunnel: Option<TunnelEnd>,
    origin: Option<Origin>,
    echo: Option<Echo>,
    said: Vec<String>,
    virtuals: Vec<IpAddr>,
}

impl Member {
    pub const HTTP: [u16; 2] = [80, 8080];
    pub const ECHO: [u16; 2] = [53, 5353];

    /// What the virtual's number in DSCP is, where the member goes by it.
    pub const DSCP: u8 = 10;

    pub(crate) fn new(host: Host, shape: Shape, station: u8) -> Self {
        Member {
            host,
            shape,
            station,
            listening: Vec::new(),
            tunnel: None,
            origin: None,
            echo: None,
            said: Vec::new(),
            virtuals: Vec::new(),
        }
    }

    pub(crate) fn serve(&mut self, modes: &[Mode], virtuals: [IpAddr; 2]) -> Result<()> {
        self.virtuals = virtuals.to_vec();
        self.said = self.commands(modes, virtuals)?;
        self.host.all(&self.said)?;
        if modes.contains(&Mode::L3dsrDscp) {
            let table = dscp_table(virtuals);
            self.host.feed("nft -f -", &table)?;
            self.said.push(format!("nft -f - <<END\n{table}\nEND"));
        }
        if let Some(mode) = modes.iter().copied().find(|it| it.overhead(Family::V4) > 0) {
            self.tunnel = Some(TunnelEnd::start(&self.host, mode)?);
        }
        self.listening =
            Family::BOTH.map(|family| self.shape.servers().address(family, self.station)).to_vec();
        if modes.iter().any(|it| it.is_direct()) {
            self.listening.extend(virtuals);
        }
        self.recover()
    }

    /// What an operator does on the member. Linux knows tunnels by devices as well; see the book. Here it is a
    /// program, for not every kernel has them.
    fn commands(&self, modes: &[Mode], virtuals: [IpAddr; 2]) -> Result<Vec<String>> {
        let mut commands = Vec::new();
        for family in Family::BOTH {
            let ways = modes.iter().map(|mode| self.shape.way_back(*mode, family));
            let way = ways.collect::<Result<Vec<_>>>()?.into_iter().flatten().next();
            commands.extend(way.map(default_route));
        }
        if modes.iter().any(|it| it.is_direct()) {
            // Its neighbours would else learn that the virtual's address is here.
            commands.push("sysctl -w net.ipv4.conf.all.arp_ignore=1".to_owned());
            commands.push("sysctl -w net.ipv4.conf.all.arp_announce=2".to_owned());
            for (family, address) in Family::BOTH.iter().zip(virtuals) {
                // Without trying it first, which takes a moment even on the loopback.
                let untried = if *family == Family::V6 { " nodad" } else { "" };
                commands.push(format!("ip address add {address}/{} dev lo{untried}", family.bits()));
            }
        }
        Ok(commands)
    }

    /// The commands by which it became a member, as an operator types them.
    #[must_use]
    pub fn said(&self) -> &[String] {
        &self.said
    }

    /// The end of the tunnel, in a mode that has one.
    #[must_use]
    pub fn tunnel(&self) -> Option<&TunnelEnd> {
        self.tunnel.as_ref()
    }

    /// What it serves HTTP with.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Takes the addresses of the virtuals off its loopback, or puts them there again.
    ///
    /// # Errors
    /// They are not there, or there already.
    pub fn has_virtuals(&self, has: bool) -> Result<()> {
        self.virtuals.iter().try_for_each(|address| {
            let (bits, nodad) = if address.is_ipv4() { (32, "") } else { (128, " nodad") };
            let (verb, nodad) = if has { ("add", nodad) } else { ("del", "") };
            self.host.run(&format!("ip address {verb} {address}/{bits} dev lo{nodad}")).map(drop)
        })
    }

    /// Takes its rewrite of `l3dsr-dscp` away, or puts it there again.
    ///
    /// # Errors
    /// It is not there, or there already.
    pub fn has_rewrite(&self, has: bool) -> Result<()> {
        match self.virtuals.as_slice() {
            [v4, v6] if has => self.host.feed("nft -f -", &dscp_table([*v4, *v6])),
            _ => self.host.run("nft delete table inet shunt").map(drop),
        }
    }

    /// Ends its end of the tunnel, or starts it again.
    ///
    /// # Errors
    /// The mode has no tunnel.
    pub fn has_tunnel(&mut self, mode: Option<Mode>) -> Result<()> {
        self.tunnel = None;
        if let Some(mode) = mode {
            self.tunnel = Some(TunnelEnd::start(&self.host, mode)?);
        }
        Ok(())
    }

    /// Its programs end, as if they were killed; the host continues and refuses.
    pub fn kill(&mut self) {
        self.origin = None;
        self.echo = None;
    }

    /// Its programs start again.
    ///
    /// # Errors
    /// They are there already.
    pub fn recover(&mut self) -> Result<()> {
        // TCP on the ports for datagrams as well, as servers of names have it: monitors connect there.
        let tcp = [Member::HTTP, Member::ECHO].concat();
        self.origin = Some(Origin::start(&self.host, &self.listening, &tcp)?);
        self.echo = Some(Echo::start(&self.host, &self.listening, &Member::ECHO)?);
        Ok(())
    }
}

/// The rewrite that `l3dsr-dscp` asks of a member: without connection tracking, each packet by itself.
fn dscp_table([v4, v6]: [IpAddr; 2]) -> String {
    let number = Member::DSCP;
    format!(
        "\
table inet shunt {{
  chain dscp {{
    type filter hook prerouting priority raw
    ip dscp {number} ip daddr set {v4}
    ip6 dscp {number} ip6 daddr set {v6}
  }}
}}"
    )
}
