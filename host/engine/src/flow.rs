//! Flows: a table that finds them by the keys of both directions, and what their TCP is doing.

mod directory;
mod id;
mod table;
pub mod tcp;

pub use id::FlowId;
pub use table::{BATCH, Cursor, Flow, Found, Refusal, Refused, Table};

/// Which way a packet of a flow travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the client.
    ToServer = 0,
    /// From the member.
    ToClient = 1,
}

impl Direction {
    pub const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];

    /// The other one.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

/// How a flow ended: what the server may still know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// The server closed first, so that it is the server that stays in TIME_WAIT.
    ServerClosed,
    /// Both closed, and the client first.
    ClientClosed,
    ServerReset,
    /// The client reset it; whether the server heard of that is not known.
    ClientReset,
    /// An unanswered SYN.
    SynUnanswered,
    /// Nothing was seen for too long, of a flow that was open.
    Idle,
    /// None of these is certain: both closed at once, the last acknowledgement was not seen, or an operator
    /// deleted the flow.
    Unknown,
}

impl Ending {
    pub const ALL: [Self; 7] = [
        Self::ServerClosed,
        Self::ClientClosed,
        Self::ServerReset,
        Self::ClientReset,
        Self::SynUnanswered,
        Self::Idle,
        Self::Unknown,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServerClosed => "server-closed",
            Self::ClientClosed => "client-closed",
            Self::ServerReset => "server-reset",
            Self::ClientReset => "client-reset",
            Self::SynUnanswered => "syn-unanswered",
            Self::Idle => "idle",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
