//! Watches the bytes that a client sends and refuses what two parsers could read differently.
//!
//! hyper is right to be lenient in places where a proxy must not be: it lets `Transfer-Encoding`
//! win over `Content-Length` and takes a bare LF for a line end. Both are how requests are smuggled
//! past a proxy (RFC 9112 sections 2.2, 6.3 and 11.2). The guard reads the same bytes as hyper does,
//! on their way in, follows the framing, and names the request that must not be served. Of a request line
//! it sees what the parser's result does not show any more: a fragment, and octets beyond ASCII.
//!
//! Where hyper would give an answer of its own that is wrong, the guard changes a byte on its way: the minor
//! version of a later HTTP/1, and the end of a line with a length that hyper takes for a head too large.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::client::ClientStream;
use crate::deadline::{Deadline, Waiting};
use crate::http::h1::framing::{chunk_size, decimal};
use crate::http::h1::half_close::HalfClose;

/// Why a request is refused. Each is answered with 400 and the end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `Content-Length` and `Transfer-Encoding` in one head (RFC 9112 section 6.3, item 3).
    BothLengths,
    /// A line that ends with LF alone (RFC 9112 section 2.2).
    BareLf,
    /// A `Content-Length` that is not digits alone, or several that differ (RFC 9112 section 6.3, item 5).
    BadLength,
    /// A `Content-Length` that no message has: hyper means something else by it.
    LengthTooLarge,
    /// A `Transfer-Encoding` that is not `chunked` alone: what else it names would stay on the body
    /// (RFC 9112 section 6.1).
    Coding,
    /// A fragment in the target, which stays with the client (RFC 9112 section 3.2, RFC 9110 section 7.1).
    Fragment,
    /// Octets beyond ASCII in the target (RFC 3986 section 2): they are sent as percent-encodings.
    BeyondAscii,
    /// A chunk size that is not 1 to 16 hexadecimal digits, or a chunk not ended by CRLF (RFC 9112 section 7.1).
    BadChunk,
}

impl Refusal {
    /// For the log and for the body of the answer.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Refusal::BothLengths => "both Content-Length and Transfer-Encoding",
            Refusal::BareLf => "line not ended by CRLF",
            Refusal::BadLength => "Content-Length is not a number",
            Refusal::LengthTooLarge => "Content-Length is too large",
            Refusal::Coding => "Transfer-Encoding is not chunked",
            Refusal::Fragment => "the target has a fragment",
            Refusal::BeyondAscii => "the target has octets that are not ASCII",
            Refusal::BadChunk => "malformed chunk",
        }
    }
}

/// What the guard reports to the rest of the connection.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The ordinal of the request to refuse (1 is the first of the connection), and why.
    refused: Cell<Option<(u64, Refusal)>>,
    /// Part of a head has come in and the rest has not.
    inside_head: Cell<bool>,
    /// Ordinals of OPTIONS requests whose target is in absolute form without path and query.
    bare_options: RefCell<Vec<u64>>,
    /// The end of a chunked answer with trailers, to be written in place of hyper's, and how much of it was.
    trailers: RefCell<Option<(Vec<u8>, usize)>>,
    /// The last message that came in is not known to be complete.
    inside_message: Cell<bool>,
    /// Something that was to be written waits for the client to read.
    unwritten: Cell<bool>,
    /// Requests whose head was read.
    requests: Cell<u64>,
    pub(crate) half_close: HalfClose,
}

impl Findings {
    /// The ordinal of a request whose head has just been read; the first is 1.
    pub(crate) fn begin_request(&self) -> u64 {
        let ordinal = self.next_ordinal();
        self.requests.set(ordinal);
        ordinal
    }

    /// The ordinal of the request whose head is read next.
    pub(crate) fn next_ordinal(&self) -> u64 {
        self.requests.get() + 1
    }

    /// Why the request of this ordinal, or one before it, must not be served.
    pub(crate) fn refusal(&self, ordinal: u64) -> Option<Refusal> {
        self.refused.get().filter(|&(first, _)| first <= ordinal).map(|(_, why)| why)
    }

    /// Whether the request of this ordinal asks for the options of a whole server in absolute form.
    pub(crate) fn is_bare_options(&self, ordinal: u64) -> bool {
        let mut ordinals = self.bare_options.borrow_mut();
        let found = ordinals.contains(&ordinal);
        ordinals.retain(|&later| later > ordinal);
        found
    }

    /// Whether all that hyper has to write is with the kernel.
    pub(crate) fn all_written(&self) -> bool {
        !self.unwritten.get()
    }

