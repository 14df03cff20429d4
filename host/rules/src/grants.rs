//! Grants: what a rule may do beyond reading the flow and the line of a request.
//!
//! `[capabilities]` of `pack.toml` asks for them, and an operator's policy allows some of them, in the same form:
//!
//! ```toml
//! [capabilities]
//! log = 8                                # lines of one hook call, at most 64
//! clock = true
//! random = true
//! vars = true
//! table = true                           # the tables that pack.toml declares
//! persist = true                         # bindings in the pools of its slots
//! lb = true
//! sets = true
//! flags = true
//! crypto = true
//! client-certificate = true
//! modes = ["nat", "l2dsr"]               # that a verdict may choose
//! data = ["to-server", "choose"]         # what on-data may do
//!
//! [capabilities.request]
//! read = ["accept-language", "x-*"]      # fields; a `*` at the end makes a prefix
//! write = ["x-team"]                     # as `read`
//! target = true                          # path, query and authority may be changed
//! body = true                            # bodies may be read and replaced
//!
//! [capabilities.response]
//! read = ["content-type"]
//! write = ["x-pool"]
//! status = true                          # may be changed
//! answer = true                          # the rule may respond itself
//! body = true                            # bodies may be read and replaced
//! ```
//!
//! What is not written is not granted.

pub(crate) mod asked;
pub(crate) mod fields;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Mode;
pub(crate) use fields::Access;
pub use fields::Fields;

/// Lines that one hook call may write to the log, whatever is asked.
pub const MOST_LOG_LINES: u8 = 64;

/// What a rule may do. The form in TOML and JSON is that of `[capabilities]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    #[serde(skip_serializing_if = "LogLines::is_none")]
    pub log: LogLines,
    #[serde(skip_serializing_if = "is_false")]
    pub clock: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub random: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub vars: bool,
    /// The tables that the pack declares.
    #[serde(skip_serializing_if = "is_false")]
    pub table: bool,
    /// Bindings in the pools that the slots of the rule are bound to.
    #[serde(skip_serializing_if = "is_false")]
    pub persist: bool,
    /// The live state of the pools that the slots of the rule are bound to.
    #[serde(skip_serializing_if = "is_false")]
    pub lb: bool,
    /// The sets that the pack declares.
    #[serde(skip_serializing_if = "is_false")]
    pub sets: bool,
    /// The flags that the pack declares.
    #[serde(skip_serializing_if = "is_false")]
    pub flags: bool,
    /// Hashes, and the keys that the pack declares.
    #[serde(skip_serializing_if = "is_false")]
    pub crypto: bool,
    /// Whose certificate the client showed.
    #[serde(rename = "client-certificate", skip_serializing_if = "is_false")]
    pub client_certificate: bool,
    /// That a verdict may choose.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub modes: BTreeSet<Mode>,
    /// What it may do to the bytes of relayed connections.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub data: BTreeSet<DataGrant>,
    #[serde(skip_serializing_if = "is_default")]
    pub request: RequestGrants,
    #[serde(skip_serializing_if = "is_default")]
    pub response: ResponseGrants,
}

/// What a rule may do to requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestGrants {
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub read: Fields,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub write: Fields,
    /// Path, query and authority may be changed.
    #[serde(skip_serializing_if = "is_false")]
    pub target: bool,
    /// Bodies may be read and replaced.
    #[serde(skip_serializing_if = "is_false")]
    pub body: bool,
}

/// What a rule may do to responses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseGrants {
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub read: Fields,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub write: Fields,
    /// It may be changed.
    #[serde(skip_serializing_if = "is_false")]
    pub status: bool,
    /// The rule may respond in a member's place.
    #[serde(skip_serializing_if = "is_false")]
    pub answer: bool,
    /// Bodies may be read and replaced.
    #[serde(skip_serializing_if = "is_false")]
    pub body: bool,
}

/// One thing that a rule may do to the bytes of relayed connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataGrant {
    /// It sees what clients send.
    ToServer,
    /// It sees what members send.
    ToClient,
    /// It sees what clients send first before there is a member, and may say where the connection goes.
    Choose,
    /// It may send something else.
    Replace,
}

impl DataGrant {
    /// The name in `pack.toml`.
    pub fn name(self) -> &'static str {
        match self {
            DataGrant::ToServer => "to-server",
            DataGrant::ToClient => "to-client",
            DataGrant::Choose => "choose",
            DataGrant::Replace => "replace",
        }
    }
}

/// Lines that one hook call may write to the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "u64")]
pub struct LogLines(u8);

impl LogLines {
    /// 0: the rule may not log.
    pub fn get(self) -> u8 {
        self.0
    }

    fn is_none(&self) -> bool {
        self.0 == 0
    }
}

