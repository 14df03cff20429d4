//! One probe: a connection, or a request on one.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;

use crate::config::model;

/// How much of a body is read. A health page is short; what is longer is cut by closing.
const MAX_BODY_BYTES: usize = 64 << 10;

/// A probe of one member, to be sent again and again.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) address: SocketAddr,
    pub(super) does: model::Probe,
    /// For all of it.
    pub(super) timeout: Duration,
}

/// What a member that serves did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Good {
    Connected,
    Answered(StatusCode),
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
}

impl Probe {
    /// Sends it once.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(super) async fn run(&self) -> Result<Good, Failure> {
        let probe = async {
            let stream = TcpStream::connect(self.address).await.map_err(Failure::Connect)?;
            match &self.does {
                model::Probe::Tcp => Ok(Good::Connected),
                model::Probe::Http { path, host, expect } => {
                    let got = get(stream, self.request(path, host.as_deref())?).await?;
                    if expect.contains(&got.as_u16()) {
                        Ok(Good::Answered(got))
                    } else {
                        Err(Failure::Status { got, expected: expect.clone() })
                    }
                }
            }
        };
        tokio::time::timeout(self.timeout, probe).await.unwrap_or(Err(Failure::TimedOut(self.timeout)))
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
            _ => false,
        }
    }
}

impl fmt::Display for Good {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Good::Connected => f.write_str("connected"),
            Good::Answered(status) => write!(f, "status {}", status.as_u16()),
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
