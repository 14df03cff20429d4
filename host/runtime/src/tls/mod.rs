//! TLS: rustls with aws-lc-rs. All that a virtual needs to terminate it, and a pool to speak it with its members.
//!
//! | module | what |
//! |---|---|
//! | [`material`] | the files that settings name, each read once |
//! | `pem` | what is in such a file |
//! | [`error`] | why they cannot be used |
//! | `certificate` | a certificate with its key, and whether it can be served |
//! | `choice` | which certificate a client gets |
//! | `policy` | versions, cipher suites and groups |
//! | `clients` | which certificates of clients are taken |
//! | [`peer`] | what is said of a client's certificate |
//! | [`members`] | TLS with members |
//! | [`shown`] | what members show of themselves to monitors |
//! | `tickets` | sessions that are resumed, by any worker and any balancer |
//! | `ocsp` | responses that are stapled |
//! | `key_log` | secrets of sessions, where an operator asks for them |

mod certificate;
mod choice;
mod clients;
pub mod error;
mod key_log;
pub mod material;
pub mod members;
mod ocsp;
pub mod peer;
mod pem;
mod policy;
pub mod shown;
mod tickets;
mod time;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

pub use error::{Problem, TlsError};
pub use pem::PemError;
pub use time::{now, rfc3339};

use certificate::Certified;
use choice::{BySni, Named};
use material::Material;
use shunt_config::tls::{CertificateField, ClientCertificates, ClientTls};
use shunt_rules::{Demand, Terms};
use tickets::Resumption;

/// The TLS settings of a virtual, ready to serve, and what they were made from: a reload keeps them where nothing of
/// that has changed.
pub struct Tls {
    pub config: Arc<ServerConfig>,
    /// In the order of the configuration.
    pub certificates: Vec<Served>,
    /// What says whether certificates are revoked, of clients and Shunt's own.
    pub revocation: Vec<Revocation>,
    /// What members are told of a client's certificate.
    pub headers: Vec<CertificateField>,
    digest: [u8; 32],
    choice: Arc<BySni>,
    /// By what is demanded of clients. The first is as configured; the others are there where an operator names CAs.
    sides: Vec<Side>,
}

/// TLS as it is with one demand.
struct Side {
    demand: Demand,
    config: Arc<ServerConfig>,
    resumption: Resumption,
}

/// A certificate that clients can get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    pub file: PathBuf,
    pub names: Vec<String>,
    /// When it ends, in seconds of Unix time.
    pub not_after: i64,
}

/// A file that says whether certificates are revoked, and has to be fetched anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    pub kind: RevocationKind,
    pub file: PathBuf,
    /// When it expires, in seconds of Unix time: the first of what is in it.
    pub next_update: i64,
}

/// How the status of certificates is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationKind {
    /// A list of revoked ones (RFC 5280 section 5).
    Crl,
    /// A response that is stapled (RFC 6960).
    Ocsp,
}

impl RevocationKind {
    pub fn as_str(self) -> &'static str {
        match self {
            RevocationKind::Crl => "crl",
            RevocationKind::Ocsp => "ocsp",
        }
    }
}

/// What is made of a certificate that has expired, or is not valid yet, of an expired CRL or OCSP response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    Refused,
    /// A certificate is served all the same, a response is not stapled, a CRL refuses the clients of its CA; the log says
    /// so. At a start there is nothing that could serve on.
    Served,
}

/// What of the files may have expired: what was in force before may stay, so that a change of another file is taken over.
#[derive(Clone, Copy)]
struct Lenience<'a> {
    invalid: Invalid,
    before: Option<&'a Tls>,
}

impl Lenience<'_> {
    fn takes_certificate(&self, file: &Path, not_after: i64) -> bool {
        let same = |it: &Served| it.file == file && it.not_after == not_after;
        self.invalid == Invalid::Served || self.before.is_some_and(|it| it.certificates.iter().any(same))
    }

    fn takes_revocation(&self, kind: RevocationKind, file: &Path, next_update: i64) -> bool {
        let same = |it: &Revocation| it.kind == kind && it.file == file && it.next_update <= next_update;
        self.invalid == Invalid::Served || self.before.is_some_and(|it| it.revocation.iter().any(same))
    }
}

impl Tls {
    /// Reads certificates, keys and all else that the settings name; keeps `before` if nothing has changed.
    ///
    /// # Errors
    /// All that is wrong with any of it.
    pub fn load(
        settings: &ClientTls,
        before: Option<&Arc<Tls>>,
        invalid: Invalid,
    ) -> Result<Arc<Tls>, Vec<Problem>> {
        let material = Material::of_clients(settings)?;
        let digest = material.digest(settings);
        if let Some(before) = before.filter(|before| before.digest == digest) {
            return Ok(Arc::clone(before));
        }
        Tls::make(settings, &material, digest, before, invalid).map(Arc::new)
    }

