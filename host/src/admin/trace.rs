//! Follows requests as they are served: a line of JSON each, until enough were shown or the time is up.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use http_body::Frame;
use shunt_api::explain::{TraceEnd, TraceLine};
use shunt_api::requests::TraceQuery;
use shunt_engine::network::Prefix;
use shunt_runtime::traces::{Following, Wanted, follow as begin};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::refusal::Refusal;
use super::routes::bad_request;

const MOST_COUNT: u32 = 10_000;
const COUNT: u32 = 100;
const MOST_SECONDS: u64 = 3_600;
const SECONDS: u64 = 30;

/// Lines that wait for their reader.
const MOST_WAITING: usize = 16;

/// # Errors
/// What about the query is not understood.
pub(super) fn follow(virtual_: String, query: TraceQuery) -> Result<Response, Refusal> {
    let TraceQuery { path, host, method, client, count, seconds } = query;
    let count = count.unwrap_or(COUNT);
    let seconds = seconds.unwrap_or(SECONDS);
    if !(1..=MOST_COUNT).contains(&count) {
        return Err(bad_request(format!("{count} is no number of requests")).help("use 1 to 10000"));
    }
    if !(1..=MOST_SECONDS).contains(&seconds) {
        return Err(bad_request(format!("{seconds} is no number of seconds")).help("use 1 to 3600"));
    }
    let wanted = Wanted {
        virtual_,
        clients: client.as_deref().map(prefix).transpose()?.into_iter().collect(),
        methods: method.into_iter().collect(),
        paths: path.into_iter().collect(),
        hosts: host.map(|host| host.to_ascii_lowercase()).into_iter().collect(),
    };
    let (sender, lines) = mpsc::channel(MOST_WAITING);
    let until = Instant::now() + Duration::from_secs(seconds);
    tokio::spawn(send(begin(wanted, count), count.into(), until, sender));
    let body = Body::new(Lines(lines));
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

async fn send(mut following: Following, count: u64, until: Instant, lines: mpsc::Sender<Bytes>) {
    let mut shown = 0;
    let reason = loop {
        let request = tokio::select! {
            request = following.next() => request,
            () = sleep_until(until) => break "time",
            // Nobody reads any more.
            () = lines.closed() => return,
        };
        if lines.send(line(&TraceLine { request, end: None })).await.is_err() {
            return;
        }
        shown += 1;
        if shown + following.dropped() >= count {
            break "count";
        }
    };
    let end = TraceEnd { reason: reason.to_owned(), shown, missed: following.dropped() };
    // Whoever does not read the end misses nothing.
    let _ = lines.send(line(&TraceLine { request: None, end: Some(end) })).await;
}

fn line(line: &TraceLine) -> Bytes {
    // A structure of texts and numbers can always be written.
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

fn prefix(text: &str) -> Result<Prefix, Refusal> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, length.parse::<u8>().ok()),
        None => (text, Some(if text.contains(':') { 128 } else { 32 })),
    };
    let address = address.parse::<IpAddr>().ok();
    let prefix = address.zip(length).and_then(|(address, length)| Prefix::new(address.into(), length));
    prefix.ok_or_else(|| {
        bad_request(format!("{text:?} is neither an address nor a prefix"))
            .help("write an address or a prefix, such as 192.0.2.7 or 192.0.2.0/24")
    })
}

/// The lines as a body.
struct Lines(mpsc::Receiver<Bytes>);

impl http_body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}
