//! A request must be answered by one of the expected statuses, and hold what is expected.

use std::io;
use std::ops::RangeInclusive;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, Request, StatusCode, Uri};
use shunt_config::model::MemberProtocol;
use shunt_config::monitors::{Http, HttpVersion};
use shunt_runtime::tls::members::{NoTls, ToMember, chose_http_2};
use shunt_wire::authority::split_port;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::dialogue::shown;
use super::http1;
use super::probe::{self, Ask, Good, MAX_BODY_BYTES, ProbeTransport, Probing, io_text};
use super::tcp::{connect_to_speak, data_of};

/// Why the answer is not good.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// `said` is how the body begins: a health page says which part behind it is down.
    #[error("status {}, expected {}{}", .got.as_u16(), numbers(.expected), told(.said))]
    Status { got: StatusCode, expected: Vec<RangeInclusive<u16>>, said: String },
    #[error("status {}, but the body does not hold {expected:?}{}", .got.as_u16(), told(.said))]
    Body { got: StatusCode, expected: String, said: String },
    #[error("closed before the answer was whole")]
    Closed,
    #[error("the answer is not HTTP/1.1")]
    NotHttp1,
    #[error("{}", io_text(.0))]
    Broken(io::Error),
    #[error("{}", http_2_text(.0))]
    Http2(h2::Error),
    #[error("cannot make the request of the monitor: {0}")]
    Request(#[from] http::Error),
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
        let (tls, size) = (probing.tls, probing.size.map(|size| data_of(size, probing.to.is_ipv4())));
        let mut stream = connect_to_speak(probing).await?;
        let host = self.host.as_deref().unwrap_or(&address);
        let http_2 = self.version == Some(HttpVersion::Http2);
        let is_head = self.method == "HEAD";
        let (status, body) = match tls {
            None if http_2 => Box::pin(self.by_http_2(stream, Scheme::HTTP, host, size)).await?,
            None => http1::exchange(&mut stream, &self.request_1(host, size)?, is_head).await?,
            Some(tls) => Box::pin(self.over_tls(tls, stream, host, size)).await?,
        };
        Ok(self.judged(status, &body)?)
    }
}

pub(super) const USER: &str = concat!("shunt/", env!("CARGO_PKG_VERSION"));

/// What the monitor adds to an exchange.
trait Asks {
    fn request_1(&self, host: &str, size: Option<usize>) -> Result<Vec<u8>, Failure>;
    fn request_2(&self, scheme: Scheme, host: &str, size: Option<usize>) -> Result<Request<()>, Failure>;
    async fn by_http_2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        scheme: Scheme,
        host: &str,
        size: Option<usize>,
    ) -> Result<(StatusCode, Vec<u8>), Failure>;
    async fn over_tls(
        &self,
        tls: &ToMember,
        stream: TcpStream,
        host: &str,
        size: Option<usize>,
    ) -> Result<(StatusCode, Vec<u8>), probe::Failure>;
    fn names(&self, field: &HeaderName) -> bool;
    fn judged(&self, got: StatusCode, body: &[u8]) -> Result<Good, Failure>;
}

impl Asks for Http {
    fn request_1(&self, host: &str, size: Option<usize>) -> Result<Vec<u8>, Failure> {
        let version = if self.version == Some(HttpVersion::Http10) { "HTTP/1.0" } else { "HTTP/1.1" };
        let mut request = http1::Request::new(&self.method, &self.path, version);
        request.field("host", host)?;
        // A probe says something about now, and a connection from before would not.
        request.field("connection", "close")?;
        if !self.names(&USER_AGENT) {
            request.field("user-agent", USER)?;
        }
        for (name, value) in &self.headers {
            request.field(name, value)?;
        }
        let body = self.body.as_deref().unwrap_or_default();
        if !body.is_empty() {
            request.field("content-length", &body.len().to_string())?;
        }
        for length in padding(size.unwrap_or_default().saturating_sub(request.length(body.as_bytes()))) {
            request.field(PADDING, &"x".repeat(length))?;
        }
        Ok(request.with(body.as_bytes()))
    }

    fn request_2(&self, scheme: Scheme, host: &str, size: Option<usize>) -> Result<Request<()>, Failure> {
        let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(self.path.as_str()).build();
        let request = Request::builder().method(self.method.as_str()).uri(uri?);
        let request = if self.names(&USER_AGENT) { request } else { request.header(USER_AGENT, USER) };
        let fields = self.headers.iter();
        let request = fields.fold(request, |request, (name, value)| request.header(name, value));
        let padding = padding(size.unwrap_or_default());
        Ok(padding.fold(request, |request, length| request.header(PADDING, "X".repeat(length))).body(())?)
    }

