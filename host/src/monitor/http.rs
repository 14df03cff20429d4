//! A request must be answered by one of the expected statuses, and hold what is expected.

use std::io;
use std::ops::RangeInclusive;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::request::Builder;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use shunt_config::model::MemberProtocol;
use shunt_config::monitors::{Http, HttpVersion};
use shunt_runtime::tls::members::{NoTls, chose_http_2};
use shunt_wire::authority::split_port;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use super::dialogue::shown;
use super::probe::{self, Ask, Good, MAX_BODY_BYTES, ProbeTransport, Probing, io_text};
use super::tcp::connect;

/// Why the answer is not good.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// `said` is how the body begins: a health page says which part behind it is down.
    #[error("status {}, expected {}{}", .got.as_u16(), numbers(.expected), told(.said))]
    Status { got: StatusCode, expected: Vec<RangeInclusive<u16>>, said: String },
    #[error("status {}, but the body does not hold {expected:?}{}", .got.as_u16(), told(.said))]
    Body { got: StatusCode, expected: String, said: String },
    #[error("{}", exchange_text(.0))]
    Exchange(hyper::Error),
    #[error("{}", http_2_text(.0))]
    Http2(h2::Error),
    #[error("cannot make the request of the monitor: {0}")]
    Request(http::Error),
}

/// An answer, and as much of its body as a probe reads.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
}

impl Ask for Http {
    async fn ask<S: ProbeTransport>(&self, probing: Probing<'_, S>) -> Result<Good, probe::Failure> {
        let address = probing.to.to_string();
        let tls = probing.tls;
        let stream = connect(probing).await?;
        let host = self.host.as_deref().unwrap_or(&address);
        let http_2 = self.version == Some(HttpVersion::Http2);
        let answer = match tls {
            None if http_2 => exchange_2(stream, self.request_2(Scheme::HTTP, host)?, self.sent()).await?,
            None => exchange_1(stream, self.request_1(host)?).await?,
            Some(tls) => {
                let (called, _) = split_port(host.as_bytes());
                let name = tls.name(std::str::from_utf8(called).ok())?;
                if http_2 {
                    let session = tls.connect(stream, name).await?;
                    if !chose_http_2(&session) {
                        return Err(NoTls::Protocol(MemberProtocol::Http2).into());
                    }
                    exchange_2(session, self.request_2(Scheme::HTTPS, host)?, self.sent()).await?
                } else {
                    exchange_1(tls.connect_http_1(stream, name).await?, self.request_1(host)?).await?
                }
            }
        };
        Ok(self.judged(&answer)?)
    }
}

pub(super) const USER: HeaderValue = HeaderValue::from_static(concat!("shunt/", env!("CARGO_PKG_VERSION")));

/// What the monitor adds to a request.
trait Asks {
    fn request_1(&self, host: &str) -> Result<Request<Full<Bytes>>, Failure>;
    fn request_2(&self, scheme: Scheme, host: &str) -> Result<Request<()>, Failure>;
    fn with_fields(&self, request: Builder) -> Builder;
    fn sent(&self) -> Bytes;
    fn judged(&self, answer: &Answer) -> Result<Good, Failure>;
}

impl Asks for Http {
    fn request_1(&self, host: &str) -> Result<Request<Full<Bytes>>, Failure> {
        let version = match self.version {
            Some(HttpVersion::Http10) => Version::HTTP_10,
            _ => Version::HTTP_11,
        };
        let request = Request::builder()
            .method(self.method.as_str())
            .uri(&self.path)
            .version(version)
            .header(HOST, host)
            // A probe says something about now, and a connection from before would not.
            .header(CONNECTION, HeaderValue::from_static("close"));
        self.with_fields(request).body(Full::new(self.sent())).map_err(Failure::Request)
    }

    fn request_2(&self, scheme: Scheme, host: &str) -> Result<Request<()>, Failure> {
        let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(self.path.as_str()).build();
        let request = Request::builder().method(self.method.as_str()).uri(uri.map_err(Failure::Request)?);
        self.with_fields(request).body(()).map_err(Failure::Request)
    }

    fn with_fields(&self, request: Builder) -> Builder {
        let named = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(USER_AGENT.as_str()));
        let request = if named { request } else { request.header(USER_AGENT, USER) };
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    fn sent(&self) -> Bytes {
        self.body.clone().unwrap_or_default().into()
    }

    fn judged(&self, answer: &Answer) -> Result<Good, Failure> {
        let got = answer.status;
        let said = || shown(&answer.body);
        if !self.expect.iter().any(|range| range.contains(&got.as_u16())) {
            return Err(Failure::Status { got, expected: self.expect.clone(), said: said() });
        }
        match &self.expect_body {
            Some(expected) if !expected.is_in(&answer.body) => {
                Err(Failure::Body { got, expected: expected.as_str().to_owned(), said: said() })
            }
            _ => Ok(format!("status {}", got.as_u16()).into()),
        }
    }
}

/// An exchange by HTTP/2 (RFC 9113).
pub(super) async fn exchange_2(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<()>,
    sent: Bytes,
) -> Result<Answer, Failure> {
    let (mut sender, connection) = h2::client::handshake(stream).await.map_err(Failure::Http2)?;
    let exchange = async {
        let (response, mut stream) = sender.send_request(request, sent.is_empty())?;
        if !sent.is_empty() {
            stream.send_data(sent, true)?;
        }
        let (head, mut incoming) = response.await?.into_parts();
        let mut body = Vec::new();
        while body.len() <= MAX_BODY_BYTES
            && let Some(data) = incoming.data().await
        {
            let data = data?;
            incoming.flow_control().release_capacity(data.len())?;
            body.extend_from_slice(&data);
        }
        let trailers = if incoming.is_end_stream() { None } else { incoming.trailers().await? };
        Ok(Answer { status: head.status, headers: head.headers, body, trailers })
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

/// An exchange by HTTP/1.1, or 1.0.
async fn exchange_1(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Failure> {
    let is_head = request.method() == Method::HEAD;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Failure::Exchange)?;
    let exchange = async {
        let (head, mut incoming) = sender.send_request(request).await?.into_parts();
        let mut body = Vec::new();
        while !is_head
            && body.len() <= MAX_BODY_BYTES
            && let Some(frame) = incoming.frame().await
        {
            body.extend_from_slice(frame?.data_ref().map_or(&[], |data| data));
        }
        Ok(Answer { status: head.status, headers: head.headers, body, trailers: None })
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

/// `200, 204 or 300-399`
fn numbers(all: &[RangeInclusive<u16>]) -> String {
    let shown = |range: &RangeInclusive<u16>| match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}-{}", range.start(), range.end()),
    };
    let all: Vec<String> = all.iter().map(shown).collect();
    all.join(" or ")
}

fn told(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}
