//! Why files of TLS cannot be used: what is wrong, where, and what to do.

use std::io;

use thiserror::Error;

use super::PemError;

/// Something that is wrong, and the key of the configuration that it is about.
#[derive(Debug)]
pub struct Problem {
    /// Below `tls`.
    pub key: &'static [&'static str],
    pub error: TlsError,
}

/// Each names the file to look at.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("{0}: {1}")]
    Read(String, io::Error),
    #[error("{0}: {1}")]
    Pem(String, PemError),
    #[error(
        "{file}: line {line}: the certificate that begins here cannot be parsed: {why}; replace it or remove it"
    )]
    Parse { file: String, line: usize, why: String },
    #[error(
        "{key}: the key does not belong to the certificate in {certificate}: use the key that it was requested with"
    )]
    Mismatch { key: String, certificate: String },
    #[error(
        "{0}: keys of this kind are not supported ({1}): use an RSA key of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519"
    )]
    Kind(String, rustls::Error),
    #[error("{file}: the certificate expired at {at}: renew it")]
    Expired { file: String, at: String },
    #[error(
        "{file}: the certificate is not valid before {at}: wait until then, or compare the clock of this host"
    )]
    NotYet { file: String, at: String },
    #[error(
        "{0}: the certificate has no DNS name, and clients can get it for no name: write `names`, or use a certificate with a subject alternative name"
    )]
    NoName(String),
    #[error(
        "{file}: line {line}: the CA certificate that begins here cannot be used: {why}; replace it or remove it"
    )]
    Ca { file: String, line: usize, why: String },
    #[error(
        "{file}: line {line}: the CRL that begins here cannot be used: {why}; fetch it again from its CA"
    )]
    Crl { file: String, line: usize, why: String },
    #[error(
        "{file}: line {line}: the CRL that begins here expired at {at}, and every client would be refused: fetch the next one from its CA"
    )]
    CrlExpired { file: String, line: usize, at: String },
    #[error(
        "{file}: line {line}: a ticket key has 32 bytes, and this one has {found}: write `openssl rand -base64 32` for each"
    )]
    TicketKeyLength { file: String, line: usize, found: usize },
    #[error("{file}: line {line}: the ticket key is not base64: write `openssl rand -base64 32` for each")]
    TicketKeyText { file: String, line: usize },
    #[error("{0}: there is no ticket key in it: write one with `openssl rand -base64 32`")]
    NoTicketKey(String),
    #[error("{file}: line {line}: this ticket key is there already, on line {first}: remove one of them")]
    TicketKeyTwice { file: String, line: usize, first: usize },
    #[error("{file}: {why}")]
    Ocsp { file: String, why: super::ocsp::OcspError },
    #[error("{file}: the secrets of sessions cannot be written there: {why}")]
    KeyLog { file: String, why: String },
    #[error("the CAs of the system cannot be read: {0}; name a file with `ca`")]
    NoSystemCas(String),
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

impl Problem {
    pub(super) fn new(key: &'static [&'static str], error: TlsError) -> Self {
        Problem { key, error }
    }
}
