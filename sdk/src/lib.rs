//! Write rules for Shunt, the load balancer that is programmed in WebAssembly.
//!
//! A rule is a Rust type. Its methods are the hooks it needs; its fields are the settings
//! that the operator writes. `#[rule]` makes it a component that exports those hooks and
//! imports the capabilities that it uses. A rule can do nothing that it does not import.
//!
//! ```
//! use shunt_sdk::prelude::*;
//!
//! /// Sends a share of the clients to the canary pool; a client always gets the same pool.
//! #[derive(Settings)]
//! struct Canary {
//!     /// Share of clients, 0 to 100.
//!     percent: u8,
//! }
//!
//! #[rule]
//! impl Canary {
//!     fn on_request(&self, request: &Request) -> request::Verdict {
//!         let client = request.flow().client.ip();
//!         if stable_hash(client) % 100 < u64::from(self.percent) { to_pool("canary") } else { to_pool("primary") }
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! `shunt rule new NAME` creates a pack with such a rule, `shunt rule build` compiles it
//! and `shunt rule test` runs its cases.
//!
//! # Hooks and verdicts
//!
//! [`hooks`] lists the hooks with their arguments and what each may return. A verdict is a
//! value: [`next`] leaves the decision to later rules and the configuration; any other
//! verdict is final. Returning a verdict that a hook does not have is a compile error.
//!
//! | to | write |
//! |---|---|
//! | leave the decision to later rules and the configuration | [`next()`](next) |
//! | choose a pool | [`to_pool("api")`](to_pool), by the name in the pack's `[slots]` |
//! | choose a member | [`to_member(address)`](to_member), `to_pool("api").member(address)` |
//! | bind a user to a member | [`to_pool("api").persist(user)`](Verdict::persist), [`as_configured().persist(user)`](as_configured) |
//! | respond in the member's place | [`respond(503).header("retry-after", "120").text("…")`](respond), [`redirect(308, "https://…")`](redirect) |
//! | refuse | [`reject()`](reject), [`drop_flow()`](flow::drop_flow) |
//! | try another member | [`retry()`](retry), [`veto("too busy")`](selected::veto) |
//! | choose how TLS with the client is | [`to_pool("api").certificate("api.example")`](client_hello), `to_pool("raw").pass_through()` |
//! | see more of what is sent first | [`data::need(64)`](data::need) |
//! | read the body first | [`need_body(65_536)`](request::need_body), [`response.need_body(65_536)`](Response::need_body) and `next()` |
//! | probe a member | [`probe::send("PING\r\n")`](probe::send), [`probe::up("PONG")`](probe::up) |
//! | send another body | [`replace_body(bytes)`](replace_body) |
//!
//! A hook may return a `Result` of its verdict, and so use `?`. An error is
//! a fault of the call with its text, as a panic is: the host applies the operator's `on-fault`
//! in place of a verdict, and the next call gets a new instance.
//!
//! # Settings
//!
//! [`#[derive(Settings)]`](macro@Settings) reads the type from the operator's settings and
//! gives the host their schema, so that the host reports mistakes before it loads the rule.
//! A rule without settings is a unit struct: `struct Https;`. `on_load` checks what a type
//! cannot express:
//!
//! ```
//! # use shunt_sdk::prelude::*;
//! # #[derive(Settings)]
//! # struct Canary { percent: u8 }
//! #[rule]
//! impl Canary {
//!     fn on_load(&self) -> Result<(), String> {
//!         if self.percent > 100 { Err("percent: at most 100".into()) } else { Ok(()) }
//!     }
//! #   fn on_request(&self, _: &Request) -> request::Verdict { next() }
//! }
//! # fn main() {}
//! ```
//!
//! # Capabilities
//!
//! [`log`], [`clock`], [`random`], [`vars`] (variables that live as long as a request or a
//! flow), [`table`] (what is remembered beyond that, shared by all workers), [`persist`] (bindings of clients to
//! members), [`lb`] (the live state of pools), [`sets`] (entries that the operator keeps), [`flags`]
//! (switches that the operator sets), [`crypto`] (hashes, sealed cookies, tokens) and [`client_certificate`]. A rule may use what `[capabilities]` of its
//! `pack.toml` asks for, and nothing else. Keep no state in the fields of a rule: an instance
//! serves many requests of one worker, and the host may replace it at any time.

// The macros name this crate by its name, also in the crate's own tests.
#[cfg(test)]
extern crate self as shunt_sdk;

