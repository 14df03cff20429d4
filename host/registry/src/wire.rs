//! Requests and answers: HTTP/1.1 over TLS, every wait and every answer bounded.

mod body;
mod tls;
mod url;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::error::Cause;
use crate::{Progress, Settings};
use body::Sending;
pub(crate) use url::{Origin, Url, encode};

/// Bytes per second below which a transfer is given up, a modem's: over as long as an address may say nothing.
const SLOWEST: u64 = 4 << 10;
/// How often people see how far an upload is.
const LOOK: Duration = Duration::from_millis(100);
/// Connections that are kept to one origin.
const KEPT: usize = 4;
/// What a registry's log shows.
const AGENT: &str = concat!("shunt/", env!("CARGO_PKG_VERSION"));

pub(crate) struct Wire {
    tls: tls::Tls,
    /// Hosts, with the port where one was written, that are asked without TLS.
    insecure: Vec<String>,
    /// How long an address may say nothing.
    patience: Duration,
    idle: Mutex<HashMap<Origin, Vec<SendRequest<Sending>>>>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    pub(crate) fn new(method: Method, url: Url) -> Request {
        Request { method, url, headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub(crate) fn header(mut self, name: http::HeaderName, value: &str) -> Request {
        // Media types, ranges and forms: what we write ourselves.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Request {
        self.body = body.into();
        self
    }
}

/// The head of an answer, whose body is still to be read.
pub(crate) struct Answer<'a> {
    pub status: StatusCode,
    pub headers: HeaderMap,
    wire: &'a Wire,
    origin: Origin,
    sender: SendRequest<Sending>,
    /// Its length is that of what is not sent.
    is_head: bool,
    body: Incoming,
}

impl Wire {
    pub(crate) fn new(settings: &Settings) -> Result<Wire, Cause> {
        let mut insecure = settings.insecure.clone();
        insecure.iter_mut().for_each(|host| host.make_ascii_lowercase());
        Ok(Wire {
            tls: tls::Tls::new(&settings.ca)?,
            insecure,
            patience: settings.patience,
            idle: Mutex::default(),
        })
    }

    /// Where a registry is.
    ///
    /// # Errors
    /// It cannot be a part of a URL, which does not happen to what a reference has.
    pub(crate) fn origin(&self, registry: &str) -> Result<Origin, Cause> {
        Origin::of(registry, !self.may_be_plain(registry))
    }

    fn may_be_plain(&self, authority: &str) -> bool {
        self.insecure.iter().any(|host| host == authority)
    }

    /// Sends a request, and waits for the head of its answer.
    pub(crate) async fn send(&self, request: &Request, progress: &dyn Progress) -> Result<Answer<'_>, Cause> {
        let origin = &request.url.origin;
        if !origin.secure && !self.may_be_plain(&origin.authority) {
            return Err(Cause::NotAllowed { address: origin.authority.clone() });
        }
        if let Some(kept) = self.kept(origin) {
            match self.exchange(kept, request, progress).await {
                // It closed the connection while nobody used it. Where it had begun to act, the same request once more
                // changes nothing: uploads that were begun are forgotten, and contents have digests.
                Err(Cause::Broken { .. }) => {}
                done => return done,
            }
        }
        let fresh = self.connect(origin).await?;
        self.exchange(fresh, request, progress).await
    }

    fn kept(&self, origin: &Origin) -> Option<SendRequest<Sending>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.get_mut(origin)?;
        std::iter::from_fn(|| kept.pop()).find(SendRequest::is_ready)
    }

    fn keep(&self, origin: Origin, sender: SendRequest<Sending>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.entry(origin).or_default();
        if kept.len() < KEPT {
            kept.push(sender);
        }
    }

    async fn connect(&self, origin: &Origin) -> Result<SendRequest<Sending>, Cause> {
        let address = || origin.authority.clone();
        let silent = |_| Cause::Silent { address: address(), waited: self.patience };
        let connecting = TcpStream::connect((origin.host.as_str(), origin.port));
        let stream = timeout(self.patience, connecting)
            .await
            .map_err(silent)?
            .map_err(|source| Cause::Connect { address: address(), source })?;
        // Requests are written as a whole; waiting for more only delays them.
        let _ = stream.set_nodelay(true);
        let broken = |error: hyper::Error| Cause::Broken { address: address(), reason: body::told(&error) };
        if !origin.secure {
            let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
            tokio::spawn(connection);
            return Ok(sender);
        }
        let name = tls::name(&origin.host)?;
        let stream = timeout(self.patience, self.tls.connector()?.connect(name, stream))
            .await
            .map_err(silent)?
            .map_err(|error| tls::cause(address(), &error))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn exchange<'a>(
        &'a self,
        mut sender: SendRequest<Sending>,
        request: &Request,
        progress: &dyn Progress,
    ) -> Result<Answer<'a>, Cause> {
        let origin = request.url.origin.clone();
        let broken = |error: hyper::Error| match (origin.secure, error.is_parse()) {
            // What is no HTTP, mostly an alert of TLS.
            (false, true) => Cause::SpeaksTls { address: origin.authority.clone() },
            _ => Cause::Broken { address: origin.authority.clone(), reason: body::told(&error) },
        };
        let sent = Arc::new(AtomicU64::new(0));
        let message = message(request, Sending::new(request.body.clone(), sent.clone()))
            .map_err(|_| Cause::Location { url: request.url.to_string() })?;
        let mut watch = Watch::new(origin.clone(), self.patience);
        let mut answer = std::pin::pin!(sender.send_request(message));
        let mut before = 0;
        let answer = loop {
            let waited = timeout(self.patience.min(LOOK), &mut answer).await;
            let now = sent.load(Ordering::Relaxed);
            let moved = now - before;
            progress.moved(moved);
            match waited {
                Ok(answer) => break answer.map_err(broken)?,
                // All is sent: what is missing is the answer.
                Err(_) if now == request.body.len() as u64 => watch.hear(moved)?,
                Err(_) => watch.take(moved)?,
            }
            before = now;
        };
        let (head, body) = answer.into_parts();
        let is_head = request.method == Method::HEAD;
        Ok(Answer { status: head.status, headers: head.headers, wire: self, origin, sender, is_head, body })
    }
}

