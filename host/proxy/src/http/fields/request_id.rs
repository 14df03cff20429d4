//! `X-Request-Id`: one name for a request in the logs of all that it passes.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id of another that is kept.
const LONGEST: usize = 128;

thread_local! {
    /// Keys of two hashes, random for each worker, and what is hashed next.
    static KEYS: (RandomState, RandomState) = (RandomState::new(), RandomState::new());
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Gives a request an id. `keep`: what it has already, where it has one that can stand in a log.
pub(crate) fn identify(headers: &mut HeaderMap, keep: bool) {
    let mut there = headers.get_all(REQUEST_ID).iter();
    if keep && there.next().is_some_and(is_sound) && there.next().is_none() {
        return;
    }
    headers.insert(REQUEST_ID, new());
}

fn is_sound(id: &HeaderValue) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// 128 bits that no other request has, in hexadecimal digits.
fn new() -> HeaderValue {
    let next = NEXT.replace(NEXT.get().wrapping_add(1));
    let text = KEYS.with(|(high, low)| format!("{:016x}{:016x}", high.hash_one(next), low.hash_one(next)));
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_new_unless_a_sound_one_is_to_be_kept() {
        let identified = |ids: &[&'static str], keep| {
            let mut headers = HeaderMap::new();
            for id in ids {
                headers.append(REQUEST_ID, HeaderValue::from_static(id));
            }
            identify(&mut headers, keep);
            let ids: Vec<_> = headers.get_all(REQUEST_ID).iter().cloned().collect();
            assert_eq!(ids.len(), 1);
            ids[0].to_str().unwrap().to_owned()
        };
        assert_eq!(identified(&["af-7"], true), "af-7");
        for (ids, keep) in
            [(&["af-7"][..], false), (&[], true), (&["a b"], true), (&[""], true), (&["a", "a"], true)]
        {
            let (one, other) = (identified(ids, keep), identified(ids, keep));
            assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
            assert_ne!(one, other, "{ids:?}");
        }
    }
}
