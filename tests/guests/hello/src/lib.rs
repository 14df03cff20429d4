//! Does with a TLS client what the server name says, and tells members of its certificate.

use client_hello::{Alert, Demand, reject_with};
use shunt_sdk::prelude::*;

struct Hello;

#[rule]
impl Hello {
    fn on_client_hello(&self, hello: &ClientHello) -> client_hello::Verdict {
        log::info!("hello {:?} {} {}", hello.server_name(), hello.fingerprint(), hello.offers_early_data());
        let demand = |demand| as_configured().client_certificate(demand);
        match hello.server_name().as_deref() {
            Some("other.example") => to_pool("other"),
            Some("raw.example") => to_pool("other").pass_through(),
            Some("b-for-a.example") => as_configured().certificate("b.example"),
            Some("nobody.example") => as_configured().certificate("c.example"),
            Some("h1.example") => as_configured().protocols(&["http/1.1"]),
            Some("h3.example") => as_configured().protocols(&["h3"]),
            Some("open.example") => demand(Demand::None),
            Some("guest.example") => demand(Demand::Optional),
            Some("staff.example") => demand(Demand::Required),
            Some("away.example") => reject_with(Alert::UnrecognizedName),
            Some("refused.example") => reject(),
            Some("panic.example") => panic!("as asked"),
            _ => next(),
        }
    }

    fn on_request(&self, request: &Request) -> Result<request::Verdict, FieldError> {
        if let Some(shown) = client_certificate::get() {
            request.set_header("x-subject", &shown.subject)?;
            request.set_header("x-issuer", &shown.issuer)?;
            request.set_header("x-serial", &shown.serial)?;
            request.set_header("x-sha256", &shown.sha256)?;
            request.set_header("x-names", shown.names.join(" "))?;
            request.set_header("x-dates", format!("{} {}", shown.not_before, shown.not_after))?;
        }
        if let Some(pem) = client_certificate::pem() {
            request.set_header("x-pem", pem.lines().next().unwrap_or_default())?;
        }
        Ok(next())
    }

    fn on_connect_failed(&self, _: &Request, failure: &connect_failed::Failure) -> connect_failed::Verdict {
        respond(503).text(format!("{:?} {:?}", failure.cause, failure.tls()))
    }
}
