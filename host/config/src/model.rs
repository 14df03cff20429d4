//! What a configuration says, once it is known to be right: names resolve, numbers are in range,
//! units are types. Nothing here has been opened, bound or compiled yet.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use shunt_engine::balance::groups::{self, Priority};
use shunt_engine::balance::{Balance, SlowStart};
use shunt_engine::datapath::{self, ModeName, Translation, Transport};
use shunt_engine::ejection;
use shunt_engine::network::Prefix;
use shunt_rules::trust::{Pattern, Source};
use shunt_rules::{Budget, Grants, Isolation, OnFault};

use super::monitors::Monitor;
pub use super::names::{MemberName, NamedMembers};
use super::persistence::PersistBy;
use super::tls::{ClientTls, MemberTls};

/// A whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub process: Process,
    pub admin: Admin,
    pub resolver: Resolver,
    pub packs: Packs,
    /// In the order in which they are asked.
    pub policies: Vec<PackPolicy>,
    /// Proxies, in the order of the file; names are unique over all virtuals, and so is what they
    /// listen on.
    pub virtuals: Vec<Virtual>,
    /// Packet virtuals, in the order of the file.
    pub packet_virtuals: Vec<PacketVirtual>,
    /// Those of mode `siit`, in the order of the file; no two have an interface in common.
    pub translators: Vec<Translator>,
    /// In the order of the file; names are unique.
    pub pools: Vec<Pool>,
    /// In the order of the file; no pool and no other SNAT pool has the same name, and no two have an
    /// address in common.
    pub snat_pools: Vec<SnatPool>,
}

impl Config {
    /// The interfaces that packets come in by, some of them more than once.
    pub fn packet_interfaces(&self) -> impl Iterator<Item = &String> {
        let translators = self.translators.iter().flat_map(|it| &it.interfaces);
        self.packet_virtuals.iter().flat_map(|it| &it.interfaces).chain(translators)
    }

    /// Whether any virtual forwards packets.
    pub fn forwards_packets(&self) -> bool {
        !self.packet_virtuals.is_empty() || !self.translators.is_empty()
    }
}

/// `[process]`
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Worker threads; one per core where it is not given.
    pub workers: Option<NonZeroUsize>,
    /// How long SIGTERM waits for what is in flight. Default 30 s.
    pub drain: Duration,
    /// Bytes of memory beyond which no new work is taken; `None`: any number.
    pub max_memory: Option<u64>,
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// Default `/run/shunt/admin.sock`.
    pub socket: PathBuf,
}

/// `[resolver]`
#[derive(Clone, Debug, PartialEq)]
pub struct Resolver {
    /// Recursive servers, in the order in which they are asked; none: those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// For the answer of one server. Default 2 s.
    pub timeout: Duration,
    /// A shorter TTL counts as this. Default 1 s.
    pub min_ttl: Duration,
    /// A longer one as this. Default 5 min.
    pub max_ttl: Duration,
    /// How long addresses stay whose answers are missing or empty. Default 1 h.
    pub hold: Duration,
}

/// `[packs]`
#[derive(Clone, Debug, PartialEq)]
pub struct Packs {
    /// Belongs to Shunt alone.
    pub cache: Option<PathBuf>,
    /// Hosts, with their ports.
    pub insecure_registries: Vec<String>,
    pub ca: Vec<PathBuf>,
}

/// `[[pack-policy]]`
#[derive(Clone, Debug, PartialEq)]
pub struct PackPolicy {
    /// No other policy has the same.
    pub pattern: Pattern,
    /// Files of public keys; none where it is `unsigned`.
    pub keys: Vec<PathBuf>,
    /// How many of them must sign.
    pub threshold: usize,
    pub unsigned: bool,
    /// The most that a pack may ask for; `None`: whatever it asks for.
    pub grants: Option<Grants>,
}

