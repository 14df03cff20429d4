//! The ClientHello as it came: read, and not answered yet.

use std::io;
use std::sync::Arc;

use shunt_wire::client_hello::{HelloError, MOST_MESSAGE, Records};
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Room that is made first. Hellos have 200 to 2,100 bytes.
const FIRST: usize = 4 << 10;

/// Bytes that are taken for one: those of the longest message, and as many again for the headers of its records.
const MOST_RECEIVED: usize = 2 * MOST_MESSAGE;

/// A ClientHello, which was read once.
pub(crate) struct Hello {
    /// All that came of it: its records, and nothing behind them.
    pub(crate) received: Vec<u8>,
    pub(crate) said: Arc<shunt_rules::Hello>,
}

/// Why there is none.
#[derive(Debug, Error)]
pub(crate) enum NoHello {
    #[error("{}", .0.reason())]
    Unfit(HelloError),
    #[error("the connection ends in the ClientHello")]
    Cut,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<HelloError> for NoHello {
    fn from(error: HelloError) -> Self {
        NoHello::Unfit(error)
    }
}

impl Hello {
    /// Reads it, and nothing behind it: that belongs to whoever answers it.
    pub(crate) async fn read(stream: &mut TcpStream) -> Result<Self, NoHello> {
        let (mut received, mut message) = (vec![0; FIRST], Vec::new());
        let (mut read, mut records) = (0, Records::default());
        loop {
            if read == received.len() {
                if read >= MOST_RECEIVED {
                    return Err(HelloError::TooLong.into());
                }
                received.resize(2 * read, 0);
            }
            let peeked = stream.peek(&mut received[read..]).await?;
            if peeked == 0 {
                return Err(NoHello::Cut);
            }
            // A message is shorter than the records that it comes in.
            message.resize(read + peeked, 0);
            let taken = records.take(&received[..read + peeked], &mut message);
            let end = match taken {
                Ok(Some(_)) => records.taken(),
                Ok(None) | Err(_) => read + peeked,
            };
            stream.read_exact(&mut received[read..end]).await?;
            read = end;
            if let Some(length) = taken? {
                message.truncate(length);
                received.truncate(read);
                return Ok(Hello { received, said: Arc::new(shunt_rules::Hello::new(message)?) });
            }
        }
    }
}
