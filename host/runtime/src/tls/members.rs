//! TLS with members: whom Shunt trusts, what it calls them, what it shows them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use shunt_config::model::{Member, MemberProtocol};
use shunt_config::tls::{self, Certificate, MemberTls};
use shunt_rules::MemberFailure;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::{is_valid, pair, parse};
use super::error::{Problem, TlsError};
use super::material::{Material, shown};
use super::{Invalid, clients, pem, policy};

/// Names of protocols (RFC 7301 section 6, RFC 9113 section 3.1).
const HTTP_1: &[u8] = b"http/1.1";
const HTTP_2: &[u8] = b"h2";

/// Sessions of one member that are kept to be resumed.
const SESSIONS: usize = 64;

/// The TLS settings of a pool, ready to connect, and what they were made from.
pub struct PoolTls {
    /// What all members have in common.
    config: ClientConfig,
    protocol: MemberProtocol,
    called: tls::ServerName,
    members: HashMap<SocketAddr, Arc<ToMember>>,
    digest: [u8; 32],
}

/// TLS with one member. Its sessions are its own: other members do not know them.
pub struct ToMember {
    config: Arc<ClientConfig>,
    /// The same, offering nothing but HTTP/1.1.
    http_1: Arc<ClientConfig>,
    /// The same, offering nothing: Shunt does not know what is spoken.
    unread: Arc<ClientConfig>,
    protocol: MemberProtocol,
    called: Called,
}

/// What a member is called.
#[derive(PartialEq)]
enum Called {
    Always(ServerName<'static>),
    /// As the host of the request.
    ByRequest,
}

/// Why there is no TLS with a member.
#[derive(Debug, Error)]
pub enum NoTls {
    #[error("the host of the request is no name that a certificate could be for")]
    Host,
    #[error("its certificate is of no CA that the pool trusts")]
    Untrusted,
    #[error("its certificate has expired or is not valid yet")]
    NotInTime,
    #[error("its certificate is not for {0}")]
    OtherName(String),
    #[error("its certificate is refused: {0}")]
    Certificate(CertificateError),
    #[error("it does not speak TLS")]
    Plain,
    #[error("it does not speak {}", offer(*.0))]
    Protocol(MemberProtocol),
    #[error("it refused with the alert {0:?}")]
    Alert(rustls::AlertDescription),
    #[error("it ended the connection during the handshake")]
    Ended,
    #[error("{0}")]
    Other(rustls::Error),
    #[error("{0}")]
    Io(std::io::Error),
}

impl PoolTls {
    /// Reads all that the settings name; keeps `before` if nothing has changed.
    ///
    /// # Errors
    /// All that is wrong with any of it.
    pub fn load(
        settings: &MemberTls,
        members: &[Member],
        protocol: MemberProtocol,
        before: Option<&Arc<PoolTls>>,
        invalid: Invalid,
    ) -> Result<Arc<PoolTls>, Vec<Problem>> {
        let material = Material::of_members(settings)?;
        let digest = material.digest(&(settings, protocol));
        if let Some(before) = before.filter(|before| before.digest == digest) {
            return Ok(before.with_members(members));
        }
        let config = config(settings, &material, invalid)?;
        let called = settings.server_name.clone();
        let none = Arc::new(PoolTls { config, protocol, called, members: HashMap::new(), digest });
        Ok(none.with_members(members))
    }

    /// The same for these members; with those that were there before, nothing changes.
    #[must_use]
    pub fn with_members(self: &Arc<Self>, members: &[Member]) -> Arc<PoolTls> {
        let to_member = |it: &Member| {
            let called = called_of(&self.called, it)?;
            let old = self.members.get(&it.address).filter(|old| old.called == called);
            Some((it.address, old.cloned().unwrap_or_else(|| Arc::new(self.to_member(called)))))
        };
        let members: HashMap<_, _> = members.iter().filter_map(to_member).collect();
        let is_same = |(address, now): (&SocketAddr, &Arc<ToMember>)| {
            self.members.get(address).is_some_and(|old| Arc::ptr_eq(old, now))
        };
        if members.len() == self.members.len() && members.iter().all(is_same) {
            return Arc::clone(self);
        }
        let (config, called) = (self.config.clone(), self.called.clone());
        Arc::new(PoolTls { config, protocol: self.protocol, called, members, digest: self.digest })
    }

    fn to_member(&self, called: Called) -> ToMember {
        let mut config = self.config.clone();
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        let offering = |names: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = names.iter().map(|it| it.to_vec()).collect();
            Arc::new(config)
        };
        let http_1 = offering(&[HTTP_1]);
        let config = match self.protocol {
            MemberProtocol::Http1 => Arc::clone(&http_1),
            MemberProtocol::Http2 => offering(&[HTTP_2]),
            MemberProtocol::Auto => offering(&[HTTP_2, HTTP_1]),
        };
        let unread = offering(&[]);
        ToMember { config, http_1, unread, protocol: self.protocol, called }
    }

