//! TLS towards clients: rustls with aws-lc-rs, certificates by SNI.

mod pem;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

pub use pem::PemError;
use shunt_config::model::Certificate;

/// Why a certificate cannot be served; each names the file to look at.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("{0}: {1}")]
    Read(String, std::io::Error),
    #[error("{0}: {1}")]
    Pem(String, PemError),
    #[error("`tls` has no certificate")]
    Empty,
    #[error("{0}: the key does not belong to the certificate, or its kind is not supported: {1}")]
    Key(String, rustls::Error),
    #[error("{0}: the certificate cannot be parsed: {1}")]
    Parse(String, String),
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// The TLS settings of a virtual, and a digest of the files that they come from: a reload keeps them, and
/// with them the key of the session tickets, where no file has changed.
pub struct Tls {
    pub config: Arc<ServerConfig>,
    pub digest: u64,
}

impl Tls {
    /// Reads certificates and keys; keeps `before` if they are the same.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(certificates: &[Certificate], before: Option<&Arc<Tls>>) -> Result<Arc<Tls>, TlsError> {
        let mut bytes = Vec::new();
        for path in certificates.iter().flat_map(|it| [&it.certificate, &it.key]) {
            let file =
                std::fs::read(path).map_err(|error| TlsError::Read(path.display().to_string(), error))?;
            bytes.extend_from_slice(&(file.len() as u64).to_be_bytes());
            bytes.extend_from_slice(&file);
        }
        let digest = shunt_engine::hash::stable(&bytes);
        match before {
            Some(before) if before.digest == digest => Ok(Arc::clone(before)),
            _ => Ok(Arc::new(Tls { config: server_config(certificates)?, digest })),
        }
    }
}

/// The TLS settings of a virtual. The first certificate serves clients that name no host, or one that
/// no certificate is for.
///
/// # Errors
/// See [`TlsError`].
fn server_config(certificates: &[Certificate]) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let resolver = BySni::load(certificates, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    // HTTP/2 goes in front once it is there; `worker::listener` then looks at what was agreed on.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Tickets are stateless: any worker resumes what another began.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::Setup)?;
    // With stateless tickets rustls neither offers nor takes early data, which can be replayed. What a client sends with
    // the ticket of another server is skipped up to here (RFC 8446 section 4.2.10). Others allow 16 KiB, but rustls
    // (0.23.46) keeps what it skipped in its buffer of 18 KiB and counts all of it again with each read.
    config.max_early_data_size = 1 << 20;
    // One is what a browser needs; each costs a write of its own.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// Certificates by the DNS names in them (RFC 6066 section 3, RFC 6125 section 6.4.3).
#[derive(Debug)]
struct BySni {
    /// Lower-case names; `*.example.com` stands under `.example.com`.
    names: HashMap<String, Arc<CertifiedKey>>,
    fallback: Arc<CertifiedKey>,
}

impl BySni {
    fn load(
        certificates: &[Certificate],
        provider: &rustls::crypto::CryptoProvider,
    ) -> Result<Self, TlsError> {
        let mut names = HashMap::new();
        let mut fallback = None;
        for certificate in certificates {
            let key = Arc::new(certified_key(certificate, provider)?);
            for name in dns_names(&certificate.certificate, &key)? {
                let name = name.to_ascii_lowercase();
                let name = name.strip_prefix('*').map_or(name.clone(), str::to_owned);
                names.entry(name).or_insert_with(|| Arc::clone(&key));
            }
            fallback.get_or_insert(key);
        }
        let fallback = fallback.ok_or_else(|| TlsError::Empty)?;
        Ok(BySni { names, fallback })
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let wildcard = || name.find('.').and_then(|dot| self.names.get(&name[dot..]));
        self.names.get(&name).or_else(wildcard)
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.find(name));
        Some(Arc::clone(named.unwrap_or(&self.fallback)))
    }
}

fn certified_key(
    files: &Certificate,
    provider: &rustls::crypto::CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let shown = |path: &Path| path.display().to_string();
    let read = |path: &Path| std::fs::read(path).map_err(|error| TlsError::Read(shown(path), error));
    let chain = pem::certificates(&read(&files.certificate)?)
        .map_err(|error| TlsError::Pem(shown(&files.certificate), error))?;
    let key =
        pem::private_key(&read(&files.key)?).map_err(|error| TlsError::Pem(shown(&files.key), error))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| TlsError::Key(shown(&files.key), error))
}

/// The DNS names that a certificate is for: its subject alternative names, and no common name
/// (RFC 9525 section 6.3).
fn dns_names(path: &Path, key: &CertifiedKey) -> Result<Vec<String>, TlsError> {
    use x509_parser::extensions::GeneralName;
    let parse_error = |why: String| TlsError::Parse(path.display().to_string(), why);
    let leaf = key.end_entity_cert().map_err(|error| parse_error(error.to_string()))?;
    let (_, certificate) =
        x509_parser::parse_x509_certificate(leaf).map_err(|error| parse_error(error.to_string()))?;
    let names = certificate.subject_alternative_name().map_err(|error| parse_error(error.to_string()))?;
    Ok(names
        .iter()
        .flat_map(|it| &it.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect())
}