    /// Says what the next thing that hyper writes is to end with: it must be the end of a chunked body, with
    /// nothing before it.
    pub(crate) fn end_with(&self, trailers: Vec<u8>) {
        self.trailers.replace(Some((trailers, 0)));
    }

    /// Whether a head has begun that is not complete.
    pub(crate) fn inside_head(&self) -> bool {
        self.inside_head.get()
    }

    /// Whether more of the last message may be in flight. Closing then resets the connection, and the
    /// client may lose the answer (RFC 9112 section 9.6).
    pub(crate) fn inside_message(&self) -> bool {
        self.inside_message.get()
    }
}

impl Findings {
    /// Whether the connection is between two requests with nothing in flight in either direction.
    pub(crate) fn at_rest(&self) -> bool {
        !self.inside_head() && !self.inside_message() && !self.unwritten.get()
    }

    /// Whether there is an answer to come, or a rest of one to be written.
    pub(crate) fn in_flight(&self, deadline: &Deadline) -> bool {
        self.unwritten.get() || !matches!(deadline.waiting(), Waiting::Request | Waiting::Head)
    }
}

/// A client's stream under guard.
pub(crate) struct Guarded<S> {
    stream: S,
    framing: Framing,
    findings: Rc<Findings>,
    deadline: Rc<Deadline>,
    sends_close_notify: bool,
}

impl<S> Guarded<S> {
    /// `ordinal`: that of the next request, 1 for the first of the connection. `sends_close_notify`: shutting the stream
    /// down sends close_notify of TLS. Else that is left to closing, which does the same in one system call less.
    pub(crate) fn new(
        stream: S,
        findings: Rc<Findings>,
        deadline: Rc<Deadline>,
        ordinal: u64,
        sends_close_notify: bool,
    ) -> Self {
        Guarded {
            stream,
            framing: Framing { ordinal, ..Framing::default() },
            findings,
            deadline,
            sends_close_notify,
        }
    }

    /// The stream, for what is not HTTP any more (an upgraded connection).
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: ClientStream> Guarded<S> {
    /// The client has ended its side. That is the end of the connection only where nothing is in flight:
    /// else the end is kept until the answer is out.
    fn end_between_messages(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let half_close = &self.findings.half_close;
        if !half_close.is_seen() {
            let clear = !self.findings.unwritten.get();
            half_close.note(Pin::new(&mut self.stream), cx, clear)?;
            half_close.watch(self.stream.socket());
        }
        Poll::Pending
    }
}

impl<S: ClientStream> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.findings.half_close.is_seen() {
            return if this.findings.in_flight(&this.deadline) { Poll::Pending } else { Poll::Ready(Ok(())) };
        }
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut this.stream).poll_read(cx, buf));
        let ended = match &read {
            Ok(()) => buf.filled().len() == before,
            // TLS without close_notify: the request is whole by its own framing, so nothing of it was cut off.
            Err(error) => error.kind() == io::ErrorKind::UnexpectedEof,
        };
        if ended
            && this.framing.part == Part::Head
            && !this.framing.inside_head()
            && this.findings.in_flight(&this.deadline)
        {
            return this.end_between_messages(cx);
        }
        read?;
        if let Err(why) = this.framing.follow(&mut buf.filled_mut()[before..])
            && this.findings.refused.get().is_none()
        {
            this.findings.refused.set(Some((this.framing.ordinal, why)));
        }
        if !this.framing.bare_options.is_empty() {
            this.findings.bare_options.borrow_mut().append(&mut this.framing.bare_options);
        }
        this.findings.inside_head.set(this.framing.inside_head());
        this.findings.inside_message.set(this.framing.part != Part::Head);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let out = self.findings.half_close.already_out(buf);
        if out > 0 {
            self.findings.half_close.passed_over(out);
            return Poll::Ready(Ok(out));
        }
        if self.findings.trailers.borrow().is_some() && buf.starts_with(LAST_CHUNK) {
            ready!(self.poll_write_trailers(cx))?;
            self.findings.unwritten.set(buf.len() > LAST_CHUNK.len());
            return Poll::Ready(Ok(LAST_CHUNK.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if self.findings.unwritten.get() && matches!(written, Poll::Ready(Ok(1..))) {
            // It waited for the client, who reads.
            self.deadline.progress();
        }
        self.findings.unwritten.set(!matches!(written, Poll::Ready(Ok(count)) if count == buf.len()));
        written
    }

    /// hyper flushes when it has handed over all that there is to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.findings.unwritten.set(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.sends_close_notify {
            true => Pin::new(&mut self.stream).poll_shutdown(cx),
            false => Poll::Ready(Ok(())),
        }
    }
}

