//! Which numbers of streams a client has used (RFC 9113 section 5.1.1). Those that are closed need no more than that it is
//! known of the last of them what became of them.

/// What a number stands for that is no stream which is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Was {
    /// The client has not come to it yet, or it is one of the server's.
    Idle,
    /// The client has passed it over, which closed it.
    Skipped,
    Closed,
    /// Shunt has reset it: what the client sent before it knew is ignored (RFC 9113 section 5.1).
    Reset,
    /// So long ago that it is not known.
    Old,
}

/// Of the last 128 numbers of clients.
#[derive(Debug, Default)]
pub(super) struct History {
    last: u32,
    begun: u128,
    reset: u128,
}

impl History {
    /// The highest that was begun; 0: none was.
    pub(super) fn last(&self) -> u32 {
        self.last
    }

    /// Notes a stream that begins. Its number is a client's, and higher than all before.
    pub(super) fn begin(&mut self, id: u32) {
        let passed = (id - self.last).div_ceil(2);
        self.begun = self.begun.checked_shl(passed).unwrap_or(0) | 1;
        self.reset = self.reset.checked_shl(passed).unwrap_or(0);
        self.last = id;
    }

    pub(super) fn reset(&mut self, id: u32) {
        if let Some(bit) = self.bit(id) {
            self.reset |= bit;
        }
    }

    pub(super) fn was(&self, id: u32) -> Was {
        if id > self.last || id.is_multiple_of(2) {
            return Was::Idle;
        }
        match self.bit(id) {
            None => Was::Old,
            Some(bit) if self.reset & bit != 0 => Was::Reset,
            Some(bit) if self.begun & bit != 0 => Was::Closed,
            Some(_) => Was::Skipped,
        }
    }

    fn bit(&self, id: u32) -> Option<u128> {
        1u128.checked_shl(self.last.checked_sub(id)? / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_streams() {
        let mut history = History::default();
        assert_eq!((history.was(1), history.was(2)), (Was::Idle, Was::Idle));
        for id in [1, 5, 7] {
            history.begin(id);
        }
        history.reset(5);
        let expected = [
            (1, Was::Closed),
            (3, Was::Skipped),
            (5, Was::Reset),
            (7, Was::Closed),
            (9, Was::Idle),
            (4, Was::Idle),
        ];
        for (id, was) in expected {
            assert_eq!(history.was(id), was, "{id}");
        }
        history.begin(7 + 2 * 127);
        assert_eq!((history.was(7), history.was(5), history.was(9)), (Was::Closed, Was::Old, Was::Skipped));
        history.begin(2_000_000_001);
        assert_eq!((history.was(7), history.last()), (Was::Old, 2_000_000_001));
        assert_eq!(history.was(1_999_999_999), Was::Skipped);
    }
}
