//! The first message of a TLS client.

use ref_cast::RefCast;

use crate::Verdict as AnyVerdict;
use crate::bindings::on_client_hello as wire;
use crate::bindings::tls;
use crate::bindings::types::Target;
use crate::flow::Flow;
use crate::hooks::{Decides, Hook, Refuses, Steers};
use crate::verdict::{FromSteering, Steering};

pub use wire::{Alert, Demand};

/// The hook `on_client_hello`.
#[derive(Debug)]
pub enum OnClientHello {}

impl Hook for OnClientHello {
    const NAME: &'static str = "on_client_hello";
    type Wire = wire::Verdict;
}

impl Decides for OnClientHello {
    fn next() -> wire::Verdict {
        wire::Verdict::Next
    }
}

#[diagnostic::do_not_recommend]
impl Steers for OnClientHello {
    fn to(target: Target) -> wire::Verdict {
        wire::Verdict::To(target)
    }

    fn target(wire: &mut wire::Verdict) -> Option<&mut Target> {
        match wire {
            wire::Verdict::To(target) | wire::Verdict::PassThrough(target) => Some(target),
            wire::Verdict::Terminate(terms) => Some(&mut terms.target),
            wire::Verdict::Next | wire::Verdict::Reject(_) => None,
        }
    }
}

#[diagnostic::do_not_recommend]
impl Refuses for OnClientHello {
    fn reject() -> wire::Verdict {
        wire::Verdict::Reject(Alert::AccessDenied)
    }
}

/// What `on_client_hello` may return: `next()`, `to_pool(…)`, `as_configured()` and what follows them,
/// `reject()` and [`reject_with`].
///
/// ```
/// # use shunt_sdk::prelude::*;
/// # fn show(hello: &ClientHello) -> client_hello::Verdict {
/// match hello.server_name().as_deref() {
///     Some("legacy.example") => to_pool("legacy").pass_through(),
///     Some("staff.example") => as_configured().client_certificate(client_hello::Demand::Required),
///     Some(_) => next(),
///     None => client_hello::reject_with(client_hello::Alert::UnrecognizedName),
/// }
/// # }
/// ```
pub type Verdict = AnyVerdict<OnClientHello>;

/// Refuses the connection with this alert; `reject()` says `access-denied`.
pub fn reject_with(alert: Alert) -> Verdict {
    Verdict::new(wire::Verdict::Reject(alert))
}

/// In `on_client_hello`, after `to_pool`, `to_member` and `as_configured`.
impl AnyVerdict<OnClientHello, Steering> {
    /// TLS is between client and member: Shunt relays the connection as it is.
    pub fn pass_through<S: FromSteering>(self) -> AnyVerdict<OnClientHello, S> {
        let mut wire = self.into_wire();
        if let Some(target) = OnClientHello::target(&mut wire) {
            wire = wire::Verdict::PassThrough(std::mem::replace(target, crate::verdict::AS_CONFIGURED));
        }
        AnyVerdict::new(wire)
    }

    /// The certificate that the client gets, by a name that it serves. A name that no
    /// certificate of the virtual serves is a fault.
    pub fn certificate<S: FromSteering>(self, name: &str) -> AnyVerdict<OnClientHello, S> {
        self.on_terms(|terms| terms.certificate = Some(name.to_owned()))
    }

    /// The protocols that the client may choose of (ALPN), the preferred first: `h2`,
    /// `http/1.1`. One that the virtual does not speak is a fault.
    pub fn protocols<S: FromSteering>(self, protocols: &[&str]) -> AnyVerdict<OnClientHello, S> {
        let protocols = protocols.iter().map(|&it| it.to_owned()).collect();
        self.on_terms(|terms| terms.protocols = Some(protocols))
    }

    /// Whether the client is asked for a certificate. To ask is a fault where the virtual
    /// has no `client-certificates`.
    pub fn client_certificate<S: FromSteering>(self, demand: Demand) -> AnyVerdict<OnClientHello, S> {
        self.on_terms(|terms| terms.client_certificate = Some(demand))
    }

    fn on_terms<S>(self, change: impl FnOnce(&mut wire::Terms)) -> AnyVerdict<OnClientHello, S> {
        let mut terms = match self.into_wire() {
            wire::Verdict::Terminate(terms) => terms,
            wire::Verdict::To(target) | wire::Verdict::PassThrough(target) => {
                wire::Terms { target, certificate: None, protocols: None, client_certificate: None }
            }
            other => return AnyVerdict::new(other),
        };
        change(&mut terms);
        AnyVerdict::new(wire::Verdict::Terminate(terms))
    }
}

/// The first message of a TLS client (ClientHello), read and not answered yet. Numbers are those
/// of the IANA registries, in the order in which the client sent them.
#[derive(Debug, RefCast)]
#[repr(transparent)]
pub struct ClientHello(tls::ClientHello);

impl ClientHello {
    /// The connection.
    pub fn flow(&self) -> Flow {
        self.0.flow().into()
    }

    /// The host that the client asks for (SNI), in lower case and without a dot at its end.
    pub fn server_name(&self) -> Option<String> {
        self.0.server_name()
    }

    /// The protocols that the client offers (ALPN): `h2`, `http/1.1`.
    pub fn protocols(&self) -> Vec<Vec<u8>> {
        self.0.protocols()
    }

    /// Whether the client offers this protocol (ALPN).
    pub fn offers(&self, protocol: &str) -> bool {
        self.protocols().iter().any(|it| it == protocol.as_bytes())
    }

    /// Versions of TLS: 0x0304 is 1.3.
    pub fn versions(&self) -> Vec<u16> {
        self.0.versions()
    }

    /// Cipher suites.
    pub fn ciphers(&self) -> Vec<u16> {
        self.0.ciphers()
    }

    /// Groups for the key exchange.
    pub fn groups(&self) -> Vec<u16> {
        self.0.groups()
    }

    /// Signature schemes.
    pub fn signature_schemes(&self) -> Vec<u16> {
        self.0.signature_schemes()
    }

    /// Types of the extensions.
    pub fn extensions(&self) -> Vec<u16> {
        self.0.extensions()
    }

    /// A fingerprint of the client's TLS stack, in the form of JA4:
    /// `t13d1516h2_8daaf6152771_e5627efa2ab1`.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint()
    }

    /// Whether the client offers early data. Shunt never accepts it.
    pub fn offers_early_data(&self) -> bool {
        self.0.offers_early_data()
    }
}
