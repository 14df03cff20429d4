//! Header fields: which may be changed, to what, and how far a head may grow.

use http::header::{Entry, HeaderMap, HeaderName, HeaderValue};

use crate::abi::FieldError;
use crate::exchange::HeaderEdit;
use crate::grants::Fields;

/// What a field costs in a head beyond its name and value: `: ` and the line's end.
const OVERHEAD: usize = 4;

/// Whether rules may read and not change it: the fields that decide framing or belong to one
/// connection, which the host rewrites (RFC 9110 section 7.6.1, RFC 9112 section 6).
pub(crate) fn is_forbidden(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content-length"
            | "host"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// A name that a rule may change.
pub(super) fn name(text: &str) -> Result<HeaderName, FieldError> {
    let name = HeaderName::from_bytes(text.as_bytes()).map_err(|_| FieldError::Invalid)?;
    if is_forbidden(&name) { Err(FieldError::Forbidden) } else { Ok(name) }
}

fn value(bytes: &[u8]) -> Result<HeaderValue, FieldError> {
    HeaderValue::from_bytes(bytes).map_err(|_| FieldError::Invalid)
}

/// A field that a rule may write, if it may write this one.
pub(super) fn field(of: &str, content: &[u8]) -> Result<(HeaderName, HeaderValue), FieldError> {
    Ok((name(of)?, value(content)?))
}

/// What is read of a field, by its name.
pub(super) type Read<T> = fn(&HeaderMap, &str) -> T;

pub(super) fn first_value(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    headers.get(name).map(|value| value.as_bytes().to_vec())
}

pub(super) fn all_values(headers: &HeaderMap, name: &str) -> Vec<Vec<u8>> {
    headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect()
}

/// The names of the fields that may be read.
pub(super) fn names(headers: &HeaderMap, readable: &Fields) -> Vec<String> {
    let names = headers.keys().map(HeaderName::as_str).filter(|name| readable.contains(name));
    names.map(str::to_owned).collect()
}

/// A head whose size is watched. The size is counted at the first change of a call, for most
/// calls change nothing.
pub(super) struct Head<'a> {
    pub headers: &'a mut HeaderMap,
    /// Bytes of all fields, once they were counted.
    pub size: &'a mut Option<usize>,
    pub limit: usize,
}

impl Head<'_> {
    /// Replaces all values of a field by one.
    pub(super) fn set(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), FieldError> {
        let more = field_size(&name, &value);
        let size = counted(self.size, self.headers);
        // One search for the field, which is what a change costs most.
        match self.headers.try_entry(name).map_err(|_| FieldError::TooLarge)? {
            Entry::Occupied(mut field) => {
                let less = field.iter().map(|value| field_size(field.key(), value)).sum();
                grow(size, more, less, self.limit)?;
                field.insert(value);
            }
            Entry::Vacant(field) => {
                grow(size, more, 0, self.limit)?;
                field.try_insert(value).map_err(|_| FieldError::TooLarge)?;
            }
        }
        Ok(())
    }

    /// Adds a value after those that are there.
    pub(super) fn add(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), FieldError> {
        self.make_room(field_size(&name, &value), 0)?;
        self.headers.try_append(name, value).map_err(|_| FieldError::TooLarge)?;
        Ok(())
    }

    /// Removes all values of a field.
    pub(super) fn remove(&mut self, name: &HeaderName) {
        if let Some(size) = self.size {
            *size = size.saturating_sub(fields_size(self.headers, name));
        }
        self.headers.remove(name);
    }

    /// Accounts for `more` bytes in place of `less`.
    pub(super) fn make_room(&mut self, more: usize, less: usize) -> Result<(), FieldError> {
        grow(counted(self.size, self.headers), more, less, self.limit)
    }
}

/// The size of a head, which is counted at its first change.
fn counted<'a>(size: &'a mut Option<usize>, headers: &HeaderMap) -> &'a mut usize {
    size.get_or_insert_with(|| headers.iter().map(|(name, value)| field_size(name, value)).sum())
}

/// Accounts for `more` bytes in place of `less`. What makes a head no larger is always allowed.
fn grow(size: &mut usize, more: usize, less: usize, limit: usize) -> Result<(), FieldError> {
    let after = (*size + more).saturating_sub(less);
    if after > limit && more > less {
        return Err(FieldError::TooLarge);
    }
    *size = after;
    Ok(())
}

/// Notes a change to the answer that is still to come. The last one to a field is the one
/// that counts, so a field is there once.
pub(super) fn note_edit(
    edits: &mut Vec<HeaderEdit>,
    edit: HeaderEdit,
    limit: usize,
) -> Result<(), FieldError> {
    edits.retain(|other| other.name() != edit.name());
    let size: usize = edits.iter().chain([&edit]).map(edit_size).sum();
    if size > limit {
        return Err(FieldError::TooLarge);
    }
    edits.push(edit);
    Ok(())
}

fn edit_size(edit: &HeaderEdit) -> usize {
    match edit {
        HeaderEdit::Set(name, value) => field_size(name, value),
        HeaderEdit::Remove(name) => name.as_str().len() + OVERHEAD,
    }
}

fn field_size(name: &HeaderName, value: &HeaderValue) -> usize {
    name.as_str().len() + value.len() + OVERHEAD
}

fn fields_size(headers: &HeaderMap, name: &HeaderName) -> usize {
    headers.get_all(name).iter().map(|value| field_size(name, value)).sum()
}
