//! A cookie of the client names the member that it is bound to.

use std::time::Duration;

use super::Kind;
use crate::report::{Cause, Refusal};
use crate::shape::cookie;
use crate::suggest::quoted;
use crate::walk::Table;

/// `cookie = "NAME"`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    pub name: String,
}

impl Kind for Cookie {
    const KEY: &'static str = "cookie";
    const TIMEOUT: Option<Duration> = None;
    const NO_PACKETS: Option<&'static str> = Some("packets have no cookies");

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let name =
            table.optional(Self::KEY, "Binds clients by a cookie of this name, which Shunt sets.", cookie());
        name.map(|name| Cookie { name })
    }

    fn without_tls(&self) -> Option<Refusal> {
        if !needs_tls(&self.name) {
            return None;
        }
        let message = format!("browsers drop a cookie named {} where there is no TLS", quoted(&self.name));
        let refusal = Refusal::new(Cause::Conflict, message).label("this virtual has no `tls`");
        Some(refusal.help("add `tls`, or give the cookie a name without that prefix, such as `SHUNT`"))
    }
}

/// Names that a browser takes only from a secure origin and with `Secure` (RFC 6265bis, sections 4.1.3 and 5.6).
fn needs_tls(cookie: &str) -> bool {
    ["__secure-", "__host-", "__http-"]
        .iter()
        .any(|prefix| cookie.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
}
