//! One probe: a connection, a request on one, a datagram or an echo.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use shunt_wire::ip;
use thiserror::Error;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use super::ping::Ping;
use shunt_config::model;
use shunt_runtime::dial;

/// How much of a body is read. A health page is short; what is longer is cut by closing.
const MAX_BODY_BYTES: usize = 64 << 10;

/// A probe of one member, to be sent again and again.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// Where it goes to.
    pub(super) address: SocketAddr,
    pub(super) does: model::Probe,
    /// For all of it.
    pub(super) timeout: Duration,
}

/// Where the socket of a probe stands.
pub(super) trait Stand {
    /// What is held as long as the probe is under way.
    type Held;

    /// The address that it is sent from; `None`: as the kernel chooses.
    fn from(&self) -> Option<IpAddr>;

    /// Takes note of where it is sent from, before anything is sent. `protocol` is an IP protocol number.
    fn begin(&self, protocol: u8, from: SocketAddr) -> Self::Held;
}

/// Straight to the member.
pub(super) struct Straight;

impl Stand for Straight {
    type Held = ();

    fn from(&self) -> Option<IpAddr> {
        None
    }

    fn begin(&self, _: u8, _: SocketAddr) {}
}

/// What a member that serves did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Good {
    Connected,
    Answered(StatusCode),
    /// A datagram came back, as it is expected.
    Datagram,
    Echoed,
}

/// Why a probe failed.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("{}", io_text(.0))]
    Connect(io::Error),
    #[error("timed out after {0:?}")]
    TimedOut(Duration),
    #[error("status {}, expected {}", .got.as_u16(), numbers(.expected))]
    Status { got: StatusCode, expected: Vec<u16> },
    #[error("{}", http_text(.0))]
    Exchange(hyper::Error),
    #[error("the request of the monitor cannot be made: {0}")]
    Request(http::Error),
    #[error("the answer does not hold {0:?}")]
    Unexpected(String),
    /// It failed on the service path, and this is why.
    #[error("{0}")]
    OnPath(String),
    /// Shunt did not carry it, for a reason that is no member's.
    #[error("{0}")]
    NotCarried(String),
}

impl Probe {
    /// Sends it once, straight to the member.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(super) async fn run(&self) -> Result<Good, Failure> {
        self.run_at(&Straight).await.0
    }

    /// Sends it once. What was held meanwhile comes back with the outcome, if it came so far.
    pub(super) async fn run_at<S: Stand>(&self, stand: &S) -> (Result<Good, Failure>, Option<S::Held>) {
        let mut held = None;
        let probe = self.exchange(stand, &mut held);
        let outcome = tokio::time::timeout(self.timeout, probe).await;
        (outcome.unwrap_or(Err(Failure::TimedOut(self.timeout))), held)
    }

    async fn exchange<S: Stand>(&self, stand: &S, held: &mut Option<S::Held>) -> Result<Good, Failure> {
        match &self.does {
            model::Probe::Tcp => {
                self.connect(stand, held).await?;
                Ok(Good::Connected)
            }
            model::Probe::Http { path, host, expect } => {
                let stream = self.connect(stand, held).await?;
                let got = get(stream, self.request(path, host.as_deref())?).await?;
                if expect.contains(&got.as_u16()) {
                    Ok(Good::Answered(got))
                } else {
                    Err(Failure::Status { got, expected: expect.clone() })
                }
            }
            model::Probe::Udp { send, expect } => {
                let socket = UdpSocket::bind(self.source(stand)).await.map_err(Failure::Connect)?;
                let from = socket.local_addr().map_err(Failure::Connect)?;
                *held = Some(stand.begin(ip::UDP, from));
                ask(&socket, self.address, send, expect.as_deref()).await
            }
            model::Probe::Ping => {
                let socket = Ping::open(self.address.ip(), stand.from()).map_err(Failure::Connect)?;
                let from = SocketAddr::new(self.source(stand).ip(), socket.identifier());
                *held = Some(stand.begin(socket.protocol(), from));
                socket.ask().await.map_err(Failure::Connect)?;
                Ok(Good::Echoed)
            }
        }
    }

    async fn connect<S: Stand>(&self, stand: &S, held: &mut Option<S::Held>) -> Result<TcpStream, Failure> {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.map_err(Failure::Connect)?;
        if stand.from().is_some() {
            socket.bind(self.source(stand)).map_err(Failure::Connect)?;
            let from = socket.local_addr().map_err(Failure::Connect)?;
            *held = Some(stand.begin(ip::TCP, from));
        }
        let stream = socket.connect(self.address).await.map_err(Failure::Connect)?;
        dial::refuse_itself(&stream).map_err(Failure::Connect)?;
        Ok(stream)
    }

    /// Where it is sent from, with a port that the kernel chooses.
    fn source(&self, stand: &impl Stand) -> SocketAddr {
        let any: IpAddr =
            if self.address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        SocketAddr::new(stand.from().unwrap_or(any), 0)
    }

    fn request(&self, path: &str, host: Option<&str>) -> Result<Request<Empty<Bytes>>, Failure> {
        let address = self.address.to_string();
        Request::get(path)
            .header(HOST, host.unwrap_or(&address))
            // A probe says something about now, and a connection from before would not.
            .header(CONNECTION, HeaderValue::from_static("close"))
            .header(USER_AGENT, HeaderValue::from_static(concat!("shunt/", env!("CARGO_PKG_VERSION"))))
            .body(Empty::new())
            .map_err(Failure::Request)
    }
}

