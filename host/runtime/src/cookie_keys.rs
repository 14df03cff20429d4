//! The keys of cookies that bind clients, from a file of the operator.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64ct::{Base64, Encoding as _};
use shunt_engine::persistence::TagKeys;
use thiserror::Error;

/// Bytes of a key, as SipHash has them.
const KEY: usize = 16;

#[derive(Debug, Error)]
pub enum CookieKeysError {
    #[error("{0}: {1}")]
    Read(String, std::io::Error),
    #[error("{file}: line {line} is no key: a key is 16 bytes in base64")]
    NoKey { file: String, line: usize },
    #[error("{0}: there is no key in it")]
    Empty(String),
}

impl CookieKeysError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            CookieKeysError::Read(..) => "make the file readable for Shunt",
            CookieKeysError::NoKey { .. } | CookieKeysError::Empty(_) => {
                "write a key a line, each made by `openssl rand -base64 16`"
            }
        }
    }
}

/// Reads the keys of a file, or what everyone knows where there is none; keeps `before` if they are the same.
///
/// # Errors
/// The file has something else.
pub fn load(path: Option<&Path>, before: Option<&Arc<TagKeys>>) -> Result<Arc<TagKeys>, CookieKeysError> {
    let keys = match path {
        None => TagKeys::public(),
        Some(path) => {
            let shown = || path.display().to_string();
            let text = fs::read_to_string(path).map_err(|error| CookieKeysError::Read(shown(), error))?;
            let keys = read(&text).map_err(|line| CookieKeysError::NoKey { file: shown(), line })?;
            TagKeys::secret(&keys).ok_or_else(|| CookieKeysError::Empty(shown()))?
        }
    };
    Ok(match before {
        Some(before) if **before == keys => Arc::clone(before),
        _ => Arc::new(keys),
    })
}

/// A key a line; an error is the line that is none.
fn read(text: &str) -> Result<Vec<[u8; KEY]>, usize> {
    let lines = (1..).zip(text.lines()).map(|(line, text)| (line, text.trim()));
    let keys = lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#'));
    keys.map(|(line, text)| {
        let bytes = Base64::decode_vec(text).map_err(|_| line)?;
        <[u8; KEY]>::try_from(bytes).map_err(|_| line)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_key_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let load = |text: &str, before| {
            fs::write(&path, text).unwrap();
            load(Some(&path), before)
                .map_err(|error| error.to_string().rsplit('/').next().unwrap().to_owned())
        };
        let (one, two) = (Base64::encode_string(&[1; 16]), Base64::encode_string(&[2; 16]));
        let keys = load(&format!("# first\n{one}\n\n  {two}  \n"), None).unwrap();
        assert_eq!(*keys, TagKeys::secret(&[[1; 16], [2; 16]]).unwrap());
        assert!(Arc::ptr_eq(&load(&format!("{one}\n{two}"), Some(&keys)).unwrap(), &keys));
        assert!(!Arc::ptr_eq(&load(&format!("{two}\n{one}"), Some(&keys)).unwrap(), &keys));
        let short = Base64::encode_string(&[1; 15]);
        for (text, expected) in [
            (String::new(), "keys: there is no key in it"),
            (format!("{one}\n{short}"), "keys: line 2 is no key: a key is 16 bytes in base64"),
            ("?".to_owned(), "keys: line 1 is no key: a key is 16 bytes in base64"),
        ] {
            assert_eq!(load(&text, None).unwrap_err(), expected);
        }
    }

    #[test]
    fn without_a_file_everyone_knows_the_key() {
        assert_eq!(*load(None, None).unwrap(), TagKeys::public());
    }
}
