//! The health service of gRPC must say SERVING (`grpc.health.v1`).

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::uri::Scheme;
use http::{Request, StatusCode, Uri};
use shunt_config::monitors::Grpc;
use shunt_wire::authority::split_port;
use thiserror::Error;

use super::dialogue::shown;
use super::http::{self as by_http, Answer, USER, exchange_2};
use super::probe::{self, Ask, Good, ProbeTransport, Probing};
use super::tcp::connect;

/// Why the answer is not good.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("status {} of HTTP in place of an answer of gRPC", .0.as_u16())]
    Http(StatusCode),
    #[error("status {code} of gRPC{}", told(.message))]
    Status { code: String, message: String },
    #[error("the service says {0}")]
    Health(&'static str),
    #[error("the answer is not of the health service")]
    Foreign,
}

fn told(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl Ask for Grpc {
    async fn ask<S: ProbeTransport>(&self, probing: Probing<'_, S>) -> Result<Good, probe::Failure> {
        let address = probing.to.to_string();
        let authority = self.authority.as_deref().unwrap_or(&address);
        let tls = probing.tls;
        let stream = connect(probing).await?;
        let asked = message(&self.service);
        let answer = match tls {
            None => exchange_2(stream, request(Scheme::HTTP, authority)?, asked).await?,
            Some(tls) => {
                let (called, _) = split_port(authority.as_bytes());
                let name = tls.name(std::str::from_utf8(called).ok())?;
                let session = tls.connect(stream, name).await?;
                exchange_2(session, request(Scheme::HTTPS, authority)?, asked).await?
            }
        };
        Ok(judged(&answer)?)
    }
}

fn request(scheme: Scheme, authority: &str) -> Result<Request<()>, by_http::Failure> {
    let path = "/grpc.health.v1.Health/Check";
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
    Request::post(uri.map_err(by_http::Failure::Request)?)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, USER)
        .body(())
        .map_err(by_http::Failure::Request)
}

/// A HealthCheckRequest: its field 1 is the service, left out where it is empty.
fn message(service: &str) -> Bytes {
    let mut body = Vec::new();
    if !service.is_empty() {
        body.push(0x0a);
        // A varint of at most two bytes, for at most 1,024 bytes.
        match u8::try_from(service.len()).ok().filter(|length| *length < 0x80) {
            Some(length) => body.push(length),
            None => body.extend([(service.len() & 0x7f) as u8 | 0x80, (service.len() >> 7) as u8]),
        }
        body.extend(service.as_bytes());
    }
    // Not compressed, and its length.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&[0], length.to_be_bytes().as_slice(), &body].concat().into()
}

fn judged(answer: &Answer) -> Result<Good, Failure> {
    if answer.status != StatusCode::OK {
        return Err(Failure::Http(answer.status));
    }
    // An answer without content has its trailers in its head.
    let trailers = answer.trailers.as_ref().unwrap_or(&answer.headers);
    let field = |name: &str| trailers.get(name).map(|value| shown(value.as_bytes()));
    let code = field("grpc-status").ok_or(Failure::Foreign)?;
    if code != "0" {
        return Err(Failure::Status { code, message: field("grpc-message").unwrap_or_default() });
    }
    // A HealthCheckResponse: its field 1 is the status, left out where it is 0.
    match answer.body.as_slice() {
        [0, 0, 0, 0, 2, 0x08, 1, ..] => Ok("SERVING".into()),
        [0, 0, 0, 0, 2, 0x08, 2, ..] => Err(Failure::Health("NOT_SERVING")),
        [0, 0, 0, 0, 2, 0x08, 3, ..] => Err(Failure::Health("SERVICE_UNKNOWN")),
        [0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 2, 0x08, 0, ..] => Err(Failure::Health("UNKNOWN")),
        _ => Err(Failure::Foreign),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn a_request_is_as_protobuf_says() {
        assert_eq!(&message("")[..], b"\0\0\0\0\0");
        assert_eq!(&message("shop")[..], b"\0\0\0\0\x06\x0a\x04shop");
        let long = "x".repeat(300);
        assert_eq!(message(&long)[..8], *b"\0\0\0\x01\x2f\x0a\xac\x02");
    }

    #[test]
    fn what_an_answer_means() {
        let told = |status: &str, body: &[u8]| {
            let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())]);
            let (status, headers) = (StatusCode::OK, HeaderMap::new());
            match judged(&Answer { status, headers, body: body.to_vec(), trailers: Some(trailers) }) {
                Ok(good) => format!("good: {good}"),
                Err(failure) => failure.to_string(),
            }
        };
        assert_eq!(told("0", b"\0\0\0\0\x02\x08\x01"), "good: SERVING");
        assert_eq!(told("0", b"\0\0\0\0\x02\x08\x02"), "the service says NOT_SERVING");
        assert_eq!(told("0", b"\0\0\0\0\0"), "the service says UNKNOWN");
        assert_eq!(told("5", b""), "status 5 of gRPC");
        assert_eq!(told("0", b"hello"), "the answer is not of the health service");
    }
}