    pub fn member(&self, address: SocketAddr) -> Option<&Arc<ToMember>> {
        self.members.get(&address)
    }
}

/// `None` for no name that was checked.
fn called_of(of_pool: &tls::ServerName, member: &Member) -> Option<Called> {
    let name = match (&member.server_name, of_pool) {
        (Some(name), _) | (None, tls::ServerName::Name(name)) => name.clone(),
        (None, tls::ServerName::OfMember) => match &member.name {
            Some(name) => name.server_name(),
            None => return Some(Called::Always(member.address.ip().into())),
        },
        (None, tls::ServerName::OfRequest) => return Some(Called::ByRequest),
    };
    ServerName::try_from(name).ok().map(Called::Always)
}

impl ToMember {
    /// What the member is called for a request to this host, which has no port.
    ///
    /// # Errors
    /// It is called as the host, and the host is no name.
    pub fn name(&self, host: Option<&str>) -> Result<ServerName<'static>, NoTls> {
        match (&self.called, host) {
            (Called::Always(name), _) => Ok(name.clone()),
            (Called::ByRequest, Some(host)) => {
                let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
                let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
                ServerName::try_from(host).map_err(|_| NoTls::Host)
            }
            (Called::ByRequest, None) => Err(NoTls::Host),
        }
    }

    /// Begins TLS on a connection that is there, for what the pool speaks.
    ///
    /// # Errors
    /// See [`NoTls`].
    pub async fn connect(
        &self,
        stream: TcpStream,
        name: ServerName<'static>,
    ) -> Result<TlsStream<TcpStream>, NoTls> {
        let session = begin(&self.config, Some(self.protocol), stream, name).await?;
        if self.protocol == MemberProtocol::Http2 && !chose_http_2(&session) {
            // RFC 9113 section 3.2: over TLS both sides say so.
            return Err(NoTls::Protocol(self.protocol));
        }
        Ok(session)
    }

    /// The same for HTTP/1.1.
    ///
    /// # Errors
    /// See [`NoTls`].
    pub async fn connect_http_1(
        &self,
        stream: TcpStream,
        name: ServerName<'static>,
    ) -> Result<TlsStream<TcpStream>, NoTls> {
        begin(&self.http_1, Some(MemberProtocol::Http1), stream, name).await
    }

    /// The same for bytes that Shunt does not read: without ALPN.
    ///
    /// # Errors
    /// See [`NoTls`].
    pub async fn connect_unread(
        &self,
        stream: TcpStream,
        name: ServerName<'static>,
    ) -> Result<TlsStream<TcpStream>, NoTls> {
        begin(&self.unread, None, stream, name).await
    }

    /// The same for a protocol that is not chosen by ALPN.
    ///
    /// # Errors
    /// See [`NoTls`].
    pub async fn connect_without_protocol(
        &self,
        stream: TcpStream,
        name: ServerName<'static>,
    ) -> Result<TlsStream<TcpStream>, NoTls> {
        let mut config = ClientConfig::clone(&self.http_1);
        config.alpn_protocols = Vec::new();
        begin_without_protocol(&Arc::new(config), stream, name).await
    }

    /// Whether requests to several hosts need several connections.
    pub fn is_called_by_request(&self) -> bool {
        matches!(self.called, Called::ByRequest)
    }
}

impl std::fmt::Debug for ToMember {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToMember").finish_non_exhaustive()
    }
}

async fn begin(
    config: &Arc<ClientConfig>,
    offered: Option<MemberProtocol>,
    stream: TcpStream,
    name: ServerName<'static>,
) -> Result<TlsStream<TcpStream>, NoTls> {
    let connector = TlsConnector::from(Arc::clone(config));
    connector.connect(name.clone(), stream).await.map_err(|error| NoTls::of(error, &name, offered))
}

/// Begins TLS without ALPN.
pub(super) async fn begin_without_protocol(
    config: &Arc<ClientConfig>,
    stream: TcpStream,
    name: ServerName<'static>,
) -> Result<TlsStream<TcpStream>, NoTls> {
    begin(config, Some(MemberProtocol::Http1), stream, name).await
}

/// Whether the member chose HTTP/2.
#[must_use]
pub fn chose_http_2(session: &TlsStream<TcpStream>) -> bool {
    session.get_ref().1.alpn_protocol() == Some(HTTP_2)
}

/// What is offered by ALPN, in words.
fn offer(protocol: MemberProtocol) -> &'static str {
    match protocol {
        MemberProtocol::Http1 => "HTTP/1.1, which Shunt offers by ALPN (`protocol` of the pool)",
        MemberProtocol::Http2 => "HTTP/2, which Shunt offers by ALPN (`protocol` of the pool)",
        MemberProtocol::Auto => "HTTP/2 or HTTP/1.1, which Shunt offers by ALPN (`protocol` of the pool)",
    }
}