    async fn by_http_2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        scheme: Scheme,
        host: &str,
        size: Option<usize>,
    ) -> Result<(StatusCode, Vec<u8>), Failure> {
        let sent = self.body.clone().unwrap_or_default().into();
        let answer = exchange_2(stream, self.request_2(scheme, host, size)?, sent).await?;
        Ok((answer.status, answer.body))
    }

    async fn over_tls(
        &self,
        tls: &ToMember,
        stream: TcpStream,
        host: &str,
        size: Option<usize>,
    ) -> Result<(StatusCode, Vec<u8>), probe::Failure> {
        let (called, _) = split_port(host.as_bytes());
        let name = tls.name(std::str::from_utf8(called).ok())?;
        if self.version == Some(HttpVersion::Http2) {
            let session = tls.connect(stream, name).await?;
            if !chose_http_2(&session) {
                return Err(NoTls::Protocol(MemberProtocol::Http2).into());
            }
            return Ok(self.by_http_2(session, Scheme::HTTPS, host, size).await?);
        }
        let mut session = tls.connect_http_1(stream, name).await?;
        let request = self.request_1(host, size)?;
        let answer = http1::exchange(&mut session, &request, self.method == "HEAD").await?;
        // So that the member sees no truncated session (RFC 8446 section 6.1).
        let _ = session.shutdown().await;
        Ok(answer)
    }

    /// Whether it says this field itself.
    fn names(&self, field: &HeaderName) -> bool {
        self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(field.as_str()))
    }

    fn judged(&self, got: StatusCode, body: &[u8]) -> Result<Good, Failure> {
        let said = || shown(body);
        if !self.expect.iter().any(|range| range.contains(&got.as_u16())) {
            return Err(Failure::Status { got, expected: self.expect.clone(), said: said() });
        }
        match &self.expect_body {
            Some(expected) if !expected.is_in(body) => {
                Err(Failure::Body { got, expected: expected.as_str().to_owned(), said: said() })
            }
            _ => Ok(format!("status {}", got.as_u16()).into()),
        }
    }
}

/// A field that makes a request as long as `size` says.
const PADDING: &str = "x-padding";

/// How long the values of fields are that together have so many bytes, with all of each field, or a few less. No server
/// refuses a field for its length then.
fn padding(mut bytes: usize) -> impl Iterator<Item = usize> {
    const MOST: usize = 1000;
    const FRAME: usize = PADDING.len() + ": \r\n".len();
    std::iter::from_fn(move || {
        let room = bytes.checked_sub(FRAME)?;
        let value = match room.saturating_sub(MOST) {
            0 => room,
            // What is left is to be a field again.
            1..=FRAME => MOST - FRAME,
            _ => MOST,
        };
        bytes -= FRAME + value;
        Some(value)
    })
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
        // What goes wrong is told to the exchange as well, which knows what it means.
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        result = exchange => result.map_err(Failure::Http2),
        never = driver => never,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_has_the_length_that_is_asked_for() {
        for bytes in 0..3000 {
            let fields: Vec<usize> = padding(bytes).collect();
            let whole: usize = fields.iter().map(|value| PADDING.len() + 4 + value).sum();
            assert!(whole <= bytes && bytes - whole < PADDING.len() + 4, "{bytes}: {fields:?}");
            assert!(bytes < 13 || whole == bytes, "{bytes}: {fields:?}");
            assert!(fields.iter().all(|value| *value <= 1000));
        }
    }

    #[test]
    fn a_request_fills_a_packet() {
        let http = Http {
            path: "/health".to_owned(),
            host: None,
            method: "POST".to_owned(),
            headers: vec![("x-check".to_owned(), "deep".to_owned())],
            body: Some("ping".to_owned()),
            expect: vec![200..=200],
            expect_body: None,
            version: None,
        };
        let short = http.request_1("shop.example", None).unwrap();
        for size in [1428, 8928] {
            assert_eq!(http.request_1("shop.example", Some(size)).unwrap().len(), size);
        }
        assert_eq!(http.request_1("shop.example", Some(10)).unwrap(), short, "it is as long as it is");
    }
}
