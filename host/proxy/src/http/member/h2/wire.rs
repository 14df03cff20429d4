//! The member's bytes on their way to the crate that speaks HTTP/2: what the crate does not tell is seen here.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use shunt_runtime::clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::http::frames::{Follower, FrameHeader, flag, kind};
use crate::http::h2::{Bound, Spent};
use crate::http::member::ConnectError;

/// Streams that ended last, of which it is known.
const LAST_ENDED: usize = 32;
/// Frames without content, which cost a member nothing (section 10.5); one more for each with content. gRPC servers
/// send PING to measure the round trip while they send.
const EMPTY: Bound = Bound { burst: 1_000, per_second: 100 };

/// Why nothing more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    NotHttp2,
    Flood,
}

/// What a member sends, as far as it was looked at.
#[derive(Default)]
pub(super) struct Heard {
    frames: RefCell<Frames>,
    /// How often something came.
    reads: Cell<u64>,
    /// When the member ended the connection without GOAWAY.
    left: Cell<Option<Instant>>,
}

#[derive(Default)]
struct Frames {
    headers: Follower,
    first: First,
    /// Streams that the member ended last, the next of them to be forgotten.
    ended: [u32; LAST_ENDED],
    next: usize,
    /// GOAWAY has come.
    says_goodbye: bool,
    empty: Spent,
}

/// What came first (RFC 9113 section 3.4: SETTINGS).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum First {
    #[default]
    Nothing,
    /// The beginning of SETTINGS.
    Begun,
    Settings,
    Other,
}

impl Heard {
    /// How often something came, to be compared.
    pub(super) fn reads(&self) -> u64 {
        self.reads.get()
    }

    /// Whether the member speaks HTTP/2; `None`: it has not said so far.
    pub(super) fn speaks_http_2(&self) -> Option<bool> {
        match self.frames.borrow().first {
            First::Nothing | First::Begun => None,
            First::Settings => Some(true),
            First::Other => Some(false),
        }
    }

    /// Why there is no connection, where there is none.
    pub(super) fn no_connection(&self) -> ConnectError {
        match self.speaks_http_2() {
            Some(false) => ConnectError::NoHttp2,
            Some(true) | None => ConnectError::Other,
        }
    }

    /// When the member ended the connection without GOAWAY, if it has.
    pub(super) fn left(&self) -> Option<Instant> {
        self.left.get()
    }

    /// Nothing comes any more.
    fn ended(&self) {
        if self.left.get().is_none() && !self.frames.borrow().says_goodbye {
            self.left.set(Some(Instant::now()));
        }
    }

    /// Whether the member ended this stream, not long ago. The crate forgets it when the stream is reset behind its end.
    pub(super) fn has_ended(&self, stream: u32) -> bool {
        self.frames.borrow().ended.contains(&stream)
    }
}

impl Frames {
    /// Takes the next bytes of the connection.
    fn follow(&mut self, mut bytes: &[u8], now: impl Fn() -> u64) -> Result<(), Refused> {
        loop {
            let frame = self.headers.next(&mut bytes);
            if self.first == First::Begun && (frame.is_some() || !self.headers.is_in_payload()) {
                self.first = First::Settings;
            }
            let Some(frame) = frame else { return Ok(()) };
            self.begin_frame(frame, &now)?;
        }
    }

    fn begin_frame(&mut self, frame: FrameHeader, now: &impl Fn() -> u64) -> Result<(), Refused> {
        let FrameHeader { length, kind, flags, stream } = frame;
        if self.first == First::Nothing {
            let is_settings = kind == kind::SETTINGS && flags & flag::ACK == 0;
            self.first = if is_settings { First::Begun } else { First::Other };
        }
        if self.first == First::Other {
            return Err(Refused::NotHttp2);
        }
        if matches!(kind, kind::DATA | kind::HEADERS) && flags & flag::END_STREAM != 0 {
            self.ended[self.next] = stream;
            self.next = (self.next + 1) % LAST_ENDED;
            return Ok(());
        }
        match kind {
            kind::DATA if length > 0 => self.empty.earn(1),
            kind::CONTINUATION if length > 0 => {}
            kind::GOAWAY => self.says_goodbye = true,
            kind::HEADERS | kind::RST_STREAM | kind::WINDOW_UPDATE => {}
            // Acknowledgements answer what Shunt sent.
            kind::SETTINGS | kind::PING if flags & flag::ACK != 0 => {}
            _ if self.empty.spend(&EMPTY, now()) => {}
            _ => return Err(Refused::Flood),
        }
        Ok(())
    }
}

