//! A GET must be answered by one of the expected statuses.

use std::io;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use shunt_config::monitors::Http;
use shunt_wire::authority::split_port;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use super::probe::{self, Ask, Good, MAX_BODY_BYTES, ProbeTransport, Probing, io_text};
use super::tcp::connect;

/// Why the answer is not good.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("status {}, expected {}", .got.as_u16(), numbers(.expected))]
    Status { got: StatusCode, expected: Vec<u16> },
    #[error("{}", exchange_text(.0))]
    Exchange(hyper::Error),
    #[error("{}", http_2_text(.0))]
    Http2(h2::Error),
    #[error("cannot make the request of the monitor: {0}")]
    Request(http::Error),
}

impl Ask for Http {
    async fn ask<S: ProbeTransport>(&self, probing: Probing<'_, S>) -> Result<Good, probe::Failure> {
        let Http { path, host, expect, http_2 } = self;
        let address = probing.to.to_string();
        let tls = probing.tls;
        let stream = connect(probing).await?;
        let host = host.as_deref().unwrap_or(&address);
        let got = match tls {
            None if *http_2 => get_by_http_2(stream, Scheme::HTTP, host, path).await?,
            None => get(stream, request(host, path)?).await?,
            Some(tls) => {
                let (called, _) = split_port(host.as_bytes());
                let name = tls.name(std::str::from_utf8(called).ok())?;
                if *http_2 {
                    get_by_http_2(tls.connect(stream, name).await?, Scheme::HTTPS, host, path).await?
                } else {
                    get(tls.connect_http_1(stream, name).await?, request(host, path)?).await?
                }
            }
        };
        if !expect.contains(&got.as_u16()) {
            return Err(Failure::Status { got, expected: expect.clone() }.into());
        }
        Ok(Good(format!("status {}", got.as_u16()).into()))
    }
}

const USER: HeaderValue = HeaderValue::from_static(concat!("shunt/", env!("CARGO_PKG_VERSION")));

fn request(host: &str, path: &str) -> Result<Request<Empty<Bytes>>, Failure> {
    Request::get(path)
        .header(HOST, host)
        // A probe says something about now, and a connection from before would not.
        .header(CONNECTION, HeaderValue::from_static("close"))
        .header(USER_AGENT, USER)
        .body(Empty::new())
        .map_err(Failure::Request)
}

/// The same by HTTP/2 (RFC 9113).
async fn get_by_http_2(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    scheme: Scheme,
    host: &str,
    path: &str,
) -> Result<StatusCode, Failure> {
    let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(path).build();
    let request = Request::get(uri.map_err(Failure::Request)?).header(USER_AGENT, USER);
    let request = request.body(()).map_err(Failure::Request)?;
    let (mut sender, connection) = h2::client::handshake(stream).await.map_err(Failure::Http2)?;
    let exchange = async {
        let response = sender.send_request(request, true)?.0.await?;
        let status = response.status();
        let mut body = response.into_body();
        let mut read = 0;
        while read <= MAX_BODY_BYTES
            && let Some(data) = body.data().await
        {
            let length = data?.len();
            read += length;
            body.flow_control().release_capacity(length)?;
        }
        Ok(status)
    };
    let driver = async {
        // As for HTTP/1.1.
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        result = exchange => result.map_err(Failure::Http2),
        never = driver => never,
    }
}

/// The status of the answer, once its body is there, or as much of it as a probe reads.
async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Empty<Bytes>>,
) -> Result<StatusCode, Failure> {
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
        std::future::pending().await
    };
    tokio::select! {
        biased;
        result = exchange => result.map_err(Failure::Exchange),
        never = driver => never,
    }
}

fn exchange_text(error: &hyper::Error) -> String {
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

fn http_2_text(error: &h2::Error) -> String {
    match (error.reason(), error.get_io()) {
        (Some(reason), _) if error.is_remote() => format!("ended with {reason:?}"),
        (Some(_), _) => "the answer is not HTTP/2".to_owned(),
        (None, Some(io)) if io.kind() != io::ErrorKind::BrokenPipe => io_text(io),
        (None, _) => "closed before the answer was whole".to_owned(),
    }
}

/// `200`, `200 or 204`
fn numbers(all: &[u16]) -> String {
    all.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")
}