/// Sends a datagram and waits for a good answer. What others send to the socket does not count.
async fn ask(socket: &UdpSocket, to: SocketAddr, send: &str, expect: Option<&str>) -> Result<Good, Failure> {
    socket.connect(to).await.map_err(Failure::Connect)?;
    if socket.local_addr().is_ok_and(|own| own == to) {
        return Err(Failure::Connect(io::ErrorKind::ConnectionRefused.into()));
    }
    socket.send(send.as_bytes()).await.map_err(Failure::Connect)?;
    let mut buffer = vec![0; MAX_BODY_BYTES];
    let length = socket.recv(&mut buffer).await.map_err(Failure::Connect)?;
    let answer = buffer.get(..length).unwrap_or_default();
    match expect {
        Some(text) if !holds(answer, text.as_bytes()) => Err(Failure::Unexpected(text.to_owned())),
        _ => Ok(Good::Datagram),
    }
}

fn holds(answer: &[u8], part: &[u8]) -> bool {
    answer.windows(part.len().max(1)).any(|window| window == part)
}

/// The status of the answer, once its body is there, or as much of it as a probe reads.
async fn get(stream: TcpStream, request: Request<Empty<Bytes>>) -> Result<StatusCode, Failure> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Failure::Exchange)?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let mut body = response.into_body();
        let mut read = 0;
        while read <= MAX_BODY_BYTES
            && let Some(frame) = body.frame().await
        {
            read += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok(status)
    };
    let driver = async {
        // What goes wrong is told to the exchange as well, which knows what it means.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        result = exchange => result.map_err(Failure::Exchange),
        () = driver => unreachable!("the driver never ends"),
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
            Failure::NotCarried(_) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Good {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Good::Connected => f.write_str("connected"),
            Good::Answered(status) => write!(f, "status {}", status.as_u16()),
            Good::Datagram => f.write_str("answered"),
            Good::Echoed => f.write_str("echo came back"),
        }
    }
}

/// What everyone calls it, without the number that the standard library adds.
fn io_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        _ => error.to_string(),
    }
}

fn http_text(error: &hyper::Error) -> String {
    let source = std::error::Error::source(error);
    let io = source.and_then(|source| source.downcast_ref::<io::Error>());
    // In the head it is one error of hyper's, in the body another.
    if error.is_incomplete_message() || io.is_some_and(|io| io.kind() == io::ErrorKind::UnexpectedEof) {
        return "closed before the answer was whole".to_owned();
    }
    if let Some(io) = io {
        return io_text(io);
    }
    if error.is_parse() {
        return "the answer is not HTTP/1.1".to_owned();
    }
    error.to_string()
}

/// `200`, `200 or 204`
fn numbers(all: &[u16]) -> String {
    all.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")
}
