//! Pending packets: until the MAC of their next hop is known (as in Linux's `arp_queue`), or for the first fragment.

use std::collections::{BTreeMap, VecDeque};

use shunt_wire::Address;

use super::config::Options;
use crate::fragment::{FragmentOf, Fragments};
use crate::network::Via;

/// Pending packets of one next hop at most. Linux keeps about a hundred small ones (`unres_qlen_bytes`).
pub(in crate::datapath) const PER_NEXT_HOP: usize = 64;
/// Pending packets at most, over all next hops: untrusted senders can make up destinations.
pub(in crate::datapath) const IN_TOTAL: usize = 1024;
/// After so many milliseconds a next hop that has not answered is given up: as Linux does after three
/// solicitations a second apart (RFC 4861 section 10, `MAX_MULTICAST_SOLICIT` and `RETRANS_TIMER`).
pub(in crate::datapath) const PATIENCE: u64 = 3_000;
/// The kernel is asked again so often, in milliseconds, lest it forgot.
const ASK_AGAIN: u64 = 1_000;

/// Packets that continue when more is known.
#[derive(Clone)]
pub(in crate::datapath) struct Pending {
    /// Until the MAC of their next hop is known.
    pub(in crate::datapath) next_hops: NextHopQueues,
    /// Until the first fragment of their packet has come.
    pub(in crate::datapath) fragments: Fragments,
}

/// All pending packets, by next hop, each queue in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(in crate::datapath) struct NextHopQueues {
    queues: BTreeMap<NextHopKey, Queue>,
    total: usize,
}

/// A next hop: the link, and the neighbour on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::datapath) struct NextHopKey {
    pub(in crate::datapath) link: u32,
    pub(in crate::datapath) neighbour: Address,
}

/// A frame as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::datapath) struct PendingFrame {
    pub(in crate::datapath) ingress: u32,
    /// If it is a fragment: of what.
    pub(in crate::datapath) part: Option<FragmentOf>,
    pub(in crate::datapath) bytes: Box<[u8]>,
}

/// As many packets are pending as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::datapath) struct Full;

#[derive(Clone, Debug)]
struct Queue {
    packets: VecDeque<PendingFrame>,
    since: u64,
    asked: u64,
}

impl Pending {
    pub(in crate::datapath) fn new(options: &Options) -> Self {
        Self { next_hops: NextHopQueues::default(), fragments: Fragments::new(options.key) }
    }
}

impl NextHopQueues {
    /// Keeps a frame. True if nothing waited for this next hop before: it must be asked for.
    pub(in crate::datapath) fn keep(
        &mut self,
        now: u64,
        via: &Via,
        frame: PendingFrame,
    ) -> Result<bool, Full> {
        let key = NextHopKey { link: via.link, neighbour: via.neighbour };
        let before = self.queues.get(&key).map_or(0, |queue| queue.packets.len());
        if before >= PER_NEXT_HOP || self.total >= IN_TOTAL {
            return Err(Full);
        }
        let queue = self.queues.entry(key).or_insert_with(|| Queue {
            packets: VecDeque::new(),
            since: now,
            asked: now,
        });
        queue.packets.push_back(frame);
        self.total += 1;
        Ok(before == 0)
    }

    /// What waited for the next hops of which `known` is true, in the order in which it came.
    pub(in crate::datapath) fn release(&mut self, known: impl Fn(NextHopKey) -> bool) -> Vec<PendingFrame> {
        let keys: Vec<_> = self.queues.keys().copied().filter(|key| known(*key)).collect();
        keys.into_iter().flat_map(|key| self.take(key)).collect()
    }

    /// What has waited for too long.
    pub(in crate::datapath) fn give_up(&mut self, now: u64) -> Vec<PendingFrame> {
        let is_over = |queue: &Queue| now.saturating_sub(queue.since) >= PATIENCE;
        let keys: Vec<_> =
            self.queues.iter().filter(|(_, queue)| is_over(queue)).map(|(key, _)| *key).collect();
        keys.into_iter().flat_map(|key| self.take(key)).collect()
    }

    /// Next hops that must be asked for again.
    pub(in crate::datapath) fn ask_again(&mut self, now: u64) -> impl Iterator<Item = NextHopKey> {
        self.queues.iter_mut().filter_map(move |(key, queue)| {
            let due = now.saturating_sub(queue.asked) >= ASK_AGAIN;
            due.then(|| {
                queue.asked = now;
                *key
            })
        })
    }

    pub(in crate::datapath) const fn len(&self) -> usize {
        self.total
    }

    pub(in crate::datapath) const fn is_empty(&self) -> bool {
        self.total == 0
    }

    fn take(&mut self, key: NextHopKey) -> VecDeque<PendingFrame> {
        let packets = self.queues.remove(&key).map(|queue| queue.packets).unwrap_or_default();
        self.total -= packets.len();
        packets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shunt_wire::Mac;
    use std::net::Ipv4Addr;

    fn via(host: u8) -> Via {
        Via {
            interface: 1,
            link: 1,
            vlan: None,
            source_mac: Mac::default(),
            mtu: 1500,
            neighbour: Ipv4Addr::new(10, 0, 0, host).into(),
            on_link: true,
        }
    }

    fn frame(number: u8) -> PendingFrame {
        PendingFrame { ingress: 7, part: None, bytes: [number].into() }
    }

    fn numbers(pending: Vec<PendingFrame>) -> Vec<u8> {
        pending.into_iter().map(|it| it.bytes[0]).collect()
    }

    #[test]
    fn they_leave_in_the_order_in_which_they_came() {
        let mut queues = NextHopQueues::default();
        assert_eq!(queues.keep(0, &via(1), frame(1)), Ok(true));
        assert_eq!(queues.keep(0, &via(2), frame(9)), Ok(true));
        assert_eq!(queues.keep(5, &via(1), frame(2)), Ok(false));
        let one = via(1).neighbour;
        assert_eq!(numbers(queues.release(|key| key.neighbour == one)), [1, 2]);
        assert_eq!(queues.len(), 1);
        assert_eq!(queues.keep(9, &via(1), frame(3)), Ok(true), "it begins anew");
    }

    #[test]
    fn one_next_hop_and_all_of_them_are_bounded() {
        let mut queues = NextHopQueues::default();
        for _ in 0..PER_NEXT_HOP {
            assert!(queues.keep(0, &via(1), frame(1)).is_ok());
        }
        assert_eq!(queues.keep(0, &via(1), frame(1)), Err(Full));
        let rest = IN_TOTAL - PER_NEXT_HOP;
        for number in 0..rest {
            assert!(queues.keep(0, &via(2 + (number / PER_NEXT_HOP) as u8), frame(1)).is_ok(), "{number}");
        }
        assert_eq!(queues.keep(0, &via(255), frame(1)), Err(Full));
        assert_eq!((queues.release(|_| true).len(), queues.len(), queues.is_empty()), (IN_TOTAL, 0, true));
    }

    #[test]
    fn who_does_not_answer_is_asked_again_and_then_given_up() {
        let mut queues = NextHopQueues::default();
        queues.keep(100, &via(1), frame(1)).unwrap();
        queues.keep(2_000, &via(2), frame(2)).unwrap();
        assert_eq!(queues.ask_again(1_099).count(), 0);
        assert_eq!(queues.ask_again(1_100).count(), 1);
        assert_eq!(queues.ask_again(1_100).count(), 0, "not twice");
        assert_eq!(numbers(queues.give_up(3_099)), [] as [u8; 0]);
        assert_eq!(numbers(queues.give_up(3_100)), [1]);
        assert_eq!(queues.len(), 1);
    }
}
