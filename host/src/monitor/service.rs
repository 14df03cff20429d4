//! Servers of known protocols: each greets in its way, and is taken leave of so that it logs no error.

mod ldap;
mod lines;
mod mysql;
mod postgresql;

use shunt_config::monitors::{Protocol, Service};

use super::dialogue::{Dialogue, Failure};
use super::probe::{self, Ask, Good, ProbeTransport, Probing};

impl Ask for Service {
    async fn ask<S: ProbeTransport>(&self, probing: Probing<'_, S>) -> Result<Good, probe::Failure> {
        let dialogue = Dialogue::open(probing).await?;
        let user = self.user.as_deref().unwrap_or_default();
        let said = match self.protocol {
            Protocol::Smtp => lines::smtp(dialogue).await,
            Protocol::Ftp => lines::ftp(dialogue).await,
            Protocol::Pop3 => lines::pop3(dialogue).await,
            Protocol::Imap => lines::imap(dialogue).await,
            Protocol::Redis => lines::redis(dialogue).await,
            Protocol::MySql => mysql::ask(dialogue, user).await,
            Protocol::PostgreSql => postgresql::ask(dialogue, user).await,
            Protocol::Ldap => ldap::ask(dialogue).await,
        };
        Ok(Good::from(said?))
    }
}

/// What a server said, in the place of what was expected.
fn unexpected(what: &'static str, got: &str, expected: &'static str) -> Failure {
    Failure::Unexpected { what, got: super::dialogue::shown(got.as_bytes()), expected }
}
