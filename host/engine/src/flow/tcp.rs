//! What a TCP connection is doing, from the segments that pass by.

#[cfg(test)]
mod tests;

use shunt_wire::tcp::{ACK, FIN, RST, SYN};

use super::{Direction, Ending};
use crate::packet::TcpSegment;

/// After the last unanswered SYN of a client, in milliseconds: clients send it again at growing
/// distances, and the first four of these (1, 2, 4, 8 and then 16 s, RFC 6298 section 2) keep the flow.
pub const SYN_SENT: u64 = 30_000;
/// After the last SYN-ACK that the client did not acknowledge. Linux sends its last one 31 s after the first
/// (`tcp_synack_retries`) and waits 32 s; netfilter has 60 s too (`nf_conntrack_tcp_timeout_syn_recv`).
pub const SYN_RECEIVED: u64 = 60_000;
/// Of a connection whose beginning was not seen, until both sides speak. As short as that of one that
/// is being opened: an ACK without a handshake gains its sender no more than a SYN does.
pub const PICKED_UP: u64 = SYN_RECEIVED;
/// After the last segment when one side has closed, or only the client is seen and it has. Netfilter's
/// `nf_conntrack_tcp_timeout_fin_wait`. An established connection's time if that is shorter.
pub const HALF_CLOSED: u64 = 120_000;
/// When both have closed and the last acknowledgement is missing: netfilter's
/// `nf_conntrack_tcp_timeout_last_ack`. A FIN that is sent again restarts it.
pub const CLOSING: u64 = 30_000;
/// When all is acknowledged: for the FIN of a side that did not hear of it. What the server remembers
/// longer is the business of the port's quarantine, not of the flow.
pub const CLOSED: u64 = 10_000;
/// The same, if the client closed first: it keeps the TIME_WAIT, the server nothing, and the port may
/// soon serve again. Ten times the shortest retransmission time of Linux (200 ms).
pub const CLOSED_BY_CLIENT: u64 = 2_000;
/// After a reset. Not at once: one that the receiver does not believe (RFC 5961 section 3.2) ends
/// nothing. Netfilter's `nf_conntrack_tcp_timeout_close`.
pub const RESET: u64 = 10_000;

/// Tracks one connection.
///
/// It believes what an endpoint would. So that an attacker who guesses addresses and ports cannot end
/// flows, a reset counts only with a sequence number that its receiver may be waiting for (RFC 5961
/// section 3.2). What the receiver got came through here: the number lies between what it has acknowledged and
/// what was sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpTracker {
    state: State,
    visibility: Visibility,
    /// Who sent the first FIN; none also if both closed without knowing of each other.
    closed_first: Option<Direction>,
    client: Side,
    server: Side,
}

/// Which segments pass by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    Both,
    /// Only the client's: the server answers directly.
    ToServer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The client sent a SYN.
    SynSent,
    /// The server sent its SYN-ACK.
    SynReceived,
    /// The client sent something else than a SYN first.
    PickedUp,
    Established,
    /// A FIN was seen from one side: that whose segments travel in this direction.
    HalfClosed(Direction),
    /// FINs of both, not all acknowledged.
    Closing,
    /// FINs of both, both acknowledged.
    Closed,
    /// Reset by the side whose segments travel in this direction.
    Reset(Direction),
}

/// What a segment changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Nothing but when the flow was last used.
    Unchanged,
    /// The state, and with it how long the flow lives: its timer must be set.
    Changed,
    /// It is the SYN of a new connection between the same endpoints. The old one is over; this one is left
    /// as it was.
    NewConnection,
}

impl TcpTracker {
    /// Begins with the first segment of a client; none if that can begin nothing: a reset, a SYN with an
    /// ACK or a FIN, or a segment that acknowledges nothing (RFC 9293 section 3.10.7.4: dropped).
    #[must_use]
    pub fn begin(segment: &TcpSegment, visibility: Visibility) -> Option<Self> {
        let state = match segment.flags & (SYN | ACK | RST | FIN) {
            SYN => State::SynSent,
            flags if flags & (SYN | RST | ACK) == ACK => State::PickedUp,
            _ => return None,
        };
        let mut client = Side::default();
        client.track(segment);
        let closed_first = client.closed.then_some(Direction::ToServer);
        Some(Self { state, visibility, closed_first, client, server: Side::default() })
    }

