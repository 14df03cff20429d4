//! Writes requests as a member gets them: the head from its parts, the framing always our own (RFC 9112
//! section 6).

use http::{HeaderMap, HeaderName, Method, header, request};

use crate::http::h1::write::{write_chunk, write_decimal, write_field, write_last_chunk};
use crate::http::target;

/// How the length of a request body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Framing {
    Empty,
    Length(u64),
    Chunked,
}

/// Appends a request head. What the parts say about framing is left out, for it is said again.
pub(in crate::http) fn write_head(out: &mut Vec<u8>, request: &request::Parts, framing: Framing) {
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    target::write(out, request);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let mut said_zero = false;
    for (name, value) in &request.headers {
        match *name {
            header::CONTENT_LENGTH => said_zero = true,
            header::TRANSFER_ENCODING => {}
            _ => write_field(out, name, value.as_bytes()),
        }
    }
    match framing {
        // RFC 9110 section 8.6: said where the method makes one expect content.
        Framing::Empty if said_zero || expects_content(&request.method) => {
            out.extend_from_slice(b"content-length: 0\r\n");
        }
        Framing::Empty => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            write_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a piece of the body; an empty one is nothing, for as a chunk it would be the end.
pub(in crate::http) fn write_data(out: &mut Vec<u8>, framing: Framing, data: &[u8]) {
    if framing != Framing::Chunked {
        return out.extend_from_slice(data);
    }
    write_chunk(out, data);
}

/// Appends the end of a body, with the trailers that may stand there.
pub(in crate::http) fn write_end(out: &mut Vec<u8>, framing: Framing, trailers: Option<&HeaderMap>) {
    if framing == Framing::Chunked {
        write_last_chunk(out, trailers.into_iter().flatten().filter(|(name, _)| may_trail(name)));
    }
}

/// What frames or routes a message has no say behind it (RFC 9110 section 6.5.1).
pub(in crate::http) fn may_trail(name: &HeaderName) -> bool {
    ![
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::HOST,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ]
    .contains(name)
}

/// RFC 9110 section 9.3: methods for which content has no meaning need no word about its absence.
fn expects_content(method: &Method) -> bool {
    let without =
        [Method::GET, Method::HEAD, Method::OPTIONS, Method::DELETE, Method::TRACE, Method::CONNECT];
    !without.contains(method)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    fn head(method: &str, target: &str, fields: &[(&str, &str)], framing: Framing) -> String {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut out = Vec::new();
        write_head(&mut out, &request.body(()).unwrap().into_parts().0, framing);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_head() {
        let written = head("GET", "/a?b=c", &[("host", "x"), ("accept", "*/*")], Framing::Empty);
        assert_eq!(written, "GET /a?b=c HTTP/1.1\r\nhost: x\r\naccept: */*\r\n\r\n");
        assert_eq!(head("OPTIONS", "*", &[], Framing::Empty), "OPTIONS * HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn framing_is_our_own() {
        let claimed = [("content-length", "7"), ("transfer-encoding", "chunked")];
        let length = |framing| head("POST", "/", &claimed, framing).split_off("POST / HTTP/1.1\r\n".len());
        assert_eq!(length(Framing::Length(u64::MAX)), "content-length: 18446744073709551615\r\n\r\n");
        assert_eq!(length(Framing::Chunked), "transfer-encoding: chunked\r\n\r\n");
        assert_eq!(length(Framing::Empty), "content-length: 0\r\n\r\n");
        assert_eq!(head("CONNECT", "/", &[], Framing::Empty), "CONNECT / HTTP/1.1\r\n\r\n");
        assert_eq!(head("PUT", "/", &[], Framing::Empty), "PUT / HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
    }

    #[test]
    fn chunks_and_trailers() {
        let mut out = Vec::new();
        write_data(&mut out, Framing::Chunked, &[b'x'; 26]);
        write_data(&mut out, Framing::Chunked, b"");
        let mut trailers = HeaderMap::new();
        trailers.insert("digest", HeaderValue::from_static("1"));
        trailers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("1"));
        write_end(&mut out, Framing::Chunked, Some(&trailers));
        assert_eq!(out, [b"1a\r\n", &[b'x'; 26][..], b"\r\n0\r\ndigest: 1\r\n\r\n"].concat());
    }
}