/// `[[virtual]]` of a proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Virtual {
    pub name: String,
    /// At least one, each once.
    pub listen: Vec<SocketAddr>,
    pub protocol: Protocol,
    /// With clients; `None`: no TLS, or none of Shunt's.
    pub tls: Option<ClientTls>,
    /// TLS is between clients and members; there is no `tls` then.
    pub pass_through: bool,
    /// It takes connections to any address, as they are redirected to `listen`; of TCP.
    pub transparent: bool,
    /// Where requests go that no rule sent elsewhere. Without it such requests go to where the client connected to if it is
    /// `transparent`, else they get 404.
    pub pool: Option<String>,
    /// Pools that stand in for those where requests go by configuration or by a rule.
    pub stand_ins: Vec<String>,
    pub persistence: Option<Persistence>,
    pub timeouts: Timeouts,
    pub limits: Limits,
    pub http2: Http2,
    pub udp: Udp,
    /// What becomes of `X-Forwarded-…` and `Forwarded` that a client sent.
    pub forwarded: Forwarded,
    /// Proxies whose word about the client is kept.
    pub trusted_proxies: Vec<Prefix>,
    /// What the members of its pools are.
    pub proxy: ProxyKind,
    /// Sources whose connections begin with a PROXY header.
    pub proxy_protocol: Vec<Prefix>,
    /// Each request gets an `X-Request-Id`.
    pub request_id: bool,
    pub pages: Pages,
    /// In the order in which they are called.
    pub rules: Vec<RuleUse>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http,
    /// Bytes, which are relayed unread.
    Tcp,
    /// Datagrams, likewise.
    Udp,
}

impl Protocol {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

/// `persistence = { source = true | cookie = "NAME", timeout = "1h", group = "NAME" }`
#[derive(Clone, Debug, PartialEq)]
pub struct Persistence {
    pub by: PersistBy,
    /// How long a binding outlives its last use; for a cookie, its `Max-Age`, and without one it
    /// lives as long as the browser. Default for tables 1 h.
    pub timeout: Option<Duration>,
    /// Virtuals of a group share bindings.
    pub group: Option<String>,
    pub when_down: WhenDown,
}

/// `when-down = "reselect" | "refuse" | "wait"`: what becomes of a client whose member does not serve it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenDown {
    /// It is bound to another.
    #[default]
    Reselect,
    Refuse,
    /// For so long at most; then it is refused.
    Wait(Duration),
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
    /// For what a rule waits for that is shown bytes. Default 5 s.
    pub data: Duration,
}

/// `limits = { head = "64KiB", fields = 100, body = "10MiB", connections = 10000 }`
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of a request head. Default 64 KiB; at least 8 KiB.
    pub head: usize,
    /// Fields of a request head, and of the trailers behind a body. Default 100.
    pub fields: usize,
    /// Bytes of a request body; `None`: no limit.
    pub body: Option<u64>,
    /// Client connections at once, over all workers; `None`: [`Limits::PER_WORKER`] of each.
    pub connections: Option<u32>,
    /// Requests at once, likewise; `None`: any number.
    pub requests: Option<u32>,
    /// Bytes of a relayed connection that are held for rules, in each direction. Default 64 KiB.
    pub data: usize,
}

impl Limits {
    /// Client connections at once of a worker where there is no limit for all.
    pub const PER_WORKER: usize = 10_000;
}

/// `http2 = { start = "alpn", streams = 100, websocket = true }`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2 {
    pub start: Http2Start,
    /// Requests at once on a connection. Default 100.
    pub streams: u32,
    /// WebSocket by extended CONNECT (RFC 8441).
    pub websocket: bool,
}

/// `udp = { one-shot = true }`: how sessions of a proxy for UDP end before `timeouts.idle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Each datagram has a session of its own, which its first answer ends.
    pub one_shot: bool,
    /// Answers that end a session; `None`: any number.
    pub answers: Option<u64>,
}

/// How HTTP/2 starts (RFC 9113 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2Start {
    Off,
    /// In TLS, as agreed by ALPN. The default.
    Alpn,
    /// Without TLS too, with clients that know.
    PriorKnowledge,
}

impl Http2Start {
    /// What a virtual speaks over TLS, by the names of ALPN; what is preferred first.
    pub fn protocols(self) -> &'static [&'static str] {
        match self {
            Http2Start::Off => &["http/1.1"],
            Http2Start::Alpn | Http2Start::PriorKnowledge => &["h2", "http/1.1"],
        }
    }
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

/// `proxy = "reverse" | "forward"`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// Servers. The default.
    Reverse,
    /// Forward proxies, which clients send URLs to.
    Forward,
}

/// `pages = { 502 = "busy.html", sorry = "sorry.html" }`: files of answers that Shunt makes in a member's place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pages {
    /// Each status once.
    pub by_status: Vec<(u16, PathBuf)>,
    /// Where no member of the pool is up; it precedes that of 503.
    pub sorry: Option<PathBuf>,
}

