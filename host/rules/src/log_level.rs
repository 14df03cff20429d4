//! The level from which lines of a rule are written, where an operator has set one of its own.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::Level;

/// Shared by all versions of a rule.
#[derive(Debug, Default)]
pub struct LogLevel(
    /// 0: as of other lines; else the number of the level and one more.
    AtomicU8,
);

impl LogLevel {
    /// `None`: as of other lines.
    pub fn get(&self) -> Option<Level> {
        let number = self.0.load(Ordering::Relaxed).checked_sub(1)?;
        Level::ALL.get(usize::from(number)).copied()
    }

    pub fn set(&self, level: Option<Level>) {
        let number = level.map_or(0, |level| level as u8 + 1);
        self.0.store(number, Ordering::Relaxed);
    }

    /// Whether lines of a level are written; `None`: as others are.
    #[inline]
    pub(crate) fn writes(&self, level: Level) -> Option<bool> {
        self.get().map(|most| level <= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_says_what_is_written() {
        let log = LogLevel::default();
        assert_eq!((log.get(), log.writes(Level::Error)), (None, None));
        for most in Level::ALL {
            log.set(Some(most));
            assert_eq!(log.get(), Some(most));
            for level in Level::ALL {
                assert_eq!(log.writes(level), Some(level <= most), "{level:?} of {most:?}");
            }
        }
        log.set(None);
        assert_eq!(log.get(), None);
    }
}
