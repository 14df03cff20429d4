//! HTTP/2 frame by frame (RFC 9113): what a test sends and sees, with nothing helpful in between.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::raw::prepared;

mod server;

pub use server::Server;

/// RFC 9113 section 6.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// RFC 9113 section 6.5.2.
pub const HEADER_TABLE_SIZE: u16 = 1;
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
pub const INITIAL_WINDOW_SIZE: u16 = 4;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// RFC 9113 section 7.
pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// RFC 9113 section 6.5.2: the least that an endpoint takes.
const FRAME_SIZE: usize = 16_384;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Of GOAWAY before the last stream is known (RFC 9113 section 6.8).
pub const ANY_STREAM: u32 = (1 << 31) - 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    #[must_use]
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
        Frame { kind, flags, stream, payload: payload.into() }
    }

    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("a frame that is not too long").to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    #[must_use]
    pub fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The number at a place of the payload.
    #[must_use]
    pub fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

/// How a stream ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// 0: there was no head of an answer.
    pub status: u16,
    /// Of informational answers before it.
    pub interim: Vec<u16>,
    pub body: Vec<u8>,
    /// There were trailers.
    pub trailers: bool,
    /// The code of RST_STREAM, where it did not end otherwise.
    pub reset: Option<u32>,
}

impl Answer {
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Frames on a connection.
struct Wire<S = TcpStream> {
    stream: S,
    held: Vec<u8>,
}

impl<S: Read + Write> Wire<S> {
    fn new(stream: S) -> Self {
        Wire { stream, held: Vec::new() }
    }

    fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.stream.write_all(&frame.bytes())?;
        self.stream.flush()
    }

    fn read(&mut self) -> io::Result<Frame> {
        let header = self.exact(9)?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]) & ANY_STREAM;
        Ok(Frame { kind: header[3], flags: header[4], stream, payload: self.exact(length)? })
    }

    fn exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.held.len() < count {
            let mut buffer = [0; 32 << 10];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.held.extend_from_slice(&buffer[..read]),
                Err(error) => return Err(error),
            }
        }
        let rest = self.held.split_off(count);
        Ok(std::mem::replace(&mut self.held, rest))
    }
}

