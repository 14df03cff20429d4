//! One probe: whatever kind it is of, where it is sent from, and what came of it.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use shunt_config::model::ProxyVersion;
use shunt_config::monitors::{self, Origin};
use shunt_runtime::tls::members::{NoTls, ToMember};
use socket2::SockRef;
use thiserror::Error;

use super::rule::Judge;

/// How much of an answer is read. A health page is short; what is longer is cut by closing.
pub(super) const MAX_BODY_BYTES: usize = 64 << 10;

/// For each of the questions that a failure raises.
pub(super) const QUESTION: Duration = Duration::from_secs(1);

/// A probe of one member, to be sent again and again.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// Where it goes to.
    pub(super) address: SocketAddr,
    pub(super) does: monitors::Probe,
    /// For all of it.
    pub(super) timeout: Duration,
    /// Where clients' connections to the member begin with a PROXY header.
    pub(super) proxy_protocol: Option<ProxyVersion>,
    /// For kinds that speak TLS where clients' requests do.
    pub(super) tls: Option<Arc<ToMember>>,
    /// Where it comes from if it goes straight to the member, and how long its packets are wherever it goes.
    pub(super) origin: Origin,
    /// Of a monitor that is a rule.
    pub(super) judge: Option<Arc<Judge>>,
}

/// How a probe is sent.
pub(super) trait ProbeTransport {
    /// What is held while the probe is in flight.
    type Held;

    /// The address that it is sent from; `None`: as the kernel chooses.
    fn from(&self) -> Option<IpAddr>;

    /// Sets what its packets are marked with, before anything is sent.
    ///
    /// # Errors
    /// As the kernel gives them.
    fn mark(&self, socket: SockRef<'_>, is_ipv4: bool) -> io::Result<()>;

    /// Takes note of where it is sent from, before anything is sent. `protocol` is an IP protocol number.
    fn begin(&self, protocol: u8, from: SocketAddr) -> Self::Held;
}

/// Straight to the member.
pub(super) struct Straight<'a>(&'a Origin);

impl ProbeTransport for Straight<'_> {
    type Held = ();

    fn from(&self) -> Option<IpAddr> {
        self.0.source
    }

    fn mark(&self, socket: SockRef<'_>, is_ipv4: bool) -> io::Result<()> {
        if let Some(interface) = &self.0.interface {
            socket.bind_device(Some(interface.as_bytes()))?;
        }
        match self.0.dscp.map(|dscp| u32::from(dscp) << 2) {
            None => Ok(()),
            Some(tos) if is_ipv4 => socket.set_tos_v4(tos),
            Some(class) => socket.set_tclass_v6(class),
        }
    }

    fn begin(&self, _: u8, _: SocketAddr) {}
}

/// What a member that serves did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Good {
    /// In a few words.
    pub(super) said: Cow<'static, str>,
    /// What will be a trouble later.
    pub(super) warning: Option<String>,
    /// What an agent says beside that.
    pub(super) agent: Option<super::agent::Said>,
}

impl From<&'static str> for Good {
    fn from(said: &'static str) -> Good {
        Good { said: said.into(), warning: None, agent: None }
    }
}

impl From<String> for Good {
    fn from(said: String) -> Good {
        Good { said: said.into(), warning: None, agent: None }
    }
}

