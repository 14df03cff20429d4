//! Deadlines: which of a million timers is due.

#[cfg(test)]
mod tests;

/// A timer wheel of 11 levels with 64 slots each, the first of 1 ms (Varghese and Lauck, "Hashed and
/// Hierarchical Timing Wheels", scheme 7).
///
/// A timer is a *token*, a small number that its owner gives: the index of a flow in its table. A
/// token has one deadline at most; scheduling it again moves it. Tokens are dense: the wheel keeps
/// 16 bytes for each up to the highest that was ever scheduled, and allocates for nothing else.
///
/// Scheduling, cancelling and taking are O(1): a timer moves down one level at a time, so at most ten
/// times in its life, and seldom more than thrice (level 3 begins at 4.4 minutes). Eleven levels of 6 bits
/// cover every `u64`: there is no deadline too far away. Empty time costs nothing: a clock that jumps by
/// days skips from one occupied slot to the next.
///
/// A flow that sees a packet does not move its timer. When it fires, the owner looks at when the flow
/// was last used, and schedules it again or ends the flow.
#[derive(Clone, Debug)]
pub struct Wheel {
    /// Everything due until here has been moved to `due`.
    elapsed: u64,
    /// The first timer of each slot, level by level.
    ///
    /// A timer's level is where the highest bit in which its deadline differs from `elapsed` lies, its
    /// slot the digit of the deadline there. So in every level each occupied slot is ahead of the digit of
    /// `elapsed`, a lower level is due before a higher one, and a timer's place stays right until `elapsed`
    /// reaches its slot.
    slots: Box<[u32; LEVELS * SLOTS]>,
    /// Which slots of a level hold timers.
    occupied: [u64; LEVELS],
    /// The first timer whose deadline has come.
    due: u32,
    timers: Vec<Timer>,
    armed: usize,
}

const LEVELS: usize = 11;
/// Bits of a deadline per level.
const DIGIT: u32 = 6;
const SLOTS: usize = 1 << DIGIT;

/// No timer: the end of a list.
const NONE: u32 = u32::MAX;
/// In place of the previous timer: this token is in no list.
const UNARMED: u32 = u32::MAX - 1;

/// A token's place in the doubly linked list of its slot.
#[derive(Clone, Copy, Debug)]
struct Timer {
    deadline: u64,
    next: u32,
    previous: u32,
}

impl Wheel {
    /// `now` in milliseconds.
    #[must_use]
    pub fn new(now: u64) -> Self {
        Self {
            elapsed: now,
            slots: Box::new([NONE; LEVELS * SLOTS]),
            occupied: [0; LEVELS],
            due: NONE,
            timers: Vec::new(),
            armed: 0,
        }
    }

    /// The token is due at `deadline` (ms), and at no other time that it may have had before. A deadline
    /// that has passed is due at once.
    ///
    /// The two highest numbers are no tokens: they are ignored.
    pub fn schedule(&mut self, token: u32, deadline: u64) {
        if token >= UNARMED {
            return;
        }
        let index = token as usize;
        if index >= self.timers.len() {
            self.timers.resize(index + 1, Timer { deadline: 0, next: NONE, previous: UNARMED });
        }
        self.cancel(token);
        self.timers[index].deadline = deadline;
        self.link(token);
        self.armed += 1;
    }

    /// As [`schedule`](Self::schedule), unless the token is due earlier anyway.
    pub fn schedule_by(&mut self, token: u32, deadline: u64) {
        if self.deadline(token).is_none_or(|armed| deadline < armed) {
            self.schedule(token, deadline);
        }
    }

    /// The token is not due any more. True if it was scheduled.
    pub fn cancel(&mut self, token: u32) -> bool {
        if self.deadline(token).is_none() {
            return false;
        }
        self.unlink(token);
        self.timers[token as usize].previous = UNARMED;
        self.armed -= 1;
        true
    }

    /// When the token is due.
    #[must_use]
    pub fn deadline(&self, token: u32) -> Option<u64> {
        let timer = self.timers.get(token as usize)?;
        (timer.previous != UNARMED).then_some(timer.deadline)
    }

    /// One token that is due at `now` or before, which is then scheduled no more.
    ///
    /// Call it until it gives none, or until it was enough for one round: what is due stays due. Tokens
    /// come in the order of their deadlines, except those that were due when they were scheduled. A
    /// clock that goes back makes nothing due.
    pub fn take_due(&mut self, now: u64) -> Option<u32> {
        while self.due == NONE {
            match self.next_slot().filter(|slot| slot.start <= now) {
                Some(slot) => self.open(slot),
                None => {
                    self.elapsed = self.elapsed.max(now);
                    return None;
                }
            }
        }
        let token = self.due;
        self.cancel(token);
        Some(token)
    }

    /// How many tokens are scheduled.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.armed
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.armed == 0
    }

    /// Bytes that it holds.
    #[must_use]
    pub const fn memory(&self) -> usize {
        size_of::<Self>() + size_of::<[u32; LEVELS * SLOTS]>() + self.timers.capacity() * size_of::<Timer>()
    }

    /// The first occupied slot: that of the lowest level.
    fn next_slot(&self) -> Option<Slot> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let digit = u64::from(self.occupied[level].trailing_zeros());
        let shift = level as u32 * DIGIT;
        let higher_digits = u64::MAX.checked_shl(shift + DIGIT).unwrap_or(0);
        let start = self.elapsed & higher_digits | digit << shift;
        Some(Slot { index: level * SLOTS + digit as usize, start })
    }

    /// Advances to the beginning of a slot, and puts its timers where they belong from there.
    fn open(&mut self, slot: Slot) {
        self.elapsed = slot.start;
        let mut token = std::mem::replace(&mut self.slots[slot.index], NONE);
        self.occupied[slot.index / SLOTS] &= !(1 << (slot.index % SLOTS));
        while token != NONE {
            let next = self.timers[token as usize].next;
            self.link(token);
            token = next;
        }
    }

    /// The slot of a deadline; none if it has come.
    fn slot_of(&self, deadline: u64) -> Option<usize> {
        if deadline <= self.elapsed {
            return None;
        }
        let level = (u64::BITS - 1 - (deadline ^ self.elapsed).leading_zeros()) / DIGIT;
        let digit = deadline >> (level * DIGIT) & (SLOTS as u64 - 1);
        Some(level as usize * SLOTS + digit as usize)
    }

    fn link(&mut self, token: u32) {
        let slot = self.slot_of(self.timers[token as usize].deadline);
        if let Some(slot) = slot {
            self.occupied[slot / SLOTS] |= 1 << (slot % SLOTS);
        }
        let first = std::mem::replace(self.first(slot), token);
        let timer = &mut self.timers[token as usize];
        (timer.previous, timer.next) = (NONE, first);
        if first != NONE {
            self.timers[first as usize].previous = token;
        }
    }

    fn unlink(&mut self, token: u32) {
        let Timer { deadline, next, previous } = self.timers[token as usize];
        if next != NONE {
            self.timers[next as usize].previous = previous;
        }
        if previous != NONE {
            self.timers[previous as usize].next = next;
            return;
        }
        let slot = self.slot_of(deadline);
        *self.first(slot) = next;
        if let Some(slot) = slot
            && next == NONE
        {
            self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        }
    }

    fn first(&mut self, slot: Option<usize>) -> &mut u32 {
        match slot {
            Some(slot) => &mut self.slots[slot],
            None => &mut self.due,
        }
    }
}

struct Slot {
    index: usize,
    /// The first millisecond that belongs to it.
    start: u64,
}
