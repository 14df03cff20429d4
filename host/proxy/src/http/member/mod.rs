//! Connections to members: one set per worker and member, reused in last-in-first-out order so that
//! the ones not needed grow old and are closed.

mod carrier;
mod connection;
mod h2;
mod lease;
mod lifetime;
mod outgoing;
pub(in crate::http) mod request;
mod response;

use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;
use tokio_rustls::rustls::pki_types::ServerName;

use self::h2::connections::Connections;
use crate::http::body::BodyError;
pub(in crate::http) use carrier::Switched;
use connection::ServerConnection;
pub(crate) use lease::{Lease, Rest, Upgrade, Want};
use lifetime::Lifetime;
pub(crate) use outgoing::{MOST_KEPT, Pace, Resend};
use shunt_runtime::tls::members::NoTls;

/// Idle connections kept per member and worker. Enough for the concurrency that one worker reaches;
/// more would only hold descriptors of the member.
const MOST_IDLE: usize = 256;
/// A connection that was idle at so many sweeps is closed: after 30 to 40 s, before the 60 to 75 s at
/// which common servers do. Counting sweeps takes no clock on the path of a request.
const MOST_SWEEPS: u8 = 4;
/// Requests that must not be sent twice go on a kept connection only if its last answer ended so shortly ago:
/// the shortest idle time that servers have by default is 2 s (gunicorn gthread), and a request that crosses the end of
/// its connection may have been acted on (RFC 9112 section 9.3.1).
const FRESH: Duration = Duration::from_secs(1);
/// A connection that was used so shortly ago is taken as the worker last saw it; else the kernel is asked.
const JUST_USED: Duration = Duration::from_millis(5);

/// What is kept of a member between requests.
#[derive(Default)]
pub(crate) struct Kept {
    idle: RefCell<Vec<Idle>>,
    /// It closed a connection just behind an answer, unsaid, and has answered on no kept one since. There are
    /// servers that close behind each answer (uWSGI).
    closes_early: Cell<bool>,
    /// It sent what is no answer where one was due on a kept connection. There are servers that send content behind
    /// the answer to HEAD (waitress, daphne).
    overruns: Cell<bool>,
    lifetime: Lifetime,
    /// Those of HTTP/2, idle or not.
    shared: Connections,
}

struct Idle {
    connection: Box<ServerConnection>,
    /// When its last answer ended.
    used: Instant,
    sweeps: u8,
}

/// Why no connection could be had.
#[derive(Debug)]
pub(crate) enum ConnectError {
    Refused,
    TimedOut,
    Unreachable,
    /// There is a connection, and no TLS on it.
    Tls(NoTls),
    /// The member is to speak HTTP/2, and does not.
    NoHttp2,
    /// The member takes no WebSockets in streams of HTTP/2, which is all that it is to speak.
    NoWebSocket,
    /// All connections of HTTP/2 that may be have as many streams as the member takes.
    NoRoom,
    Other,
}

/// Why there is no response.
pub(crate) enum SendError {
    /// The member closed a connection that was kept alive just as it was taken, or still sent on it what belongs to
    /// the answer before.
    Stale(Broken, Resend),
    /// The member closed the connection early or sent what is not HTTP, or the request's own body ended early.
    Member(Broken),
    /// No response head in time.
    FirstByte,
}

/// How an exchange with a member ended before its end.
#[derive(Debug, Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Io(io::Error),
    #[error("closed without a response")]
    Closed,
    #[error("closed in the middle of a response")]
    Truncated,
    #[error("not an HTTP/1 response: {0}")]
    Head(httparse::Error),
    #[error("head or trailers larger than 64 KiB")]
    HeadTooLarge,
    #[error("not a status")]
    Status,
    #[error("malformed field")]
    Field,
    #[error("Content-Length is not a number")]
    Length,
    #[error("Transfer-Encoding is not chunked")]
    Coding,
    #[error("malformed chunk")]
    Chunk,
    #[error(transparent)]
    Http2(::h2::Error),
    /// No stream was begun.
    #[error("there is no stream: {0}")]
    NotBegun(::h2::Error),
    #[error(transparent)]
    Body(BodyError),
}