impl NoTls {
    /// What rules are told of it.
    pub fn failure(&self) -> MemberFailure {
        match self {
            NoTls::Untrusted => MemberFailure::NotTrusted,
            NoTls::OtherName(_) => MemberFailure::OtherName,
            NoTls::NotInTime => MemberFailure::NotInTime,
            NoTls::Certificate(_) => MemberFailure::Certificate,
            NoTls::Protocol(_) => MemberFailure::NoProtocol,
            NoTls::Alert(_) => MemberFailure::Alert,
            NoTls::Plain => MemberFailure::NoTls,
            NoTls::Ended => MemberFailure::Closed,
            NoTls::Host | NoTls::Other(_) | NoTls::Io(_) => MemberFailure::Other,
        }
    }

    /// Why a handshake failed in which this was `offered`.
    fn of(error: std::io::Error, name: &ServerName<'_>, offered: Option<MemberProtocol>) -> Self {
        use CertificateError as Wrong;
        if error.kind() == std::io::ErrorKind::UnexpectedEof {
            return NoTls::Ended;
        }
        let cause = error.get_ref().and_then(|it| it.downcast_ref::<rustls::Error>()).cloned();
        match cause {
            Some(rustls::Error::InvalidCertificate(wrong)) => match wrong {
                Wrong::UnknownIssuer | Wrong::BadSignature => NoTls::Untrusted,
                Wrong::Expired
                | Wrong::ExpiredContext { .. }
                | Wrong::NotValidYet
                | Wrong::NotValidYetContext { .. } => NoTls::NotInTime,
                Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
                    NoTls::OtherName(name.to_str().into_owned())
                }
                other => NoTls::Certificate(other),
            },
            Some(rustls::Error::InvalidMessage(_)) => NoTls::Plain,
            Some(rustls::Error::AlertReceived(alert)) => match (alert, offered) {
                (rustls::AlertDescription::NoApplicationProtocol, Some(offered)) => NoTls::Protocol(offered),
                _ => NoTls::Alert(alert),
            },
            Some(other) => NoTls::Other(other),
            None => NoTls::Io(error),
        }
    }
}

fn config(settings: &MemberTls, material: &Material, invalid: Invalid) -> Result<ClientConfig, Vec<Problem>> {
    let mut problems = Vec::new();
    let provider = Arc::new(policy::provider(&settings.policy));
    let roots = match settings.ca.as_slice() {
        [] => of_system().map_err(|error| vec![Problem::new(&[], error)]),
        files => clients::roots(&["ca"], files, material),
    };
    let roots = roots.map_err(|more| problems.extend(more)).ok();
    let own = settings.certificate.as_ref().map(|(certificate, key)| Certificate {
        certificate: certificate.clone(),
        key: key.clone(),
        names: Vec::new(),
        ocsp: None,
    });
    let own = own.map(|files| shown_to_members(&files, material, &provider, invalid));
    let own = own.transpose().map_err(|problem| problems.push(problem)).ok();
    let (Some(roots), Some(own)) = (roots, own) else { return Err(problems) };
    let setup = |error| vec![Problem::new(&[], TlsError::Setup(error))];
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(policy::versions(settings.policy.min_version))
        .map_err(setup)?
        .with_root_certificates(roots);
    Ok(match own {
        None => builder.with_no_client_auth(),
        Some(resolver) => builder.with_client_cert_resolver(resolver),
    })
}

fn shown_to_members(
    files: &Certificate,
    material: &Material,
    provider: &rustls::crypto::CryptoProvider,
    invalid: Invalid,
) -> Result<Arc<rustls::sign::SingleCertAndKey>, Problem> {
    let of_certificate = |error| Problem::new(&["certificate"], error);
    let file = shown(&files.certificate);
    let chain = pem::certificates(material.get(&files.certificate))
        .map_err(|error| of_certificate(TlsError::Pem(file.clone(), error)))?;
    for (index, it) in chain.iter().enumerate() {
        let parsed = parse(&file, it).map_err(of_certificate)?;
        match (index, is_valid(&file, &parsed), invalid) {
            (0, Err(error), Invalid::Refused) => return Err(of_certificate(error)),
            (0, Err(error), Invalid::Served) => tracing::warn!(event = "certificate-invalid", "{error}"),
            _ => {}
        }
    }
    let chain = chain.into_iter().map(|(_, der)| der).collect();
    let key = pair(chain, files, material, provider)?;
    Ok(Arc::new(rustls::sign::SingleCertAndKey::from(key)))
}

/// The CAs of the system; those that cannot be read are missed when a certificate needs them.
fn of_system() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(TlsError::NoSystemCas(why));
    }
    Ok(roots)
}
