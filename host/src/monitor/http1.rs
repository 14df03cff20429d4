//! One exchange by HTTP/1.1 or 1.0 (RFC 9112). The connection is not used again, so that little is to be kept: a probe's
//! whole cost is a connection, a write and a read.

use std::io;

use http::{HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf};

use super::http::Failure;
use super::probe::MAX_BODY_BYTES;

/// How long the head of an answer may be.
const MOST_HEAD: usize = 64 << 10;
/// How many fields it may have.
const MOST_FIELDS: usize = 128;
/// What is made room for at first: most health pages are shorter, with their head.
const USUAL_ANSWER: usize = 1 << 10;

/// A request as it is written.
pub(super) struct Request(Vec<u8>);

impl Request {
    /// `version` is `HTTP/1.1` or `HTTP/1.0`.
    pub(super) fn new(method: &str, path: &str, version: &str) -> Self {
        let mut bytes = Vec::with_capacity(256);
        for part in [method, " ", path, " ", version, "\r\n"] {
            bytes.extend_from_slice(part.as_bytes());
        }
        Request(bytes)
    }

    /// # Errors
    /// It is no field.
    pub(super) fn field(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(http::Error::from)?;
        let value = HeaderValue::from_str(value).map_err(http::Error::from)?;
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            self.0.extend_from_slice(part);
        }
        Ok(())
    }

    /// How many bytes it has with this body.
    pub(super) fn length(&self, body: &[u8]) -> usize {
        self.0.len() + b"\r\n".len() + body.len()
    }

    /// Ends the fields.
    pub(super) fn with(mut self, body: &[u8]) -> Vec<u8> {
        self.0.extend_from_slice(b"\r\n");
        self.0.extend_from_slice(body);
        self.0
    }
}

/// Sends a request, and reads the answer: its status, and as much of its body as a probe looks at.
///
/// # Errors
/// There is no whole answer.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite,
    request: &[u8],
    is_head: bool,
) -> Result<(StatusCode, Vec<u8>), Failure> {
    let (reading, mut writing) = tokio::io::split(stream);
    let write = async {
        if writing.write_all(request).await.is_ok() {
            let _ = writing.flush().await;
        }
        // A server may answer before it has read all, and close. What went wrong is seen by reading as well.
        std::future::pending().await
    };
    let mut incoming = Incoming { reading, bytes: Vec::with_capacity(USUAL_ANSWER) };
    tokio::select! {
        biased;
        never = write => never,
        answer = incoming.answer(is_head) => answer,
    }
}

/// Where the body of an answer ends (RFC 9112 section 6.3).
enum Framing {
    Length(u64),
    Chunked,
    Close,
}

/// What a head says.
struct Head {
    length: usize,
    status: StatusCode,
    framing: Framing,
}

/// Bytes that come.
struct Incoming<S> {
    reading: ReadHalf<S>,
    bytes: Vec<u8>,
}

impl<S: AsyncRead> Incoming<S> {
    async fn answer(&mut self, is_head: bool) -> Result<(StatusCode, Vec<u8>), Failure> {
        let (status, framing) = loop {
            let head = self.head().await?;
            self.bytes.drain(..head.length);
            // Others come before the answer (RFC 9110 section 15.2); 101 was not asked for.
            if !head.status.is_informational() {
                break (head.status, head.framing);
            }
        };
        if is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Ok((status, Vec::new()));
        }
        let body = match framing {
            Framing::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                while self.bytes.len() < length.min(MAX_BODY_BYTES) {
                    self.more().await?;
                }
                self.bytes.truncate(length);
                std::mem::take(&mut self.bytes)
            }
            Framing::Close => {
                while self.bytes.len() < MAX_BODY_BYTES && self.read().await? > 0 {}
                std::mem::take(&mut self.bytes)
            }
            Framing::Chunked => self.chunks().await?,
        };
        Ok((status, body))
    }

    async fn head(&mut self) -> Result<Head, Failure> {
        loop {
            if let Some(head) = parse(&self.bytes)? {
                return Ok(head);
            }
            if self.bytes.len() >= MOST_HEAD {
                return Err(Failure::NotHttp1);
            }
            self.more().await?;
        }
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while body.len() < MAX_BODY_BYTES {
            let (line, size) = loop {
                match httparse::parse_chunk_size(&self.bytes).map_err(|_| Failure::NotHttp1)? {
                    httparse::Status::Complete(found) => break found,
                    httparse::Status::Partial if self.bytes.len() >= MOST_HEAD => {
                        return Err(Failure::NotHttp1);
                    }
                    httparse::Status::Partial => self.more().await?,
                }
            };
            self.bytes.drain(..line);
            // Trailers, if there are any, say nothing to a probe.
            if size == 0 {
                break;
            }
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let looked_at = size.min(MAX_BODY_BYTES);
            while self.bytes.len() < looked_at {
                self.more().await?;
            }
            body.extend(self.bytes.drain(..looked_at));
            if looked_at < size {
                break;
            }
            while self.bytes.len() < 2 {
                self.more().await?;
            }
            if !self.bytes.starts_with(b"\r\n") {
                return Err(Failure::NotHttp1);
            }
            self.bytes.drain(..2);
        }
        Ok(body)
    }

    /// Reads some more.
    ///
    /// # Errors
    /// There is no more.
    async fn more(&mut self) -> Result<(), Failure> {
        match self.read().await? {
            0 => Err(Failure::Closed),
            _ => Ok(()),
        }
    }

    /// As much as there is; 0: it has ended.
    async fn read(&mut self) -> Result<usize, Failure> {
        match self.reading.read_buf(&mut self.bytes).await {
            // TLS without a farewell.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Failure::Closed),
            read => Ok(read.map_err(Failure::Broken)?),
        }
    }
}

