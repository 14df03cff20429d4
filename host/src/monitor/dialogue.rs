//! A conversation with a member over TCP, or TLS where clients' connections to it are: what protocols with greetings
//! have in common.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::probe::{self, MAX_BODY_BYTES, ProbeTransport, Probing, io_text};
use super::tcp::connect;

/// Why a conversation ended early.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// What was waited for.
    #[error("closed before {0}")]
    Closed(&'static str),
    #[error("{what} is longer than 64 KiB")]
    TooLong { what: &'static str },
    #[error("{}", io_text(.0))]
    Broken(io::Error),
    /// What it is, and what was expected in its place.
    #[error("{what} is {got:?}, expected {expected}")]
    Unexpected { what: &'static str, got: String, expected: &'static str },
    /// The member's own words.
    #[error("refused: {0}")]
    Refused(String),
    #[error("{what} is not {protocol}")]
    Foreign { what: &'static str, protocol: &'static str },
}

/// How long a member has to close after the farewell: Exim answers QUIT 200 ms late.
const FAREWELL: Duration = Duration::from_millis(300);

/// How much of an answer is shown.
const MOST_SHOWN: usize = 200;

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection, and what came and was not used yet.
pub(super) struct Dialogue {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// When the farewell ends at the latest: just before the probe as a whole is too late.
    latest: Instant,
}

/// The coarseness of timers, twice.
pub(super) const MARGIN: Duration = Duration::from_millis(2);

/// A connection, with TLS where the pool has it.
///
/// # Errors
/// There is none.
pub(super) async fn open<S: ProbeTransport>(
    probing: Probing<'_, S>,
) -> Result<Box<dyn Stream>, probe::Failure> {
    let tls = probing.tls;
    let stream = connect(probing).await?;
    Ok(match tls {
        None => Box::new(stream),
        Some(tls) => Box::new(tls.connect_without_protocol(stream, tls.name(None)?).await?),
    })
}

impl Dialogue {
    /// Connects, with TLS where the pool has it.
    ///
    /// # Errors
    /// There is no connection.
    pub(super) async fn open<S: ProbeTransport>(probing: Probing<'_, S>) -> Result<Self, probe::Failure> {
        let latest = Instant::now() + probing.timeout.saturating_sub(MARGIN);
        Ok(Dialogue { stream: open(probing).await?, buffer: Vec::new(), latest })
    }

    /// # Errors
    /// The connection broke.
    pub(super) async fn say(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(bytes).await.map_err(Failure::Broken)?;
        self.stream.flush().await.map_err(Failure::Broken)
    }

    /// Reads some more. `what` is what is waited for.
    ///
    /// # Errors
    /// There is no more, or too much.
    pub(super) async fn more(&mut self, what: &'static str) -> Result<(), Failure> {
        if self.buffer.len() >= MAX_BODY_BYTES {
            return Err(Failure::TooLong { what });
        }
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(Failure::Closed(what)),
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::Broken(error)),
        }
    }

    /// A line, without its end.
    ///
    /// # Errors
    /// See [`Dialogue::more`].
    pub(super) async fn line(&mut self, what: &'static str) -> Result<String, Failure> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            self.more(what).await?;
        }
    }

    /// So many bytes.
    ///
    /// # Errors
    /// See [`Dialogue::more`].
    pub(super) async fn exactly(&mut self, length: usize, what: &'static str) -> Result<Vec<u8>, Failure> {
        if length > MAX_BODY_BYTES {
            return Err(Failure::TooLong { what });
        }
        while self.buffer.len() < length {
            self.more(what).await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// What came and was not used yet.
    pub(super) fn unused(&self) -> &[u8] {
        &self.buffer
    }

    /// Uses all that came.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
    }

    /// Says what ends the connection by the protocol, and lets the member close it. Whatever becomes of that, the
    /// member has shown that it serves.
    pub(super) async fn farewell(mut self, bytes: &[u8]) {
        let latest = self.latest;
        let end = async {
            self.say(bytes).await?;
            loop {
                self.buffer.clear();
                self.more("the end").await?;
            }
        };
        let until = latest.min(Instant::now() + FAREWELL);
        let _: Result<Result<(), Failure>, _> = timeout_at(until, end).await;
    }
}

/// Text of a member as it is shown: in one line, and not too much.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<&str> = text.split_whitespace().collect();
    let visible: String = words.join(" ").chars().filter(|char| !char.is_control()).collect();
    match visible.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}…", &visible[..end]),
        None => visible,
    }
}