/// A stream of bytes that is listened to.
pub(super) struct Wire<S> {
    stream: S,
    heard: Rc<Heard>,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, heard: &Rc<Heard>) -> Self {
        Wire { stream, heard: Rc::clone(heard) }
    }

    /// What came of writing so many bytes. A member that speaks HTTP/1.1 alone answers the preface with 400 and closes:
    /// a write that meets the reset must not end what is yet to be read.
    fn wrote(&self, written: Poll<io::Result<usize>>, count: usize) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Err(_)) if self.heard.speaks_http_2().is_none() => Poll::Ready(Ok(count)),
            written => written,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        let bytes = &buf.filled()[before..];
        if read.is_err() || bytes.is_empty() && buf.remaining() > 0 {
            self.heard.ended();
        }
        read?;
        self.heard.reads.set(self.heard.reads.get() + 1);
        let followed = self.heard.frames.borrow_mut().follow(bytes, clock::monotonic_ms);
        followed.map_err(|refused| {
            buf.set_filled(before);
            let why = match refused {
                Refused::NotHttp2 => "not HTTP/2",
                Refused::Flood => "too many frames without content",
            };
            io::Error::new(io::ErrorKind::InvalidData, why)
        })?;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(written, buf.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(written, bufs.iter().map(|it| it.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    #[test]
    fn frames_are_followed_however_they_are_cut() {
        let bytes = [
            frame(kind::SETTINGS, 0, 0, &[0; 6]),
            frame(kind::HEADERS, flag::END_STREAM, 3, b"\x88"),
            frame(kind::DATA, 0, 5, &[1; 9]),
            frame(kind::DATA, flag::END_STREAM, 7, b""),
        ]
        .concat();
        for size in [1, 2, 8, 10, bytes.len()] {
            let heard = Heard::default();
            assert_eq!(heard.speaks_http_2(), None);
            for piece in bytes.chunks(size) {
                assert_eq!(heard.frames.borrow_mut().follow(piece, || 0), Ok(()));
            }
            assert_eq!(heard.speaks_http_2(), Some(true));
            assert_eq!([1, 3, 5, 7].map(|stream| heard.has_ended(stream)), [false, true, false, true]);
        }
    }

    #[test]
    fn what_does_not_begin_with_settings_is_not_http_2() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            &frame(kind::SETTINGS, flag::ACK, 0, b""),
            &frame(6, 0, 0, &[0; 8]),
        ] {
            let heard = Heard::default();
            assert_eq!(heard.frames.borrow_mut().follow(bytes, || 0), Err(Refused::NotHttp2));
            assert_eq!(heard.speaks_http_2(), Some(false));
        }
    }

    #[tokio::test]
    async fn an_answer_by_http_1_is_heard_behind_a_reset() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        use tokio::net::{TcpListener, TcpStream};

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let heard = Rc::<Heard>::default();
        let mut wire = Wire::new(client, &heard);
        wire.write_all(b"PRI").await.unwrap();
        server.read_u8().await.unwrap();
        server.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // What it has not read makes this a reset.
        drop(server);
        wire.write_all(b" * HTTP/2.0").await.unwrap();
        assert!(wire.read_to_end(&mut Vec::new()).await.is_err());
        assert_eq!(heard.speaks_http_2(), Some(false));
    }

    #[test]
    fn frames_without_content_have_a_budget() {
        for (repeated, is_empty) in [
            (frame(kind::SETTINGS, 0, 0, b""), true),
            (frame(kind::PING, 0, 0, &[0; 8]), true),
            (frame(kind::DATA, 0, 1, b""), true),
            (frame(99, 0, 0, b"x"), true),
            (frame(kind::PING, flag::ACK, 0, &[0; 8]), false),
            (frame(kind::DATA, 0, 1, b"x"), false),
            (frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]), false),
        ] {
            // How many more there may be so much later than the first thousand.
            let more = |later| {
                let mut frames = Frames { first: First::Settings, ..Frames::default() };
                (0..1_000).for_each(|_| frames.follow(&repeated, || 0).unwrap());
                (0..5_000).find(|_| frames.follow(&repeated, || later).is_err())
            };
            let expected = if is_empty { [Some(0), Some(500)] } else { [None, None] };
            assert_eq!([more(0), more(5_000)], expected, "{repeated:?}");
        }
    }
}