impl TryFrom<u64> for LogLines {
    type Error = String;

    fn try_from(lines: u64) -> Result<LogLines, String> {
        let few = u8::try_from(lines).ok().filter(|lines| (1..=MOST_LOG_LINES).contains(lines));
        few.map(LogLines).ok_or_else(|| {
            format!("log = {lines}: write how many lines one hook call may log, 1 to {MOST_LOG_LINES}")
        })
    }
}

/// Where `[capabilities]` has a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    Log,
    Clock,
    Random,
    Vars,
    Table,
    Persist,
    Lb,
    Sets,
    Flags,
    Crypto,
    ClientCertificate,
    Modes,
    Data,
    RequestRead,
    RequestWrite,
    RequestTarget,
    RequestBody,
    ResponseRead,
    ResponseWrite,
    ResponseStatus,
    ResponseAnswer,
    ResponseBody,
}

/// One thing that a rule may do: `read the request field x-team`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    pub key: Key,
    /// A field, a prefix, a mode, a number of lines; empty where the key says all.
    pub value: String,
}

/// What is asked beyond what is allowed. Displays as a line for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    pub grant: Grant,
    /// The lines of the log that are allowed, where more are asked.
    allowed_lines: Option<u8>,
}

impl Grants {
    /// Each thing for itself, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = Grant> {
        self.beyond(&Grants::default()).into_iter().map(|excess| excess.grant)
    }

    pub fn is_empty(&self) -> bool {
        *self == Grants::default()
    }

    /// Whether everything that `other` grants is granted here as well.
    pub fn contains(&self, other: &Grants) -> bool {
        other.beyond(self).is_empty()
    }

    /// What is granted here and not by `other`, in the order of the keys.
    pub fn beyond(&self, other: &Grants) -> Vec<Excess> {
        let mut all = Vec::new();
        let mut add = |key: Key, value: String| {
            let allowed_lines = (key == Key::Log).then_some(other.log.0).filter(|lines| *lines > 0);
            all.push(Excess { grant: Grant { key, value }, allowed_lines });
        };
        if self.log > other.log {
            add(Key::Log, self.log.0.to_string());
        }
        for (key, asked, allowed) in [
            (Key::Clock, self.clock, other.clock),
            (Key::Random, self.random, other.random),
            (Key::Vars, self.vars, other.vars),
            (Key::Table, self.table, other.table),
            (Key::Persist, self.persist, other.persist),
            (Key::Lb, self.lb, other.lb),
            (Key::Sets, self.sets, other.sets),
            (Key::Flags, self.flags, other.flags),
            (Key::Crypto, self.crypto, other.crypto),
            (Key::ClientCertificate, self.client_certificate, other.client_certificate),
        ] {
            if asked && !allowed {
                add(key, String::new());
            }
        }
        for mode in self.modes.difference(&other.modes) {
            add(Key::Modes, mode.name().to_owned());
        }
        for data in self.data.difference(&other.data) {
            add(Key::Data, data.name().to_owned());
        }
        let (request, response) = (&self.request, &self.response);
        let mut fields = |key, access, asked: &Fields, allowed| {
            asked.beyond(access, allowed).into_iter().for_each(|pattern| add(key, pattern));
        };
        fields(Key::RequestRead, Access::Read, &request.read, &other.request.read);
        fields(Key::RequestWrite, Access::Write, &request.write, &other.request.write);
        fields(Key::ResponseRead, Access::Read, &response.read, &other.response.read);
        fields(Key::ResponseWrite, Access::Write, &response.write, &other.response.write);
        for (key, asked, allowed) in [
            (Key::RequestTarget, request.target, other.request.target),
            (Key::RequestBody, request.body, other.request.body),
            (Key::ResponseStatus, response.status, other.response.status),
            (Key::ResponseAnswer, response.answer, other.response.answer),
            (Key::ResponseBody, response.body, other.response.body),
        ] {
            if asked && !allowed {
                add(key, String::new());
            }
        }
        all.sort_by_key(|excess| excess.grant.key);
        all
    }
}

impl Key {
    /// The table and the key in it: `("capabilities.request", "read")`.
    pub fn place(self) -> (&'static str, &'static str) {
        match self {
            Key::Log => ("capabilities", "log"),
            Key::Clock => ("capabilities", "clock"),
            Key::Random => ("capabilities", "random"),
            Key::Vars => ("capabilities", "vars"),
            Key::Table => ("capabilities", "table"),
            Key::Persist => ("capabilities", "persist"),
            Key::Lb => ("capabilities", "lb"),
            Key::Sets => ("capabilities", "sets"),
            Key::Flags => ("capabilities", "flags"),
            Key::Crypto => ("capabilities", "crypto"),
            Key::ClientCertificate => ("capabilities", "client-certificate"),
            Key::Modes => ("capabilities", "modes"),
            Key::Data => ("capabilities", "data"),
            Key::RequestRead => ("capabilities.request", "read"),
            Key::RequestWrite => ("capabilities.request", "write"),
            Key::RequestTarget => ("capabilities.request", "target"),
            Key::RequestBody => ("capabilities.request", "body"),
            Key::ResponseRead => ("capabilities.response", "read"),
            Key::ResponseWrite => ("capabilities.response", "write"),
            Key::ResponseStatus => ("capabilities.response", "status"),
            Key::ResponseAnswer => ("capabilities.response", "answer"),
            Key::ResponseBody => ("capabilities.response", "body"),
        }
    }