impl Kept {
    /// All of it, for the same member with other settings.
    pub(crate) fn take(&self) -> Self {
        Kept {
            idle: RefCell::new(self.idle.take()),
            closes_early: self.closes_early.clone(),
            overruns: self.overruns.clone(),
            lifetime: self.lifetime.clone(),
            shared: self.shared.take(),
        }
    }

    /// None, kept as long as these.
    pub(crate) fn alike(&self) -> Self {
        Kept { lifetime: self.lifetime.clone(), ..Kept::default() }
    }

    /// Connections are kept so long where the member neither says nor shows that it keeps them for less.
    pub(crate) fn keep_for(&self, configured: Duration) {
        self.lifetime.configure(configured);
    }

    /// Closes what is idle for too long or was closed by the member.
    pub(crate) fn sweep(&self) {
        self.lifetime.relax();
        self.shared.sweep(&self.lifetime);
        let mut idle = self.idle.borrow_mut();
        if idle.is_empty() {
            return;
        }
        let now = Instant::now();
        idle.retain_mut(|idle| {
            idle.sweeps += 1;
            let unused = now.saturating_duration_since(idle.used);
            idle.sweeps < MOST_SWEEPS
                && unused <= self.lifetime.of(idle.connection.kept_for())
                && idle.connection.is_quiet()
        });
    }

    /// Closes every idle connection.
    pub(crate) fn close(&self) {
        self.idle.borrow_mut().clear();
        self.shared.close();
    }

    fn keep(&self, connection: Box<ServerConnection>, used: Instant) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MOST_IDLE {
            idle.push(Idle { connection, used, sweeps: 0 });
        }
    }

    /// See [`Lease::reuse`].
    fn reuse(
        &self,
        now: Instant,
        repeatable: bool,
        called: Option<&ServerName<'static>>,
    ) -> Option<(Box<ServerConnection>, Past)> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let (Idle { mut connection, used, sweeps }, cautious) =
                match repeatable || !self.closes_early.get() {
                    true => {
                        let last = idle.iter().rposition(|it| it.connection.is_called(called))?;
                        (idle.remove(last), false)
                    }
                    // What it closes behind an answer is closed by now.
                    false => {
                        let settled = |it: &Idle| {
                            (JUST_USED..FRESH).contains(&now.saturating_duration_since(it.used))
                                && it.connection.is_called(called)
                        };
                        (idle.iter().position(settled).map(|index| idle.remove(index))?, true)
                    }
                };
            let unused = now.saturating_duration_since(used);
            if unused > self.lifetime.of(connection.kept_for()) {
                // The member is about to close it, or has.
                continue;
            }
            if !repeatable && unused > FRESH {
                idle.push(Idle { connection, used, sweeps });
                return None;
            }
            let quiet = match cautious || !repeatable && unused > JUST_USED {
                false => connection.is_quiet(),
                true => connection.is_quiet_now(),
            };
            if quiet {
                return Some((connection, if unused < FRESH { Past::Recent } else { Past::Old(unused) }));
            }
            if unused < FRESH {
                self.closes_early.set(true);
            } else {
                self.lifetime.closed_after(unused);
            }
        }
    }
}

/// What was on a connection before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    Nothing,
    /// A request whose answer ended less than [`FRESH`] ago.
    Recent,
    /// One whose answer ended so long ago.
    Old(Duration),
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => ConnectError::Refused,
            io::ErrorKind::TimedOut => ConnectError::TimedOut,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => ConnectError::Unreachable,
            _ => ConnectError::Other,
        }
    }
}

impl Broken {
    /// The code of RST_STREAM that a client gets as well. Others say something of the connection to the member, or that
    /// nothing was done, which is not so once there is an answer (RFC 9113 section 7).
    pub(crate) fn reset_for_client(&self) -> Option<::h2::Reason> {
        use ::h2::Reason;
        let Broken::Http2(error) = self else { return None };
        let reason = error.reason().filter(|_| error.is_reset() && error.is_remote())?;
        matches!(reason, Reason::CANCEL | Reason::ENHANCE_YOUR_CALM).then_some(reason)
    }

    /// Whether what came does not begin as an answer does.
    fn is_no_answer(&self) -> bool {
        matches!(self, Broken::Head(_) | Broken::Status)
    }

    /// Whether the member ended the connection without a word.
    fn is_closed(&self) -> bool {
        match self {
            Broken::Closed => true,
            Broken::Io(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected
            ),
            _ => false,
        }
    }
}