    /// Takes in one more segment.
    pub fn observe(&mut self, direction: Direction, segment: &TcpSegment) -> Step {
        let before = self.state;
        if segment.flags & RST != 0 {
            self.take_reset(direction, segment);
        } else if segment.flags & SYN != 0 {
            if self.is_over_for(direction, segment) {
                return Step::NewConnection;
            }
            self.take_syn(direction, segment);
        } else if segment.flags & ACK != 0 {
            self.take_segment(direction, segment);
        }
        if self.state == before { Step::Unchanged } else { Step::Changed }
    }

    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// How long the flow lives after its last segment, in milliseconds. `idle` is that of an established
    /// connection, which the virtual sets.
    #[must_use]
    pub fn lifetime(&self, idle: u64) -> u64 {
        match self.state {
            State::SynSent => SYN_SENT,
            State::SynReceived => SYN_RECEIVED,
            State::PickedUp => PICKED_UP.min(idle),
            State::Established => idle,
            State::HalfClosed(_) => HALF_CLOSED.min(idle),
            State::Closing => CLOSING,
            State::Closed if self.closed_first == Some(Direction::ToServer) => CLOSED_BY_CLIENT,
            State::Closed => CLOSED,
            State::Reset(_) => RESET,
        }
    }

    /// How it ended, if it ends now because its time is up.
    ///
    /// One thing is not seen here: a FIN of the server that was lost before it came by, sent before the
    /// server heard of the client's. Its successor acknowledges the client's FIN, and counts as an answer.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        match self.state {
            State::SynSent => Ending::SynUnanswered,
            // Where the server is not seen, the connection may have closed as it should.
            State::HalfClosed(_) if matches!(self.visibility, Visibility::ToServer) => Ending::Unknown,
            State::SynReceived | State::PickedUp | State::Established | State::HalfClosed(_) => Ending::Idle,
            State::Closing => Ending::Unknown,
            State::Closed => match self.closed_first {
                Some(Direction::ToServer) => Ending::ClientClosed,
                Some(Direction::ToClient) => Ending::ServerClosed,
                None => Ending::Unknown,
            },
            State::Reset(Direction::ToClient) => Ending::ServerReset,
            // A server in TIME_WAIT may ignore it (RFC 1337 section 3 wants that), or never have got it.
            State::Reset(Direction::ToServer) if self.server.closed => Ending::ServerClosed,
            State::Reset(Direction::ToServer) => Ending::ClientReset,
        }
    }

    /// The sequence number that the receiver of this direction's segments expects next, if it ever said so:
    /// that of a reset which it believes.
    #[must_use]
    pub const fn expected(&self, direction: Direction) -> Option<u32> {
        let receiver = self.side(direction.reversed());
        if receiver.has_acknowledged { Some(receiver.acknowledged) } else { None }
    }

    fn take_reset(&mut self, direction: Direction, segment: &TcpSegment) {
        if !matches!(self.state, State::Closed | State::Reset(_)) && self.is_believed(direction, segment) {
            self.state = State::Reset(direction);
        }
    }

    /// Would the receiver believe this reset?
    fn is_believed(&self, direction: Direction, segment: &TcpSegment) -> bool {
        let (sender, receiver) = (self.side(direction), self.side(direction.reversed()));
        if self.state == State::SynSent && direction == Direction::ToClient {
            // The answer to a SYN has no number of its own (RFC 9293 section 3.10.7.3): it must
            // acknowledge the SYN, or a part of the data that came with it.
            return segment.flags & ACK != 0 && within(segment.ack, receiver.next, MAX_UNACKNOWLEDGED);
        }
        let sent = if sender.has_sent { Some(sender.next) } else { None };
        match (receiver.has_acknowledged, sent) {
            (true, Some(next)) => {
                let open = next.wrapping_sub(receiver.acknowledged).min(MAX_UNACKNOWLEDGED);
                segment.seq.wrapping_sub(receiver.acknowledged) <= open
            }
            // Of the receiver only its acknowledgements are known, or of the sender only what it sent.
            (true, None) => segment.seq == receiver.acknowledged,
            (false, Some(next)) => within(segment.seq, next, MAX_UNACKNOWLEDGED),
            (false, None) => false,
        }
    }

    /// Has the old connection ended, so that this SYN begins another?
    fn is_over_for(&self, direction: Direction, segment: &TcpSegment) -> bool {
        let over = match self.state {
            State::Closed | State::Reset(_) => true,
            // The client has closed, and of the server nothing is seen.
            State::HalfClosed(_) => self.visibility == Visibility::ToServer,
            _ => false,
        };
        over && direction == Direction::ToServer && segment.flags & (SYN | ACK | FIN) == SYN
    }

    fn take_syn(&mut self, direction: Direction, segment: &TcpSegment) {
        let syn_ack = segment.flags & ACK != 0;
        match (self.state, direction) {
            // Again, or with another number after the client began again.
            (State::SynSent, Direction::ToServer) if !syn_ack => {
                self.client = Side::default();
                self.client.track(segment);
            }
            // One with a wrong acknowledgement answers an older SYN, and the client resets that.
            (State::SynSent, Direction::ToClient)
                if syn_ack && within(segment.ack, self.client.next, MAX_UNACKNOWLEDGED) =>
            {
                self.server.track(segment);
                self.state = State::SynReceived;
            }
            // In any other state the receiver answers with what it expects (RFC 5961 section 4.2).
            _ => {}
        }
    }

    fn take_segment(&mut self, direction: Direction, segment: &TcpSegment) {
        // What a server says before its SYN-ACK is of an older connection.
        if self.state == State::SynSent
            && (direction == Direction::ToClient || self.visibility == Visibility::Both)
        {
            return;
        }
        let other = *self.side(direction.reversed());
        let side = self.side_mut(direction);
        let before = *side;
        side.track(segment);
        let closes = side.closed && !before.closed;
        let goes_on = after(side.next, before.next) || after(side.acknowledged, before.acknowledged);
        if closes {
            self.closed_first = match self.closed_first {
                None if !other.closed => Some(direction),
                // Its own FIN went out before it knew of the other's: both keep a TIME_WAIT.
                Some(first) if first != direction && !self.side(direction).has_all_of(&other) => None,
                first => first,
            };
        }
        self.state = match self.state {
            State::Closed => State::Closed,
            State::SynReceived if direction == Direction::ToClient => State::SynReceived,
            State::SynReceived if !self.client.has_all_of(&self.server) => State::SynReceived,
            State::PickedUp if direction == Direction::ToServer && self.visibility == Visibility::Both => {
                State::PickedUp
            }
            // Who has reset has nothing more to say; who has was not the one who reset.
            State::Reset(by) if by != direction || !goes_on => State::Reset(by),
            _ => self.open_state(),
        };
    }

    /// The state of a connection that was opened, by the FINs that were seen.
    fn open_state(&self) -> State {
        match (self.client.closed, self.server.closed) {
            (false, false) => State::Established,
            (true, false) => State::HalfClosed(Direction::ToServer),
            (false, true) => State::HalfClosed(Direction::ToClient),
            (true, true) if self.client.has_all_of(&self.server) && self.server.has_all_of(&self.client) => {
                State::Closed
            }
            (true, true) => State::Closing,
        }
    }

    const fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::ToServer => &self.client,
            Direction::ToClient => &self.server,
        }
    }

    const fn side_mut(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::ToServer => &mut self.client,
            Direction::ToClient => &mut self.server,
        }
    }
}