    /// For programs: `request.read`.
    pub fn name(self) -> &'static str {
        match self {
            Key::RequestRead => "request.read",
            Key::RequestWrite => "request.write",
            Key::RequestTarget => "request.target",
            Key::RequestBody => "request.body",
            Key::ResponseRead => "response.read",
            Key::ResponseWrite => "response.write",
            Key::ResponseStatus => "response.status",
            Key::ResponseAnswer => "response.answer",
            Key::ResponseBody => "response.body",
            top => top.place().1,
        }
    }

    fn is_list(self) -> bool {
        matches!(
            self,
            Key::Modes
                | Key::Data
                | Key::RequestRead
                | Key::RequestWrite
                | Key::ResponseRead
                | Key::ResponseWrite
        )
    }
}

impl Grant {
    pub fn new(key: Key, value: impl Into<String>) -> Grant {
        Grant { key, value: value.into() }
    }

    /// What to do in `pack.toml` to ask for it; the value may be left out.
    pub fn remedy(&self) -> String {
        let (table, key) = self.key.place();
        let value = match (self.key, self.value.as_str()) {
            (Key::Log, "") => "8",
            (Key::Log, lines) => lines,
            (_, "") if self.key.is_list() => "[\"…\"]",
            (_, "") => "true",
            (_, value) => return format!("add {value:?} to `{key}` of [{table}]"),
        };
        format!("add `{key} = {value}` to [{table}]")
    }
}

/// `read the field x-team of requests`
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_str();
        let mut fields = |verb: &str, of: &str| match value {
            "" => write!(f, "{verb} fields of {of}"),
            "*" if self.key == Key::RequestWrite => {
                f.write_str("change all fields of requests but credentials and what Shunt says of the client")
            }
            "*" => write!(f, "{verb} all fields of {of} but credentials"),
            prefix if prefix.ends_with('*') => write!(f, "{verb} the fields {prefix} of {of}"),
            name => write!(f, "{verb} the field {name} of {of}"),
        };
        match self.key {
            Key::RequestRead => fields("read", "requests"),
            Key::RequestWrite => fields("change", "requests"),
            Key::ResponseRead => fields("read", "responses"),
            Key::ResponseWrite => fields("change", "responses"),
            Key::Log if value.is_empty() => f.write_str("write to the log"),
            Key::Log => write!(f, "write up to {value} lines to the log in a call"),
            Key::Clock => f.write_str("read the time"),
            Key::Random => f.write_str("get random numbers"),
            Key::Vars => f.write_str("keep variables of a request or flow"),
            Key::Persist => f.write_str("read and change bindings in the pools that its slots are bound to"),
            Key::Table => f.write_str("remember what it sees in the tables that it declares"),
            Key::Lb => f.write_str("read the state of the pools that its slots are bound to"),
            Key::Sets => f.write_str("look up the sets that it declares"),
            Key::Flags => f.write_str("read the flags that it declares"),
            Key::Crypto => f.write_str("use hashes, and the keys that it declares without seeing them"),
            Key::ClientCertificate => f.write_str("read the certificates of clients"),
            Key::Modes if value.is_empty() => f.write_str("choose modes"),
            Key::Modes => write!(f, "choose the mode {value}"),
            Key::Data => f.write_str(match value {
                "to-server" => "read what clients send over relayed connections",
                "to-client" => "read what members send over relayed connections",
                "choose" => "choose where a connection goes by what its client sends first",
                "replace" => "replace what is sent over relayed connections",
                _ => "read what is sent over relayed connections",
            }),
            Key::RequestTarget => f.write_str("change path, query and authority of requests"),
            Key::RequestBody => f.write_str("read and replace bodies of requests"),
            Key::ResponseStatus => f.write_str("change the status of responses"),
            Key::ResponseAnswer => f.write_str("respond in a member's place"),
            Key::ResponseBody => f.write_str("read and replace bodies of responses"),
        }
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.grant.fmt(f)?;
        match self.allowed_lines {
            Some(lines) => write!(f, ", where {lines} are allowed"),
            None => Ok(()),
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