/// `[[virtual]]` with `protocol = "packet"`: packets, not sockets.
#[derive(Clone, Debug, PartialEq)]
pub struct PacketVirtual {
    pub name: String,
    /// One address, which Shunt alone owns; or the unspecified one of a family: every address that is nobody's
    /// here. Port 0: every port.
    pub listen: SocketAddr,
    pub transport: Transport,
    /// At least one, each once.
    pub interfaces: Vec<String>,
    /// Those of `interfaces` on which flows begin; at least one. Packets of the others can only be answers.
    pub client_interfaces: Vec<String>,
    /// Where flows go that no rule sent elsewhere. Without it such flows are refused; on any address, in the
    /// modes `route` and `snat`, they go to the destination itself.
    pub pool: Option<String>,
    /// Pools that stand in for those where flows go by configuration or by a rule.
    pub stand_ins: Vec<String>,
    /// Of flows for which no rule chose another.
    pub mode: ModeName,
    /// There with mode `snat`; with another mode it is for rules.
    pub snat_pool: Option<String>,
    /// 1 to 63; there with mode `l3dsr-dscp`. With another mode it is for rules.
    pub dscp: Option<u8>,
    /// UDP port that members take GUE on. Default 6080.
    pub gue_port: u16,
    /// Where tunnels to members start: addresses that Shunt alone owns. Of a family of which there is none: at
    /// that of the interface.
    pub tunnel_sources: Vec<IpAddr>,
    /// Where monitors probe from on the service path; `None`: they go straight to the member.
    pub probe_from: Option<IpAddr>,
    /// The modes that rules choose and monitors probe in, beside the virtual's own.
    pub probe_modes: Vec<ModeName>,
    /// The SNAT pools that rules choose and monitors probe by, beside the virtual's own.
    pub probe_snat_pools: Vec<String>,
    /// What SYNs may offer at most, in bytes; `None`: as they come, less what a tunnel takes.
    pub mss: Option<u16>,
    /// Answers go to the MAC and the interface that the client's packets came from.
    pub return_to_sender: bool,
    /// Between IPv4 and IPv6, in modes `nat` and `snat`.
    pub translation: Option<Arc<Translation>>,
    /// By the address of the client, its timeout counted from its last new flow.
    pub persistence: Option<Persistence>,
    pub timeouts: PacketTimeouts,
    /// `limits = { flows = 100000, flow-rate = 5000, syn-rate = 1000 }`
    pub limits: datapath::Limits,
    /// In the order in which they are called.
    pub rules: Vec<RuleUse>,
}

/// How flows of a virtual are forwarded on one service path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathMode {
    pub mode: ModeName,
    /// In mode `snat`.
    pub snat_pool: Option<String>,
}

impl fmt::Display for PathMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.snat_pool {
            Some(pool) => write!(f, "{} {pool}", self.mode),
            None => f.write_str(self.mode.as_str()),
        }
    }
}

impl PacketVirtual {
    /// The modes that monitors probe in on the service path, the virtual's own first.
    pub fn path_modes(&self) -> Vec<PathMode> {
        let of = |mode| {
            let snat_pool = self.snat_pool.clone().filter(|_| mode == ModeName::Snat);
            PathMode { mode, snat_pool }
        };
        let mut modes = vec![of(self.mode)];
        let snat = |pool: &String| PathMode { mode: ModeName::Snat, snat_pool: Some(pool.clone()) };
        let more =
            self.probe_modes.iter().map(|mode| of(*mode)).chain(self.probe_snat_pools.iter().map(snat));
        for mode in more {
            if !modes.contains(&mode) {
                modes.push(mode);
            }
        }
        modes
    }

    /// It takes packets to every address that is nobody's here.
    pub fn is_wildcard(&self) -> bool {
        self.listen.ip().is_unspecified()
    }
}

/// `[[virtual]]` with `protocol = "packet"` and `mode = "siit"`: translates packet by packet, whoever's they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Translator {
    pub name: String,
    /// At least one, each once.
    pub interfaces: Vec<String>,
    /// It has a prefix or a map.
    pub translation: Arc<Translation>,
}