impl State {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SynSent => "syn-sent",
            Self::SynReceived => "syn-received",
            Self::PickedUp => "picked-up",
            Self::Established => "established",
            Self::HalfClosed(Direction::ToServer) => "client-closed",
            Self::HalfClosed(Direction::ToClient) => "server-closed",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Reset(Direction::ToServer) => "client-reset",
            Self::Reset(Direction::ToClient) => "server-reset",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// No window is larger (RFC 7323 section 2.3), so no number that is news lies further ahead.
const MAX_WINDOW: u32 = 1 << 30;

/// What a receiver may have got and not yet acknowledged: two segments (RFC 9293 section 3.8.6.3), each as large as
/// hardware joins them, 64 KiB.
const MAX_UNACKNOWLEDGED: u32 = 1 << 17;

/// What one side has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Side {
    /// The sequence number after the last one that it used. If it has closed, that is after its FIN.
    next: u32,
    /// What it expects next from the other.
    acknowledged: u32,
    has_sent: bool,
    has_acknowledged: bool,
    /// It sent a FIN.
    closed: bool,
}

impl Side {
    fn track(&mut self, segment: &TcpSegment) {
        let taken = u32::from(segment.flags & SYN != 0) + u32::from(segment.flags & FIN != 0);
        let end = segment.seq.wrapping_add(u32::from(segment.payload)).wrapping_add(taken);
        // After a FIN nothing more is sent, so nothing moves its number.
        if !self.closed && (!self.has_sent || ahead(end, self.next)) {
            self.next = end;
            self.closed = segment.flags & FIN != 0;
        }
        self.has_sent = true;
        if segment.flags & ACK != 0 {
            if !self.has_acknowledged || ahead(segment.ack, self.acknowledged) {
                self.acknowledged = segment.ack;
            }
            self.has_acknowledged = true;
        }
    }

    /// Has it acknowledged everything that the other sent?
    const fn has_all_of(&self, other: &Self) -> bool {
        self.has_acknowledged && other.has_sent && !after(other.next, self.acknowledged)
    }
}

/// Is it `from` or later, by no more than a window?
const fn ahead(number: u32, from: u32) -> bool {
    number.wrapping_sub(from) <= MAX_WINDOW
}

/// Is it later than `from`? Of two numbers, the nearer way around decides (RFC 9293 section 3.4).
const fn after(number: u32, from: u32) -> bool {
    number.wrapping_sub(from).cast_signed() > 0
}

/// Is it `end`, or before it by no more than `most`?
const fn within(number: u32, end: u32, most: u32) -> bool {
    end.wrapping_sub(number) <= most
}
