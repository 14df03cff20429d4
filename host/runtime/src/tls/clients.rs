//! Which certificates of clients are taken: those of the CAs that an operator names, unless they are revoked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use shunt_config::tls::ClientCertificates;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::error::{Problem, TlsError};
use super::material::{Material, digest, shown};
use super::pem::Located;
use super::{Lenience, Revocation, RevocationKind, now, pem, rfc3339};

const CRL: &[&str] = &["client-certificates", "crl"];
const CA: &[&str] = &["client-certificates", "ca"];

/// What verifies clients, and when its CRLs expire.
type Verifier = (Arc<dyn ClientCertVerifier>, Vec<Revocation>);

pub(super) fn verifier(
    settings: &ClientCertificates,
    material: &Material,
    provider: &Arc<CryptoProvider>,
    lenience: Lenience<'_>,
) -> Result<Verifier, Vec<Problem>> {
    let (mut problems, mut crls, mut listed) = (Vec::new(), Vec::new(), Vec::new());
    let roots = roots(CA, &settings.ca, material).unwrap_or_else(|more| {
        problems.extend(more);
        RootCertStore::empty()
    });
    let roots = Arc::new(roots);
    for path in &settings.crl {
        let file = shown(path);
        match pem::crls(material.get(path)) {
            Err(error) => problems.push(Problem::new(CRL, TlsError::Pem(file, error))),
            Ok(found) => {
                let mut first = i64::MAX;
                for it in &found {
                    match usable(path, it, &roots, provider, lenience) {
                        Ok(next_update) => first = first.min(next_update),
                        Err(error) => problems.push(Problem::new(CRL, error)),
                    }
                }
                listed.push(Revocation { kind: RevocationKind::Crl, file: path.clone(), next_update: first });
                crls.extend(found.into_iter().map(|(_, der)| der));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
        .with_crls(crls)
        .enforce_revocation_expiration();
    if !settings.required {
        builder = builder.allow_unauthenticated();
    }
    let setup = |error: rustls::server::VerifierBuilderError| {
        vec![Problem::new(CA, TlsError::Setup(rustls::Error::General(error.to_string())))]
    };
    builder.build().map(|verifier| (verifier, listed)).map_err(setup)
}

/// Everything that says whether a client may come in. A session may be resumed only where that is the same: a resumed
/// handshake shows no certificate and verifies none (CVE-2025-23419 is what became of that elsewhere).
pub(super) fn context(settings: Option<&ClientCertificates>, material: &Material) -> [u8; 32] {
    let Some(settings) = settings else { return [0; 32] };
    let files = settings.ca.iter().chain(&settings.crl).map(|path| material.get(path));
    let required: &[u8] = if settings.required { b"required" } else { b"optional" };
    digest(std::iter::once(required).chain(files))
}

/// The CAs of files.
pub(super) fn roots(
    key: &'static [&'static str],
    files: &[PathBuf],
    material: &Material,
) -> Result<RootCertStore, Vec<Problem>> {
    let (mut roots, mut problems) = (RootCertStore::empty(), Vec::new());
    for path in files {
        let file = shown(path);
        match pem::certificates(material.get(path)) {
            Err(error) => problems.push(Problem::new(key, TlsError::Pem(file, error))),
            Ok(found) => {
                for (line, der) in found {
                    if let Err(error) = roots.add(der) {
                        let why = error.to_string();
                        problems.push(Problem::new(key, TlsError::Ca { file: file.clone(), line, why }));
                    }
                }
            }
        }
    }
    if problems.is_empty() { Ok(roots) } else { Err(problems) }
}

/// Whether a CRL can be read, and has not expired; says when it does. One that has refuses the clients of its CA
/// (RFC 5280 section 6.3.3).
fn usable(
    path: &Path,
    (line, der): &Located<CertificateRevocationListDer<'static>>,
    roots: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
    lenience: Lenience<'_>,
) -> Result<i64, TlsError> {
    let file = shown(path);
    let failed = |why: String| TlsError::Crl { file: file.clone(), line: *line, why };
    let (_, crl) = CertificateRevocationList::from_der(der).map_err(|error| failed(error.to_string()))?;
    let Some(next) = crl.next_update().map(|next| next.timestamp()) else {
        return Err(failed("it does not say when the next one comes".to_owned()));
    };
    if next < now() && !lenience.takes_revocation(RevocationKind::Crl, path, next) {
        return Err(TlsError::CrlExpired { file: shown(path), line: *line, at: rfc3339(next) });
    }
    if roots.is_empty() {
        // What is wrong with the CAs is told.
        return Ok(next);
    }
    let alone = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider));
    alone.with_crls([der.clone()]).build().map(|_| next).map_err(|error| failed(error.to_string()))
}