/// The end of a chunked body, as hyper writes it.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl<S: AsyncWrite + Unpin> Guarded<S> {
    /// Writes the end of a body that hyper would write without trailers: it sends only those that `Trailer` named
    /// before, and a member need not have done that (RFC 9110 section 6.6.2).
    fn poll_write_trailers(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut trailers = self.findings.trailers.borrow_mut();
        while let Some((bytes, written)) = &mut *trailers {
            if *written == bytes.len() {
                *trailers = None;
                break;
            }
            self.findings.unwritten.set(true);
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[*written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => *written += count,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Where in the messages of a connection the next byte falls.
#[derive(Debug)]
struct Framing {
    /// The request that the next byte belongs to, counted from 1.
    ordinal: u64,
    part: Part,
    /// A line whose end has not come in yet. Bounded by the head limit: hyper stops reading there.
    partial_line: Vec<u8>,
    head: HeadSoFar,
    /// See [`Findings::bare_options`].
    bare_options: Vec<u64>,
}

#[derive(Debug, Default)]
struct HeadSoFar {
    lines: u32,
    length: Option<u64>,
    chunked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Head,
    /// So many bytes of a body with a length are to come.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk are to come, its CRLF among them (the last two).
    Chunk(u64),
    Trailer,
    /// Something was refused: where the next message begins is a matter of opinion.
    Lost,
}

impl Default for Framing {
    fn default() -> Self {
        Framing {
            ordinal: 1,
            part: Part::Head,
            partial_line: Vec::new(),
            head: HeadSoFar::default(),
            bare_options: Vec::new(),
        }
    }
}

impl Framing {
    fn inside_head(&self) -> bool {
        self.part == Part::Head && (self.head.lines > 0 || !self.partial_line.is_empty())
    }

    /// Takes the next bytes of the connection. After an error every byte is let through unseen.
    fn follow(&mut self, mut bytes: &mut [u8]) -> Result<(), Refusal> {
        while !bytes.is_empty() {
            match self.part {
                Part::Head | Part::ChunkSize | Part::Trailer => {
                    let end = memchr(b'\n', bytes);
                    if self.part == Part::Head && self.head.lines == 0 {
                        let line = end.map_or(bytes.len(), |end| end + 1);
                        lower_version(&self.partial_line, &mut bytes[..line]);
                    }
                    let Some(end) = end else {
                        self.partial_line.extend_from_slice(bytes);
                        return Ok(());
                    };
                    let (line, rest) = bytes.split_at_mut(end + 1);
                    bytes = rest;
                    let taken = if self.partial_line.is_empty() {
                        self.line(line)
                    } else {
                        let mut whole = std::mem::take(&mut self.partial_line);
                        whole.extend_from_slice(line);
                        self.line(&whole)
                    };
                    if taken.is_err() {
                        if taken == Err(Refusal::LengthTooLarge) {
                            // No line ends so: hyper answers 400.
                            line[end] = 0;
                        }
                        self.part = Part::Lost;
                        return taken;
                    }
                }
                Part::Body(left) => {
                    let skipped = skip(&mut bytes, left);
                    self.part = Part::Body(left - skipped);
                    if skipped == left {
                        self.next_message();
                    }
                }
                Part::Chunk(left) => {
                    // The CRLF after the data is looked at byte by byte: it is where a wrong size shows.
                    if left > 2 {
                        self.part = Part::Chunk(left - skip(&mut bytes, left - 2));
                    } else {
                        let expected = if left == 2 { b'\r' } else { b'\n' };
                        if bytes[0] != expected {
                            self.part = Part::Lost;
                            return Err(Refusal::BadChunk);
                        }
                        skip(&mut bytes, 1);
                        self.part = if left == 1 { Part::ChunkSize } else { Part::Chunk(1) };
                    }
                }
                Part::Lost => return Ok(()),
            }
        }
        Ok(())
    }

    /// Takes one line, its line end included.
    fn line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let Some(line) = line.strip_suffix(b"\r\n") else { return Err(Refusal::BareLf) };
        match self.part {
            Part::Head => self.head_line(line),
            Part::ChunkSize => {
                let size = chunk_size(line).ok_or(Refusal::BadChunk)?;
                self.part = match size {
                    0 => Part::Trailer,
                    // A size near 2^64 is nothing that a body can have.
                    n => Part::Chunk(n.checked_add(2).ok_or(Refusal::BadChunk)?),
                };
                Ok(())
            }
            _ => {
                if line.is_empty() {
                    self.next_message();
                }
                Ok(())
            }
        }
    }

    fn head_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        if line.is_empty() {
            // Empty lines before a request line are to be ignored (RFC 9112 section 2.2).
            if self.head.lines > 0 {
                self.end_head()?;
            }
            return Ok(());
        }
        self.head.lines += 1;
        if self.head.lines == 1 {
            return self.request_line(line);
        }
        if let Some(value) = field(line, b"content-length:") {
            let length = decimal(value).ok_or(Refusal::BadLength)?;
            if length > MOST_LENGTH {
                return Err(Refusal::LengthTooLarge);
            }
            if self.head.length.is_some_and(|first| first != length) {
                return Err(Refusal::BadLength);
            }
            self.head.length = Some(length);
        } else if let Some(coding) = field(line, b"transfer-encoding:") {
            if self.head.chunked || !coding.eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::Coding);
            }
            self.head.chunked = true;
        }
        Ok(())
    }

    /// Looks at what becomes invisible when the target is parsed. What is no request line is hyper's to refuse.
    fn request_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        // One pass without a branch, for nearly every line is sound.
        if line.iter().fold(false, |odd, &byte| odd | (byte == b'#') | (byte >= 0x80)) {
            // `#` may stand in a method.
            let target = memchr(b' ', line).map_or(line, |space| &line[space..]);
            if target.contains(&b'#') {
                return Err(Refusal::Fragment);
            }
            if !target.is_ascii() {
                return Err(Refusal::BeyondAscii);
            }
        }
        if let Some(target) = line.strip_prefix(b"OPTIONS ")
            && has_neither_path_nor_query(target)
        {
            self.bare_options.push(self.ordinal);
        }
        Ok(())
    }

    fn end_head(&mut self) -> Result<(), Refusal> {
        match (self.head.length, self.head.chunked) {
            (Some(_), true) => return Err(Refusal::BothLengths),
            (None, true) => {
                self.head = HeadSoFar::default();
                self.part = Part::ChunkSize;
            }
            (Some(length), false) if length > 0 => {
                self.head = HeadSoFar::default();
                self.part = Part::Body(length);
            }
            _ => self.next_message(),
        }
        Ok(())
    }

    fn next_message(&mut self) {
        self.ordinal += 1;
        self.head = HeadSoFar::default();
        self.part = Part::Head;
    }
}

