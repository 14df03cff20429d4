//! The daemon, as the commands reach it: one request on one connection.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;

use super::failure::{Exit, Failure};

/// After which people are told that the daemon still works on it.
const LONG: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Client {
    socket: PathBuf,
}

/// What is sent along.
#[derive(Debug)]
pub(super) enum Body {
    None,
    Json(Value),
    Pack(Vec<u8>),
    Lines(Vec<u8>),
}

impl Client {
    pub(super) fn new(socket: PathBuf) -> Self {
        Client { socket }
    }

    /// Asks, and gives the answer's JSON. `path` is what follows `/v1`, in parts.
    ///
    /// # Errors
    /// No daemon answers, or it refuses.
    pub(super) fn ask(&self, method: Method, path: &[&str], body: Body) -> Result<Value, Failure> {
        self.send(request(method, path, &[], body))
    }

    /// As `ask`, with a GET.
    ///
    /// # Errors
    /// As `ask`.
    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, &[path], Body::None)
    }

    /// As `get`, with names and values of a query.
    ///
    /// # Errors
    /// As `ask`.
    pub(super) fn search(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value, Failure> {
        self.send(request(Method::GET, path, query, Body::None))
    }

    /// Puts something at a path, with names and values of a query.
    ///
    /// # Errors
    /// As `ask`.
    pub(super) fn put(&self, path: &[&str], query: &[(&str, String)], body: Body) -> Result<Value, Failure> {
        self.send(request(Method::PUT, path, query, body))
    }

    /// As `search`, of an answer that comes line by line: each is given to `each`.
    ///
    /// # Errors
    /// As `ask`.
    pub(super) fn follow(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        mut each: impl FnMut(Value),
    ) -> Result<(), Failure> {
        let request = request(Method::GET, path, query, Body::None);
        let request = request.map_err(|error| Failure::failed("usage", error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed("system", error))?;
        runtime.block_on(async {
            let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken_off(&error))?;
            let lines = async move {
                let response = sender.send_request(request).await.map_err(|error| self.broken_off(&error))?;
                let (status, mut body) = (response.status(), response.into_body());
                let mut came = Vec::new();
                while let Some(frame) = body.frame().await {
                    let frame = frame.map_err(|error| self.broken_off(&error))?;
                    if let Some(data) = frame.data_ref() {
                        came.extend_from_slice(data);
                    }
                    while let Some(end) =
                        came.iter().position(|byte| *byte == b'\n').filter(|_| status.is_success())
                    {
                        let line: Vec<u8> = came.drain(..=end).collect();
                        each(serde_json::from_slice(&line).map_err(|error| self.not_understood(&error))?);
                    }
                }
                if status.is_success() { Ok(()) } else { Err(Failure::from_daemon(status, &came)) }
            };
            let (followed, _) = tokio::join!(lines, connection);
            followed
        })
    }

    fn send(&self, request: Result<Request<Full<Bytes>>, http::Error>) -> Result<Value, Failure> {
        let request = request.map_err(|error| Failure::failed("usage", error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed("system", error))?;
        let (status, body) = runtime.block_on(async {
            let mut exchange = pin!(self.exchange(request));
            match tokio::time::timeout(LONG, &mut exchange).await {
                Ok(answer) => answer,
                Err(_) => {
                    self.tell_that_it_takes_long();
                    exchange.await
                }
            }
        })?;
        if !status.is_success() {
            return Err(Failure::from_daemon(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| self.not_understood(&error))
    }

    /// What the commands show of an answer.
    ///
    /// # Errors
    /// It is not in the shape that this version knows.
    pub(super) fn read<T: DeserializeOwned>(&self, answer: &Value) -> Result<T, Failure> {
        T::deserialize(answer).map_err(|error| self.not_understood(&error))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Failure> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken_off(&error))?;
        let exchange = async move {
            // `sender` ends with this, and the connection with it.
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok((status, response.into_body().collect().await?.to_bytes()))
        };
        // The exchange reports an error of the connection as well.
        let (answer, _) = tokio::join!(exchange, connection);
        answer.map_err(|error: hyper::Error| self.broken_off(&error))
    }

    /// To people, who may wonder.
    fn tell_that_it_takes_long(&self) {
        let mut err = io::stderr();
        if err.is_terminal() {
            let socket = self.socket.display();
            let _ = writeln!(err, "waiting for the daemon at {socket}: its log says for what it waits");
        }
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let socket = self.socket.display();
        let (why, help) = match error.kind() {
            io::ErrorKind::NotFound => (
                "there is no such socket",
                "start the daemon by `shunt run`, or name its socket by `--socket`",
            ),
            io::ErrorKind::ConnectionRefused => (
                "no process listens there",
                "start the daemon by `shunt run`, or name its socket by `--socket`",
            ),
            io::ErrorKind::PermissionDenied => {
                ("permission denied", "run the command as the daemon's user or as root")
            }
            _ => {
                return Failure::new(
                    Exit::Unreachable,
                    "unreachable",
                    format!("cannot reach the daemon at {socket}: {error}"),
                )
                .help("start the daemon by `shunt run`, or name its socket by `--socket`");
            }
        };
        Failure::new(Exit::Unreachable, "unreachable", format!("cannot reach the daemon at {socket}: {why}"))
            .help(help)
    }

    fn broken_off(&self, error: &hyper::Error) -> Failure {
        let message = format!("the daemon at {} sent no response: {error}", self.socket.display());
        Failure::new(Exit::Unreachable, "unreachable", message).help(
            "the daemon's log says whether it ended, or refused the connection: then run the command as the daemon's user or \
             as root",
        )
    }

    fn not_understood(&self, error: &serde_json::Error) -> Failure {
        let message = format!("cannot read the response of {}: {error}", self.socket.display());
        Failure::failed("protocol", message)
            .help("use the `shunt` of the daemon's version; `-o json` shows the response")
    }
}

fn request(
    method: Method,
    path: &[&str],
    query: &[(&str, String)],
    body: Body,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let path = path.iter().fold("/v1".to_owned(), |path, part| path + "/" + &encoded(part));
    let parts: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let uri = if parts.is_empty() { path } else { format!("{path}?{}", parts.join("&")) };
    let request = Request::builder().method(method).uri(uri).header(HOST, "localhost");
    match body {
        Body::None => request.body(Full::default()),
        Body::Json(value) => {
            request.header(CONTENT_TYPE, "application/json").body(Full::from(value.to_string()))
        }
        Body::Lines(bytes) => request.header(CONTENT_TYPE, "text/plain").body(Full::from(bytes)),
        Body::Pack(bytes) => request.header(CONTENT_TYPE, "application/wasm").body(Full::from(bytes)),
    }
}

/// One part of a path: what is not unreserved in RFC 3986 section 2.3 is percent-encoded.
fn encoded(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_path_stay_parts() {
        assert_eq!(encoded("web-1_a.b~"), "web-1_a.b~");
        assert_eq!(encoded("a/b c"), "a%2Fb%20c");
        assert_eq!(encoded("[::1]:80"), "%5B%3A%3A1%5D%3A80");
        let to = |path, query| request(Method::GET, path, query, Body::None).unwrap().uri().to_string();
        assert_eq!(to(&["pools", "a/b"], &[]), "/v1/pools/a%2Fb");
        let query = [("member", "[::1]:53".to_owned()), ("limit", "5".to_owned())];
        assert_eq!(to(&["flows"], &query), "/v1/flows?member=%5B%3A%3A1%5D%3A53&limit=5");
    }
}