/// `None`: it is not whole yet.
fn parse(bytes: &[u8]) -> Result<Option<Head>, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(bytes).map_err(|_| Failure::NotHttp1)?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Failure::NotHttp1)?;
    let named = |name: &'static str| {
        response.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|it| it.value)
    };
    let is_chunked = named("transfer-encoding").next_back().map(|value| {
        let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
        last.trim_ascii().eq_ignore_ascii_case(b"chunked")
    });
    let framing = match (is_chunked, named("content-length").next()) {
        (Some(true), _) => Framing::Chunked,
        (Some(false), _) | (None, None) => Framing::Close,
        (None, Some(length)) => {
            let length = std::str::from_utf8(length).ok().and_then(|text| text.trim().parse().ok());
            Framing::Length(length.ok_or(Failure::NotHttp1)?)
        }
    };
    Ok(Some(Head { length, status, framing }))
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    /// A status and a body, or why there is none.
    type Told = Result<(u16, String), String>;

    /// What comes of an answer that arrives in pieces, and then ends.
    async fn told(pieces: &[&[u8]], is_head: bool) -> Told {
        let (near, mut far) = duplex(1 << 20);
        let serve = async {
            for piece in pieces {
                far.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(far);
        };
        let (answer, ()) = tokio::join!(exchange(near, b"GET / HTTP/1.1\r\n\r\n", is_head), serve);
        let (status, body) = answer.map_err(|failure| failure.to_string())?;
        Ok((status.as_u16(), String::from_utf8(body).unwrap()))
    }

    #[tokio::test]
    async fn bodies_end_where_their_framing_says() {
        let ok = |status, body: &str| Ok((status, body.to_owned()));
        let table: [(&[&[u8]], Told); 9] = [
            (&[b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore"], ok(200, "ok")),
            (&[b"HTTP/1.1 200", b" OK\r\ncontent-LENGTH:2\r", b"\n\r\no", b"k"], ok(200, "ok")),
            (&[b"HTTP/1.0 503 Out\r\n\r\n", b"all ", b"of it"], ok(503, "all of it")),
            (
                &[
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2;x=y\r\no",
                    b"k\r\n3\r\n, so\r\n",
                ],
                Err("the answer is not HTTP/1.1".to_owned()),
            ),
            (
                &[
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\no",
                    b"k\r",
                    b"\n1\r\n!\r\n0\r\nA: b\r\n",
                ],
                ok(200, "ok!"),
            ),
            (&[b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No\r\n\r\n"], ok(204, "")),
            (
                &[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"],
                Err("closed before the answer was whole".to_owned()),
            ),
            (
                &[b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"],
                Err("the answer is not HTTP/1.1".to_owned()),
            ),
            (&[b"HTTP/1.1 200 OK\r\nA: b"], Err("closed before the answer was whole".to_owned())),
        ];
        for (pieces, expected) in table {
            let shown = String::from_utf8_lossy(pieces.first().unwrap()).into_owned();
            assert_eq!(told(pieces, false).await, expected, "{shown}");
        }
        let head = told(&[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"], true).await;
        assert_eq!(head, ok(200, ""));
    }

    #[tokio::test]
    async fn an_answer_without_end_is_read_to_its_bound() {
        let field = [&b"a: "[..], &vec![b'x'; 70 << 10]].concat();
        let long = [&b"HTTP/1.1 200 OK\r\n"[..], &field];
        assert_eq!(told(&long, false).await, Err("the answer is not HTTP/1.1".to_owned()));
        let chunk = [&b"fffff\r\n"[..], &vec![b'x'; 1 << 18]].concat();
        let body = told(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &chunk], false).await;
        assert_eq!(body.unwrap().1.len(), MAX_BODY_BYTES);
    }
}
