//! TLS to registries, with the CAs of the system and those that an operator gives.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use shunt_rules::plain_file;
use tokio_rustls::TlsConnector;

use crate::error::Cause;

/// Bytes of a CA file. All CAs of a system have some 250,000.
const MAX_CA_FILE: u64 = 4 << 20;

/// Makes connections, once it has read the CAs of the system: not who asks without TLS has to wait for that.
pub(super) struct Tls {
    own: Vec<CertificateDer<'static>>,
    connector: OnceLock<TlsConnector>,
}

impl Tls {
    /// # Errors
    /// One of the CA files cannot be used.
    pub(super) fn new(own: &[PathBuf]) -> Result<Tls, Cause> {
        let mut found = Vec::new();
        for path in own {
            let wrong = |reason: String| Cause::Ca { path: path.clone(), reason };
            for certificate in certificates(path).map_err(&wrong)? {
                let taken = RootCertStore::empty().add(certificate.clone());
                taken.map_err(|error| wrong(format!("has a certificate that is none ({error})")))?;
                found.push(certificate);
            }
        }
        Ok(Tls { own: found, connector: OnceLock::new() })
    }

    pub(super) fn connector(&self) -> Result<&TlsConnector, Cause> {
        if let Some(made) = self.connector.get() {
            return Ok(made);
        }
        let mut roots = RootCertStore::empty();
        // What of the system's cannot be read is missed when a certificate needs it.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(self.own.iter().cloned());
        let versions = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Cause::Tls { address: "the registry".to_owned(), reason: error.to_string() })?;
        let config = versions.with_root_certificates(roots).with_no_client_auth();
        Ok(self.connector.get_or_init(|| TlsConnector::from(Arc::new(config))))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("cannot be read ({error})");
    let mut text = Vec::new();
    plain_file::open(path)
        .and_then(|file| file.take(MAX_CA_FILE).read_to_end(&mut text))
        .map_err(|error| unreadable(&error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err("has no certificate".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(unreadable(&error)),
    }
}

pub(super) fn name(host: &str) -> Result<ServerName<'static>, Cause> {
    ServerName::try_from(host.to_owned())
        .map_err(|error| Cause::Tls { address: host.to_owned(), reason: error.to_string() })
}

/// Why there is no TLS connection.
pub(super) fn cause(address: String, error: &io::Error) -> Cause {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        // What is no record of TLS: mostly an answer of HTTP.
        Some(rustls::Error::InvalidMessage(_)) => Cause::NoTls { address },
        Some(rustls::Error::InvalidCertificate(reason)) => {
            Cause::Certificate { address, reason: reason.to_string() }
        }
        Some(other) => Cause::Tls { address, reason: other.to_string() },
        None => Cause::Tls { address, reason: error.to_string() },
    }
}
