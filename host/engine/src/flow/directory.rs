//! Finds a small number by the hash of what it stands for.

#[cfg(test)]
mod tests;

/// A hash table of numbers below 2^32 - 1, with open addressing, linear probing and deletion by
/// moving back (Knuth, The Art of Computer Programming, volume 3, section 6.4, algorithms L and R). What a
/// number stands for is the owner's: it is asked when hashes are equal.
///
/// It never grows and never cleans up. That is why it is here: in hashbrown's table removals leave tombstones,
/// and with twice the buckets that a million flows need one insertion among some 20 to 40 million hashed all
/// keys again. Here a removal leaves it as if the key had never been there, so that no packet waits for others.
///
/// Hash and number share one word, eight of them a cache line: most lookups, found or not, read one
/// line. The buckets are at least twice the capacity, a power of two.
#[derive(Debug)]
pub(super) struct Directory {
    /// The low half of the hash above the number plus one; 0 where there is none.
    buckets: Vec<u64>,
    capacity: usize,
    len: usize,
}

impl Directory {
    /// Memory for the buckets is reserved here, and costs something when they are first used.
    pub(super) fn new(capacity: usize) -> Self {
        // Half of the buckets or more are empty, so that every search ends soon. The home of a number is
        // taken from 32 bits of its hash.
        let capacity = capacity.min(1 << 30);
        Self { buckets: vec![0; (capacity * 2).next_power_of_two()], capacity, len: 0 }
    }

    /// The number with this hash that is `wanted`.
    pub(super) fn find(&self, hash: u64, mut wanted: impl FnMut(u32) -> bool) -> Option<u32> {
        let at = self.position(hash, &mut wanted)?;
        Some(number(self.buckets[at]))
    }

    /// Reads where the search for a hash begins. What is read means nothing: no branch may depend on it, for
    /// the processor continues to the next of several only until it must know.
    pub(super) fn touch(&self, hash: u64) -> u64 {
        self.buckets[self.home(hash as u32)]
    }

    /// Takes in a number; false if it is full. Whether it is there already is not looked at.
    pub(super) fn insert(&mut self, hash: u64, number: u32) -> bool {
        if self.len >= self.capacity || number == u32::MAX {
            return false;
        }
        let mut at = self.home(hash as u32);
        while self.buckets[at] != 0 {
            at = self.next(at);
        }
        self.buckets[at] = u64::from(hash as u32) << 32 | u64::from(number + 1);
        self.len += 1;
        true
    }

    /// Removes a number that was inserted with this hash; false if it is not there.
    pub(super) fn remove(&mut self, hash: u64, number: u32) -> bool {
        let Some(mut hole) = self.position(hash, &mut |other| other == number) else {
            return false;
        };
        let mut at = hole;
        loop {
            at = self.next(at);
            let bucket = self.buckets[at];
            if bucket == 0 {
                break;
            }
            // It may move into the hole if its home is not between the two: a search for it begins at its
            // home and must meet no empty bucket.
            if self.distance(self.home(tag(bucket)), at) >= self.distance(hole, at) {
                self.buckets[hole] = bucket;
                hole = at;
            }
        }
        self.buckets[hole] = 0;
        self.len -= 1;
        true
    }

    /// Bytes that it holds.
    pub(super) const fn memory(&self) -> usize {
        self.buckets.capacity() * size_of::<u64>()
    }

    fn position(&self, hash: u64, wanted: &mut impl FnMut(u32) -> bool) -> Option<usize> {
        let mut at = self.home(hash as u32);
        loop {
            let bucket = self.buckets[at];
            if bucket == 0 {
                return None;
            }
            if tag(bucket) == hash as u32 && wanted(number(bucket)) {
                return Some(at);
            }
            at = self.next(at);
        }
    }

    /// The bucket where a search begins.
    const fn home(&self, tag: u32) -> usize {
        tag as usize & (self.buckets.len() - 1)
    }

    const fn next(&self, at: usize) -> usize {
        (at + 1) & (self.buckets.len() - 1)
    }

    /// How far it is from one bucket on to another.
    const fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.buckets.len() - 1)
    }
}

const fn tag(bucket: u64) -> u32 {
    (bucket >> 32) as u32
}

const fn number(bucket: u64) -> u32 {
    bucket as u32 - 1
}
