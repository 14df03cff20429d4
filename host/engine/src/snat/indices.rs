//! Sets of ports, by index.

use std::ops::Range;

/// A set of indices below 65,536: while they are few a list, which costs as much as they are; from then on a
/// bitmap, which costs the same however many they are.
///
/// A busy member endpoint has thousands of ports in use, and its bitmaps are small beside its flows. Where members
/// begin connections, or a wildcard virtual has no pool, there are as many endpoints as servers that they reach, each
/// with a port or two.
#[derive(Debug)]
pub(super) struct Indices {
    held: Held,
    /// Of a bitmap over all indices.
    words: usize,
}

#[derive(Debug)]
enum Held {
    /// In ascending order.
    Few(Vec<u16>),
    Many(Box<[u64]>),
}

/// The longest list: of four cache lines, which is moved in less time than a bitmap takes to be counted.
const FEW: usize = 128;

impl Indices {
    /// None of them. `words`: of a bitmap over all indices.
    pub(super) const fn new(words: usize) -> Self {
        Self { held: Held::Few(Vec::new()), words }
    }

    /// Words of a bitmap over all indices.
    pub(super) const fn words(&self) -> usize {
        self.words
    }

    pub(super) fn set(&mut self, index: u32) {
        match &mut self.held {
            Held::Many(words) => words[index as usize / 64] |= 1 << (index % 64),
            Held::Few(list) => {
                if let Err(place) = list.binary_search(&(index as u16)) {
                    list.insert(place, index as u16);
                    if list.len() > FEW {
                        self.spread();
                    }
                }
            }
        }
    }

    pub(super) fn clear(&mut self, index: u32) {
        match &mut self.held {
            Held::Many(words) => words[index as usize / 64] &= !(1 << (index % 64)),
            Held::Few(list) => {
                if let Ok(place) = list.binary_search(&(index as u16)) {
                    list.remove(place);
                }
            }
        }
    }

    /// Clears what is set in the other, and empties that.
    pub(super) fn take_out(&mut self, other: &mut Self) {
        match (&mut self.held, &mut other.held) {
            (Held::Many(words), Held::Many(out)) => {
                for (word, out) in words.iter_mut().zip(out) {
                    *word &= !std::mem::take(out);
                }
            }
            (Held::Few(list), Held::Few(out)) => {
                list.retain(|index| out.binary_search(index).is_err());
                out.clear();
            }
            (Held::Many(words), Held::Few(out)) => {
                for index in out.drain(..) {
                    words[usize::from(index) / 64] &= !(1 << (index % 64));
                }
            }
            (Held::Few(list), Held::Many(out)) => {
                list.retain(|index| out[usize::from(*index) / 64] & 1 << (index % 64) == 0);
                out.fill(0);
            }
        }
    }

    /// The lowest of a range that is not set.
    pub(super) fn first_clear(&self, range: Range<u32>) -> Option<u32> {
        match &self.held {
            Held::Many(words) => {
                let found = clear_in(words, range).find(|(_, clear)| *clear != 0);
                found.map(|(at, clear)| at + clear.trailing_zeros())
            }
            Held::Few(list) => {
                let place = list.partition_point(|index| u32::from(*index) < range.start);
                let set = list.iter().skip(place).map(|index| u32::from(*index));
                let free =
                    range.start + range.clone().zip(set).take_while(|(at, set)| at == set).count() as u32;
                (free < range.end).then_some(free)
            }
        }
    }

    /// How many of a range are not set.
    pub(super) fn count_clear(&self, range: &Range<u32>) -> u32 {
        match &self.held {
            Held::Many(words) => clear_in(words, range.clone()).map(|(_, clear)| clear.count_ones()).sum(),
            Held::Few(list) => {
                let below = |end| list.partition_point(|index| u32::from(*index) < end);
                let set = below(range.end).saturating_sub(below(range.start));
                (range.len() - set) as u32
            }
        }
    }

    /// Bytes that it holds.
    pub(super) fn memory(&self) -> usize {
        match &self.held {
            Held::Few(list) => list.capacity() * size_of::<u16>(),
            Held::Many(words) => words.len() * size_of::<u64>(),
        }
    }

    /// Makes the list a bitmap.
    fn spread(&mut self) {
        let before = std::mem::replace(&mut self.held, Held::Many(vec![0; self.words].into()));
        if let Held::Few(list) = before {
            list.into_iter().for_each(|index| self.set(index.into()));
        }
    }
}

/// The words of a range, inverted and without what is outside; each with the index of its first bit.
fn clear_in(words: &[u64], range: Range<u32>) -> impl Iterator<Item = (u32, u64)> {
    let places = if range.is_empty() { 0..0 } else { range.start / 64..range.end.div_ceil(64) };
    places.map(move |word| {
        let mut clear = !words.get(word as usize).copied().unwrap_or(u64::MAX);
        let first = word * 64;
        if first < range.start {
            clear &= u64::MAX << (range.start - first);
        }
        if range.end - first < 64 {
            clear &= !(u64::MAX << (range.end - first));
        }
        (first, clear)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// How many indices there are here, which is no multiple of a word's bits.
    const ALL: u32 = 400;

    proptest! {
        /// A list, a bitmap and a set of the library are the same thing.
        #[test]
        fn it_is_a_set(
            steps in prop::collection::vec((0..ALL, 0..8u8, 0..=ALL), 0..600),
            out in prop::collection::vec(0..ALL, 0..300),
        ) {
            let mut indices = Indices::new(ALL.div_ceil(64) as usize);
            let mut model = BTreeSet::new();
            for (index, dice, end) in steps {
                if dice < 6 {
                    indices.set(index);
                    model.insert(index);
                } else {
                    indices.clear(index);
                    model.remove(&index);
                }
                let range = index..end.max(index);
                let clear: Vec<_> = range.clone().filter(|it| !model.contains(it)).collect();
                prop_assert_eq!(indices.first_clear(range.clone()), clear.first().copied());
                prop_assert_eq!(indices.count_clear(&range) as usize, clear.len());
            }
            let mut other = Indices::new(indices.words());
            out.iter().for_each(|index| other.set(*index));
            indices.take_out(&mut other);
            let left = model.iter().filter(|index| !out.contains(index)).count() as u32;
            prop_assert_eq!(indices.count_clear(&(0..ALL)), ALL - left);
            prop_assert_eq!(other.count_clear(&(0..ALL)), ALL);
        }
    }
}
