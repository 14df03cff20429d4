//! The head of the request: written as a client writes it, and read as its protocol reads it.

use http::{HeaderName, HeaderValue, Method, StatusCode, header, request};
use shunt_config::model::ProxyKind;

use super::{Query, Spoken};
use crate::http::{h1, h2};
use crate::trace::shown;
use crate::view::VirtualView;

/// Why there is no request.
pub(super) struct Refused {
    /// `None`: the stream is reset.
    pub(super) status: Option<StatusCode>,
    pub(super) why: String,
}

/// What the phases are given of it.
pub(super) fn read(view: &VirtualView, query: &Query, spoken: Spoken) -> Result<request::Parts, Refused> {
    let settings = &view.virtual_.settings;
    match spoken {
        Spoken::Http1 => h1::read_head(&text(view, query), &settings.limits)
            .map_err(|refusal| Refused { status: Some(refusal.status()), why: refusal.reason().to_owned() }),
        Spoken::Http2 => h2::read_head(&block(query), &settings.limits, &settings.http2)
            .map_err(|(status, why)| Refused { status, why: why.to_owned() }),
    }
}

/// The head as a client sends it, without what is nobody's to read.
pub(super) fn lines(view: &VirtualView, query: &Query, spoken: Spoken) -> Vec<String> {
    let method = &query.method;
    let (form, version) = match spoken {
        Spoken::Http1 => (request_target(view, query), "HTTP/1.1"),
        Spoken::Http2 => (absolute(query), "HTTP/2"),
    };
    let pairs = fields(query, spoken).into_iter();
    let pairs = pairs.filter_map(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    });
    let first = format!("{method} {form} {version}");
    let mut all = http::HeaderMap::new();
    pairs.for_each(|(name, value)| {
        all.append(name, value);
    });
    std::iter::once(first).chain(shown(&all)).collect()
}

/// With those that every client sends.
fn fields(query: &Query, spoken: Spoken) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let has = |name: HeaderName| query.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name.as_str()));
    if spoken == Spoken::Http1 && !has(header::HOST) {
        all.push(("host".to_owned(), query.authority.to_string()));
    }
    all.extend(query.headers.iter().cloned());
    if !query.body.is_empty() && !has(header::CONTENT_LENGTH) && !has(header::TRANSFER_ENCODING) {
        all.push(("content-length".to_owned(), query.body.len().to_string()));
    }
    all
}

/// A forward proxy is asked in absolute form (RFC 9112 section 3.2.2).
fn request_target(view: &VirtualView, query: &Query) -> String {
    match view.virtual_.settings.proxy {
        ProxyKind::Forward => absolute(query),
        ProxyKind::Reverse => query.target.to_string(),
    }
}

fn absolute(query: &Query) -> String {
    let Query { target, authority, https, .. } = query;
    format!("{}://{authority}{target}", if *https { "https" } else { "http" })
}

fn text(view: &VirtualView, query: &Query) -> Vec<u8> {
    let mut text = format!("{} {} HTTP/1.1\r\n", query.method, request_target(view, query));
    for (name, value) in fields(query, Spoken::Http1) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// The fields of HTTP/2, which CONNECT has fewer of (RFC 9113 sections 8.3.1 and 8.5). Clients write names in lower case.
fn block(query: &Query) -> Vec<(String, String)> {
    let mut all = vec![(":method", query.method.to_string()), (":authority", query.authority.to_string())];
    if query.method != Method::CONNECT {
        all.push((":scheme", if query.https { "https" } else { "http" }.to_owned()));
        all.push((":path", query.target.to_string()));
    }
    let pseudo = all.into_iter().map(|(name, value)| (name.to_owned(), value));
    let fields = fields(query, Spoken::Http2).into_iter();
    pseudo.chain(fields.map(|(name, value)| (name.to_ascii_lowercase(), value))).collect()
}
