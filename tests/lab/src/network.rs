//! Segments of Ethernet, and hosts that are plugged into them.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use anyhow::{Context, Result, ensure};

use crate::capture::Captures;
use crate::host::Host;
use crate::namespace;
use crate::programs::check_programs;

/// What the devices of hosts do for the hosts' kernels when they send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offloads {
    /// What the kernel lets every veth do: checksums are left to it, and large segments. Frames reach the other
    /// hosts with partial checksums, as in containers and virtual machines.
    #[default]
    On,
    /// Nothing: frames are as on the wire between network cards.
    Off,
}

impl Offloads {
    pub const BOTH: [Self; 2] = [Self::On, Self::Off];
}

/// Hosts and segments of one test. Names need to be unique in it only.
#[derive(Debug)]
pub struct Lab {
    number: u32,
    offloads: Offloads,
    /// Where the bridges are.
    switch: Host,
    // After the switch, whose captures it reads.
    captures: Captures,
}

/// One segment: what is plugged into it hears each other.
#[derive(Clone, Debug)]
pub struct Segment {
    name: String,
    number: u8,
}

impl Lab {
    /// An empty lab. `story` names what is kept of it when it fails.
    ///
    /// # Errors
    /// Not root, or a program is missing.
    pub fn new(story: &str) -> Result<Self> {
        Lab::with(story, Offloads::default())
    }

    /// The same with other offloads.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with(story: &str, offloads: Offloads) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        ensure!(nix::unistd::geteuid().is_root(), "network namespaces need root");
        check_programs()?;
        namespace::sweep()?;
        let number = COUNT.fetch_add(1, Relaxed);
        let switch = Host::create(number, "switch")?;
        Ok(Lab { number, offloads, captures: Captures::new(story)?, switch })
    }

    /// Where the segments are, each a bridge of its name: the place to run tcpdump.
    #[must_use]
    pub fn switch(&self) -> &Host {
        &self.switch
    }

    /// A host without links.
    ///
    /// # Errors
    /// The name is taken.
    pub fn host(&self, name: &str) -> Result<Host> {
        Host::create(self.number, name)
    }

    /// A segment on which nobody is yet. Everything on it is captured.
    ///
    /// # Errors
    /// The name or the number is taken.
    pub fn segment(&self, name: &str, number: u8) -> Result<Segment> {
        self.switch.all(&[
            format!("ip link add {name} type bridge forward_delay 0 stp_state 0 mcast_snooping 0"),
            format!("sysctl -w net.ipv6.conf.{name}.disable_ipv6=1"),
            format!("ip link set {name} up"),
        ])?;
        self.captures.start(&self.switch, name)?;
        Ok(Segment { name: name.to_owned(), number })
    }

    /// Plugs a host into a segment, by a link that has the segment's name. `addresses` have their prefix length;
    /// `station` numbers the host on the segment.
    ///
    /// # Errors
    /// It is there already, or an address is none.
    pub fn plug(&self, host: &Host, segment: &Segment, station: u8, addresses: &[String]) -> Result<()> {
        let link = &segment.name;
        let port = format!("{}-{}", host.name(), segment.number);
        let (inside, switch) = (host.namespace().name(), self.switch.namespace().name());
        let mac = mac(segment, station);
        // Several queues, as network cards have: packets of one flow stay in one.
        let queues = "numtxqueues 2 numrxqueues 2";
        let make = format!(
            "link add {link} {queues} address {mac} netns {inside} type veth \
             peer name {port} {queues} netns {switch}"
        );
        namespace::ip(&make.split(' ').collect::<Vec<_>>())?;
        if self.offloads == Offloads::Off {
            // What segments and sums by itself goes with the checksums.
            host.run(&format!("ethtool -K {link} tx off"))?;
        }
        for address in addresses {
            // Nobody else is here: an address need not be tried before it is used.
            let untried = if address.contains(':') { "nodad" } else { "" };
            host.run(&format!("ip address add {address} dev {link} {untried}"))?;
        }
        host.run(&format!("ip link set {link} up"))?;
        self.switch.all(&[format!("ip link set {port} master {link}"), format!("ip link set {port} up")])
    }

    /// Pulls a host's plug, or puts it back: to its neighbours it is as if it had lost its power.
    ///
    /// # Errors
    /// It has none on this segment.
    pub fn set_plugged(&self, host: &Host, segment: &Segment, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        // The port only: the host itself notices nothing, and keeps its addresses.
        self.switch.run(&format!("ip link set {}-{} {state}", host.name(), segment.number)).map(drop)
    }

    /// Keeps the captures of this lab; done by itself where a test panics.
    pub fn keep_captures(&mut self) {
        self.captures.keep();
    }
}

impl Segment {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Locally administered, and readable in a capture: which segment, which station.
fn mac(segment: &Segment, station: u8) -> String {
    format!("02:00:00:00:{:02x}:{station:02x}", segment.number)
}

/// The capture of a segment, as text.
impl Lab {
    /// What tcpdump shows of a segment up to now, with this filter.
    ///
    /// # Errors
    /// There is no tcpdump.
    pub fn captured(&self, segment: &Segment, filter: &str) -> Result<String> {
        self.captures.read(&segment.name, filter).with_context(|| format!("the capture of {}", segment.name))
    }
}
