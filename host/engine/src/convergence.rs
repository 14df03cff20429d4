//! When most members behind one interface fall silent at once, the trouble is the interface's and not theirs: a router fails
//! over, or a switch computes its spanning tree anew, which takes seconds. To take all members down for that, and up
//! again one by one, would make a pause an outage.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// What the watches over members behind one interface find, together.
#[derive(Clone, Debug, Default)]
pub struct Interface {
    watches: HashMap<u32, Watch>,
    answering: usize,
    event: Option<Event>,
}

#[derive(Clone, Copy, Debug)]
struct Watch {
    host: IpAddr,
    /// Since when nothing comes back, in milliseconds.
    silent: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    began: u64,
    watches: usize,
}

/// Something about an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// So many of its watches fell silent at once.
    Silent { silent: usize, of: usize },
    /// Most are answered again, after so many milliseconds.
    Answered { after: u64 },
}

impl Interface {
    /// A watch over a member at this host begins. What it finds counts from its first probe on.
    pub fn join(&mut self, watch: u32, host: IpAddr) {
        // Long ago: it has not just fallen silent.
        let seen = self.watches.insert(watch, Watch { host, silent: Some(0) });
        debug_assert!(seen.is_none(), "each watch has a number of its own");
    }

    pub fn leave(&mut self, watch: u32) {
        if self.watches.remove(&watch).is_some_and(|it| it.silent.is_none()) {
            self.answering -= 1;
        }
        if let Some(event) = &mut self.event {
            event.watches = event.watches.min(self.watches.len());
        }
    }

    /// Takes the result of a probe at `now`: whether anything came back. Watches that fell silent within the last
    /// `window` fell silent at once. All in milliseconds.
    pub fn observe(&mut self, watch: u32, silent: bool, window: u64, now: u64) -> Option<News> {
        let seen = self.watches.get_mut(&watch)?;
        match (seen.silent, silent) {
            (None, true) => {
                seen.silent = Some(now);
                self.answering -= 1;
            }
            (Some(_), false) => {
                seen.silent = None;
                self.answering += 1;
            }
            // Nothing is new.
            (None, false) | (Some(_), true) => return None,
        }
        match self.event {
            None if silent => self.begin(window, now),
            Some(event) if self.answering * 2 > event.watches => {
                self.event = None;
                Some(News::Answered { after: now.saturating_sub(event.began) })
            }
            _ => None,
        }
    }

    /// Whether silence decides nothing about a member, which waits for `convergence` milliseconds.
    #[must_use]
    pub fn holds(&self, convergence: u64, now: u64) -> bool {
        self.event.is_some_and(|event| now.saturating_sub(event.began) < convergence)
    }

    /// One fell silent.
    fn begin(&mut self, window: u64, now: u64) -> Option<News> {
        let is_recent = |since: u64| since > 0 && now.saturating_sub(since) <= window;
        let recent = || self.watches.values().filter(|it| it.silent.is_some_and(is_recent));
        let silent = recent().count();
        // A host alone is no network.
        let hosts: HashSet<IpAddr> = recent().map(|it| it.host).take(2 + silent / 2).collect();
        if silent <= self.answering || hosts.len() < 2 {
            return None;
        }
        let of = silent + self.answering;
        self.event = Some(Event { began: now, watches: of });
        Some(News::Silent { silent, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 6_000;
    const HOLD: u64 = 30_000;

    /// Watches 0 to `count`, each over a host of its own, all answered at the time 1,000.
    fn interface(count: u32) -> Interface {
        let mut interface = Interface::default();
        for watch in 0..count {
            interface.join(watch, host(watch));
            assert_eq!(interface.observe(watch, false, WINDOW, 1_000), None);
        }
        interface
    }

    fn host(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(0x0a00_0001 + number).into()
    }

    #[test]
    fn most_members_that_fall_silent_at_once_are_one_event() {
        let mut interface = interface(5);
        assert_eq!(interface.observe(0, true, WINDOW, 10_000), None);
        assert_eq!(interface.observe(1, true, WINDOW, 11_000), None);
        assert!(!interface.holds(HOLD, 11_000), "two of five may be theirs");
        assert_eq!(interface.observe(0, true, WINDOW, 12_000), None, "that is known");
        assert_eq!(interface.observe(2, true, WINDOW, 13_000), Some(News::Silent { silent: 3, of: 5 }));
        assert!(interface.holds(HOLD, 42_999) && !interface.holds(HOLD, 43_000));
        assert_eq!(interface.observe(3, true, WINDOW, 14_000), None, "it is one event");
        // Some hosts answer first.
        assert_eq!(interface.observe(0, false, WINDOW, 20_000), None);
        let over = Some(News::Answered { after: 8_000 });
        assert_eq!(interface.observe(1, false, WINDOW, 21_000), over);
        assert!(!interface.holds(HOLD, 21_000), "who is silent now is so by itself");
    }

    #[test]
    fn an_event_that_lasts_is_not_held_twice() {
        let mut interface = interface(3);
        for watch in 0..3 {
            interface.observe(watch, true, WINDOW, 10_000);
        }
        assert!(interface.holds(HOLD, 10_000) && !interface.holds(HOLD, 50_000));
        assert_eq!(interface.observe(0, false, WINDOW, 60_000), None);
        assert_eq!(interface.observe(0, true, WINDOW, 61_000), None);
        assert!(!interface.holds(HOLD, 61_000));
    }

    #[test]
    fn members_that_fall_silent_one_by_one_are_down_by_themselves() {
        let mut interface = interface(5);
        for (watch, now) in [(0, 10_000), (1, 20_000), (2, 30_000), (3, 40_000), (4, 50_000)] {
            assert_eq!(interface.observe(watch, true, WINDOW, now), None);
        }
    }

    #[test]
    fn a_host_alone_is_no_network() {
        let mut interface = Interface::default();
        for watch in 0..4 {
            interface.join(watch, host(0));
            interface.observe(watch, false, WINDOW, 1_000);
        }
        (0..4).for_each(|watch| assert_eq!(interface.observe(watch, true, WINDOW, 10_000), None));
    }

    #[test]
    fn watches_that_leave_count_no_more() {
        let mut interface = interface(4);
        for watch in 0..3 {
            interface.observe(watch, true, WINDOW, 10_000);
        }
        assert!(interface.holds(HOLD, 10_000));
        (0..3).for_each(|watch| interface.leave(watch));
        assert_eq!(interface.observe(3, true, WINDOW, 11_000), None);
        assert_eq!(interface.observe(3, false, WINDOW, 12_000), Some(News::Answered { after: 2_000 }));
        interface.leave(3);
        assert_eq!((interface.watches.len(), interface.answering), (0, 0));
    }
}
