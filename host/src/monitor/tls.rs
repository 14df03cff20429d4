//! A TLS handshake must succeed; a certificate that expires soon is warned of.

use std::time::Duration;

use rustls::pki_types::ServerName;
use shunt_config::monitors::Tls;
use shunt_runtime::tls::members::NoTls;
use shunt_runtime::tls::shown::{Shown, Unverified};
use shunt_runtime::tls::{now, rfc3339};
use tokio::io::AsyncWriteExt;

use super::probe::{Ask, Failure, Good, ProbeTransport, Probing};
use super::tcp::connect;

impl Ask for Tls {
    async fn ask<S: ProbeTransport>(&self, probing: Probing<'_, S>) -> Result<Good, Failure> {
        let (to, tls) = (probing.to, probing.tls);
        let stream = connect(probing).await?;
        let named = self.server_name.clone().and_then(|name| ServerName::try_from(name).ok());
        let mut session = match tls {
            Some(tls) => {
                let name = named.map_or_else(|| tls.name(None), Ok)?;
                tls.connect(stream, name).await?
            }
            None => {
                let any = Unverified::new().map_err(NoTls::Other)?;
                any.connect(stream, named.unwrap_or_else(|| to.ip().into())).await?
            }
        };
        let shown = Shown::of(&session);
        // The member knows so that the connection ends as it should; what it says to that is of no matter.
        let _ = session.shutdown().await;
        Ok(judged(shown, self.warn_before, now()))
    }
}

/// `now` and what ends a certificate in seconds of Unix time.
fn judged(shown: Shown, warn_before: Duration, now: i64) -> Good {
    let Shown { version, not_after } = shown;
    let Some(end) = not_after else { return format!("{version} handshake").into() };
    let said = format!("{version} handshake, the certificate ends {}", rfc3339(end));
    let before = i64::try_from(warn_before.as_secs()).unwrap_or(i64::MAX);
    let warning = (end.saturating_sub(now) <= before).then(|| match end <= now {
        true => format!("the certificate of the member expired {}", rfc3339(end)),
        false => format!("the certificate of the member expires {}", rfc3339(end)),
    });
    Good { said: said.into(), warning, agent: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_ends_soon_is_warned_of() {
        let day = 24 * 60 * 60;
        let end = 1_800_000_000;
        let warning = |now| {
            let shown = Shown { version: "TLS 1.3", not_after: Some(end) };
            judged(shown, Duration::from_secs(14 * 24 * 60 * 60), now).warning
        };
        assert_eq!(warning(end - 15 * day), None);
        let soon = "the certificate of the member expires 2027-01-15T08:00:00Z";
        assert_eq!(warning(end - 14 * day).as_deref(), Some(soon));
        let over = "the certificate of the member expired 2027-01-15T08:00:00Z";
        assert_eq!(warning(end + day).as_deref(), Some(over));
    }
}
