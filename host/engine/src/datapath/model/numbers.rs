//! The numbers by which a worker keeps what it counts. They are given where a snapshot is made, so that a
//! worker that takes the snapshot over has nothing to look up: its counters stay where they are.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// Things of one kind, each under a number that stays its own from snapshot to snapshot.
#[derive(Debug)]
pub(in crate::datapath) struct Numbers<K, G> {
    /// In the order of the snapshot.
    of: Vec<u32>,
    /// By number.
    holders: Vec<Option<Holder<K, G>>>,
    /// Numbers that another thing had in the snapshot before: what was counted by them is not theirs.
    fresh: Vec<u32>,
}

/// Who has a number.
#[derive(Clone, Debug)]
pub(in crate::datapath) struct Holder<K, G> {
    key: K,
    stands: Stands<G>,
}

#[derive(Clone, Debug)]
enum Stands<G> {
    /// At this place of the snapshot.
    At(usize),
    /// Not in the snapshot any more; flows may still refer to it.
    Gone(G),
}

impl<K, G> Default for Numbers<K, G> {
    fn default() -> Self {
        Self { of: Vec::new(), holders: Vec::new(), fresh: Vec::new() }
    }
}

impl<K: Clone + Eq + Hash, G: Clone> Numbers<K, G> {
    /// Numbers what the next snapshot has, in its order. What is in both keeps its number. What is not in the
    /// next one keeps it too, as `keep` makes it of its place; `None` gives the number back at once. Numbers
    /// that were `released` are free.
    pub(in crate::datapath) fn next(
        &self,
        keys: &[K],
        released: &HashSet<u32>,
        keep: impl Fn(usize) -> Option<G>,
    ) -> Self {
        let known: HashMap<&K, u32> = self.held().map(|(number, holder)| (&holder.key, number)).collect();
        let mut holders: Vec<Option<Holder<K, G>>> = Vec::with_capacity(self.holders.len());
        holders.resize_with(self.holders.len(), || None);
        let mut of: Vec<Option<u32>> = Vec::with_capacity(keys.len());
        for (place, key) in keys.iter().enumerate() {
            let number = known.get(key).copied();
            if let Some(holder) = number.and_then(|number| holders.get_mut(number as usize)) {
                *holder = Some(Holder { key: key.clone(), stands: Stands::At(place) });
            }
            of.push(number);
        }
        for (number, holder) in self.held() {
            let Some(free @ None) = holders.get_mut(number as usize) else { continue };
            let gone = match &holder.stands {
                Stands::At(place) => keep(*place),
                Stands::Gone(gone) => Some(gone.clone()).filter(|_| !released.contains(&number)),
            };
            *free = gone.map(|gone| Holder { key: holder.key.clone(), stands: Stands::Gone(gone) });
        }
        let mut free = (0..).zip(&holders).filter(|(_, holder)| holder.is_none()).map(|(number, _)| number);
        let mut free: Vec<u32> = free.by_ref().collect();
        free.reverse();
        let mut fresh = Vec::new();
        // Of one key that is there twice, both are one.
        let mut new: HashMap<&K, u32> = HashMap::new();
        let of = keys.iter().zip(of).enumerate().map(|(place, (key, number))| {
            if let Some(number) = number.or_else(|| new.get(key).copied()) {
                return number;
            }
            let holder = Some(Holder { key: key.clone(), stands: Stands::At(place) });
            let number = match free.pop() {
                Some(number) => {
                    if let Some(free) = holders.get_mut(number as usize) {
                        *free = holder;
                    }
                    fresh.push(number);
                    number
                }
                None => {
                    holders.push(holder);
                    holders.len() as u32 - 1
                }
            };
            new.insert(key, number);
            number
        });
        let of = of.collect();
        Self { of, holders, fresh }
    }

    fn held(&self) -> impl Iterator<Item = (u32, &Holder<K, G>)> {
        (0..).zip(&self.holders).filter_map(|(number, holder)| Some((number, holder.as_ref()?)))
    }

    /// The numbers of what is gone, with what was kept of it.
    pub(in crate::datapath) fn gone(&self) -> impl Iterator<Item = (u32, &G)> {
        self.held().filter_map(|(number, holder)| match &holder.stands {
            Stands::Gone(gone) => Some((number, gone)),
            Stands::At(_) => None,
        })
    }
}

impl<K, G> Numbers<K, G> {
    /// Of what stands at a place of the snapshot.
    pub(in crate::datapath) fn at(&self, place: usize) -> Option<u32> {
        self.of.get(place).copied()
    }

    /// The place of what has a number; `Err` has what was kept of it where it is gone.
    pub(in crate::datapath) fn place(&self, number: u32) -> Option<Result<usize, &G>> {
        match &self.holders.get(number as usize)?.as_ref()?.stands {
            Stands::At(place) => Some(Ok(*place)),
            Stands::Gone(gone) => Some(Err(gone)),
        }
    }

    /// Makes room in what a worker keeps by number, and begins again what another thing had before.
    pub(in crate::datapath) fn settle<T>(&self, kept: &mut Vec<T>, mut new: impl FnMut(u32) -> T) {
        for number in &self.fresh {
            if let Some(it) = kept.get_mut(*number as usize) {
                *it = new(*number);
            }
        }
        let mut number = kept.len() as u32;
        kept.resize_with(self.holders.len(), || {
            number += 1;
            new(number - 1)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Of = Numbers<&'static str, &'static str>;

    fn next(before: &Of, had: &[&'static str], keys: &[&'static str], released: &[u32]) -> Of {
        before.next(keys, &released.iter().copied().collect(), |place| Some(had[place]))
    }

    #[test]
    fn a_number_stays_its_own_until_it_is_released() {
        let first = next(&Of::default(), &[], &["a", "b", "c"], &[]);
        assert_eq!(first.of, [0, 1, 2]);
        // Places change, "b" goes, "d" comes: b's number is not given out again, for flows may have it.
        let second = next(&first, &["a", "b", "c"], &["c", "d", "a"], &[]);
        assert_eq!((&second.of[..], &second.fresh[..]), (&[2, 3, 0][..], &[][..]));
        assert_eq!(second.gone().collect::<Vec<_>>(), [(1, &"b")]);
        assert_eq!((second.place(1), second.place(3), second.place(9)), (Some(Err(&"b")), Some(Ok(1)), None));
        // It comes back under its own number, though that was released in the same moment.
        let back = next(&second, &["c", "d", "a"], &["b", "a"], &[1]);
        assert_eq!((&back.of[..], &back.fresh[..]), (&[1, 0][..], &[][..]));
        // Once released, the number is another's, which begins from zero.
        let reused = next(&second, &["c", "d", "a"], &["c", "d", "a", "e", "f"], &[1]);
        assert_eq!((&reused.of[..], &reused.fresh[..]), (&[2, 3, 0, 1, 4][..], &[1][..]));
        let mut kept = vec![10, 11, 12, 13];
        reused.settle(&mut kept, |number| 100 + number);
        assert_eq!(kept, [10, 101, 12, 13, 104]);
    }

    #[test]
    fn what_nothing_refers_to_gives_its_number_back_at_once() {
        let first = next(&Of::default(), &[], &["a", "b"], &[]);
        let second = first.next(&["b", "c"], &HashSet::new(), |_| None);
        assert_eq!((&second.of[..], &second.fresh[..]), (&[1, 0][..], &[0][..]));
    }
}
