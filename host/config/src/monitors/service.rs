//! Protocols that are known: the greeting of a server, and a farewell that it does not log as an error.

use shunt_engine::datapath::Transport;

use super::{Kind, Tcp};
use crate::report::{Cause, Refusal};
use crate::shape::{one_of, user};
use crate::walk::Table;

/// `service = "smtp"`, with `user` where the protocol needs one
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub protocol: Protocol,
    /// Who logs in; there with MySQL and PostgreSQL.
    pub user: Option<String>,
}

/// A protocol with a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Smtp,
    Ftp,
    Pop3,
    Imap,
    Redis,
    MySql,
    PostgreSql,
    Ldap,
}

impl Protocol {
    /// As it is written, and called in messages.
    pub const ALL: &[(&str, Protocol)] = &[
        ("smtp", Protocol::Smtp),
        ("ftp", Protocol::Ftp),
        ("pop3", Protocol::Pop3),
        ("imap", Protocol::Imap),
        ("redis", Protocol::Redis),
        ("mysql", Protocol::MySql),
        ("postgresql", Protocol::PostgreSql),
        ("ldap", Protocol::Ldap),
    ];

    /// Whether a connection that nobody logs in on is an error to the server.
    const fn needs_user(self) -> bool {
        matches!(self, Protocol::MySql | Protocol::PostgreSql)
    }
}

impl Kind for Service {
    const KEY: &'static str = "service";
    const MORE: &'static [&'static str] = &["user"];

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let protocol = table.optional(
            Self::KEY,
            "A server of this protocol must greet, and is taken leave of as the protocol says, so that it logs no error.",
            one_of(Protocol::ALL).instead(&[
                ("mariadb", "use `\"mysql\"`"),
                ("postgres", "use `\"postgresql\"`"),
                ("pgsql", "use `\"postgresql\"`"),
                ("valkey", "use `\"redis\"`"),
                ("pop", "use `\"pop3\"`"),
                ("ldaps", "use `\"ldap\"`, and `tls` of the pool"),
            ]),
        );
        let user = table.optional(
            "user",
            "Who logs in, with `mysql` and `postgresql`: a user without password and rights.",
            user(),
        );
        let protocol = protocol?;
        let word = Protocol::ALL.iter().find(|(_, it)| *it == protocol).map_or("", |(word, _)| word);
        if protocol.needs_user() && !table.wrote("user") {
            let message = format!(
                "`user` is missing: to {word} servers a connection that nobody logs in on is an error"
            );
            let help = "make a user without password and rights for the monitor, and write its name here";
            table.refuse("user", table.also(Refusal::new(Cause::MissingKey, message).help(help), Self::KEY));
        }
        if !protocol.needs_user() && table.wrote("user") {
            let refusal = Refusal::new(Cause::Conflict, format!("`user` means nothing to a probe of {word}"));
            table.refuse("user", table.also(refusal.help("remove it"), Self::KEY));
        }
        Some(Service { protocol, user })
    }

    fn passes(transport: Transport) -> bool {
        Tcp::passes(transport)
    }
}
