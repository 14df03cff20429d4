//! `wit/types.wit`, `wit/http.wit`, `wit/tls.wit` and `wit/capabilities.wit`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use wasmtime::component::{ComponentType, Lift, Lower};

use crate::direct::canon::{Flat, enumeration, record};
use crate::environment::{self, MemberStatus};
use crate::{exchange, sets, tables, tokens, verdict};

/// Tag of the resource `request`.
pub(crate) struct Request;
/// Tag of the resource `response`.
pub(crate) struct Response;
/// Tag of the resource `client-hello`.
pub(crate) struct ClientHello;

#[derive(ComponentType, Lift, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Address {
    hi: u64,
    lo: u64,
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Address {
        let bits = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        }
        .to_bits();
        Address { hi: (bits >> 64) as u64, lo: bits as u64 }
    }
}

/// Its upper and its lower half, as a function is given them.
impl From<(u64, u64)> for Address {
    fn from((hi, lo): (u64, u64)) -> Address {
        Address { hi, lo }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> IpAddr {
        // RFC 4291 section 2.5.5.2: ::ffff:a.b.c.d is the IPv4 address.
        Ipv6Addr::from_bits(u128::from(address.hi) << 64 | u128::from(address.lo)).to_canonical()
    }
}

#[derive(ComponentType, Lift, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Endpoint {
    address: Address,
    port: u16,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Endpoint {
        Endpoint { address: address.ip().into(), port: address.port() }
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> SocketAddr {
        SocketAddr::new(endpoint.address.into(), endpoint.port)
    }
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Transport {
    #[component(name = "tcp")]
    Tcp,
    #[component(name = "udp")]
    Udp,
    #[component(name = "icmp")]
    Icmp,
    #[component(name = "other")]
    Other,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Flow {
    id: u64,
    client: Endpoint,
    vip: Endpoint,
    transport: Transport,
    ingress: u32,
}

impl From<&exchange::Flow> for Flow {
    fn from(flow: &exchange::Flow) -> Flow {
        Flow {
            id: flow.id,
            client: flow.client.into(),
            vip: flow.vip.into(),
            transport: match flow.transport {
                exchange::Transport::Tcp => Transport::Tcp,
                exchange::Transport::Udp => Transport::Udp,
                exchange::Transport::Icmp => Transport::Icmp,
                exchange::Transport::Other => Transport::Other,
            },
            ingress: flow.ingress,
        }
    }
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Mode {
    #[component(name = "proxy")]
    Proxy,
    #[component(name = "nat")]
    Nat,
    #[component(name = "snat")]
    Snat,
    #[component(name = "l2dsr")]
    L2dsr,
    #[component(name = "l3dsr-dscp")]
    L3dsrDscp,
    #[component(name = "l3dsr-ipip")]
    L3dsrIpip,
    #[component(name = "l3dsr-gre")]
    L3dsrGre,
    #[component(name = "l3dsr-gue")]
    L3dsrGue,
}

impl From<Mode> for verdict::Mode {
    fn from(mode: Mode) -> verdict::Mode {
        match mode {
            Mode::Proxy => verdict::Mode::Proxy,
            Mode::Nat => verdict::Mode::Nat,
            Mode::Snat => verdict::Mode::Snat,
            Mode::L2dsr => verdict::Mode::L2dsr,
            Mode::L3dsrDscp => verdict::Mode::L3dsrDscp,
            Mode::L3dsrIpip => verdict::Mode::L3dsrIpip,
            Mode::L3dsrGre => verdict::Mode::L3dsrGre,
            Mode::L3dsrGue => verdict::Mode::L3dsrGue,
        }
    }
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct PersistKey {
    pub key: Vec<u8>,
    #[component(name = "timeout-ms")]
    pub timeout_ms: u32,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Target {
    pub pool: Option<String>,
    pub member: Option<Endpoint>,
    pub mode: Option<Mode>,
    #[component(name = "snat-pool")]
    pub snat_pool: Option<String>,
    pub persist: Option<PersistKey>,
}

#[derive(ComponentType, Lower, Clone, Copy, Debug, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum FieldError {
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "forbidden")]
    Forbidden,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "not-granted")]
    NotGranted,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Version {
    #[component(name = "http10")]
    Http10,
    #[component(name = "http11")]
    Http11,
    #[component(name = "http2")]
    Http2,
    #[component(name = "http3")]
    Http3,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Scheme {
    #[component(name = "http")]
    Http,
    #[component(name = "https")]
    Https,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Level {
    #[component(name = "error")]
    Error,
    #[component(name = "warn")]
    Warn,
    #[component(name = "info")]
    Info,
    #[component(name = "debug")]
    Debug,
}

impl From<Level> for environment::Level {
    fn from(level: Level) -> environment::Level {
        match level {
            Level::Error => environment::Level::Error,
            Level::Warn => environment::Level::Warn,
            Level::Info => environment::Level::Info,
            Level::Debug => environment::Level::Debug,
        }
    }
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Scope {
    #[component(name = "request")]
    Request,
    #[component(name = "flow")]
    Flow,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Allowance {
    allowed: bool,
    remaining: u32,
    #[component(name = "retry-after-ms")]
    retry_after_ms: u32,
}

impl Allowance {
    /// Whether it is, what is left, and the milliseconds until it will be.
    pub(crate) fn figures(&self) -> (bool, u32, u32) {
        (self.allowed, self.remaining, self.retry_after_ms)
    }
}

impl From<tables::Allowance> for Allowance {
    fn from(tables::Allowance { allowed, remaining, retry_after_ms }: tables::Allowance) -> Allowance {
        Allowance { allowed, remaining, retry_after_ms }
    }
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Pool {
    members: u32,
    usable: u32,
    active: u32,
}

impl Pool {
    /// Usable members, all of them, and what is in flight.
    pub(crate) fn figures(&self) -> (u32, u32, u32) {
        (self.usable, self.members, self.active)
    }
}

impl Member {
    /// Its address, its state in words, its weight, and what is in flight.
    pub(crate) fn figures(&self) -> (Endpoint, &'static str, u32, u32) {
        let state = match self.state {
            MemberState::Up => "up",
            MemberState::Down => "down",
            MemberState::Draining => "draining",
            MemberState::Disabled => "disabled",
        };
        (self.address, state, self.weight, self.active)
    }
}

impl Certificate {
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }
}

impl From<environment::PoolState> for Pool {
    fn from(pool: environment::PoolState) -> Pool {
        Pool { members: pool.members, usable: pool.usable, active: pool.active }
    }
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Queue {
    waiting: u32,
    #[component(name = "oldest-ms")]
    oldest_ms: u32,
}

impl Queue {
    /// How many wait, and for how many milliseconds the first.
    pub(crate) fn figures(&self) -> (u32, u32) {
        (self.waiting, self.oldest_ms)
    }
}

impl From<environment::QueueState> for Queue {
    fn from(queue: environment::QueueState) -> Queue {
        let oldest_ms = u32::try_from(queue.oldest.as_millis()).unwrap_or(u32::MAX);
        Queue { waiting: queue.waiting, oldest_ms }
    }
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum MemberState {
    #[component(name = "up")]
    Up,
    #[component(name = "down")]
    Down,
    #[component(name = "draining")]
    Draining,
    #[component(name = "disabled")]
    Disabled,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Member {
    address: Endpoint,
    state: MemberState,
    weight: u32,
    active: u32,
}

impl From<environment::MemberState> for Member {
    fn from(member: environment::MemberState) -> Member {
        Member {
            address: member.address.into(),
            state: match member.status {
                MemberStatus::Up => MemberState::Up,
                MemberStatus::Down => MemberState::Down,
                MemberStatus::Draining => MemberState::Draining,
                MemberStatus::Disabled => MemberState::Disabled,
            },
            weight: member.weight,
            active: member.active,
        }
    }
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Hash {
    #[component(name = "sha256")]
    Sha256,
    #[component(name = "sha512")]
    Sha512,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Claims {
    subject: Option<String>,
    issuer: Option<String>,
    audience: Vec<String>,
    expires: Option<u64>,
    json: String,
}

impl Claims {
    pub(crate) fn json(&self) -> &str {
        &self.json
    }
}

impl From<tokens::Claims> for Claims {
    fn from(claims: tokens::Claims) -> Claims {
        let tokens::Claims { subject, issuer, audience, expires, json } = claims;
        Claims { subject, issuer, audience, expires, json }
    }
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum TokenError {
    #[component(name = "malformed")]
    Malformed,
    #[component(name = "algorithm")]
    Algorithm,
    #[component(name = "signature")]
    Signature,
    #[component(name = "expired")]
    Expired,
    #[component(name = "not-yet-valid")]
    NotYetValid,
}

impl From<tokens::TokenError> for TokenError {
    fn from(error: tokens::TokenError) -> TokenError {
        match error {
            tokens::TokenError::Malformed => TokenError::Malformed,
            tokens::TokenError::Algorithm => TokenError::Algorithm,
            tokens::TokenError::Signature => TokenError::Signature,
            tokens::TokenError::Expired => TokenError::Expired,
            tokens::TokenError::NotYetValid => TokenError::NotYetValid,
        }
    }
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct SetEntry {
    matched: String,
    value: String,
}

impl SetEntry {
    /// The entry and its value.
    pub(crate) fn parts(&self) -> (&str, &str) {
        (&self.matched, &self.value)
    }
}

impl From<sets::Hit<'_>> for SetEntry {
    fn from(hit: sets::Hit<'_>) -> SetEntry {
        SetEntry { matched: hit.matched.into_owned(), value: hit.value.to_owned() }
    }
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum MemberFailure {
    #[component(name = "not-trusted")]
    NotTrusted,
    #[component(name = "other-name")]
    OtherName,
    #[component(name = "not-in-time")]
    NotInTime,
    #[component(name = "certificate")]
    Certificate,
    #[component(name = "alert")]
    Alert,
    #[component(name = "no-protocol")]
    NoProtocol,
    #[component(name = "no-tls")]
    NoTls,
    #[component(name = "closed")]
    Closed,
    #[component(name = "other")]
    Other,
}

impl From<exchange::MemberFailure> for MemberFailure {
    fn from(failure: exchange::MemberFailure) -> MemberFailure {
        match failure {
            exchange::MemberFailure::NotTrusted => MemberFailure::NotTrusted,
            exchange::MemberFailure::OtherName => MemberFailure::OtherName,
            exchange::MemberFailure::NotInTime => MemberFailure::NotInTime,
            exchange::MemberFailure::Certificate => MemberFailure::Certificate,
            exchange::MemberFailure::Alert => MemberFailure::Alert,
            exchange::MemberFailure::NoProtocol => MemberFailure::NoProtocol,
            exchange::MemberFailure::NoTls => MemberFailure::NoTls,
            exchange::MemberFailure::Closed => MemberFailure::Closed,
            exchange::MemberFailure::Other => MemberFailure::Other,
        }
    }
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Certificate {
    subject: String,
    issuer: String,
    serial: String,
    sha256: String,
    #[component(name = "not-before")]
    not_before: i64,
    #[component(name = "not-after")]
    not_after: i64,
    names: Vec<String>,
}

impl From<exchange::CertificateFacts> for Certificate {
    fn from(facts: exchange::CertificateFacts) -> Certificate {
        let exchange::CertificateFacts { subject, issuer, serial, sha256, not_before, not_after, names } =
            facts;
        Certificate { subject, issuer, serial, sha256, not_before, not_after, names }
    }
}

// The same once more, for core modules that are called directly; a test compares the two.
record!(Address { hi: u64, lo: u64 } load save);
record!(Endpoint { address: Address, port: u16 } load save);
enumeration!(Transport { Tcp, Udp, Icmp, Other } save);
record!(Flow { id: u64, client: Endpoint, vip: Endpoint, transport: Transport, ingress: u32 } save);
enumeration!(Mode { Proxy, Nat, Snat, L2dsr, L3dsrDscp, L3dsrIpip, L3dsrGre, L3dsrGue } load);
record!(PersistKey { key: Vec<u8>, timeout_ms: u32 } load);
record!(Target {
    pool: Option<String>,
    member: Option<Endpoint>,
    mode: Option<Mode>,
    snat_pool: Option<String>,
    persist: Option<PersistKey>,
} load);
enumeration!(FieldError { Invalid, Forbidden, TooLarge, NotGranted } save);
enumeration!(Version { Http10, Http11, Http2, Http3 } save);
enumeration!(Scheme { Http, Https } save);
record!(Answer { status: u16, headers: Vec<(String, Vec<u8>)>, body: Vec<u8> } load);
enumeration!(Level { Error, Warn, Info, Debug } load);
enumeration!(Scope { Request, Flow } load);
record!(Allowance { allowed: bool, remaining: u32, retry_after_ms: u32 } save);
record!(Pool { members: u32, usable: u32, active: u32 } save);
record!(Queue { waiting: u32, oldest_ms: u32 } save);
enumeration!(MemberState { Up, Down, Draining, Disabled } save);
record!(Member { address: Endpoint, state: MemberState, weight: u32, active: u32 } save);
enumeration!(Hash { Sha256, Sha512 } load);
record!(Claims {
    subject: Option<String>,
    issuer: Option<String>,
    audience: Vec<String>,
    expires: Option<u64>,
    json: String,
} save);
enumeration!(TokenError { Malformed, Algorithm, Signature, Expired, NotYetValid } save);
record!(SetEntry { matched: String, value: String } save);
enumeration!(MemberFailure {
    NotTrusted, OtherName, NotInTime, Certificate, Alert, NoProtocol, NoTls, Closed, Other
} save);
record!(Certificate {
    subject: String,
    issuer: String,
    serial: String,
    sha256: String,
    not_before: i64,
    not_after: i64,
    names: Vec<String>,
} save);

impl Flat for Version {
    type Core = u32;

    fn flat(self) -> u32 {
        self as u32
    }
}

impl Flat for Scheme {
    type Core = u32;

    fn flat(self) -> u32 {
        self as u32
    }
}

impl Flow {
    pub(crate) fn ends(&self) -> (Endpoint, Endpoint) {
        (self.client, self.vip)
    }

    /// The values in which it is given to a function.
    pub(crate) fn flat(self) -> (u64, u64, u64, u32, u64, u64, u32, u32, u32) {
        let Flow { id, client, vip, transport, ingress } = self;
        let (from, to) = (client.address, vip.address);
        (id, from.hi, from.lo, client.port.into(), to.hi, to.lo, vip.port.into(), transport as u32, ingress)
    }
}

impl Endpoint {
    /// Of the values in which a guest gives it. The canonical ABI ignores the upper half of the port.
    pub(crate) fn of_flat(hi: u64, lo: u64, port: u32) -> Endpoint {
        Endpoint { address: Address { hi, lo }, port: port as u16 }
    }

    /// The values in which an endpoint, or none, is given to a function.
    pub(crate) fn flat(endpoint: Option<Endpoint>) -> (u32, u64, u64, u32) {
        match endpoint {
            Some(Endpoint { address, port }) => (1, address.hi, address.lo, port.into()),
            None => (0, 0, 0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direct::canon::Layout;

    /// The size and the alignment of a type, as wasmtime has them and as we have.
    fn same<T: ComponentType + Layout>() {
        assert_eq!((T::SIZE, T::ALIGN), (T::SIZE32, T::ALIGN32 as usize), "{}", std::any::type_name::<T>());
    }

    #[test]
    fn values_lie_in_memory_as_the_component_model_says() {
        same::<Address>();
        same::<Endpoint>();
        same::<Transport>();
        same::<Flow>();
        same::<Mode>();
        same::<PersistKey>();
        same::<Target>();
        same::<FieldError>();
        same::<Version>();
        same::<Scheme>();
        same::<Answer>();
        same::<Level>();
        same::<Scope>();
        same::<Allowance>();
        same::<Pool>();
        same::<Queue>();
        same::<MemberState>();
        same::<Member>();
        same::<Hash>();
        same::<Claims>();
        same::<TokenError>();
        same::<Result<Claims, TokenError>>();
        same::<SetEntry>();
        same::<Option<SetEntry>>();
        same::<Option<String>>();
        same::<MemberFailure>();
        same::<Certificate>();
        same::<Vec<u16>>();
        same::<Option<Endpoint>>();
        same::<Result<Option<Vec<u8>>, FieldError>>();
        same::<Result<(), FieldError>>();
        same::<Result<(), String>>();
        same::<(String, u32)>();
        same::<crate::hooks::Node>();
    }

    #[test]
    fn addresses_cross_as_128_bits_and_come_back() {
        for text in ["192.0.2.7:80", "[2001:db8::1]:443", "0.0.0.0:0", "[::1]:65535"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(SocketAddr::from(Endpoint::from(address)), address);
        }
        let mapped = Address::from(IpAddr::from([192, 0, 2, 7]));
        assert_eq!((mapped.hi, mapped.lo), (0, 0x0000_ffff_c000_0207));
    }
}