impl Answer<'_> {
    /// The body, if it has at most so many bytes.
    pub(crate) async fn read(self, most: u64) -> Result<Vec<u8>, Cause> {
        let mut bytes = Vec::new();
        self.each(most, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })
        .await?;
        Ok(bytes)
    }

    /// Gives the body piece by piece, if it has at most so many bytes.
    pub(crate) async fn each(
        mut self,
        most: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        let too_large = Cause::TooLarge { most };
        if !self.is_head && self.length().is_some_and(|length| length > most) {
            return Err(too_large);
        }
        let mut watch = Watch::new(self.origin.clone(), self.wire.patience);
        let mut has = 0;
        loop {
            let frame = match timeout(self.wire.patience, self.body.frame()).await {
                Err(_) => return Err(watch.silent()),
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    let address = self.origin.authority.clone();
                    return Err(Cause::Broken { address, reason: body::told(&error) });
                }
                Ok(Some(Ok(frame))) => frame,
            };
            // Trailers say nothing here.
            let piece = frame.into_data().unwrap_or_default();
            watch.take(piece.len() as u64)?;
            has += piece.len() as u64;
            if has > most {
                return Err(too_large);
            }
            take(&piece)?;
        }
        self.wire.keep(self.origin, self.sender);
        Ok(())
    }

    /// Whether it came over TLS, and else from where.
    pub(crate) fn plain_address(&self) -> Option<String> {
        (!self.origin.secure).then(|| self.origin.authority.clone())
    }

    /// Of the body, where the head says it.
    pub(crate) fn length(&self) -> Option<u64> {
        self.text(CONTENT_LENGTH)?.parse().ok()
    }

    pub(crate) fn text(&self, name: http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Waits for an address, and not forever: neither for one that is silent, nor for one that sends a byte now and then.
struct Watch {
    origin: Origin,
    patience: Duration,
    heard: Instant,
    /// When the bytes that moved were last judged, and how many moved since.
    judged: Instant,
    moved: u64,
}

impl Watch {
    fn new(origin: Origin, patience: Duration) -> Watch {
        let now = Instant::now();
        Watch { origin, patience, heard: now, judged: now, moved: 0 }
    }

    /// So many bytes moved; nothing is said of how many should have.
    fn hear(&mut self, moved: u64) -> Result<(), Cause> {
        let now = Instant::now();
        if moved > 0 {
            self.heard = now;
        }
        if now > self.heard + self.patience { Err(self.silent()) } else { Ok(()) }
    }

    /// So many bytes moved, of a transfer that is to be quick enough.
    fn take(&mut self, moved: u64) -> Result<(), Cause> {
        self.hear(moved)?;
        self.moved += moved;
        if self.heard < self.judged + self.patience {
            return Ok(());
        }
        let least = u128::from(SLOWEST) * self.patience.as_millis() / 1_000;
        if u128::from(self.moved) < least {
            return Err(Cause::Slow { address: self.origin.authority.clone(), rate: SLOWEST });
        }
        (self.judged, self.moved) = (self.heard, 0);
        Ok(())
    }

    fn silent(&self) -> Cause {
        Cause::Silent { address: self.origin.authority.clone(), waited: self.patience }
    }
}

fn message(request: &Request, body: Sending) -> Result<http::Request<Sending>, http::Error> {
    let mut message = http::Request::builder()
        .method(&request.method)
        .uri(&request.url.target)
        .header(HOST, &request.url.origin.authority)
        .header(USER_AGENT, AGENT);
    for (name, value) in &request.headers {
        message = message.header(name, value);
    }
    message.body(body)
}
