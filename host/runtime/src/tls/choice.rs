//! Which certificate a client gets: by the name that it asks for (RFC 6066 section 3, RFC 9525 section 6.3), and by
//! the signatures that it can verify.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certified;
use super::now;

/// Certificates by their names.
#[derive(Debug)]
pub(super) struct BySni {
    /// Several for a name in the order of the configuration; `*.example.com` stands under `.example.com`.
    names: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// For all other names, and for clients that send none: the first, and what serves a name of it besides.
    fallback: Vec<Arc<CertifiedKey>>,
    stapled: Vec<Stapled>,
    suites: Vec<Suite>,
}

/// A certificate with an OCSP response that comes to expire: clients refuse one that has.
#[derive(Debug)]
struct Stapled {
    key: Arc<CertifiedKey>,
    /// In seconds of Unix time.
    until: i64,
    without: Arc<CertifiedKey>,
}

/// A cipher suite that is spoken.
#[derive(Debug)]
struct Suite {
    number: u16,
    /// What signs in it; `None`: TLS 1.3, where suites say nothing of signatures.
    signs: Option<&'static [SignatureScheme]>,
}

impl BySni {
    /// `None`: there is no certificate.
    pub(super) fn new(certified: Vec<Certified>, provider: &CryptoProvider) -> Option<Self> {
        let first = certified.first()?;
        let serves_first = |it: &Certified| it.names.iter().any(|name| first.names.contains(name));
        let besides = certified[1..].iter().filter(|it| serves_first(it));
        let fallback = std::iter::once(first).chain(besides).map(|it| Arc::clone(&it.key)).collect();
        let mut names: HashMap<String, Vec<Arc<CertifiedKey>>> = HashMap::new();
        for it in &certified {
            for name in &it.names {
                let name = name.strip_prefix('*').unwrap_or(name);
                names.entry(name.to_owned()).or_default().push(Arc::clone(&it.key));
            }
        }
        let stapled = certified.iter().filter_map(|it| {
            Some(Stapled {
                until: it.stapled.as_ref()?.next_update,
                key: Arc::clone(&it.key),
                without: Arc::new(CertifiedKey { ocsp: None, ..CertifiedKey::clone(&it.key) }),
            })
        });
        let stapled = stapled.collect();
        let suites = provider.cipher_suites.iter().map(|suite| Suite {
            number: suite.suite().into(),
            signs: match suite {
                rustls::SupportedCipherSuite::Tls12(suite) => Some(suite.sign),
                rustls::SupportedCipherSuite::Tls13(_) => None,
            },
        });
        Some(BySni { names, fallback, stapled, suites: suites.collect() })
    }

    /// The certificates for a name: those of the name itself before those of a wildcard; none: nobody knows it.
    fn named(&self, name: &str) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        // Chromium sends the dot of the root, which RFC 6066 section 3 leaves out.
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let wildcard = name.find('.').and_then(|dot| self.names.get(&name[dot..]));
        self.names.get(&name).into_iter().chain(wildcard).flatten()
    }

    /// Of several, the first that can sign something that the client verifies; if none can, the first: then the
    /// handshake fails with the right alert.
    fn choose<'a>(
        &self,
        candidates: impl Iterator<Item = &'a Arc<CertifiedKey>>,
        hello: &ClientHello<'_>,
    ) -> Option<&'a Arc<CertifiedKey>> {
        let mut candidates = candidates.peekable();
        let first = *candidates.peek()?;
        Some(candidates.find(|key| self.can_sign(key, hello)).unwrap_or(first))
    }

    /// In TLS 1.2 the suite says what signs, too (RFC 5246 section 7.4.3). A client that offers a suite of TLS 1.3
    /// speaks it.
    fn can_sign(&self, key: &CertifiedKey, hello: &ClientHello<'_>) -> bool {
        let verifies = hello.signature_schemes();
        let offered = hello.cipher_suites();
        let spoken =
            self.suites.iter().filter(|suite| offered.iter().any(|it| u16::from(*it) == suite.number));
        let mut spoken = spoken.peekable();
        if spoken.peek().is_none() {
            return false;
        }
        spoken.any(|suite| match suite.signs {
            None => key.key.choose_scheme(verifies).is_some(),
            Some(signs) => {
                let both: Vec<_> = signs.iter().filter(|it| verifies.contains(it)).copied().collect();
                key.key.choose_scheme(&both).is_some()
            }
        })
    }
}

/// The certificates for one name, whatever the client asks for.
#[derive(Debug)]
pub(super) struct Named {
    choice: Arc<BySni>,
    name: String,
}

impl Named {
    /// `None`: no certificate serves the name.
    pub(super) fn new(choice: &Arc<BySni>, name: &str) -> Option<Self> {
        choice.named(name).next()?;
        Some(Named { choice: Arc::clone(choice), name: name.to_owned() })
    }
}

impl ResolvesServerCert for Named {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choice.choose(self.choice.named(&self.name), &hello).cloned()
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.choose(self.named(name), &hello));
        let key = named.or_else(|| self.choose(self.fallback.iter(), &hello))?;
        let expired = |it: &&Stapled| Arc::ptr_eq(&it.key, key) && it.until < now();
        Some(Arc::clone(self.stapled.iter().find(expired).map_or(key, |it| &it.without)))
    }
}
