//! One end of a TCP connection, as far as a load balancer can tell one from another.

use super::wire::{ACK, FIN, PSH, RST, SYN, Tcp};

/// How long a server stays in TIME_WAIT, in milliseconds: as Linux.
const TIME_WAIT: u64 = 60_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    SynSent,
    SynReceived,
    Open,
    /// Until then, in milliseconds.
    TimeWait(u64),
    Closed,
}

#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) state: State,
    next: u32,
    unacknowledged: u32,
    expects: u32,
    closed: bool,
    other_closed: bool,
    /// It closed before it heard of the other's close.
    first: bool,
}

/// What a segment leads to.
pub(super) struct Reaction {
    pub(super) answer: Option<Tcp>,
    /// Data that it brought, for the first time.
    pub(super) is_news: bool,
}

impl End {
    /// A client, and its SYN.
    pub(super) fn connect(number: u32) -> (Self, Tcp) {
        let end = Self {
            state: State::SynSent,
            next: number.wrapping_add(1),
            unacknowledged: number,
            expects: 0,
            closed: false,
            other_closed: false,
            first: false,
        };
        (end, Tcp { flags: SYN, seq: number, ack: 0 })
    }

    /// A server, and its SYN-ACK.
    pub(super) fn accept(syn: Tcp, number: u32) -> (Self, Tcp) {
        let end = Self {
            state: State::SynReceived,
            next: number.wrapping_add(1),
            unacknowledged: number,
            expects: syn.seq.wrapping_add(1),
            closed: false,
            other_closed: false,
            first: false,
        };
        (end, Tcp { flags: SYN | ACK, seq: number, ack: syn.seq.wrapping_add(1) })
    }

    /// Sends so many bytes; none if it cannot.
    pub(super) fn send(&mut self, bytes: usize) -> Option<Tcp> {
        if self.state != State::Open || self.closed {
            return None;
        }
        let seq = self.next;
        self.next = self.next.wrapping_add(bytes as u32);
        Some(Tcp { flags: PSH | ACK, seq, ack: self.expects })
    }

    pub(super) fn close(&mut self) -> Option<Tcp> {
        if self.state != State::Open || self.closed {
            return None;
        }
        (self.closed, self.first) = (true, !self.other_closed);
        let seq = self.next;
        self.next = self.next.wrapping_add(1);
        Some(Tcp { flags: FIN | ACK, seq, ack: self.expects })
    }

    pub(super) fn abort(&mut self) -> Option<Tcp> {
        let open = matches!(self.state, State::Open | State::SynReceived);
        self.state = if open { State::Closed } else { self.state };
        open.then_some(Tcp { flags: RST | ACK, seq: self.next, ack: self.expects })
    }

    pub(super) fn take(&mut self, now: u64, segment: Tcp, bytes: usize) -> Reaction {
        let mut reaction = Reaction { answer: None, is_news: false };
        let Tcp { flags, seq, ack } = segment;
        if flags & RST != 0 {
            // RFC 5961 section 3.2: only one with the very number that is expected.
            let believed = match self.state {
                State::SynSent => flags & ACK != 0 && ack == self.next,
                _ => seq == self.expects,
            };
            if believed && !matches!(self.state, State::TimeWait(_)) {
                self.state = State::Closed;
            }
            return reaction;
        }
        match self.state {
            State::SynSent if flags & (SYN | ACK) == SYN | ACK && ack == self.next => {
                self.expects = seq.wrapping_add(1);
                self.unacknowledged = ack;
                self.state = State::Open;
                reaction.answer = Some(self.acknowledgement());
            }
            State::SynReceived if flags & SYN == 0 && flags & ACK != 0 && ack == self.next => {
                self.state = State::Open;
                self.take_in_order(now, segment, bytes, &mut reaction);
            }
            State::Open if flags & SYN == 0 => self.take_in_order(now, segment, bytes, &mut reaction),
            _ => {}
        }
        reaction
    }

    fn take_in_order(&mut self, now: u64, segment: Tcp, bytes: usize, reaction: &mut Reaction) {
        self.unacknowledged = segment.ack;
        if segment.seq == self.expects {
            reaction.is_news = bytes > 0;
            self.expects = self.expects.wrapping_add(bytes as u32);
            if segment.flags & FIN != 0 {
                self.expects = self.expects.wrapping_add(1);
                self.other_closed = true;
            }
        }
        if bytes > 0 || segment.flags & FIN != 0 {
            reaction.answer = Some(self.acknowledgement());
        }
        if self.closed && self.other_closed && self.unacknowledged == self.next {
            self.state = if self.first { State::TimeWait(now + TIME_WAIT) } else { State::Closed };
        }
    }

    /// It closed after the other, which has not acknowledged that.
    pub(super) const fn waits_for_last_acknowledgement(&self) -> bool {
        self.closed && self.other_closed && !self.first
    }

    const fn acknowledgement(&self) -> Tcp {
        Tcp { flags: ACK, seq: self.next, ack: self.expects }
    }
}
