//! A client whose TLS is passed through is known by its session.

use std::time::Duration;

use shunt_engine::persistence::Source;

use super::Kind;
use crate::containers::true_or_table;
use crate::keys::HOUR;
use crate::report::{Cause, Refusal};
use crate::shape::OnlyTrue;
use crate::walk::Table;

/// `tls-session = true`, or with what else the client is known by
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsSession {
    /// Of clients that have no session, or one that no member has said.
    pub source: Option<Source>,
}

impl Kind for TlsSession {
    const KEY: &'static str = "tls-session";
    const TIMEOUT: Option<Duration> = Some(HOUR);
    const NO_PACKETS: Option<&'static str> = Some("a packet virtual does not read TLS");

    fn read(table: &mut Table<'_>) -> Option<Self> {
        table.optional(
            Self::KEY,
            "With `tls = { pass-through = true }`: binds sessions of TLS 1.2 to the member that began them, by the id that it \
             says in its ServerHello. `true`, or what else clients are known by.",
            true_or_table(TlsSession::default(), second),
        )
    }

    fn without_pass_through(&self) -> Option<Refusal> {
        let refusal = Refusal::new(
            Cause::Conflict,
            "`tls-session` means nothing without `tls = { pass-through = true }`",
        );
        Some(
            refusal
                .label("Shunt has the sessions of TLS that it terminates")
                .help("use `source` or `cookie`"),
        )
    }

    fn wants_second(&self) -> bool {
        self.source.is_none()
    }
}

fn second(table: &mut Table<'_>) -> Option<TlsSession> {
    let source = table.optional(
        "source",
        "Binds clients by their address where they have no session, or one that no member has said: those of TLS 1.3, and \
         those with tickets.",
        OnlyTrue,
    );
    Some(TlsSession { source: source.map(|()| Source::ADDRESS) })
}
