//! Puts the first handshake message together from the records that it comes in (RFC 8446 section 5.1).

use super::{HelloError, MOST_MESSAGE};
use crate::bytes::u16_at;

/// `ContentType` of the handshake.
const HANDSHAKE: u8 = 22;
/// Content type, version and length.
const RECORD_HEADER: usize = 5;
/// Message type and length.
const MESSAGE_HEADER: usize = 4;
/// The longest plaintext of a record.
const MOST_RECORD: u16 = 1 << 14;

/// How far a message has come. It may arrive in any number of segments and records; each byte is looked at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Records {
    /// Bytes received that were looked at.
    at: usize,
    /// Bytes of the record at hand that are still to come.
    left: u16,
    /// Bytes of the message so far.
    length: usize,
}

impl Records {
    /// Takes what has come since the last call. `received` is everything from the first byte of the connection on;
    /// the message is put into `message`, which should have room for [`MOST_MESSAGE`] bytes. Returns the length of the
    /// message once it is whole, and `None` before that.
    ///
    /// # Errors
    /// No more bytes make this a ClientHello.
    pub fn take(&mut self, received: &[u8], message: &mut [u8]) -> Result<Option<usize>, HelloError> {
        while let Some(come) = received.get(self.at..).filter(|come| !come.is_empty()) {
            if self.left == 0 {
                if self.is_whole(message) {
                    break;
                }
                if come[0] != HANDSHAKE {
                    return Err(if self.length == 0 {
                        HelloError::NotHandshake
                    } else {
                        HelloError::Interleaved
                    });
                }
                // Of the version only the first byte is sure: clients send 3.1 or 3.3 (RFC 8446 section 5.1).
                if come.get(1).is_some_and(|&major| major != 3) {
                    return Err(HelloError::NotHandshake);
                }
                let Some(length) = u16_at(come, RECORD_HEADER - 2) else { break };
                if length == 0 || length > MOST_RECORD {
                    return Err(HelloError::RecordLength);
                }
                self.left = length;
                self.at += RECORD_HEADER;
                continue;
            }
            let count = come.len().min(usize::from(self.left));
            let room = message.get_mut(self.length..).and_then(|room| room.get_mut(..count));
            room.ok_or(HelloError::TooLong)?.copy_from_slice(&come[..count]);
            self.at += count;
            self.length += count;
            self.left -= count as u16;
            self.check(message)?;
        }
        Ok(self.is_whole(message).then_some(self.length))
    }

    /// Bytes received that were looked at: where the message is whole, those of its records and none behind them.
    #[must_use]
    pub const fn taken(&self) -> usize {
        self.at
    }

    /// The length that the message says it has, with its header.
    fn said(&self, message: &[u8]) -> Option<usize> {
        let header: &[u8; MESSAGE_HEADER] = message.get(..self.length)?.first_chunk()?;
        let [_, length @ ..] = *header;
        Some(MESSAGE_HEADER + length.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte)))
    }

    fn is_whole(&self, message: &[u8]) -> bool {
        self.left == 0 && self.said(message) == Some(self.length)
    }

    fn check(&self, message: &[u8]) -> Result<(), HelloError> {
        if message.first() != Some(&super::CLIENT_HELLO) {
            return Err(HelloError::NotClientHello);
        }
        match self.said(message) {
            Some(said) if said > MOST_MESSAGE => Err(HelloError::TooLong),
            Some(said) if said < self.length + usize::from(self.left) => Err(HelloError::Trailing),
            _ => Ok(()),
        }
    }
}
