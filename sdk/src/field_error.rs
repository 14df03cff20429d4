//! Why a change to a head was refused.

use std::fmt;

use crate::bindings::http as wire;

/// Why a change to a head was refused. The head is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldError {
    /// The name or the value holds octets that HTTP does not allow there.
    Invalid,
    /// The field is one that rules may read and not change: `host`, and those that
    /// frame the message or belong to one connection.
    Forbidden,
    /// The head would grow past the limit of the virtual.
    TooLarge,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FieldError::Invalid => "the name or the value holds octets that HTTP does not allow there",
            FieldError::Forbidden => "the field is one that rules may read and not change",
            FieldError::TooLarge => "the head would grow past the limit of the virtual",
        })
    }
}

impl std::error::Error for FieldError {}

#[doc(hidden)]
impl From<wire::FieldError> for FieldError {
    fn from(error: wire::FieldError) -> Self {
        match error {
            wire::FieldError::Invalid => FieldError::Invalid,
            wire::FieldError::Forbidden => FieldError::Forbidden,
            wire::FieldError::TooLarge => FieldError::TooLarge,
        }
    }
}
