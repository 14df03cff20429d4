//! The head of the request: written as a client writes it, and read as its protocol reads it.

use http::{HeaderName, HeaderValue, Request, StatusCode, Uri, Version, header, request, uri};
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
        Spoken::Http2 => {
            let refuse = |why: String| Refused { status: None, why };
            let parts = http2(query).map_err(|error| refuse(error.to_string()))?;
            h2::read_head(parts, &settings.limits, &settings.http2)
                .map_err(|(status, why)| Refused { status, why: why.to_owned() })
        }
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

fn http2(query: &Query) -> Result<request::Parts, http::Error> {
    let scheme = if query.https { uri::Scheme::HTTPS } else { uri::Scheme::HTTP };
    let uri =
        Uri::builder().scheme(scheme).authority(query.authority.clone()).path_and_query(query.target.clone());
    let mut request =
        Request::builder().method(query.method.clone()).uri(uri.build()?).version(Version::HTTP_2);
    for (name, value) in fields(query, Spoken::Http2) {
        request = request.header(name, value);
    }
    Ok(request.body(())?.into_parts().0)
}
