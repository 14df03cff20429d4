//! HTTP/1 byte by byte: what a test sends and sees, with nothing helpful in between.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// How long anything may take before the test fails. Nothing waits so long where all is well.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Names in lower case, and values.
pub type Fields = Vec<(String, String)>;

/// One end of a connection, with what was read from it and not yet taken.
pub struct Conversation<S> {
    stream: S,
    held: Vec<u8>,
}

/// A client's end.
pub type Client = Conversation<TcpStream>;

/// A message head as it came.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Every byte of it, the empty line included.
    pub raw: Vec<u8>,
    /// The request or status line.
    pub line: String,
    pub fields: Fields,
}

/// A message whose framing has been taken off.
#[derive(Clone, Debug, Default)]
pub struct Message {
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Fields,
}

impl Head {
    /// Of a response.
    #[must_use]
    pub fn status(&self) -> u16 {
        let status = self.line.split(' ').nth(1).and_then(|it| it.parse().ok());
        status.unwrap_or_else(|| panic!("no status in {:?}", self.line))
    }

    /// The first field of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(it, _)| it == name).map(|(_, value)| value.as_str()).collect()
    }

    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn is_chunked(&self) -> bool {
        self.get("transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked"))
    }

    fn length(&self) -> Option<usize> {
        self.get("content-length").and_then(|it| it.parse().ok())
    }

    fn parse(raw: Vec<u8>) -> Head {
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        Head { raw, line, fields: lines.filter_map(field).collect() }
    }
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_ascii_lowercase(), value.trim().to_owned()))
}

impl Message {
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }
}

impl Client {
    #[must_use]
    pub fn connect(address: SocketAddr) -> Client {
        Client::try_connect(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// # Errors
    /// It is not accepted.
    pub fn try_connect(address: SocketAddr) -> io::Result<Client> {
        Ok(Conversation::new(prepared(TcpStream::connect_timeout(&address, PATIENCE)?)?))
    }

    /// As the client at this address of loopback.
    #[must_use]
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Client {
        Client::try_connect_from((source, 0).into(), address).expect("a connection")
    }

    /// # Errors
    /// It is not accepted, or the source is no address of this machine.
    pub fn try_connect_from(source: SocketAddr, address: SocketAddr) -> io::Result<Client> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.bind(&source.into())?;
        socket.connect_timeout(&address.into(), PATIENCE)?;
        Ok(Conversation::new(prepared(socket.into())?))
    }

    /// Says that nothing more will be sent.
    pub fn end(&self) {
        self.stream.shutdown(Shutdown::Write).expect("shutdown");
    }

    /// The same connection, to be used by another thread. What was read and not taken stays here.
    #[must_use]
    pub fn twin(&self) -> Client {
        Conversation::new(self.stream.try_clone().expect("another handle of a socket"))
    }
}

/// A socket that fails a test instead of hanging it.
pub(crate) fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

impl<S: Read + Write> Conversation<S> {
    pub fn new(stream: S) -> Self {
        Conversation { stream, held: Vec::new() }
    }

    pub fn stream(&self) -> &S {
        &self.stream
    }

    pub fn into_stream(self) -> S {
        self.stream
    }

    /// # Errors
    /// The other side does not take it.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the other side takes what is sent");
    }

    /// A GET, and its answer.
    pub fn get(&mut self, target: &str) -> Message {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.answer()
    }

    /// Sends, and takes one answer.
    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Message {
        self.send(bytes);
        self.answer()
    }

    pub fn answer(&mut self) -> Message {
        self.try_answer().expect("an answer")
    }

    /// The answer to a HEAD, or another that has no body whatever its fields say.
    pub fn answer_head(&mut self) -> Head {
        self.try_head().expect("the head of an answer")
    }

    /// # Errors
    /// The connection ends before the answer does.
    pub fn try_answer(&mut self) -> io::Result<Message> {
        let head = self.try_head()?;
        if matches!(head.status(), 100..=199 | 204 | 304) {
            return Ok(Message { head, ..Message::default() });
        }
        if head.is_chunked() {
            let (body, trailers) = self.try_chunked()?;
            return Ok(Message { head, body, trailers });
        }
        let body = match head.length() {
            Some(length) => self.try_exact(length)?,
            None => self.try_rest()?,
        };
        Ok(Message { head, body, trailers: Vec::new() })
    }

