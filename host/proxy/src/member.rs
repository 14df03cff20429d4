//! A member as one worker sees it, whatever protocol is spoken with it.

mod source;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use shunt_config::model::{ConnectFrom, MemberProtocol, ProxyVersion};
use shunt_engine::member::MemberState;
use shunt_runtime::counters::{MemberCounters, Shard};
use shunt_runtime::tls::members::{NoTls, ToMember};
use shunt_runtime::{clock, dial};
use tokio::net::TcpStream;

pub(crate) use self::source::ComesFrom;
use self::source::{Source, Unusable};
use crate::loops::Outgoing;

/// How often [`MemberView::sweep`] is to be called.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(10);

pub(crate) struct MemberView {
    pub(crate) address: SocketAddr,
    pub(crate) weight: u32,
    pub(crate) protocol: MemberProtocol,
    /// Connections to it begin with a header of this version, and serve one client's connection each.
    pub(crate) proxy_protocol: Option<ProxyVersion>,
    /// `None`: no TLS with it.
    pub(crate) tls: Option<Arc<ToMember>>,
    source: Source,
    /// Set where it is what one client connected to: its connections, which must not come back.
    outgoing: Option<RefCell<Vec<Outgoing>>>,
    pub(crate) state: Arc<MemberState>,
    pub(crate) counters: Arc<Shard<MemberCounters>>,
    /// Connections that are not in use. What stands above keeps them; here they only grow old and are closed.
    pub(crate) kept: crate::http::member::Kept,
    /// Whether its pool's balance goes by the time that it takes to answer.
    pub(crate) times_answers: Cell<bool>,
    /// When a failure to speak with it was last told.
    told: Cell<Option<u64>>,
}

/// Failures to speak with a member are told at most so often by each worker, in milliseconds.
const TELL_EVERY: u64 = 1_000;

impl MemberView {
    pub(crate) fn new(
        address: SocketAddr,
        weight: u32,
        protocol: MemberProtocol,
        proxy_protocol: Option<ProxyVersion>,
        tls: Option<Arc<ToMember>>,
        state: Arc<MemberState>,
        counters: Arc<Shard<MemberCounters>>,
    ) -> Self {
        MemberView {
            address,
            weight,
            protocol,
            proxy_protocol,
            tls,
            source: Source::routed(),
            outgoing: None,
            state,
            counters,
            kept: Default::default(),
            times_answers: Cell::default(),
            told: Cell::default(),
        }
    }

    /// What one client connected to: a member of that connection alone, which nothing watches.
    pub(crate) fn destination(address: SocketAddr) -> Self {
        let (state, counters) = (MemberState::new(), Arc::default());
        let member = MemberView::new(address, 1, MemberProtocol::Http1, None, None, state, counters);
        MemberView { outgoing: Some(RefCell::default()), ..member }
    }

    /// The same, with connections that come from there.
    pub(crate) fn with_source(self, from: &ConnectFrom) -> Self {
        MemberView { source: Source::of(from, self.address), ..self }
    }

    pub(crate) fn comes_from(&self, from: &ConnectFrom) -> bool {
        self.source.is(from, self.address)
    }

    /// Whether each connection to it says who one client is, and so serves no other.
    pub(crate) fn knows_clients(&self) -> bool {
        self.proxy_protocol.is_some() || self.source.is_client()
    }

    /// A connection to it, for a client where it is for one.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn dial(&self, client: Option<IpAddr>) -> io::Result<TcpStream> {
        if let Some(outgoing) = &self.outgoing {
            let begun = |from| outgoing.borrow_mut().push(Outgoing::begin(from, self.address));
            return dial::connect_told(shunt_sys::source::unbound(self.address.ip())?, self.address, begun)
                .await;
        }
        self.source.dial(self.address, client, |from, unusable| self.tell_unusable(from, unusable)).await
    }

    /// What a socket is made of that is bound to what it comes from, for this client. What cannot be used is passed over.
    ///
    /// # Errors
    /// Nothing can.
    pub(crate) fn bound<T>(
        &self,
        client: IpAddr,
        make: impl Fn(ComesFrom) -> io::Result<T>,
    ) -> io::Result<T> {
        let tell = |from, unusable| self.tell_unusable(from, unusable);
        self.source.bound(self.address, client, make, tell)
    }

    fn tell_unusable(&self, source: IpAddr, why: Unusable) {
        self.counters.sources_failed[why as usize].add(1);
        if self.tells() {
            let member = self.address;
            tracing::warn!(event = "member-source-failed", %member, %source, cause = why.as_str(), "{}", why.told());
        }
    }

    /// The same member with another weight: takes its connections over.
    pub(crate) fn with_weight(&self, weight: u32) -> Self {
        MemberView {
            address: self.address,
            weight,
            protocol: self.protocol,
            proxy_protocol: self.proxy_protocol,
            tls: self.tls.clone(),
            source: self.source.continued(),
            outgoing: None,
            state: Arc::clone(&self.state),
            counters: Arc::clone(&self.counters),
            kept: self.kept.take(),
            times_answers: self.times_answers.clone(),
            told: self.told.clone(),
        }
    }

    /// Whether the member is called as the host of a request, and connections to other hosts do not do.
    pub(crate) fn is_called_by_request(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_called_by_request())
    }

    /// Logs why there is no TLS, unless that was logged a moment ago: it is mostly for an operator to put right.
    pub(crate) fn tell_no_tls(&self, virtual_: &str, why: &NoTls) {
        if self.tells() {
            let member = self.address;
            tracing::warn!(event = "member-tls-failed", "virtual" = virtual_, %member, "no TLS with the member: {why}");
        }
    }

    /// Logs that the member does not speak what the pool says, likewise.
    pub(crate) fn tell_no_http_2(&self, virtual_: &str) {
        if self.tells() {
            let member = self.address;
            tracing::warn!(
                event = "member-protocol-failed", "virtual" = virtual_, %member,
                "the member does not speak HTTP/2: use `protocol = \"http/1.1\"` for its pool"
            );
        }
    }

    /// Logs that the member takes no WebSockets by what the pool says that it speaks, likewise.
    pub(crate) fn tell_no_websocket(&self, virtual_: &str) {
        if self.tells() {
            let member = self.address;
            tracing::warn!(
                event = "member-protocol-failed", "virtual" = virtual_, %member,
                "the member takes no WebSockets by HTTP/2 (RFC 8441): use `protocol = \"http/1.1\"` for their pool, or \
                 `auto` where it has `tls`"
            );
        }
    }

    /// Logs that a rule wants another, likewise.
    pub(crate) fn tell_veto(&self, virtual_: &str, rule: &str, reason: &str) {
        if self.tells() {
            let member = self.address;
            tracing::info!(event = "member-vetoed", "virtual" = virtual_, rule, %member, "the rule wants another member: {reason}");
        }
    }

    fn tells(&self) -> bool {
        let now = clock::monotonic_ms();
        let tells = self.told.get().is_none_or(|last| now - last >= TELL_EVERY);
        if tells {
            self.told.set(Some(now));
        }
        tells
    }

    /// Closes connections that are idle for too long or were closed by the member.
    pub(crate) fn sweep(&self) {
        self.kept.sweep();
    }

    /// Closes every idle connection: the member is being taken out.
    pub(crate) fn close_idle(&self) {
        self.kept.close();
    }
}