impl PacketVirtual {
    /// Whether its flows can go to a pool: by configuration, by a rule, by its fault, or where it stands in for such.
    pub fn reaches(&self, pool: &str) -> bool {
        reaches(self.pool.as_deref(), &self.rules, &self.stand_ins, pool)
    }
}

impl Virtual {
    /// Whether its requests can go to a pool, likewise.
    pub fn reaches(&self, pool: &str) -> bool {
        reaches(self.pool.as_deref(), &self.rules, &self.stand_ins, pool)
    }
}

fn reaches(configured: Option<&str>, rules: &[RuleUse], stand_ins: &[String], pool: &str) -> bool {
    let by_rule = |rule: &RuleUse| {
        let fallback = matches!(&rule.on_fault, OnFault::Pool(name) if name == pool);
        fallback || rule.slots.iter().any(|(_, name)| name == pool)
    };
    configured == Some(pool) || rules.iter().any(by_rule) || stand_ins.iter().any(|name| name == pool)
}

/// The pools that stand in for those that are reached, and for these in turn.
pub(super) fn stand_ins(pools: &[Pool], is_reached: impl Fn(&str) -> bool) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let stand_in: Vec<(&str, &str)> =
        pools.iter().filter_map(|pool| Some((pool.name.as_str(), pool.on_empty.pool()?))).collect();
    loop {
        let is_known = |name: &str| is_reached(name) || all.iter().any(|it| it == name);
        let next = stand_in.iter().find(|(from, to)| is_known(from) && !is_known(to));
        let Some((_, next)) = next else { return all };
        all.push((*next).to_owned());
    }
}

/// `timeouts = { idle = "5m" }` of a packet virtual.
#[derive(Clone, Debug, PartialEq)]
pub struct PacketTimeouts {
    /// After the last packet of a flow. Default 5 min for open TCP connections, 1 min for the rest.
    pub idle: Option<Duration>,
}

/// `[[virtual.rule]]`
#[derive(Clone, Debug, PartialEq)]
pub struct RuleUse {
    pub name: String,
    pub pack: Source,
    /// Slot to pool, or to SNAT pool at a packet virtual; sorted by slot.
    pub slots: Vec<(String, String)>,
    /// What each set of the pack has; sorted by set.
    pub sets: Vec<(String, SetSource)>,
    /// The file of each key of the pack; sorted by key.
    pub keys: Vec<(String, PathBuf)>,
    /// An object; checked against the pack's schema when the pack is read.
    pub settings: serde_json::Value,
    pub isolation: Isolation,
    /// `budget = { time = "10ms", memory = "16MiB" }`
    pub budget: Budget,
    /// `on-fault = "reject" | "continue" | { pool = "…" }`
    pub on_fault: OnFault,
}

/// `sets = { deny = "deny.txt" }`, or `["192.0.2.0/24 scanner"]` in place of the file
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetSource {
    File(PathBuf),
    /// Lines, as they would be in a file.
    Lines(Vec<String>),
}

/// `[[pool]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    pub name: String,
    /// Where none is written, `round-robin` when all weights are equal, else `weighted-round-robin`.
    pub balance: Balance,
    /// The header field or the cookie that the balance hashes.
    pub hashed: Option<String>,
    /// How members that come start.
    pub slow_start: Option<SlowStart>,
    /// What a proxy speaks with the members.
    pub protocol: MemberProtocol,
    /// Empty: every member counts as up.
    pub monitors: Vec<Monitor>,
    /// How many of them must find a member up; at least 1, and at most as many as there are.
    pub monitors_needed: usize,
    /// How long members stay up after most of those behind one interface fell silent at once.
    pub convergence: Option<Duration>,
    /// How long a proxy keeps an idle connection to a member that does not say how long it keeps it. Default 4 s.
    pub keep_alive: Duration,
    /// With members; `None`: no TLS.
    pub tls: Option<MemberTls>,
    /// Connections to members begin with a PROXY header of this version.
    pub proxy_protocol: Option<ProxyVersion>,
    /// `min-members = 2`, `fail-back = "30s"`: which priority groups are in use.
    pub groups: groups::Policy,
    /// What connections of proxies to members come from.
    pub source: ConnectFrom,
    /// Requests and connections at once, over all workers; `None`: any number.
    pub max_connections: Option<u32>,
    /// Connections to members at once that are being made, over all workers; `None`: any number.
    pub max_connecting: Option<u32>,
    pub on_empty: OnEmpty,
    pub ejection: Option<Ejection>,
    pub retry: Retry,
    /// Addresses are unique within the pool: those of the file, in its order, then those that names stand for, once they
    /// are known.
    pub members: Vec<Member>,
    /// Those by name, in the order of the file; at least one where no member has an address.
    pub names: Vec<NamedMembers>,
}