/// The payload of SETTINGS, by their numbers (RFC 9113 section 6.5.1).
fn settings_payload(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (number, value) in settings {
        payload.extend(number.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    payload
}

/// A client's end of a connection.
pub struct Client<S = TcpStream> {
    wire: Wire<S>,
    next_stream: u32,
    answers: BTreeMap<u32, Answer>,
    ended: Vec<u32>,
    /// Code and last stream of each GOAWAY.
    pub goaways: Vec<(u32, u32)>,
    /// The content of each PING.
    pub pings: Vec<Vec<u8>>,
    /// PINGs of the server are answered, and its data makes room for more.
    pub polite: bool,
}

impl Client {
    #[must_use]
    pub fn connect(address: SocketAddr) -> Client {
        Client::with_settings(address, &[])
    }

    /// With settings of the client, by their numbers.
    #[must_use]
    pub fn with_settings(address: SocketAddr, settings: &[(u16, u32)]) -> Client {
        Client::over(TcpStream::connect(address).and_then(prepared).expect("a connection"), settings)
    }

    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        &self.wire.stream
    }

    /// Ends the client's side.
    pub fn end(&self) {
        self.wire.stream.shutdown(Shutdown::Write).expect("shutdown");
    }
}

impl<S: Read + Write> Client<S> {
    /// On a connection that is there.
    #[must_use]
    pub fn over(stream: S, settings: &[(u16, u32)]) -> Self {
        let mut client = Client {
            wire: Wire::new(stream),
            next_stream: 1,
            answers: BTreeMap::new(),
            ended: Vec::new(),
            goaways: Vec::new(),
            pings: Vec::new(),
            polite: true,
        };
        // Without a dynamic table a status is a byte or a literal.
        let payload = settings_payload(&[&[(HEADER_TABLE_SIZE, 0)], settings].concat());
        client.send_bytes(PREFACE).expect("a preface");
        client.send(&Frame::new(SETTINGS, 0, 0, payload));
        client
    }

    /// # Errors
    /// The connection is gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.stream.write_all(bytes)?;
        self.wire.stream.flush()
    }

    /// # Errors
    /// The connection is gone.
    pub fn try_send(&mut self, frame: &Frame) -> io::Result<()> {
        self.send_bytes(&frame.bytes())
    }

    pub fn send(&mut self, frame: &Frame) {
        self.try_send(frame).expect("a connection that is there");
    }

    /// Begins a request whose head has all these fields, pseudo-fields among them; says its stream.
    pub fn begin(&mut self, fields: &[(&str, &str)], flags: u8) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        let block = block(fields);
        let mut pieces = block.chunks(FRAME_SIZE).peekable();
        let (mut kind, mut flags) = (HEADERS, flags);
        while let Some(piece) = pieces.next() {
            let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            self.send(&Frame::new(kind, flags | end, stream, piece));
            (kind, flags) = (CONTINUATION, 0);
        }
        stream
    }

    /// A whole request without a body.
    pub fn request(&mut self, method: &str, path: &str, more: &[(&str, &str)]) -> u32 {
        let fields = [&head(method, path), more].concat();
        self.begin(&fields, END_STREAM)
    }

    /// Begins a request with a body.
    pub fn upload(&mut self, path: &str, more: &[(&str, &str)]) -> u32 {
        let fields = [&head("POST", path), more].concat();
        self.begin(&fields, 0)
    }

    pub fn data(&mut self, stream: u32, data: &[u8], flags: u8) {
        self.send(&Frame::new(DATA, flags, stream, data));
    }

    /// Makes room for more of a stream, or (0) of the connection.
    pub fn make_room(&mut self, stream: u32, bytes: u32) {
        self.send(&Frame::new(WINDOW_UPDATE, 0, stream, bytes.to_be_bytes()));
    }

    /// The answer of a GET.
    pub fn get(&mut self, path: &str) -> Answer {
        let stream = self.request("GET", path, &[]);
        self.answer(stream)
    }

    /// Reads until this stream has ended.
    pub fn answer(&mut self, stream: u32) -> Answer {
        self.try_answer(stream).expect("the end of a stream")
    }

    /// # Errors
    /// The connection ends before.
    pub fn try_answer(&mut self, stream: u32) -> io::Result<Answer> {
        while !self.ended.contains(&stream) {
            self.step()?;
        }
        Ok(self.answers.remove(&stream).unwrap_or_default())
    }

    /// Reads until there is a head for this stream, or its end; says the status.
    pub fn status(&mut self, stream: u32) -> u16 {
        loop {
            match self.answers.get(&stream) {
                Some(answer) if answer.status != 0 => return answer.status,
                _ if self.ended.contains(&stream) => return 0,
                _ => drop(self.step().expect("a head")),
            }
        }
    }

    /// How much of an answer's body has come so far.
    #[must_use]
    pub fn came(&self, stream: u32) -> usize {
        self.answers.get(&stream).map_or(0, |answer| answer.body.len())
    }

    /// Reads until so much of the body has come.
    pub fn read_body(&mut self, stream: u32, length: usize) {
        while self.came(stream) < length {
            self.step().expect("more of a body");
        }
    }

    /// Reads until the next GOAWAY; says its code and the last stream.
    pub fn goaway(&mut self) -> (u32, u32) {
        let before = self.goaways.len();
        while self.goaways.len() == before {
            self.step().expect("GOAWAY");
        }
        self.goaways[before]
    }

    /// Reads to the end of the connection, which may be a reset.
    pub fn rest(&mut self) {
        while self.step().is_ok() {}
    }

    /// Takes the next frame, and notes what it says.
    ///
    /// # Errors
    /// The connection ends.
    pub fn step(&mut self) -> io::Result<Frame> {
        let frame = self.wire.read()?;
        let answer = self.answers.entry(frame.stream);
        match frame.kind {
            HEADERS => {
                let answer = answer.or_default();
                let status = status(&frame.payload);
                match status {
                    Some(interim @ 100..=199) => answer.interim.push(interim),
                    Some(status) if answer.status == 0 => answer.status = status,
                    _ => answer.trailers = true,
                }
            }
            DATA => answer.or_default().body.extend(&frame.payload),
            RST_STREAM => {
                answer.or_default().reset = Some(frame.number(0));
                self.ended.push(frame.stream);
            }
            PING if !frame.is(ACK) => self.pings.push(frame.payload.clone()),
            GOAWAY => self.goaways.push((frame.number(4), frame.number(0))),
            _ => {}
        }
        if matches!(frame.kind, HEADERS | DATA) && frame.is(END_STREAM) {
            self.ended.push(frame.stream);
        }
        if self.polite {
            let length = u32::try_from(frame.payload.len()).expect("a length");
            match frame.kind {
                PING if !frame.is(ACK) => {
                    let _ = self.try_send(&Frame::new(PING, ACK, 0, frame.payload.clone()));
                }
                SETTINGS if !frame.is(ACK) => {
                    let _ = self.try_send(&Frame::new(SETTINGS, ACK, 0, []));
                }
                DATA if length > 0 => {
                    for stream in [0, frame.stream] {
                        let update = Frame::new(WINDOW_UPDATE, 0, stream, length.to_be_bytes());
                        let _ = self.try_send(&update);
                    }
                }
                _ => {}
            }
        }
        Ok(frame)
    }
}

/// The pseudo-fields of a request.
#[must_use]
pub fn head<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [(":method", method), (":scheme", "http"), (":authority", "h"), (":path", path)]
}

/// A field block of literal fields that are not indexed (RFC 7541 section 6.2.2).
#[must_use]
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            string(&mut block, text.as_bytes());
        }
    }
    block
}

/// RFC 7541 section 5.
fn string(block: &mut Vec<u8>, text: &[u8]) {
    if text.len() < 127 {
        block.push(text.len() as u8);
    } else {
        block.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            block.push(128 | (rest % 128) as u8);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend(text);
}

/// The status at the beginning of a field block: indexed, or a literal with the name of an index (RFC 7541
/// appendix A), the digits in Huffman's code (appendix B) or as they are.
fn status(mut block: &[u8]) -> Option<u16> {
    while let [0x20..=0x3f, rest @ ..] = block {
        // The size of the table (section 6.3).
        block = rest;
    }
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    match block {
        [first @ 0x88..=0x8e, ..] => Some(INDEXED[usize::from(first - 0x88)]),
        [0x48 | 0x08 | 0x18, 0x03, digits @ ..] => std::str::from_utf8(digits.get(..3)?).ok()?.parse().ok(),
        [0x48 | 0x08 | 0x18, length @ 0x81..=0x83, code @ ..] => {
            let code = code.get(..usize::from(length & 0x7f))?;
            digits(code)
        }
        _ => None,
    }
}

fn digits(code: &[u8]) -> Option<u16> {
    let mut bits = code.iter().flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)));
    let mut number = 0;
    for _ in 0..3 {
        let five = (0..5).try_fold(0, |sum, _| Some(2 * sum + bits.next()?))?;
        let digit = match five {
            0..=2 => five,
            _ => (2 * five + bits.next()?).checked_sub(0x19)? + 3,
        };
        number = 10 * number + digit;
    }
    Some(number)
}
