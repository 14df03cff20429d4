//! Probes on the service path: sent to the virtual, from the address that it probes from, and forwarded by the
//! datapath to one member as the packets of its clients are.
//!
//! When one fails, what the datapath noticed of it and two more questions tell why: does the member answer a plain
//! probe, and does it answer one that takes the same way but comes from this host's own address?

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use shunt_engine::datapath::{ModeName, Notice};
use shunt_engine::member::MemberState;
use socket2::SockRef;

use super::probe::{self, Failure, Good, Probe, ProbeTransport, QUESTION};
use super::reasons::{self, Finding};
use shunt_config::{model, monitors};
use shunt_packets::{ProbeGuard, ProbeTarget, Probes};
use shunt_runtime::clock;

/// The service path of a virtual to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServicePath {
    pub(super) virtual_: String,
    pub(super) pool: String,
    pub(super) member: SocketAddr,
    pub(super) mode: ModeName,
    pub(super) snat_pool: Option<String>,
    pub(super) dscp: Option<u8>,
    /// Where probes come from, and where they go to.
    pub(super) from: IpAddr,
    pub(super) to: SocketAddr,
}

/// An error about the tunnel concerns a probe that began so many milliseconds later, as well.
const RECENT: u64 = 5_000;

impl ServicePath {
    /// `None`: the virtual does not probe on the service path.
    pub(super) fn new(
        virtual_: &model::PacketVirtual,
        mode: &model::PathMode,
        pool: &str,
        monitor: &monitors::Monitor,
        member: SocketAddr,
    ) -> Option<ServicePath> {
        let from = virtual_.probe_from?;
        let target = monitor.target.filter(|_| virtual_.is_wildcard());
        let (to, port) = match target {
            Some(target) => (target.address, target.port.unwrap_or(virtual_.listen.port())),
            None => (virtual_.listen.ip(), virtual_.listen.port()),
        };
        // An echo has no port.
        let port = if monitor.probe.has_port() { port } else { 0 };
        Some(ServicePath {
            virtual_: virtual_.name.clone(),
            pool: pool.to_owned(),
            member,
            mode: mode.mode,
            snat_pool: mode.snat_pool.clone(),
            dscp: virtual_.dscp,
            from,
            to: SocketAddr::new(to, port),
        })
    }

    /// Sends a probe once, and finds out why it failed if it did. `state` is the member's.
    pub(super) async fn probe(
        &self,
        probe: &Probe,
        state: &MemberState,
        probes: &Arc<Probes>,
    ) -> Result<Good, Failure> {
        let began = clock::monotonic_ms();
        let (outcome, guard) = self.send(probe, self.from, probes).await;
        let failure = match outcome {
            Ok(good) => return Ok(good),
            Err(failure) if failure.is_ours() => return Err(failure),
            Err(failure) => failure,
        };
        let notices = guard.map(|guard| guard.notices()).unwrap_or_default();
        if let Some(why) = reasons::not_forwarded(&notices) {
            return Err(Failure::NotForwarded(why));
        }
        if let Some((size, small)) = probe.small(&failure)
            && self.send(&small, self.from, probes).await.0.is_ok()
        {
            let cause = reasons::seen(self, &notices).unwrap_or_else(|| probe::of_size(&failure));
            return Err(Failure::Size { size, cause });
        }
        let answered = notices.contains(&Notice::Answered);
        let (plainly, from_here) = if answered { (None, None) } else { self.ask_more(probe, probes).await };
        // Hosts send few errors in a second, so that not every probe gets one.
        let troubles = state.tunnel().troubles().filter(|it| it.at.saturating_add(RECENT) >= began);
        let tunnel = troubles.map(|troubles| troubles.last);
        let found = Finding { path: self, failure: &failure, notices: &notices, tunnel, plainly, from_here };
        Err(Failure::OnPath { why: reasons::why(&found), is_silence: !answered && failure.is_silence() })
    }

    async fn send(
        &self,
        probe: &Probe,
        from: IpAddr,
        probes: &Arc<Probes>,
    ) -> (Result<Good, Failure>, Option<ProbeGuard>) {
        let transport = OnPath { path: self, from, probes };
        Probe { address: self.to, ..probe.clone() }.run_by(&transport).await
    }

    /// Whether the member answers on its own address, and whether it answers this host's address on the service
    /// path; `None`: it cannot be asked.
    async fn ask_more(
        &self,
        probe: &Probe,
        probes: &Arc<Probes>,
    ) -> (Option<Result<(), String>>, Option<bool>) {
        let does = match &probe.does {
            asks @ (monitors::Probe::Udp(_)
            | monitors::Probe::Dns(_)
            | monitors::Probe::Sip(_)
            | monitors::Probe::Ping(_)
            | monitors::Probe::Rule(monitors::Rule { over: monitors::Over::Udp, .. })) => asks.clone(),
            _ => monitors::Probe::Tcp(monitors::Tcp),
        };
        let question = Probe {
            address: self.member,
            does,
            timeout: probe.timeout.min(QUESTION),
            proxy_protocol: probe.proxy_protocol,
            tls: probe.tls.clone(),
            origin: monitors::Origin { size: None, ..probe.origin.clone() },
            judge: probe.judge.clone(),
        };
        let plainly = question.run();
        let from_here = async {
            let here = self.own_address().filter(|_| self.is_direct())?;
            let (outcome, guard) = self.send(&question, here, probes).await;
            let answered = || guard.is_some_and(|guard| guard.notices().contains(&Notice::Answered));
            Some(outcome.is_ok() || answered())
        };
        let (plainly, from_here) = tokio::join!(plainly, from_here);
        (Some(plainly.map(drop).map_err(|failure| failure.to_string())), from_here)
    }

    /// Whether members answer clients themselves.
    pub(super) fn is_direct(&self) -> bool {
        !self.mode.is_two_way()
    }

    /// The address that this host speaks from to the member, if it is of the family of clients.
    fn own_address(&self) -> Option<IpAddr> {
        // Connecting sends nothing, but chooses.
        let any: IpAddr = if self.member.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            std::net::Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(self.member).ok()?;
        let own = socket.local_addr().ok()?.ip();
        (own.is_ipv4() == self.to.is_ipv4()).then_some(own)
    }
}

/// A socket whose packets take the service path.
struct OnPath<'a> {
    path: &'a ServicePath,
    from: IpAddr,
    probes: &'a Arc<Probes>,
}

impl ProbeTransport for OnPath<'_> {
    type Held = ProbeGuard;

    fn from(&self) -> Option<IpAddr> {
        Some(self.from)
    }

    fn mark(&self, _: SockRef<'_>, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn begin(&self, protocol: u8, from: SocketAddr) -> ProbeGuard {
        let ServicePath { virtual_, pool, member, to, mode, snat_pool, .. } = self.path.clone();
        let mode = model::PathMode { mode, snat_pool };
        self.probes.begin(protocol, from, ProbeTarget { virtual_, pool, member, mode, to })
    }
}
