//! The rule host: runs WebAssembly rules within budgets.
//!
//! A [`Pack`] is read, compiled by the [`RuleHost`] to a [`Rule`], and attached with an operator's
//! choices to an [`Attachment`]; every worker calls it through a [`Runner`] of its own:
//!
//! ```no_run
//! # use std::{path::Path, sync::Arc};
//! # use shunt_rules::*;
//! # fn show(environment: Arc<dyn Environment>, exchange: &mut Box<Exchange>) -> Result<(), Box<dyn std::error::Error>> {
//! let host = RuleHost::new()?;
//! let rule = host.compile(&Pack::read(Path::new("rules/canary"))?)?;
//! let attachment = rule.attach(AttachOptions::new("shop/canary", environment))?;
//! let mut runner = Runner::new(attachment);
//! match runner.on_request(exchange)? {
//!     RequestVerdict::To(target) => println!("to {target:?}"),
//!     other => println!("{}", other.name()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here knows sockets: what the world is to a rule comes through [`Environment`] and
//! [`Exchange`].

mod abi;
mod apart;
pub mod artefact;
mod attach;
mod breaker;
mod budget;
pub mod build;
pub mod builtin;
mod capabilities;
pub mod cases;
mod compile_cache;
mod compressed;
mod data;
mod digest;
mod direct;
mod environment;
mod epoch;
mod exchange;
mod fault;
pub mod flags;
pub mod grants;
mod hello;
mod hooks;
mod host;
mod instance;
pub mod keys;
mod log_level;
mod manifest;
mod names;
mod pack;
pub mod plain_file;
mod private_folder;
mod probe;
mod rule;
mod runner;
pub mod scaffold;
pub mod sets;
mod settings;
mod shipped;
mod state;
pub mod stats;
pub mod suggest;
mod tables;
#[cfg(test)]
mod testing;
mod tokens;
pub mod trace;
pub mod trust;
mod vars;
mod verdict;
pub mod whole;

pub use abi::ContractError;
pub use attach::{
    AttachError, AttachOptions, AttachProblem, Attachment, Budget, Isolation, KeyBinding, OnFault,
    SetBinding, SetContent, SlotBinding, WayOfCalls,
};
pub use compile_cache::{CacheError, Compilations};
pub use data::{Data, Direction, Part, Rest};
pub use digest::Digest;
pub use environment::{Environment, Level, MemberState, MemberStatus, PoolState, QueueState};
pub use exchange::{
    CertificateFacts, ClientCertificate, ConnectCause, ConnectFailure, Exchange, Flow, HeaderEdit,
    MemberFailure, Outcome, Scheme, Selection, SelectionReason, Summary, Transport,
};
pub use fault::{Fault, FaultKind};
pub use grants::Grants;
pub use hello::Hello;
pub use hooks::{
    BodyVerdict, ConnectFailedVerdict, DataVerdict, FlowVerdict, HelloVerdict, Hook, HookSet, ProbeVerdict,
    RequestVerdict, ResponseBodyVerdict, ResponseVerdict, SelectedVerdict,
};
pub use host::{HostError, RuleHost};
pub use log_level::LogLevel;
pub use manifest::{Advice, FaultAdvice, Manifest, ManifestError, Slot};
pub use pack::{MAX_PACK_BYTES, Pack, PackError};
pub use private_folder::{PrivateFolder, PrivateFolderError, shared_mode};
pub use probe::{Probe, ProbeAction, ProbeDialogue, ProbeFailure};
pub use rule::{Rule, RuleError};
pub use runner::Runner;
pub use settings::{Field, Kind, Schema, SettingsError, Shape};
pub use shipped::Shipped;
pub use stats::RuleStats;
pub use tables::{
    Counts, Cursor, Declared, KeyForm, Kind as TableKind, Listed, TableUse, Tables, Value as TableValue,
};
pub use vars::Vars;
pub use verdict::{Alert, Answer, Demand, Mode, PersistKey, Target, Terms};

/// Settings as the operator wrote them: an object.
pub type SettingsTree = serde_json::Value;
