//! Kinds of persistence. Each is a file beside this one, with its key, and a row in the table below; how a proxy knows a
//! client by it is in the file of the same name of the proxy's phases.

mod cookie;
mod session;
mod source;
mod tls_session;

use std::time::Duration;

use shunt_engine::persistence::{group_prefix, key_prefix};

use super::keys::{DAY, HOUR, MILLISECOND, SECOND};
use super::model::{Persistence, WhenDown};
use super::report::{Cause, Refusal};
use super::shape::{duration, name, one_of};
use super::walk::{self, Table};

pub use cookie::{Cookie, SameSite};
pub use session::Session;
pub use shunt_engine::persistence::Source;
pub use tls_session::TlsSession;

/// What a kind of persistence is to the configuration.
trait Kind: Sized {
    /// The key that asks for it.
    const KEY: &'static str;
    /// How long a binding is kept after its last use by default; `None`: the kind itself ends it.
    const TIMEOUT: Option<Duration>;
    /// Why packet virtuals have none of it; `None`: they have.
    const NO_PACKETS: Option<&'static str> = None;

    /// What it is called where Shunt sees no requests, for it needs them; `None`: it does not.
    const UNREAD: Option<&'static str> = None;

    /// Whether answers of members say who is bound.
    fn reads_answers(&self) -> bool {
        false
    }

    /// Reads the key.
    fn read(table: &mut Table<'_>) -> Option<Self>;

    /// What is wrong with it at a proxy without TLS.
    fn without_tls(&self) -> Option<Refusal> {
        None
    }

    /// Why `timeout` means nothing beside it.
    fn without_timeout(&self) -> Option<&'static str> {
        None
    }

    /// What is wrong with it at a virtual that passes no TLS through.
    fn without_pass_through(&self) -> Option<Refusal> {
        None
    }

    /// Whether it knows few clients, and nothing else is said of the others.
    fn wants_second(&self) -> bool {
        false
    }
}

