//! A stream of bytes to a member, with TLS or without.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, split};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::client::TlsStream;

use crate::relay::Wire;
use crate::socket;

type Session = Box<TlsStream<TcpStream>>;

pub(crate) enum ServerStream {
    Plain(TcpStream),
    Tls(Session),
}

pub(crate) enum ReadHalf {
    Plain(OwnedReadHalf),
    Tls(tokio::io::ReadHalf<Session>),
}

pub(crate) enum WriteHalf {
    Plain(OwnedWriteHalf),
    Tls(tokio::io::WriteHalf<Session>),
}

impl ServerStream {
    /// Whether the member has said nothing, as far as this worker has seen: neither closed the connection nor sent
    /// bytes. What belongs to TLS alone, such as a ticket, is none of them. Costs a system call only where something came.
    pub(crate) fn is_quiet(&mut self) -> bool {
        match self {
            ServerStream::Plain(stream) => {
                matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            ServerStream::Tls(stream) => {
                let (mut byte, mut cx) = ([0], Context::from_waker(Waker::noop()));
                Pin::new(stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
            }
        }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            ServerStream::Plain(stream) => stream,
            ServerStream::Tls(stream) => stream.get_ref().0,
        }
    }

    /// The same, asked of the kernel itself: what came since the worker last waited for events is seen, too.
    pub(crate) fn is_quiet_now(&mut self) -> bool {
        let peeked = SockRef::from(self.socket()).peek(&mut [MaybeUninit::uninit()]);
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock) && self.is_quiet()
    }

    /// Tells the member that nothing more comes (RFC 8446 section 6.1: close_notify), as far as its socket takes that now.
    pub(crate) fn close(&mut self) {
        if let ServerStream::Tls(stream) = self {
            let _ = Pin::new(stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Reads what is there, as far as there is room for it; 0: the member has ended its side.
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        match self {
            ServerStream::Plain(stream) => socket::poll_recv(stream, cx, into),
            ServerStream::Tls(stream) => pin!(stream.read_buf(into)).poll(cx),
        }
    }

    pub(crate) fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            ServerStream::Plain(stream) => {
                let (reading, writing) = stream.into_split();
                (ReadHalf::Plain(reading), WriteHalf::Plain(writing))
            }
            ServerStream::Tls(stream) => {
                let (reading, writing) = split(stream);
                (ReadHalf::Tls(reading), WriteHalf::Tls(writing))
            }
        }
    }
}

impl Wire for ServerStream {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            ServerStream::Plain(stream) => socket::poll_recv(stream, cx, into).map_ok(|_| ()),
            ServerStream::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            ServerStream::Plain(stream) => socket::poll_send(stream, cx, bytes),
            ServerStream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_send_last(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            ServerStream::Plain(stream) => socket::poll_send_last(stream, cx, bytes),
            ServerStream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn bare(&self) -> Option<&TcpStream> {
        match self {
            ServerStream::Plain(stream) => Some(stream),
            ServerStream::Tls(_) => None,
        }
    }
}

impl ReadHalf {
    /// `None`: the other half is of another stream.
    pub(crate) fn reunite(self, writing: WriteHalf) -> Option<ServerStream> {
        match (self, writing) {
            (ReadHalf::Plain(reading), WriteHalf::Plain(writing)) => {
                reading.reunite(writing).ok().map(ServerStream::Plain)
            }
            (ReadHalf::Tls(reading), WriteHalf::Tls(writing)) if reading.is_pair_of(&writing) => {
                Some(ServerStream::Tls(reading.unsplit(writing)))
            }
            _ => None,
        }
    }
}

/// Reads and writes by whichever it is.
macro_rules! either {
    (read $of:ident) => {
        impl AsyncRead for $of {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $of::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
                    $of::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
                }
            }
        }
    };
    (write $of:ident, $socket:path) => {
        impl AsyncWrite for $of {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $of::Plain(stream) => socket::poll_send($socket(stream), cx, bytes),
                    $of::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $of::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
                    $of::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
                }
            }

            // A frame of HTTP/2 is two pieces: its header, and what it has of a body.
            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $of::Plain(stream) => Pin::new(stream).poll_flush(cx),
                    $of::Tls(stream) => Pin::new(stream).poll_flush(cx),
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $of::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
                    $of::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
                }
            }
        }
    };
}

either!(read ServerStream);
either!(write ServerStream, std::convert::identity::<&TcpStream>);
either!(read ReadHalf);
either!(write WriteHalf, AsRef::<TcpStream>::as_ref);