    fn make(
        settings: &ClientTls,
        material: &Material,
        digest: [u8; 32],
        before: Option<&Arc<Tls>>,
        invalid: Invalid,
    ) -> Result<Tls, Vec<Problem>> {
        let mut problems = Vec::new();
        let lenience = Lenience { invalid, before: before.map(Arc::as_ref) };
        let provider = Arc::new(policy::provider(&settings.policy));
        if let Some(path) = &settings.key_log
            && let Err(why) = key_log::KeyLogFile::check(path)
        {
            problems.push(Problem::new(&["key-log"], TlsError::KeyLog { file: material::shown(path), why }));
        }
        let mut certified = Vec::new();
        for files in &settings.certificates {
            match Certified::read(files, material, &provider, lenience) {
                Ok(read) => certified.push(read),
                Err(problem) => problems.push(problem),
            }
        }
        let (mut gates, mut revocation) = (Vec::new(), Vec::new());
        for (demand, clients) in demands(settings.clients.as_ref()) {
            let verifier = match &clients {
                None => Some((WebPkiClientVerifier::no_client_auth(), Vec::new())),
                Some(clients) => clients::verifier(clients, material, &provider, lenience)
                    .map_err(|more| problems.extend(more))
                    .ok(),
            };
            let context = clients::context(clients.as_ref(), material);
            let before = before.and_then(|before| before.side(demand)).map(|side| &side.resumption);
            let resumption = Resumption::next(settings.ticket_keys.as_deref(), material, context, before)
                .map_err(|problem| problems.push(problem))
                .ok();
            if !problems.is_empty() {
                // What is wrong with the first is wrong with all.
                return Err(problems);
            }
            if let Some(((verifier, lists), resumption)) = verifier.zip(resumption) {
                if gates.is_empty() {
                    revocation = lists;
                }
                gates.push((demand, verifier, resumption));
            }
        }

        revocation.extend(certified.iter().filter_map(|it| it.stapled.clone()));
        let served = certified.iter().map(Certified::served).collect();
        let setup = |error| vec![Problem::new(&[], TlsError::Setup(error))];
        let choice =
            BySni::new(certified, &provider).ok_or_else(|| setup(rustls::Error::NoCertificatesPresented))?;
        let choice = Arc::new(choice);
        let key_log = settings.key_log.as_deref().map(|path| Arc::new(key_log::KeyLogFile::new(path)));
        let mut sides = Vec::new();
        for (demand, verifier, resumption) in gates {
            let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(policy::versions(settings.policy.min_version))
                .map_err(setup)?
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(Arc::clone(&choice) as _);
            config.alpn_protocols = settings.protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
            // Who writes an order wants it.
            config.ignore_client_order = !settings.policy.ciphers.is_empty();
            resumption.put_in(&mut config);
            if let Some(key_log) = &key_log {
                config.key_log = Arc::clone(key_log) as _;
            }
            // With stateless tickets rustls neither offers nor takes early data, which can be replayed. What a client sends
            // with the ticket of another server is skipped up to here (RFC 8446 section 4.2.10). Others allow 16 KiB, but
            // rustls (0.23.46) keeps what it skipped in its buffer of 18 KiB and counts all of it again with each read.
            config.max_early_data_size = 1 << 20;
            // One is what a browser needs; each costs a write of its own.
            config.send_tls13_tickets = 1;
            sides.push(Side { demand, config: Arc::new(config), resumption });
        }
        let first = sides.first().ok_or_else(|| setup(rustls::Error::NoCertificatesPresented))?;
        let config = Arc::clone(&first.config);
        let headers = settings.clients.as_ref().map(|it| it.headers.clone()).unwrap_or_default();
        Ok(Tls { config, certificates: served, revocation, headers, digest, choice, sides })
    }

    fn side(&self, demand: Demand) -> Option<&Side> {
        self.sides.iter().find(|side| side.demand == demand)
    }

    /// What a rule wants of one connection.
    ///
    /// # Errors
    /// The virtual has not what the rule names; the text says what the rule did.
    pub fn on_terms(&self, terms: &Terms) -> Result<Arc<ServerConfig>, String> {
        let mut config = match terms.client_certificate {
            None => Arc::clone(&self.config),
            Some(demand) => {
                let side = self.side(demand);
                Arc::clone(
                    &side
                        .ok_or("asked for certificates of clients, for which the virtual has no CAs")?
                        .config,
                )
            }
        };
        if let Some(name) = &terms.certificate {
            let named = Named::new(&self.choice, name);
            let named = named.ok_or_else(|| {
                format!("chose the certificate for {name:?}, which the virtual does not have")
            })?;
            Arc::make_mut(&mut config).cert_resolver = Arc::new(named);
        }
        if let Some(protocols) = &terms.protocols {
            let is_spoken = |it: &String| config.alpn_protocols.iter().any(|own| own == it.as_bytes());
            if let Some(other) = protocols.iter().find(|it| !is_spoken(it)) {
                return Err(format!("chose the protocol {other:?}, which the virtual does not speak"));
            }
            Arc::make_mut(&mut config).alpn_protocols =
                protocols.iter().map(|it| it.clone().into_bytes()).collect();
        }
        Ok(config)
    }
}

/// What can be demanded of clients, with what lets them in; as configured first.
fn demands(clients: Option<&ClientCertificates>) -> Vec<(Demand, Option<ClientCertificates>)> {
    let Some(clients) = clients else { return vec![(Demand::None, None)] };
    let with = |required| Some(ClientCertificates { required, ..clients.clone() });
    let mut all = vec![(Demand::Required, with(true)), (Demand::Optional, with(false)), (Demand::None, None)];
    if !clients.required {
        all.swap(0, 1);
    }
    all
}

#[cfg(test)]
mod tests;