/// `source = "client" | ["10.0.0.5", "10.0.0.6"]` of a pool
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ConnectFrom {
    /// As the kernel chooses, by the route.
    #[default]
    Routed,
    /// These, in turn. Of each family that an address among the members has.
    Addresses(Vec<IpAddr>),
    /// The client's own address.
    Client,
}

impl ConnectFrom {
    /// The first of its addresses that is of the member's family.
    #[must_use]
    pub fn first_toward(&self, member: SocketAddr) -> Option<IpAddr> {
        let ConnectFrom::Addresses(addresses) = self else { return None };
        addresses.iter().copied().find(|it| it.is_ipv4() == member.is_ipv4())
    }
}

/// `ejection = { failures = 5, slow = "2s", … }`: members at which requests fail are out for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ejection {
    pub policy: ejection::Policy,
    /// An answer that begins later is a failure.
    pub slow: Option<Duration>,
}

/// `retry = { attempts = 3, budget = 20, at-once = 50, timeout = "2s", no-answer = true, answers = [503] }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Members tried for a request or a connection. Default 3.
    pub attempts: usize,
    /// Retries for a hundred requests; `None`: any number.
    pub budget: Option<u32>,
    /// Requests at once that are at another member than their first; `None`: any number.
    pub at_once: Option<u32>,
    /// For the head of the answer, of each attempt. A request that can be sent again is, behind it.
    pub timeout: Option<Duration>,
    /// So is one whose member closed the connection without an answer.
    pub no_answer: bool,
    /// And one that got such a status.
    pub answers: Vec<RangeInclusive<u16>>,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            attempts: 3,
            budget: None,
            at_once: None,
            timeout: None,
            no_answer: false,
            answers: Vec::new(),
        }
    }
}

/// `on-empty = "reset" | { pool = "sorry" } | { queue = 100, timeout = "10s" }`: where no member can be chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnEmpty {
    /// Requests get 503, and everything else a reset.
    #[default]
    Answer,
    /// Requests get a reset, too.
    Reset,
    /// To this pool.
    Pool(String),
    /// Requests and connections wait, at most so many at once and so long.
    Queue { most: u32, timeout: Duration },
    /// Straight to where the client connected to, of virtuals that are `transparent`.
    Route,
}

impl OnEmpty {
    /// The pool that stands in.
    pub fn pool(&self) -> Option<&str> {
        match self {
            OnEmpty::Pool(name) => Some(name),
            OnEmpty::Answer | OnEmpty::Reset | OnEmpty::Route | OnEmpty::Queue { .. } => None,
        }
    }
}

/// `protocol = "http/1.1" | "h2" | "auto"`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MemberProtocol {
    #[default]
    Http1,
    /// By ALPN over TLS, else with prior knowledge (RFC 9113 section 3.3).
    Http2,
    /// As a member chooses by ALPN; over TLS only.
    Auto,
}

/// `proxy-protocol = "v1" | "v2"` of a pool
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    V1,
    V2,
}

/// `{ address = "10.0.0.1:80", weight = 2 }`
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Port 0, of packets only: the port that was asked for.
    pub address: SocketAddr,
    /// 0 to 256: 0 takes no new clients. Default 1.
    pub weight: u32,
    /// Members of one priority are a group; the highest comes first. Default 0.
    pub priority: Priority,
    /// Requests and connections at once, over all workers; `None`: any number.
    pub max_connections: Option<u32>,
    /// What it is called in TLS; there with `tls` of the pool only.
    pub server_name: Option<String>,
    /// The name that stands for its address; `None`: the file has the address.
    pub name: Option<MemberName>,
}

/// `[[snat-pool]]`
#[derive(Clone, Debug, PartialEq)]
pub struct SnatPool {
    pub name: String,
    /// In the order of the file, of one family, each once; at least one. Shunt alone owns them.
    pub addresses: Vec<IpAddr>,
    /// Default 1024 to 65535.
    pub ports: RangeInclusive<u16>,
    /// How long a port rests toward a server that closed first. Default 66 s.
    pub time_wait: Duration,
}
