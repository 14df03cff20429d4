//! Why the host refused to change a head.

use std::fmt;

use crate::bindings::http as wire;

/// Why the host refused to change a head. The head is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldError {
    /// HTTP does not allow an octet of the name or of the value.
    Invalid,
    /// Rules may read this field and not change it: `host`, and the fields that frame
    /// the message or belong to one connection.
    Forbidden,
    /// The head would grow past the limit of the virtual.
    TooLarge,
    /// `pack.toml` does not ask for it under `[capabilities]`.
    NotGranted,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FieldError::Invalid => "HTTP does not allow an octet of the field's name or value",
            FieldError::Forbidden => "rules may read this field and not change it",
            FieldError::TooLarge => "the head would grow past the limit of the virtual",
            FieldError::NotGranted => "pack.toml does not ask for it under [capabilities]",
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
            wire::FieldError::NotGranted => FieldError::NotGranted,
        }
    }
}