/// The largest length that hyper takes; two above it mean something else there.
const MOST_LENGTH: u64 = u64::MAX - 2;

/// Makes 1.1 of a later minor version of HTTP/1: such a message is read as one of the highest minor version that
/// is known (RFC 9110 section 2.5). `before` and `bytes` are what has come of a request line.
fn lower_version(before: &[u8], bytes: &mut [u8]) {
    // A digit is seen when it is the last, or before the line's end: hyper reads it as soon as it is there.
    let ends = bytes.iter().rev().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let Some(digit) = bytes.len().checked_sub(ends + 1).filter(|&at| matches!(bytes[at], b'2'..=b'9')) else {
        return;
    };
    let prefix = b" HTTP/1.";
    let here = &bytes[..digit];
    let is_version = match prefix.len().checked_sub(here.len()) {
        None | Some(0) => here.ends_with(prefix),
        Some(there) => prefix.ends_with(here) && before.ends_with(&prefix[..there]),
    };
    if is_version {
        bytes[digit] = b'1';
    }
}

/// Of the rest of a request line behind its method: whether its target is in absolute form and ends with the
/// authority.
fn has_neither_path_nor_query(target: &[u8]) -> bool {
    let target = &target[..memchr(b' ', target).unwrap_or(target.len())];
    match memchr::memmem::find(target, b"://").filter(|_| !target.starts_with(b"/")) {
        Some(scheme) => !target[scheme + 3..].iter().any(|byte| matches!(byte, b'/' | b'?')),
        None => false,
    }
}

/// Drops up to `most` bytes from the front; returns how many.
fn skip(bytes: &mut &mut [u8], most: u64) -> u64 {
    let count = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
    *bytes = &mut std::mem::take(bytes)[count..];
    count as u64
}

/// The value of a header line if its name is `name` (lower case, with the colon).
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    // Nearly every line of a head differs by its first byte.
    if line[0] | 0x20 != name[0] || line.len() < name.len() {
        return None;
    }
    let (start, value) = line.split_at(name.len());
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

#[cfg(test)]
mod tests;