    /// # Errors
    /// The connection ends before the request does.
    pub fn try_request(&mut self) -> io::Result<Message> {
        let head = self.try_head()?;
        self.try_request_body(head)
    }

    /// The body of a request whose head has been taken.
    ///
    /// # Errors
    /// The connection ends before the request does.
    pub fn try_request_body(&mut self, head: Head) -> io::Result<Message> {
        if head.is_chunked() {
            let (body, trailers) = self.try_chunked()?;
            return Ok(Message { head, body, trailers });
        }
        let body = self.try_exact(head.length().unwrap_or(0))?;
        Ok(Message { head, body, trailers: Vec::new() })
    }

    /// # Errors
    /// The connection ends before the head does.
    pub fn try_head(&mut self) -> io::Result<Head> {
        let raw = self.try_until(b"\r\n\r\n")?;
        Ok(Head::parse(raw))
    }

    /// # Errors
    /// The connection ends before.
    pub fn try_exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.held.len() < count {
            self.read_more()?;
        }
        let rest = self.held.split_off(count);
        Ok(std::mem::replace(&mut self.held, rest))
    }

    pub fn exact(&mut self, count: usize) -> Vec<u8> {
        self.try_exact(count).expect("as many bytes as expected")
    }

    /// Everything up to and including `end`.
    ///
    /// # Errors
    /// The connection ends before.
    pub fn try_until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        let mut seen = 0;
        loop {
            let from = seen;
            if let Some(at) = self.held[from..].windows(end.len()).position(|it| it == end) {
                return self.try_exact(from + at + end.len());
            }
            seen = self.held.len().saturating_sub(end.len() - 1);
            self.read_more()?;
        }
    }

    /// One chunk, without its framing; empty: the last.
    ///
    /// # Errors
    /// The connection ends before, or what comes is no chunk.
    pub fn try_chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = self.try_until(b"\r\n")?;
        let digits = String::from_utf8_lossy(&line).trim().to_owned();
        let size = usize::from_str_radix(&digits, 16)
            .map_err(|_| io::Error::new(ErrorKind::InvalidData, format!("not a chunk size: {digits:?}")))?;
        if size == 0 {
            return Ok(Vec::new());
        }
        let chunk = self.try_exact(size)?;
        match &self.try_exact(2)?[..] {
            b"\r\n" => Ok(chunk),
            other => Err(io::Error::new(ErrorKind::InvalidData, format!("a chunk ends with {other:?}"))),
        }
    }

    fn try_chunked(&mut self) -> io::Result<(Vec<u8>, Fields)> {
        let mut body = Vec::new();
        loop {
            let chunk = self.try_chunk()?;
            if chunk.is_empty() {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        let mut trailers = Vec::new();
        loop {
            let line = self.try_until(b"\r\n")?;
            match field(&String::from_utf8_lossy(&line)) {
                Some(trailer) => trailers.push(trailer),
                None => return Ok((body, trailers)),
            }
        }
    }

    /// Everything until the other side ends.
    ///
    /// # Errors
    /// It ends with a reset.
    pub fn try_rest(&mut self) -> io::Result<Vec<u8>> {
        self.stream.read_to_end(&mut self.held)?;
        Ok(std::mem::take(&mut self.held))
    }

    /// Whether the other side ended in order, with nothing before it.
    pub fn ended(&mut self) -> bool {
        let rest = self.try_rest().expect("an end in order");
        assert!(rest.is_empty(), "before its end came {:?}", String::from_utf8_lossy(&rest));
        true
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        let count = match self.stream.read(&mut buffer) {
            // What a time-out of the socket is called here.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::TimedOut.into()),
            other => other,
        }?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.held.extend_from_slice(&buffer[..count]);
        Ok(())
    }
}
