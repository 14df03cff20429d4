//! The certificate that a client showed.

use crate::bindings::client_certificate as wire;

/// A certificate of a client, which is one of the CAs that the virtual trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// As RFC 4514 writes names: `CN=Ann,O=Example\, Inc.`
    pub subject: String,
    /// The same of the CA.
    pub issuer: String,
    /// In hexadecimal, upper case.
    pub serial: String,
    /// SHA-256 of the certificate in hexadecimal, lower case.
    pub sha256: String,
    /// Seconds since 1970-01-01 00:00 UTC.
    pub not_before: i64,
    /// Seconds since 1970-01-01 00:00 UTC.
    pub not_after: i64,
    /// Alternative names with their kind: `DNS:ann.example`, `URI:spiffe://example/ann`.
    pub names: Vec<String>,
}

/// The certificate that the client showed, in hooks that have a request; `None` where it showed
/// none, and in other hooks.
pub fn get() -> Option<Certificate> {
    let wire::Certificate { subject, issuer, serial, sha256, not_before, not_after, names } = wire::get()?;
    Some(Certificate { subject, issuer, serial, sha256, not_before, not_after, names })
}

/// The same in PEM.
pub fn pem() -> Option<String> {
    wire::pem()
}
