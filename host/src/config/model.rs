//! What a configuration says, once it is known to be right: names resolve, numbers are in range,
//! units are types. Nothing here has been opened, bound or compiled yet.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// A whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub process: Process,
    pub admin: Admin,
    /// In the order of the file; names and listen addresses are unique.
    pub virtuals: Vec<Virtual>,
    /// In the order of the file; names are unique.
    pub pools: Vec<Pool>,
}

/// `[process]`
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Worker threads; one per core where it is not given.
    pub workers: Option<NonZeroUsize>,
    /// How long SIGTERM waits for what is under way. Default 30 s.
    pub drain: Duration,
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// Default `/run/shunt/admin.sock`.
    pub socket: PathBuf,
}

/// `[[virtual]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Virtual {
    pub name: String,
    pub listen: SocketAddr,
    pub protocol: Protocol,
    /// Certificates, chosen by SNI; empty: no TLS. The first serves names that no other knows.
    pub tls: Vec<Certificate>,
    /// Where requests go that no rule sent elsewhere. Without it such requests get 503.
    pub pool: Option<String>,
    pub persistence: Option<Persistence>,
    pub timeouts: Timeouts,
    pub limits: Limits,
    /// What becomes of `X-Forwarded-For` and `Forwarded` that a client sent.
    pub forwarded: Forwarded,
    /// In the order in which they are called.
    pub rules: Vec<RuleUse>,
}

/// What a virtual speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http,
}

/// `tls = { certificate = "…", key = "…" }`, PEM files; relative to the configuration file.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// `persistence = { source = true | cookie = "NAME", timeout = "1h" }`
#[derive(Clone, Debug, PartialEq)]
pub struct Persistence {
    pub by: PersistBy,
    /// How long an entry outlives its last use; for a cookie, its `Max-Age`, and without one it
    /// lives as long as the browser. Default for tables 1 h.
    pub timeout: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum PersistBy {
    /// The client's address.
    Source,
    /// A cookie of this name, set by Shunt.
    Cookie(String),
}

/// `timeouts = { head = "10s", … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Timeouts {
    /// From the first byte of a request head to its last, and for the TLS handshake. Default 10 s.
    pub head: Duration,
    /// Between requests on a client's connection, and without progress of a body or a tunnel. Default 60 s.
    pub idle: Duration,
    /// To connect to a member. Default 5 s.
    pub connect: Duration,
    /// From the request sent to the first byte of the response. Default 60 s.
    pub first_byte: Duration,
}

/// `limits = { head = "64KiB", body = "10MiB", connections = 10000 }`
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of a request head. Default 64 KiB; at least 8 KiB.
    pub head: usize,
    /// Bytes of a request body; `None`: no limit.
    pub body: Option<u64>,
    /// Client connections at once per worker. Default 10,000.
    pub connections: usize,
}

/// `forwarded = "replace" | "append" | "off"`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// What the client sent is dropped; ours is set. The default, for a client can claim anything.
    Replace,
    /// Ours is added to what the client sent.
    Append,
    /// Both fields are left as they came.
    Off,
}

/// `[[virtual.rule]]`
#[derive(Clone, Debug, PartialEq)]
pub struct RuleUse {
    pub name: String,
    /// A pack folder or file; relative to the configuration file.
    pub pack: PathBuf,
    /// Slot to pool, sorted by slot.
    pub slots: Vec<(String, String)>,
    /// An object; checked against the pack's schema when the pack is read.
    pub settings: serde_json::Value,
    pub isolation: Isolation,
    pub budget: Budget,
    pub on_fault: OnFault,
}

/// How far instances of a rule are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// One warm instance per worker. The default.
    Worker,
    /// One per connection.
    Flow,
    /// A fresh one per call.
    Call,
}

/// `budget = { time = "10ms", memory = "16MiB" }`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Per hook call; 1 ms to 1 s. Default 10 ms.
    pub time: Duration,
    /// Linear memory of an instance; 64 KiB to 256 MiB. Default 16 MiB.
    pub memory: u64,
}

/// `on-fault = "reject" | "continue" | { pool = "…" }`
#[derive(Clone, Debug, PartialEq)]
pub enum OnFault {
    /// The request is answered 500, the flow is refused. The default.
    Reject,
    /// As if the rule were not there.
    Continue,
    /// To this pool.
    Pool(String),
}

/// `[[pool]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    pub name: String,
    pub balance: Balance,
    pub monitor: Option<Monitor>,
    /// In the order of the file; addresses are unique within the pool; at least one.
    pub members: Vec<Member>,
}

/// How a member is chosen where nothing else decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn; weights do not count. The default when all weights are equal.
    RoundRobin,
    /// Smooth weighted round robin. The default when weights differ.
    WeightedRoundRobin,
    /// The fewest requests under way, in proportion to the weight.
    LeastConnections,
}

/// `{ address = "10.0.0.1:80", weight = 2 }`
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub address: SocketAddr,
    /// 1 to 256. Default 1.
    pub weight: u32,
}

/// `monitor = { http = "/health", expect = 200, interval = "2s", … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Monitor {
    pub probe: Probe,
    /// From the start of a probe to the start of the next. Default 5 s.
    pub interval: Duration,
    /// For one probe; at most `interval`. Default 2 s, or `interval` where that is shorter.
    pub timeout: Duration,
    /// Good probes in a row until a member is up. Default 2.
    pub rise: u32,
    /// Failed probes in a row until a member is down. Default 3.
    pub fall: u32,
}

/// What a probe does.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// `tcp = true`: a connection is enough.
    Tcp,
    /// `http = "/path"`: a GET must be answered by one of the statuses in `expect` (a number or a
    /// list; default 200), with `host` as its Host (default: the member's address).
    Http { path: String, host: Option<String>, expect: Vec<u16> },
}
