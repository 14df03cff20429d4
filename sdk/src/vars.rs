//! Variables that live in the host: they survive a fault of the rule and its
//! replacement by another version. Each rule has its own.
//!
//! More than 64 variables of a scope, a name of more than 256 bytes or a value of
//! more than 4,096 is a fault.
//!
//! ```
//! # use shunt_sdk::prelude::*;
//! # fn show(request: &Request) {
//! vars::request().set("began", request.path());
//! let began = vars::request().text("began");
//! vars::flow().put("seen", &5_u64);
//! let seen: Option<u64> = vars::flow().value("seen");
//! # }
//! ```

use crate::bindings::vars as wire;
use crate::text;
use crate::value::Value;

/// The variables of one scope.
#[derive(Debug, Clone, Copy)]
pub struct Vars {
    scope: wire::Scope,
}

/// Variables that live until the request is done. In `on_flow`, and in `on_done` of a
/// flow, they are those of the flow.
pub fn request() -> Vars {
    Vars { scope: wire::Scope::Request }
}

/// Variables that live until the connection or flow ends.
pub fn flow() -> Vars {
    Vars { scope: wire::Scope::Flow }
}

impl Vars {
    /// The value, if it was set.
    pub fn get(self, name: &str) -> Option<Vec<u8>> {
        wire::get(self.scope, name)
    }

    /// The value as text, if it was set; octets that are not UTF-8 become U+FFFD.
    pub fn text(self, name: &str) -> Option<String> {
        self.get(name).map(text::from_bytes)
    }

    /// The value of a type, if it was set by [`put`](Vars::put) with that type.
    pub fn value<T: Value>(self, name: &str) -> Option<T> {
        self.get(name).and_then(T::from_bytes)
    }

    /// Sets it to a value of a type.
    pub fn put<T: Value>(self, name: &str, value: &T) {
        self.set(name, value.to_bytes());
    }

    /// Sets it.
    pub fn set(self, name: &str, value: impl AsRef<[u8]>) {
        wire::set(self.scope, name, value.as_ref());
    }

    /// Forgets it; one that is not there is no error.
    pub fn remove(self, name: &str) {
        wire::remove(self.scope, name);
    }
}
