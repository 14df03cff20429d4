//! What monitors of every kind have: when they probe, and what follows from their probes.

use std::net::IpAddr;
use std::time::Duration;

use super::Probe;

/// `monitor = { http = "/health", expect = 200, interval = "2s", … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Monitor {
    pub probe: Probe,
    /// From the start of a probe to the start of the next. Default 5 s.
    pub interval: Duration,
    /// The same while it finds the member down. Default `interval`.
    pub interval_down: Duration,
    /// The same while probes contradict what it found before; `None`: as on the side that it is on.
    pub interval_changing: Option<Duration>,
    /// By how many percent of an interval each start may be early. Default 0.
    pub jitter: u32,
    /// For one probe; at most `interval`. Default 2 s, or `interval` where that is shorter.
    pub timeout: Duration,
    /// Good probes in a row until a member is up. Default 2.
    pub rise: u32,
    /// Failed probes in a row until a member is down. Default 3.
    pub fall: u32,
    /// What a member counts as until its first probe.
    pub start: Start,
    /// A probe that succeeds counts as failed, and one that fails as good.
    pub inverse: bool,
    /// Where probes come from that go straight to the member.
    pub origin: Origin,
    /// Where probes on the service path go at virtuals that listen on every address: beyond the member.
    pub target: Option<Target>,
}

/// Where probes come from, and how their packets are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// `None`: as the kernel chooses.
    pub source: Option<IpAddr>,
    pub interface: Option<String>,
    /// Differentiated services code point, 0 to 63.
    pub dscp: Option<u8>,
    /// The length of IP packets in bytes, which nobody may fragment; also on the service path.
    pub size: Option<u16>,
}

/// `start = "up" | "down"`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    #[default]
    Up,
    Down,
}

/// `"192.0.2.1:80"`, or `"192.0.2.1"` where the virtual says the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub address: IpAddr,
    pub port: Option<u16>,
}

impl Monitor {
    /// From the start of a probe to the start of the next: of a monitor that finds its member up or down, and
    /// whose last probes contradict that or not.
    #[must_use]
    pub fn interval(&self, up: bool, changing: bool) -> Duration {
        let steady = if up { self.interval } else { self.interval_down };
        self.interval_changing.filter(|_| changing).unwrap_or(steady)
    }

    /// How long after a member stopped to answer this monitor finds it down, at most: the member stops just after a
    /// probe, and each of the `fall` next ones runs into its time-out.
    #[must_use]
    pub fn time_to_down(&self) -> Duration {
        self.interval + self.interval(true, true).max(self.timeout) * (self.fall - 1) + self.timeout
    }

    /// How long after a probe that failed this monitor finds the member up, at the earliest.
    #[must_use]
    pub fn time_to_up(&self) -> Duration {
        self.interval_down + self.interval(false, true) * (self.rise - 1)
    }
}
