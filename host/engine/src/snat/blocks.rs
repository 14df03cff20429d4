//! Whose port it is.

use std::ops::{Range, RangeInclusive};

/// The share of one worker in the ports of every SNAT address: blocks of 64, allocated in turn.
///
/// The owner of a reply is known from its destination port and the number of workers alone, whatever range the
/// pool has: a reload that changes the range gives no living flow to another worker.
///
/// A worker counts its own ports without gaps, so that a block is a word of a bitmap; that count is an
/// *index* here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    worker: u32,
    workers: u32,
}

/// Ports per block: bits of a word.
const BLOCK: u32 = u64::BITS;
/// Blocks of an address.
const BLOCKS: u32 = (1 << 16) / BLOCK;

impl Blocks {
    /// Those of `worker` (from 0) among `workers`, of whom at most 1024 own any.
    #[must_use]
    pub const fn new(worker: u16, workers: u16) -> Self {
        let workers = if workers == 0 { 1 } else { workers as u32 };
        Self { worker: worker as u32 % workers, workers }
    }

    /// So many ports in a row give each of `workers` at least one, wherever they begin.
    #[must_use]
    pub const fn enough(workers: u16) -> u32 {
        BLOCK * (workers as u32).saturating_sub(1) + 1
    }

    /// The worker that owns a port.
    #[must_use]
    pub const fn owner(&self, port: u16) -> u16 {
        (port as u32 / BLOCK % self.workers) as u16
    }

    /// How many ports of a range the worker owns.
    #[must_use]
    pub fn count(&self, ports: &RangeInclusive<u16>) -> u32 {
        self.indices(ports).len() as u32
    }

    /// Words of a bitmap over all ports of the worker.
    pub(super) const fn words(&self) -> usize {
        if self.worker < BLOCKS { (BLOCKS - self.worker).div_ceil(self.workers) as usize } else { 0 }
    }

    pub(super) const fn port(&self, index: u32) -> u16 {
        ((index / BLOCK * self.workers + self.worker) * BLOCK + index % BLOCK) as u16
    }

    /// The indices of the worker's ports in a range.
    pub(super) fn indices(&self, ports: &RangeInclusive<u16>) -> Range<u32> {
        if ports.is_empty() {
            return 0..0;
        }
        let start = self.index_from(u32::from(*ports.start()));
        start..self.index_from(u32::from(*ports.end()) + 1).max(start)
    }

    /// The index of the worker's first port at `port` or after it; behind the last index if there is none.
    const fn index_from(&self, port: u32) -> u32 {
        let block = port / BLOCK;
        if block % self.workers == self.worker {
            return block / self.workers * BLOCK + port % BLOCK;
        }
        // The rounds that are complete, and this one if the worker's turn in it is over.
        (block / self.workers + (block % self.workers > self.worker) as u32) * BLOCK
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every port has one owner, who counts its ports in order and without gaps.
        #[test]
        fn ports_are_allocated(workers in 1u16..200, first: u16, last: u16) {
            let mut counts = 0;
            for worker in 0..workers {
                let blocks = Blocks::new(worker, workers);
                let own: Vec<u16> = (first..=last).filter(|&port| blocks.owner(port) == worker).collect();
                let indices = blocks.indices(&(first..=last));
                prop_assert!(indices.end as usize <= blocks.words() * 64);
                prop_assert_eq!(indices.map(|index| blocks.port(index)).collect::<Vec<_>>(), own);
                counts += blocks.count(&(first..=last));
            }
            prop_assert_eq!(counts, (first..=last).count() as u32);
        }
    }

    #[test]
    fn enough_is_the_least_that_reaches_for_all() {
        let reaches = |workers, ports| (0..workers).all(|it| Blocks::new(it, workers).count(&ports) > 0);
        for workers in [1u16, 2, 3, 16] {
            let enough = u16::try_from(Blocks::enough(workers)).unwrap();
            assert!((1_024..1_100).all(|first| reaches(workers, first..=first + enough - 1)), "{workers}");
            let less = (1_024..1_100).any(|first| !reaches(workers, first..=first + enough - 2));
            assert!(less || workers == 1, "{workers}");
        }
    }

    #[test]
    fn the_default_range_is_shared_evenly() {
        for workers in [1, 2, 3, 7, 16, 64] {
            let counts = (0..workers).map(|worker| Blocks::new(worker, workers).count(&(1024..=65535)));
            let (least, most) = (counts.clone().min().unwrap(), counts.max().unwrap());
            assert!(most - least <= 64, "{workers} workers: {least} to {most}");
        }
    }

    #[test]
    fn more_workers_than_blocks() {
        let blocks = Blocks::new(1_500, 2_000);
        assert_eq!((blocks.count(&(0..=65535)), blocks.words()), (0, 0));
    }
}
