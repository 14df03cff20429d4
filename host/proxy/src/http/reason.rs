//! The reason phrase of an answer.

use bytes::Bytes;

/// In the extensions of an answer: the phrase of a member for a status that is not registered (RFC 9112 section 4).
#[derive(Clone, Debug)]
pub(crate) struct ReasonPhrase(Bytes);

impl ReasonPhrase {
    /// One that a parser took.
    pub(crate) fn new(phrase: &str) -> Self {
        ReasonPhrase(Bytes::copy_from_slice(phrase.as_bytes()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
