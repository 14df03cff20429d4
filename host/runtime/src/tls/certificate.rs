//! A certificate with its key, and whether it can be served.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use shunt_config::tls::Certificate;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::error::{Problem, TlsError};
use super::material::{Material, shown};
use super::pem::Located;
use super::{Lenience, Revocation, RevocationKind, Served, now, ocsp, pem, rfc3339};

/// A certificate that is right, and belongs to its key.
pub(super) struct Certified {
    pub(super) key: Arc<CertifiedKey>,
    /// The OCSP response in `key`, where it is one that comes to expire.
    pub(super) stapled: Option<Revocation>,
    /// In lower case, without a dot at the end.
    pub(super) names: Vec<String>,
    file: PathBuf,
    not_after: i64,
}

impl Certified {
    pub(super) fn read(
        files: &Certificate,
        material: &Material,
        provider: &CryptoProvider,
        lenience: Lenience<'_>,
    ) -> Result<Self, Problem> {
        let of_certificate = |error| Problem::new(&["certificate"], error);
        let file = shown(&files.certificate);
        let chain = pem::certificates(material.get(&files.certificate))
            .map_err(|error| of_certificate(TlsError::Pem(file.clone(), error)))?;
        // Clients that get a chain with a broken certificate refuse it.
        let parsed = chain.iter().map(|it| parse(&file, it)).collect::<Result<Vec<_>, _>>();
        let parsed = parsed.map_err(of_certificate)?;
        let leaf = &parsed[0];
        let not_after = leaf.validity().not_after.timestamp();
        if let Err(error) = is_valid(&file, leaf) {
            if !lenience.takes_certificate(&files.certificate, not_after) {
                return Err(of_certificate(error));
            }
            tracing::warn!(event = "certificate-invalid", "{error}");
        }
        let names = if files.names.is_empty() {
            dns_names(&file, leaf).map_err(of_certificate)?
        } else {
            files.names.clone()
        };

        let chain: Vec<CertificateDer<'static>> = chain.iter().map(|(_, der)| der.clone()).collect();
        let mut key = pair(chain, files, material, provider)?;
        let mut stapled = None;
        if let Some(path) = &files.ocsp {
            let response = ocsp::read(material.get(path), leaf).and_then(|it| match it.next_update {
                Some(next) if lenience.takes_revocation(RevocationKind::Ocsp, path, next) => Ok(it),
                _ => it.is_in_date(now()).map(|()| it),
            });
            let response =
                response.map_err(|why| Problem::new(&["ocsp"], TlsError::Ocsp { file: shown(path), why }))?;
            let next = response.next_update;
            stapled = next.map(|next_update| Revocation {
                kind: RevocationKind::Ocsp,
                file: path.clone(),
                next_update,
            });
            key.ocsp = Some(response.bytes);
        }
        Ok(Certified { key: Arc::new(key), stapled, names, file: files.certificate.clone(), not_after })
    }

    pub(super) fn served(&self) -> Served {
        Served { file: self.file.clone(), names: self.names.clone(), not_after: self.not_after }
    }
}

/// A chain with the key of its first certificate.
pub(super) fn pair(
    chain: Vec<CertificateDer<'static>>,
    files: &Certificate,
    material: &Material,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Problem> {
    let of_key = |error| Problem::new(&["key"], error);
    let file = shown(&files.key);
    let key = pem::private_key(material.get(&files.key))
        .map_err(|error| of_key(TlsError::Pem(file.clone(), error)))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        of_key(match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Mismatch { key: file, certificate: shown(&files.certificate) }
            }
            other => TlsError::Kind(file, other),
        })
    })
}

pub(super) fn parse<'d>(
    file: &str,
    (line, der): &'d Located<CertificateDer<'static>>,
) -> Result<X509Certificate<'d>, TlsError> {
    let failed = |why: String| TlsError::Parse { file: file.to_owned(), line: *line, why };
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(failed("something stands behind it".to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// RFC 5280 section 4.1.2.5.
pub(super) fn is_valid(file: &str, certificate: &X509Certificate<'_>) -> Result<(), TlsError> {
    let validity = certificate.validity();
    let (from, to) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    let file = file.to_owned();
    match now() {
        now if now > to => Err(TlsError::Expired { file, at: rfc3339(to) }),
        now if now < from => Err(TlsError::NotYet { file, at: rfc3339(from) }),
        _ => Ok(()),
    }
}

/// The DNS names that a certificate is for: its subject alternative names, and no common name
/// (RFC 9525 section 6.3).
fn dns_names(file: &str, certificate: &X509Certificate<'_>) -> Result<Vec<String>, TlsError> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|it| &it.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
        _ => None,
    });
    let names: Vec<String> = names.collect();
    if names.is_empty() { Err(TlsError::NoName(file.to_owned())) } else { Ok(names) }
}
