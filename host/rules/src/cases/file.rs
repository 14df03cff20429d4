//! The files that cases are written in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::data::{DataCase, Payload};
use super::probe::ProbeCase;
use super::tables::{self, Contents, EarlierCase, EntryExpect, Written};
use crate::flags::FlagValue;
use crate::hello::{Hello, Writer};
use crate::suggest::{hint, nearest};
use crate::{CertificateFacts, ClientCertificate, Manifest, MemberFailure};

/// The cases of a file, each with the line that it begins in.
///
/// # Errors
/// What is wrong, with its line.
pub(crate) fn parse(text: &str, manifest: &Manifest) -> Result<Vec<(usize, Case)>, String> {
    let file: File = toml::from_str(text).map_err(|error| with_suggestion(&error.to_string()))?;
    let mut cases = Vec::new();
    for spanned in file.case {
        let line = text[..spanned.span().start.min(text.len())].matches('\n').count() + 1;
        let case = spanned.into_inner();
        check(&case, manifest).map_err(|message| format!("line {line}: case {:?}: {message}", case.name))?;
        cases.push((line, case));
    }
    Ok(cases)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Spanned<Case>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Case {
    pub name: String,
    /// As the operator would write them.
    #[serde(default = "no_settings")]
    pub settings: Value,
    /// By slot.
    #[serde(default)]
    pub pools: BTreeMap<String, PoolCase>,
    /// What is in tables before anything is called.
    #[serde(default)]
    pub tables: Contents<Written>,
    /// Requests before the one that is looked at.
    #[serde(default)]
    pub earlier: Vec<EarlierCase>,
    /// Time that passes before that one.
    #[serde(default, deserialize_with = "tables::time")]
    pub after: Duration,
    /// The lines of each set; one that is not here is empty.
    #[serde(default)]
    pub sets: BTreeMap<String, Vec<String>>,
    /// As an operator set them; one that is not here has its default.
    #[serde(default)]
    pub flags: BTreeMap<String, FlagValue>,
    /// The text of the file of each key; one that is not here is a secret of 32 zeros.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
    pub flow: Option<FlowCase>,
    pub client_hello: Option<HelloCase>,
    /// In the order in which it comes.
    #[serde(default)]
    pub data: Vec<DataCase>,
    pub request: Option<RequestCase>,
    pub selected: Option<SelectedCase>,
    pub connect_failed: Option<ConnectFailedCase>,
    pub response: Option<ResponseCase>,
    pub done: Option<DoneCase>,
    /// The member, where the rule is a monitor.
    pub probe: Option<ProbeCase>,
    pub expect: Expect,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct PoolCase {
    pub members: u32,
    /// The first so many of them are up; default all.
    pub usable: Option<u32>,
    /// Requests in flight at all of them.
    pub active: u32,
    /// Requests that wait for one of them.
    pub queued: u32,
    /// For how many milliseconds the first has waited.
    pub oldest_ms: u32,
}

impl Default for PoolCase {
    fn default() -> PoolCase {
        PoolCase { members: 2, usable: None, active: 0, queued: 0, oldest_ms: 0 }
    }
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct FlowCase {
    pub client: Client,
    pub vip: SocketAddr,
    pub transport: TransportCase,
}

impl Default for FlowCase {
    fn default() -> FlowCase {
        FlowCase {
            client: Client::default(),
            // RFC 5737: an address for documentation.
            vip: SocketAddr::from(([198, 51, 100, 1], 80)),
            transport: TransportCase::Tcp,
        }
    }
}

/// A client: an address, with or without a port.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Client(pub SocketAddr);

impl Default for Client {
    fn default() -> Client {
        Client(SocketAddr::from(([192, 0, 2, 1], CLIENT_PORT)))
    }
}

/// The port of a client that was written without one.
const CLIENT_PORT: u16 = 40_000;

impl TryFrom<String> for Client {
    type Error = String;

    fn try_from(text: String) -> Result<Client, String> {
        let alone = text.parse().map(|ip| SocketAddr::new(ip, CLIENT_PORT));
        alone
            .or_else(|_| text.parse())
            .map(Client)
            .map_err(|_| format!("{text:?} is not an address; write one such as \"192.0.2.7\""))
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TransportCase {
    Tcp,
    Udp,
    Icmp,
    Other,
}

/// What the client of TLS says first. Numbers are those of the IANA registries.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct HelloCase {
    pub server_name: Option<String>,
    pub protocols: Vec<String>,
    pub versions: Vec<u16>,
    pub ciphers: Vec<u16>,
    pub groups: Vec<u16>,
    pub signature_schemes: Vec<u16>,
    pub early_data: bool,
    /// Default: that of `flow`.
    pub client: Option<Client>,
}

impl Default for HelloCase {
    fn default() -> HelloCase {
        HelloCase {
            server_name: Some("shop.example".to_owned()),
            protocols: vec!["h2".to_owned(), "http/1.1".to_owned()],
            versions: vec![0x0304, 0x0303],
            ciphers: vec![0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f],
            groups: vec![0x11ec, 0x001d, 0x0017],
            signature_schemes: vec![0x0403, 0x0804, 0x0401],
            early_data: false,
            client: None,
        }
    }
}

impl HelloCase {
    pub(crate) fn hello(&self) -> Result<Hello, String> {
        let writer = Writer {
            // No name is written as the empty one.
            server_name: self.server_name.clone().filter(|name| !name.is_empty()),
            protocols: self.protocols.iter().map(|name| name.clone().into_bytes()).collect(),
            versions: self.versions.clone(),
            ciphers: self.ciphers.clone(),
            groups: self.groups.clone(),
            signature_schemes: self.signature_schemes.clone(),
            early_data: self.early_data,
        };
        writer.hello().map_err(|error| format!("client-hello: {}", error.reason()))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RequestCase {
    pub method: String,
    /// With its query: `/a?x=1`.
    pub path: String,
    pub host: String,
    pub scheme: SchemeCase,
    /// Default: that of `flow`.
    pub client: Option<Client>,
    pub version: VersionCase,
    pub headers: BTreeMap<String, Values>,
    pub body: Option<String>,
    pub client_certificate: Option<CertificateCase>,
}

/// What the client showed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct CertificateCase {
    pub subject: String,
    pub issuer: String,
    pub serial: String,
    pub sha256: String,
    pub not_before: i64,
    pub not_after: i64,
    pub names: Vec<String>,
    pub pem: String,
}

impl ClientCertificate for CertificateCase {
    fn facts(&self) -> CertificateFacts {
        CertificateFacts {
            subject: self.subject.clone(),
            issuer: self.issuer.clone(),
            serial: self.serial.clone(),
            sha256: self.sha256.clone(),
            not_before: self.not_before,
            not_after: self.not_after,
            names: self.names.clone(),
        }
    }

    fn pem(&self) -> String {
        self.pem.clone()
    }
}

impl Default for RequestCase {
    fn default() -> RequestCase {
        RequestCase {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            host: "shop.example".to_owned(),
            scheme: SchemeCase::Http,
            client: None,
            version: VersionCase::Http11,
            headers: BTreeMap::new(),
            body: None,
            client_certificate: None,
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SchemeCase {
    Http,
    Https,
}

#[derive(Clone, Copy, Deserialize)]
pub(crate) enum VersionCase {
    #[serde(rename = "1.0")]
    Http10,
    #[serde(rename = "1.1")]
    Http11,
    #[serde(rename = "2")]
    Http2,
    #[serde(rename = "3")]
    Http3,
}

/// One value of a field, or several in order.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Values {
    One(String),
    Many(Vec<String>),
}

impl Values {
    pub(crate) fn as_slice(&self) -> &[String] {
        match self {
            Values::One(one) => std::slice::from_ref(one),
            Values::Many(many) => many,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct SelectedCase {
    /// Default: the one that the rule named, else the first of the pool.
    pub member: Option<SocketAddr>,
    /// The slot of its pool; default: where the rule sent the request.
    pub slot: Option<String>,
    pub reason: ReasonCase,
    pub weight: u32,
    pub active: u32,
    pub vetoes: u32,
}

impl Default for SelectedCase {
    fn default() -> SelectedCase {
        SelectedCase {
            member: None,
            slot: None,
            reason: ReasonCase::Balance,
            weight: 1,
            active: 0,
            vetoes: 0,
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ReasonCase {
    Rule,
    Persistence,
    Balance,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ConnectFailedCase {
    pub cause: CauseCase,
    /// Why there is no TLS; with the cause `other`.
    pub tls: Option<TlsCase>,
    #[serde(default = "one")]
    pub attempts: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CauseCase {
    NoMember,
    Refused,
    TimedOut,
    Unreachable,
    Other,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TlsCase {
    NotTrusted,
    OtherName,
    NotInTime,
    Certificate,
    Alert,
    NoProtocol,
    NoTls,
    Closed,
    Other,
}

impl From<TlsCase> for MemberFailure {
    fn from(case: TlsCase) -> MemberFailure {
        match case {
            TlsCase::NotTrusted => MemberFailure::NotTrusted,
            TlsCase::OtherName => MemberFailure::OtherName,
            TlsCase::NotInTime => MemberFailure::NotInTime,
            TlsCase::Certificate => MemberFailure::Certificate,
            TlsCase::Alert => MemberFailure::Alert,
            TlsCase::NoProtocol => MemberFailure::NoProtocol,
            TlsCase::NoTls => MemberFailure::NoTls,
            TlsCase::Closed => MemberFailure::Closed,
            TlsCase::Other => MemberFailure::Other,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct ResponseCase {
    pub status: u16,
    pub headers: BTreeMap<String, Values>,
    /// The slot of the pool that made it; default: where the rule sent the request.
    pub slot: Option<String>,
    /// What `on-response-body` gets, where the rule asks for it.
    pub body: Option<String>,
}

impl Default for ResponseCase {
    fn default() -> ResponseCase {
        ResponseCase { status: 200, headers: BTreeMap::new(), slot: None, body: None }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct DoneCase {
    pub status: u16,
    pub outcome: OutcomeCase,
}

impl Default for DoneCase {
    fn default() -> DoneCase {
        DoneCase { status: 200, outcome: OutcomeCase::Complete }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OutcomeCase {
    Complete,
    ClientGone,
    MemberFailed,
    Answered,
    Refused,
}

/// What must hold; what is not given is not looked at.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Expect {
    /// The slot that the rule sent it to, on any hook.
    pub pool: Option<String>,
    /// The member that the rule sent it to.
    pub member: Option<SocketAddr>,
    /// The certificate that the rule chose, by its name.
    pub certificate: Option<String>,
    /// The protocols that it left to the client.
    pub protocols: Option<Vec<String>>,
    /// Its demand of a certificate.
    pub client_certificate: Option<String>,
    /// With what it refused the client.
    pub alert: Option<String>,
    /// What the reason of its veto contains.
    pub veto: Option<String>,
    /// The verdict of the last hook; `fault` if that faulted.
    pub verdict: Option<String>,
    /// What the fault's message contains.
    pub fault: Option<String>,
    /// What the text contains with which the rule refuses its settings.
    pub refused: Option<String>,
    /// The answer of the rule, or the response as the rule left it.
    pub status: Option<u16>,
    pub headers: BTreeMap<String, FieldExpect>,
    pub body: Option<String>,
    pub body_contains: Option<String>,
    /// The request as the rule left it.
    pub request_headers: BTreeMap<String, FieldExpect>,
    /// With the query, if a `?` is in it.
    pub path: Option<String>,
    pub host: Option<String>,
    /// What the client gets, edits included.
    pub response_headers: BTreeMap<String, FieldExpect>,
    /// What was sent of `data`, after all that the rule did to it.
    pub to_server: Option<Payload>,
    pub to_client: Option<Payload>,
    /// What a monitor's rule sent, step by step.
    pub sent: Option<Vec<Payload>>,
    /// What the result of the probe contains.
    pub result: Option<String>,
    /// The persistence key.
    pub persist: Option<String>,
    /// Text that a logged line contains.
    pub log: Option<Values>,
    /// What is in tables afterwards.
    pub tables: Contents<EntryExpect>,
}

/// What is expected of a field: its values, or whether it is there.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum FieldExpect {
    Present(bool),
    Values(Values),
}

impl Expect {
    fn is_empty(&self) -> bool {
        let Expect {
            pool,
            member,
            certificate,
            protocols,
            client_certificate,
            alert,
            veto,
            verdict,
            fault,
            refused,
            status,
            headers,
            body,
            body_contains,
            request_headers,
            path,
            host,
            response_headers,
            to_server,
            to_client,
            sent,
            result,
            persist,
            log,
            tables,
        } = self;
        let texts = [pool, veto, verdict, fault, refused, body, body_contains, path, host, result, persist];
        let of_hello = [certificate, client_certificate, alert];
        texts.into_iter().chain(of_hello).all(Option::is_none)
            && [to_server, to_client].into_iter().all(Option::is_none)
            && protocols.is_none()
            && sent.is_none()
            && member.is_none()
            && status.is_none()
            && log.is_none()
            && tables.is_empty()
            && [headers, request_headers, response_headers].into_iter().all(BTreeMap::is_empty)
    }
}

/// The names that `verdict` may have.
const VERDICTS: [&str; 17] = [
    "next",
    "to",
    "need",
    "pass",
    "terminate",
    "pass-through",
    "respond",
    "need-body",
    "reject",
    "retry",
    "veto",
    "replace",
    "drop",
    "up",
    "down",
    "failed",
    "fault",
];

/// What types alone cannot say.
fn check(case: &Case, manifest: &Manifest) -> Result<(), String> {
    if case.expect.is_empty() {
        return Err("expects nothing; write what must hold, as in expect = { verdict = \"next\" }".to_owned());
    }
    let plays_nothing = case.flow.is_none()
        && case.client_hello.is_none()
        && case.data.is_empty()
        && case.request.is_none()
        && case.probe.is_none();
    if plays_nothing {
        return Err(
            "has neither a request nor a flow nor a client-hello nor data nor a probe; write request = { path = \"/\" }"
                .to_owned(),
        );
    }
    if case.request.is_none() && !case.earlier.is_empty() {
        return Err("earlier belongs to a request; write request = { path = \"/\" }".to_owned());
    }
    if case.request.is_none() && (case.connect_failed.is_some() || case.response.is_some()) {
        return Err(
            "connect-failed and response belong to a request; write request = { path = \"/\" }".to_owned()
        );
    }
    if let Some(verdict) = &case.expect.verdict
        && !VERDICTS.contains(&verdict.as_str())
    {
        return Err(format!("{verdict:?} is not a verdict{}", hint(verdict, VERDICTS)));
    }
    tables::check(&case.tables, manifest)?;
    tables::check(&case.expect.tables, manifest)?;
    tables::check_earlier(&case.earlier)?;
    if let Some(set) = case.sets.keys().find(|set| !manifest.sets.contains_key(*set)) {
        let hint = hint(set, manifest.sets.keys().map(String::as_str));
        return Err(format!("the pack has no set {set:?}{hint}"));
    }
    if let Some(key) = case.keys.keys().find(|key| !manifest.keys.contains_key(*key)) {
        let hint = hint(key, manifest.keys.keys().map(String::as_str));
        return Err(format!("the pack has no key {key:?}{hint}"));
    }
    for (flag, value) in &case.flags {
        let Some(declared) = manifest.flags.get(flag) else {
            let hint = hint(flag, manifest.flags.keys().map(String::as_str));
            return Err(format!("the pack has no flag {flag:?}{hint}"));
        };
        if !declared.default.is_like(value) {
            let kind = declared.default.kind();
            return Err(format!("the flag {flag:?} is of the type {kind}, and {value} is not"));
        }
    }
    let response_slot = case.response.as_ref().and_then(|response| response.slot.as_ref());
    let selected_slot = case.selected.as_ref().and_then(|selected| selected.slot.as_ref());
    let slots = case.pools.keys().chain(&case.expect.pool).chain(response_slot).chain(selected_slot);
    for slot in slots {
        if !manifest.slots.contains_key(slot) {
            let hint = hint(slot, manifest.slots.keys().map(String::as_str));
            return Err(format!("the pack has no slot {slot:?}{hint}"));
        }
    }
    Ok(())
}

/// Adds "did you mean" to an unknown key, whose message lists the known ones.
fn with_suggestion(message: &str) -> String {
    let message = message.trim_end();
    let suggestion =
        message.split_once("unknown field `").or_else(|| message.split_once("unknown variant `"));
    let suggestion = suggestion.and_then(|(_, rest)| {
        let (given, rest) = rest.split_once('`')?;
        nearest(given, rest.split('`').skip(1).step_by(2))
    });
    match suggestion {
        Some(suggestion) => format!("{message}\ndid you mean `{suggestion}`?"),
        None => message.to_owned(),
    }
}

fn no_settings() -> Value {
    Value::Object(serde_json::Map::new())
}

fn one() -> u32 {
    1
}
