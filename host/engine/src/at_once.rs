//! So many at once, over all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What is in flight of something that has a limit. Who has none does not count.
#[derive(Debug, Default)]
pub struct AtOnce(AtomicU32);

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Taken(Arc<AtOnce>);

impl AtOnce {
    /// One more, unless there are `most`: over all workers there are never more.
    #[must_use]
    pub fn take(self: &Arc<Self>, most: u32) -> Option<Taken> {
        let more = |count: u32| (count < most).then(|| count + 1);
        self.0.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Taken(Arc::clone(self)))
    }

    /// As many, of which none is ever given back.
    #[must_use]
    pub fn apart(&self) -> Arc<Self> {
        Arc::new(Self(AtomicU32::new(self.taken())))
    }

    #[must_use]
    pub fn taken(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_and_none_is_lost() {
        let limit = Arc::<AtOnce>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let taken = [(); 2].map(|()| limit.take(3));
                        assert!(limit.taken() <= 3);
                        drop(taken);
                    }
                });
            }
        });
        assert_eq!(limit.taken(), 0);
        let held = limit.take(1);
        assert!(held.is_some() && limit.take(1).is_none() && limit.take(2).is_some());
    }
}