/// Writes the enum of all kinds, and what is asked of each, from the rows.
macro_rules! persistences {
    ($($(#[$doc:meta])* $kind:ident;)+) => {
        /// By what a client is known.
        #[derive(Clone, Debug, PartialEq)]
        pub enum PersistBy {
            $($(#[$doc])* $kind($kind),)+
        }

        impl PersistBy {
            /// The keys, of which exactly one is written.
            const KEYS: &[&str] = &[$($kind::KEY),+];

            const fn timeout(&self) -> Option<Duration> {
                match self {
                    $(Self::$kind(_) => $kind::TIMEOUT,)+
                }
            }

            fn without_timeout(&self) -> Option<&'static str> {
                match self {
                    $(Self::$kind(kind) => kind.without_timeout(),)+
                }
            }

            /// Whether answers of members say who is bound.
            #[must_use]
            pub fn reads_answers(&self) -> bool {
                match self {
                    $(Self::$kind(kind) => kind.reads_answers(),)+
                }
            }

            /// What it is called where Shunt sees no requests, if it needs them.
            pub(super) const fn unread(&self) -> Option<&'static str> {
                match self {
                    $(Self::$kind(_) => $kind::UNREAD,)+
                }
            }

            /// What is wrong with it at a virtual that passes no TLS through.
            pub(super) fn without_pass_through(&self) -> Option<Refusal> {
                match self {
                    $(Self::$kind(kind) => kind.without_pass_through(),)+
                }
            }

            /// Whether it knows few clients, and nothing else is said of the others.
            pub(super) fn wants_second(&self) -> bool {
                match self {
                    $(Self::$kind(kind) => kind.wants_second(),)+
                }
            }

            /// What is wrong with it at a proxy without TLS.
            pub(super) fn without_tls(&self) -> Option<Refusal> {
                match self {
                    $(Self::$kind(kind) => kind.without_tls(),)+
                }
            }
        }

        /// Reads the keys of all kinds, of which one may be written.
        fn by(table: &mut Table<'_>) -> Option<PersistBy> {
            let mut by = None;
            $(
                let read = $kind::read(table).map(PersistBy::$kind);
                by = by.or(read);
            )+
            by
        }

        /// Refuses what packet virtuals have none of.
        fn refuse_at_packets(table: &mut Table<'_>) {
            $(
                if let Some(why) = $kind::NO_PACKETS {
                    table.useless_at(walk::Kind::Packet, &[($kind::KEY, why)]);
                }
            )+
        }
    };
}

persistences! {
    /// `source = true`: the client's address, or what of it counts.
    Source;
    /// `cookie = "NAME"`: a cookie of this name, set by Shunt.
    Cookie;
    /// `session = { … }`: what the application calls a session.
    Session;
    /// `tls-session = true`: the session of TLS that is passed through.
    TlsSession;
}

/// `persistence = { … }`
pub(super) fn persistence(table: &mut Table<'_>) -> Option<Persistence> {
    let by = by(table);
    let timeout = table.derived(
        "timeout",
        "How long a binding is kept after its last use. Shunt sets the cookie again once a tenth of this has passed.",
        duration(SECOND..=365 * DAY),
        "`\"1h\"` with `source`, `session` and `tls-session`; with `cookie` until the browser ends",
    );
    let group = table.optional(
        "group",
        "Virtuals of the same group share the bindings of the pools that they have in common: a client has one member of \
         such a pool, whichever of the virtuals it asks.",
        name(),
    );
    let when_down = when_down(table);
    table.exactly_one(PersistBy::KEYS);
    refuse_at_packets(table);
    let by = by?;
    if let Some(why) = by.without_timeout().filter(|_| table.wrote("timeout")) {
        let refusal =
            Refusal::new(Cause::Conflict, "`timeout` means nothing beside a cookie that is rewritten");
        table.refuse("timeout", refusal.label(why).help("remove it"));
    }
    Some(Persistence { timeout: timeout.or(by.timeout()), by, group, when_down })
}

/// What is written for [`WhenDown`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Reselect,
    Refuse,
    Wait,
}

fn when_down(table: &mut Table<'_>) -> WhenDown {
    let then = table.or(
        "when-down",
        "What becomes of requests, and of relayed connections and datagrams, and flows, whose client is bound to a member that \
         is down or disabled: `reselect` binds the client to another, `refuse` refuses them, with 503; `wait` holds requests \
         and relayed connections until the member is up, for as long as `wait` says, and then refuses them.",
        one_of(&[("reselect", Then::Reselect), ("refuse", Then::Refuse), ("wait", Then::Wait)]),
        Then::Reselect,
    );
    let wait = table.derived(
        "wait",
        "With `when-down = \"wait\"`: how long Shunt waits for the member.",
        duration(MILLISECOND..=HOUR),
        "ten seconds",
    );
    if then != Then::Wait && table.wrote("wait") {
        let refusal = Refusal::new(Cause::Conflict, "`wait` means nothing without `when-down = \"wait\"`")
            .help("add it, or remove `wait`");
        table.refuse("wait", refusal);
    }
    let keeps_nothing = match table.walk.kind {
        Some(walk::Kind::Udp) => Some("a proxy for UDP keeps no datagrams until a member is up"),
        Some(walk::Kind::Packet) => Some("a packet virtual keeps no packets until a member is up"),
        Some(walk::Kind::Proxy | walk::Kind::Tcp) | None => None,
    };
    if let Some(keeps_nothing) = keeps_nothing.filter(|_| then == Then::Wait) {
        let refusal = Refusal::new(Cause::Conflict, keeps_nothing)
            .help("use `when-down = \"refuse\"`: clients send again what is not answered, and connect again");
        table.refuse("when-down", refusal);
    }
    match then {
        Then::Reselect => WhenDown::Reselect,
        Then::Refuse => WhenDown::Refuse,
        Then::Wait => WhenDown::Wait(wait.unwrap_or(10 * SECOND)),
    }
}

impl Persistence {
    /// What the keys of a virtual begin with: its own, or that of the group.
    #[must_use]
    pub fn prefix(this: Option<&Self>, virtual_: &str) -> [u8; 8] {
        match this.and_then(|it| it.group.as_ref()) {
            Some(group) => group_prefix(group),
            None => key_prefix(virtual_),
        }
    }
}
