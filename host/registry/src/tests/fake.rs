//! A registry in memory, which can be made to misbehave.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use shunt_rules::Digest;
use tokio::net::TcpListener;

/// What was asked.
pub(super) struct Asked {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: HeaderMap,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn is(&self, method: &str, rest: &str) -> bool {
        self.method == method && self.target.contains(rest)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    /// The connection breaks before the last byte.
    Cut,
    /// Nothing comes any more.
    Silence,
    /// A byte now and then.
    Trickle,
}

pub(super) struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub end: End,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply { status, headers: Vec::new(), body: body.into(), end: End::Whole }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn end(self, end: End) -> Reply {
        Reply { end, ..self }
    }
}

/// Instead of what the registry would say.
type Trick = dyn Fn(&Asked, &mut Store) -> Option<Reply> + Send + Sync;

/// What it keeps.
#[derive(Default)]
pub(super) struct Store {
    pub blobs: BTreeMap<String, Vec<u8>>,
    pub manifests: BTreeMap<String, Vec<u8>>,
    /// Whether it knows subjects, and deletes.
    pub subjects: bool,
    /// Method and target of each request.
    pub seen: Vec<String>,
}

impl Store {
    pub(super) fn answer(&mut self, asked: &Asked, body: Vec<u8>) -> Reply {
        let path = asked.target.split('?').next().unwrap();
        let name = path.rsplit('/').next().unwrap().to_owned();
        let unknown = || Reply::new(404, r#"{"errors":[{"code":"UNKNOWN","message":"unknown"}]}"#);
        if asked.is("GET", "/referrers/") {
            return if self.subjects {
                Reply::new(200, self.referrers(&name).to_string())
            } else {
                unknown()
            };
        }
        if asked.is("GET", "/tags/list") {
            let tags = self.manifests.keys().filter(|it| !it.starts_with("sha256:")).collect::<Vec<_>>();
            return Reply::new(200, json!({ "name": "team/t", "tags": tags }).to_string());
        }
        if asked.is("POST", "/blobs/uploads/") {
            return Reply::new(202, "").header("location", "/v2/team/t/blobs/uploads/1?state=x");
        }
        if asked.is("PUT", "/blobs/uploads/") {
            let digest = format!("sha256:{}", Digest::of(&body));
            assert!(asked.target.ends_with(&digest.replace(':', "%3A")), "{}", asked.target);
            self.blobs.insert(digest, body);
            return Reply::new(201, "");
        }
        if asked.is("PUT", "/manifests/") {
            let manifest: Value = serde_json::from_slice(&body).unwrap();
            self.manifests.insert(format!("sha256:{}", Digest::of(&body)), body.clone());
            self.manifests.insert(name, body);
            let reply = Reply::new(201, "");
            return match manifest["subject"]["digest"].as_str() {
                Some(subject) if self.subjects => reply.header("oci-subject", subject),
                _ => reply,
            };
        }
        if asked.is("DELETE", "/manifests/") {
            return if self.manifests.remove(&name).is_some() { Reply::new(202, "") } else { unknown() };
        }
        let kept = if asked.target.contains("/blobs/") { &self.blobs } else { &self.manifests };
        let Some(bytes) = kept.get(&name) else { return unknown() };
        if asked.method == "HEAD" {
            return Reply::new(200, "").header("content-length", bytes.len().to_string());
        }
        match asked.header("range").strip_prefix("bytes=").and_then(|it| it.strip_suffix('-')) {
            Some(from) => {
                let from: usize = from.parse().unwrap();
                let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                Reply::new(206, &bytes[from..]).header("content-range", range)
            }
            None => Reply::new(200, bytes.clone()),
        }
    }

    fn referrers(&self, subject: &str) -> Value {
        let of = |(digest, bytes): (&String, &Vec<u8>)| {
            let manifest: Value = serde_json::from_slice(bytes).ok()?;
            let is_one = manifest["subject"]["digest"] == subject && digest.starts_with("sha256:");
            is_one.then(|| json!({ "digest": digest, "artifactType": manifest["artifactType"] }))
        };
        json!({ "manifests": self.manifests.iter().filter_map(of).collect::<Vec<_>>() })
    }
}

pub(super) struct Fake {
    address: SocketAddr,
    pub store: Arc<Mutex<Store>>,
}

impl Fake {
    /// One that behaves.
    pub(super) async fn start() -> Fake {
        Fake::with(|_, _| None).await
    }

    pub(super) async fn with(
        trick: impl Fn(&Asked, &mut Store) -> Option<Reply> + Send + Sync + 'static,
    ) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Fake { address: listener.local_addr().unwrap(), store: Arc::default() };
        let (store, trick): (_, Arc<Trick>) = (fake.store.clone(), Arc::new(trick));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (store, trick) = (store.clone(), trick.clone());
                let serve = service_fn(move |request| answer(request, store.clone(), trick.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
            }
        });
        fake
    }

    /// Host and port.
    pub(super) fn name(&self) -> String {
        self.address.to_string()
    }

    pub(super) fn edit<T>(&self, edit: impl FnOnce(&mut Store) -> T) -> T {
        edit(&mut self.store.lock().unwrap())
    }

    /// How many requests had this in their method and target.
    pub(super) fn count(&self, text: &str) -> usize {
        self.edit(|store| store.seen.iter().filter(|it| it.contains(text)).count())
    }
}

async fn answer(
    request: Request<Incoming>,
    store: Arc<Mutex<Store>>,
    trick: Arc<Trick>,
) -> Result<Response<Ending>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let target = head.uri.path_and_query().unwrap().as_str().to_owned();
    let asked = Asked { method: head.method.to_string(), target, headers: head.headers };
    let mut store = store.lock().unwrap();
    store.seen.push(format!("{} {}", asked.method, asked.target));
    let reply = trick(&asked, &mut store).unwrap_or_else(|| store.answer(&asked, body));
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    let ending = Ending { rest: reply.body.into(), end: reply.end, flushed: false, pause: None };
    Ok(response.body(ending).unwrap())
}

/// A body that ends as it was told.
struct Ending {
    rest: Bytes,
    end: End,
    flushed: bool,
    /// Before the next byte of a trickle.
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Body for Ending {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.end == End::Trickle && !self.rest.is_empty() {
            let sleep = || Box::pin(tokio::time::sleep(Duration::from_millis(50)));
            std::task::ready!(self.pause.get_or_insert_with(sleep).as_mut().poll(context));
            self.pause = None;
            return Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(1)))));
        }
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest)))));
        }
        let flushed = std::mem::replace(&mut self.flushed, true);
        match self.end {
            End::Whole | End::Trickle => Poll::Ready(None),
            // What there is goes out where there is no more for the moment.
            End::Cut if !flushed => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            End::Cut => Poll::Ready(Some(Err("cut"))),
            End::Silence => Poll::Pending,
        }
    }
}