#[path = "rt.rs"]
#[doc(hidden)]
pub mod __rt;
mod address;
#[cfg(target_arch = "wasm32")]
mod allocator;
#[doc(hidden)]
pub mod bindings;
pub mod client_certificate;
pub mod client_hello;
pub mod clock;
pub mod crypto;
pub mod data;
mod fault;
mod field_error;
mod fields;
pub mod flags;
pub mod flow;
mod hash;
pub mod hooks;
pub mod lb;
pub mod log;
pub mod persist;
pub mod probe;
pub mod random;
pub mod request;
pub mod response;
pub mod response_body;
pub mod selected;
pub mod sets;
pub mod settings;
pub mod table;
mod text;
mod value;
pub mod vars;
mod verdict;

pub use address::{Prefix, PrefixError};
pub use client_hello::ClientHello;
pub use data::Data;
pub use field_error::FieldError;
pub use flow::Flow;
pub use hash::{Key, stable_hash};
pub use hooks::{connect_failed, done, request_body};
pub use probe::Probe;
pub use request::Request;
pub use response::Response;
pub use settings::Settings;
pub use value::Value;
pub use verdict::{
    Answering, Decided, FromAnswering, FromSteering, Steering, Verdict, as_configured, next, redirect,
    reject, replace_body, respond, retry, to_member, to_pool,
};

/// Makes a type a rule. Put it before the `impl` that has the hooks.
///
/// Other methods are allowed, but a method whose name begins with `on_` must be a hook.
/// The type is either a unit struct or derives [`macro@Settings`]. A crate has one rule.
///
/// ```
/// use shunt_sdk::prelude::*;
///
/// struct Https;
///
/// #[rule]
/// impl Https {
///     fn on_request(&self, request: &Request) -> request::Verdict {
///         match request.scheme() {
///             Scheme::Https => next(),
///             Scheme::Http => redirect(308, &self.secure(request)),
///         }
///     }
///
///     fn secure(&self, request: &Request) -> String {
///         format!("https://{}{}", request.host(), request.path_and_query())
///     }
/// }
/// # fn main() {}
/// ```
pub use shunt_sdk_macros::rule;

/// Reads a struct from the settings that the operator writes, and gives the host their
/// schema.
///
/// A field is a `bool`, an integer, an `f64`, a `String`, an `IpAddr`, a [`Prefix`], a
/// `Vec<T>`, a `BTreeMap<String, T>`, or another struct that derives `Settings`. A field is
/// required, unless it is an `Option<T>` or has a default: `#[settings(default = 5)]`,
/// with a literal, or `#[settings(default)]` for the value of Rust's `Default`. The operator
/// writes the name of a field in kebab-case, and sees its documentation.
///
/// ```
/// use shunt_sdk::prelude::*;
///
/// #[derive(Settings)]
/// struct Switch {
///     /// The slot of requests that match no route.
///     default_slot: String,
///     /// Tried in order; the first that matches decides.
///     #[settings(default)]
///     routes: Vec<Route>,
/// }
///
/// #[derive(Settings)]
/// struct Route {
///     /// The beginning of the path.
///     #[settings(default = "/")]
///     prefix: String,
///     slot: String,
/// }
/// # fn main() {}
/// ```
///
/// ```toml
/// settings = { default-slot = "web", routes = [{ prefix = "/api/", slot = "api" }] }
/// ```
pub use shunt_sdk_macros::Settings;

/// Everything that a rule needs: `use shunt_sdk::prelude::*;`.
pub mod prelude {
    pub use std::net::{IpAddr, SocketAddr};
    pub use std::time::Duration;

    pub use crate::client_hello::{self, ClientHello};
    pub use crate::data::{self, Data};
    pub use crate::flow::{self, Flow, Mode, Transport, drop_flow};
    pub use crate::hooks::{connect_failed, done, request_body};
    pub use crate::probe::{self, Probe};
    pub use crate::request::{self, Request, Scheme, need_body};
    pub use crate::response::{self, Response};
    pub use crate::response_body;
    pub use crate::selected::{self, veto};
    pub use crate::{FieldError, Prefix, Settings, rule, stable_hash};
    pub use crate::{
        as_configured, next, redirect, reject, replace_body, respond, retry, to_member, to_pool,
    };
    pub use crate::{client_certificate, clock, crypto, flags, lb, log, persist, random, sets, table, vars};
}