/// Why a probe failed.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("{}", io_text(.0))]
    Connect(io::Error),
    #[error("timed out after {0:?}")]
    TimedOut(Duration),
    #[error(transparent)]
    Http(#[from] super::http::Failure),
    #[error("TLS: {0}")]
    Tls(#[from] NoTls),
    #[error(transparent)]
    Udp(#[from] super::udp::Failure),
    #[error(transparent)]
    Dialogue(#[from] super::dialogue::Failure),
    #[error(transparent)]
    Script(#[from] super::script::Failure),
    #[error(transparent)]
    Dns(#[from] super::dns::Failure),
    #[error(transparent)]
    Sip(#[from] super::sip::Failure),
    #[error(transparent)]
    Grpc(#[from] super::grpc::Failure),
    #[error(transparent)]
    Agent(#[from] super::agent::Failure),
    #[error(transparent)]
    Rule(#[from] super::rule::Failure),
    #[error(transparent)]
    Exec(#[from] super::exec::Failure),
    /// The same with small packets passed.
    #[error("packets of {size} bytes do not pass, small ones do: {cause}")]
    Size { size: u16, cause: String },
    #[error("`size` is {0}, and the interface takes no packets so long")]
    TooLong(u16),
    /// It failed on the service path, and this is why.
    #[error("{why}")]
    OnPath { why: String, is_silence: bool },
    /// Shunt did not forward it, for a reason that is no member's.
    #[error("{0}")]
    NotForwarded(String),
}

impl Probe {
    /// Sends it once, straight to the member.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(super) async fn run(&self) -> Result<Good, Failure> {
        let transport = Straight(&self.origin);
        let failure = match self.run_by(&transport).await.0 {
            Ok(good) => return Ok(good),
            Err(failure) => failure,
        };
        match self.small(&failure) {
            Some((size, small)) if Box::pin(small.run_by(&transport)).await.0.is_ok() => {
                Err(Failure::Size { size, cause: of_size(&failure) })
            }
            _ => Err(failure),
        }
    }

    /// Of a probe with long packets, whose length may be why it failed: that length, and the same with small packets.
    pub(super) fn small(&self, failure: &Failure) -> Option<(u16, Probe)> {
        let size = self.origin.size.filter(|_| failure.may_be_of_size())?;
        let origin = Origin { size: None, ..self.origin.clone() };
        Some((size, Probe { timeout: self.timeout.min(QUESTION), origin, ..self.clone() }))
    }

    /// Sends it once. What was held meanwhile comes back with the outcome, if it came so far.
    pub(super) async fn run_by<S: ProbeTransport>(
        &self,
        transport: &S,
    ) -> (Result<Good, Failure>, Option<S::Held>) {
        let mut held = None;
        let probe = self.exchange(transport, &mut held);
        let outcome = tokio::time::timeout(self.timeout, probe).await;
        (outcome.unwrap_or(Err(Failure::TimedOut(self.timeout))), held)
    }

    async fn exchange<S: ProbeTransport>(
        &self,
        transport: &S,
        held: &mut Option<S::Held>,
    ) -> Result<Good, Failure> {
        let (to, tls, proxy_protocol) = (self.address, self.tls.as_deref(), self.proxy_protocol);
        let size = self.origin.size;
        let probing = Probing { to, timeout: self.timeout, proxy_protocol, tls, size, transport, held };
        // Those that are asked by the thousand are in the task of their watch; others would make every task as large.
        match &self.does {
            monitors::Probe::Tcp(tcp) => tcp.ask(probing).await,
            monitors::Probe::Http(http) => http.ask(probing).await,
            monitors::Probe::Tls(tls) => Box::pin(tls.ask(probing)).await,
            monitors::Probe::Script(script) => Box::pin(script.ask(probing)).await,
            monitors::Probe::Service(service) => Box::pin(service.ask(probing)).await,
            monitors::Probe::Grpc(grpc) => Box::pin(grpc.ask(probing)).await,
            monitors::Probe::Udp(udp) => Box::pin(udp.ask(probing)).await,
            monitors::Probe::Dns(dns) => Box::pin(dns.ask(probing)).await,
            monitors::Probe::Sip(sip) => Box::pin(sip.ask(probing)).await,
            monitors::Probe::Agent(agent) => Box::pin(agent.ask(probing)).await,
            monitors::Probe::Exec(exec) => Box::pin(exec.ask(probing)).await,
            monitors::Probe::Ping(ping) => Box::pin(ping.ask(probing)).await,
            monitors::Probe::Rule(rule) => {
                Box::pin(super::rule::ask(rule, self.judge.as_deref(), probing)).await
            }
        }
    }
}

/// A kind of monitors: how it asks.
pub(super) trait Ask {
    /// Asks once; what it holds while it does is put where [`Probing`] says.
    async fn ask<S: ProbeTransport>(&self, probing: Probing<'_, S>) -> Result<Good, Failure>;
}

/// One probe in flight.
pub(super) struct Probing<'a, S: ProbeTransport> {
    pub(super) to: SocketAddr,
    /// For all of it.
    pub(super) timeout: Duration,
    pub(super) proxy_protocol: Option<ProxyVersion>,
    pub(super) tls: Option<&'a ToMember>,
    /// The length of its packets in bytes, which nobody may fragment.
    pub(super) size: Option<u16>,
    transport: &'a S,
    held: &'a mut Option<S::Held>,
}

impl<S: ProbeTransport> Probing<'_, S> {
    /// Where it is sent from, with a port that the kernel chooses.
    pub(super) fn source(&self) -> SocketAddr {
        let any: IpAddr =
            if self.to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        SocketAddr::new(self.from().unwrap_or(any), 0)
    }

    /// The address that it is sent from; `None`: as the kernel chooses.
    pub(super) fn from(&self) -> Option<IpAddr> {
        self.transport.from()
    }

    /// Sets what its packets are marked with, before anything is sent.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub(super) fn mark(&self, socket: &impl AsFd) -> io::Result<()> {
        self.transport.mark(SockRef::from(socket), self.to.is_ipv4())
    }

    /// Takes note of where it is sent from, before anything is sent. `protocol` is an IP protocol number.
    pub(super) fn begin(&mut self, protocol: u8, from: SocketAddr) {
        *self.held = Some(self.transport.begin(protocol, from));
    }
}

impl Failure {
    /// Whether the cause is this process and not the member: no file or no port is left.
    pub(super) fn is_ours(&self) -> bool {
        // EMFILE and ENFILE have no kind of their own.
        const NO_FILES: [i32; 2] = [24, 23];
        match self {
            Failure::Connect(error) => {
                matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory)
                    || error.raw_os_error().is_some_and(|code| NO_FILES.contains(&code))
            }
            // Whether the member serves is a matter of other monitors.
            Failure::Agent(super::agent::Failure::Silent(_) | super::agent::Failure::Foreign(_)) => true,
            Failure::NotForwarded(_)
            | Failure::TooLong(_)
            | Failure::Exec(super::exec::Failure::NotRun { .. })
            | Failure::Rule(super::rule::Failure::NotCalled(_)) => true,
            _ => false,
        }
    }

    /// Whether nothing came back: what is wrong may be on the way.
    pub(super) fn is_silence(&self) -> bool {
        match self {
            Failure::TimedOut(_) => true,
            Failure::OnPath { is_silence, .. }
            | Failure::Rule(super::rule::Failure::Down { is_silence, .. }) => *is_silence,
            Failure::Connect(error) => matches!(
                error.kind(),
                io::ErrorKind::TimedOut
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::NetworkDown
            ),
            _ => false,
        }
    }

    /// Whether it is what becomes of packets that are too long for the path.
    fn may_be_of_size(&self) -> bool {
        match self {
            Failure::TimedOut(_) => true,
            Failure::Connect(error) => is_too_long(error),
            _ => false,
        }
    }
}

impl fmt::Display for Good {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

/// Why long packets do not pass, by what a socket says.
pub(super) fn of_size(failure: &Failure) -> String {
    match failure {
        Failure::TimedOut(_) => "no router says why, which is called an MTU black hole".to_owned(),
        _ => "a router says that they are too big".to_owned(),
    }
}

/// EMSGSIZE, which has no kind of its own.
pub(super) fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(90)
}

/// What everyone calls it, without the number that the standard library adds.
pub(super) fn io_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        _ => error.to_string(),
    }
}
