//! Answers that Shunt makes in a member's place: the operator's page, JSON where the client prefers it, or a line of
//! text.

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use shunt_runtime::pages::{Media, Page};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// RFC 9457 section 3.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An answer that says `text`, to a request with the fields `asked`. A page takes the place of the text, but for a
/// client that prefers JSON to a page which is none.
pub(crate) fn make(
    status: StatusCode,
    text: &str,
    page: Option<&Page>,
    asked: &HeaderMap,
) -> Response<Bytes> {
    let json = preferred_json(asked);
    let (media, content) = match (page, json) {
        (Some(Page { media: Media::Json, content }), json) => (json.unwrap_or(JSON), content.clone()),
        (_, Some(json)) => (json, problem_details(status, text)),
        (Some(Page { media: Media::Html, content }), None) => (HTML, content.clone()),
        (Some(Page { media: Media::Text, content }), None) => (TEXT, content.clone()),
        (None, None) => (TEXT, Bytes::from(format!("{text}\n"))),
    };
    let mut response = Response::new(content);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media);
    // It says how things are now, and caches keep a 404 on their own account (RFC 9110 section 15.1).
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What RFC 9457 section 3.1 calls a problem details object.
fn problem_details(status: StatusCode, detail: &str) -> Bytes {
    let title = status.canonical_reason().unwrap_or_default();
    let mut json =
        format!("{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{},", status.as_u16());
    json.push_str("\"detail\":\"");
    for letter in detail.chars() {
        // RFC 8259 section 7. Our texts have no control characters.
        if matches!(letter, '"' | '\\') {
            json.push('\\');
        }
        json.push(letter);
    }
    json.push_str("\"}\n");
    Bytes::from(json)
}

/// The kind of JSON that a client names in `Accept`, unless it likes text or HTML better (RFC 9110 section 12.5.1).
/// A range such as `*/*` does not ask for JSON.
fn preferred_json(asked: &HeaderMap) -> Option<HeaderValue> {
    let (mut plain, mut problem, mut text) = (0, 0, 0);
    for element in asked.get_all(ACCEPT).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
    {
        let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let range = parts.next().unwrap_or_default();
        let is = |name: &str| range.eq_ignore_ascii_case(name.as_bytes());
        let weight = parts.find_map(weight).unwrap_or(1000);
        let of = match () {
            () if is("application/json") => &mut plain,
            () if is("application/problem+json") => &mut problem,
            () if is("text/html") || is("text/plain") || is("text/*") => &mut text,
            () => continue,
        };
        *of = weight.max(*of);
    }
    let best = plain.max(problem);
    (best > 0 && best >= text).then_some(if problem == best { PROBLEM_JSON } else { JSON })
}

/// `q=0.5`, in thousandths (RFC 9110 section 12.4.2). What is none counts as 0.
fn weight(parameter: &[u8]) -> Option<u16> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let (whole, digits) = match value {
        [whole] => (*whole, &[][..]),
        [whole, b'.', digits @ ..] if digits.len() <= 3 => (*whole, digits),
        _ => return Some(0),
    };
    if !matches!(whole, b'0' | b'1') || !digits.iter().all(u8::is_ascii_digit) {
        return Some(0);
    }
    let digit = |at: usize| digits.get(at).map_or(0, |digit| u16::from(digit - b'0'));
    Some((u16::from(whole - b'0') * 1000 + digit(0) * 100 + digit(1) * 10 + digit(2)).min(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &[&'static str]) -> Option<HeaderValue> {
        let values = accept.iter().map(|value| (ACCEPT, HeaderValue::from_static(value)));
        preferred_json(&HeaderMap::from_iter(values))
    }

    #[test]
    fn json_is_for_those_who_name_it() {
        for accept in [
            &[][..],
            &["*/*"],
            &["application/*"],
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
            &["text/html, application/json;q=0.9"],
            &["application/json;q=0"],
            &["application/json;q=0.000, */*"],
            &["application/json;q=2"],
            &["application/json;q=0.1234"],
            &["application/jsonp"],
            &["application/json;q=0.5", "text/plain;q=0.6"],
        ] {
            assert_eq!(chosen(accept), None, "{accept:?}");
        }
        for accept in [
            &["application/json"][..],
            &["Application/JSON; Q=0.1"],
            &["application/json, text/plain, */*"],
            &["text/html;q=0.5, application/json;q=0.6"],
            &["text/*;q=0.5", "application/json;version=1;q=0.501"],
            &["application/json, application/problem+json;q=0.9"],
        ] {
            assert_eq!(chosen(accept), Some(JSON), "{accept:?}");
        }
        for accept in [&["application/problem+json"][..], &["application/json, application/problem+json"]] {
            assert_eq!(chosen(accept), Some(PROBLEM_JSON), "{accept:?}");
        }
    }

    #[test]
    fn texts_are_quoted() {
        let json = problem_details(StatusCode::SERVICE_UNAVAILABLE, r#"pool "a\b" is down"#);
        let expected = r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"pool \"a\\b\" is down"}"#;
        assert_eq!(std::str::from_utf8(&json).unwrap().trim_end(), expected);
    }
}
