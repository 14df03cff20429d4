//! x
pub mod bindings;
mod address;
pub mod clock;
mod fault;
pub mod flow;
mod hash;
pub mod hooks;
pub mod lb;
pub mod log;
pub mod random;
pub mod request;
pub mod response;
#[doc(hidden)]
#[path = "rt.rs"]
pub mod __rt;
pub mod settings;
mod text;
pub mod vars;
mod verdict;

pub use address::{Prefix, PrefixError};
pub use flow::Flow;
pub use hash::{Key, stable_hash};
pub use hooks::{connect_failed, done, request_body};
pub use request::Request;
pub use response::Response;
pub use settings::Settings;
pub use shunt_sdk_macros::{Settings, rule};
pub use verdict::*;

pub mod prelude {
    pub use std::net::{IpAddr, SocketAddr};
    pub use std::time::Duration;

    pub use crate::flow::{self, Flow, Mode, Transport, drop_flow};
    pub use crate::request::{self, FieldError, Request, Scheme, need_body};
    pub use crate::response::{self, Response};
    pub use crate::{clock, connect_failed, done, lb, log, random, request_body, vars};
    pub use crate::request_body::replace_body;
    pub use crate::{Prefix, Settings, rule, stable_hash};
    pub use crate::{as_configured, next, redirect, reject, respond, retry, to_member, to_pool};
}
