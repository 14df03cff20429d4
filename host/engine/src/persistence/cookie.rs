//! The value of the cookie that binds a client: a tag for each pool that the client has a member of, and when
//! it lapses.
//!
//! Pieces stand between points, in any order: tags differ by their length, and the moment is `t` and
//! hex digits, milliseconds of Unix time. It is asked for again with each request, for a client does not say
//! how old its cookie is (RFC 6265 section 4.2.2).

use super::MemberTag;

/// Pools that one cookie binds a client in. More push out those that were bound first: the cookie comes with
/// every request, so it stays below 300 bytes.
pub const MOST_TAGS: usize = 16;

/// Tags of one request that are looked up, over all cookies of the name. A browser sends several where some
/// were set for other paths (RFC 6265 section 5.4); no client needs more.
pub const MOST_LOOKED_UP: usize = 4 * MOST_TAGS;

/// A cookie is set again once a tenth of its time has passed: not with every answer, for that would keep
/// caches from storing any.
const TENTHS_LEFT: u64 = 9;

/// The tags in the value of a cookie.
pub fn tags(value: &[u8]) -> impl Iterator<Item = MemberTag> {
    pieces(value).filter_map(MemberTag::parse)
}

/// When a cookie lapses, if it does before the browser ends. `None` as well if the value does not say it.
#[must_use]
pub fn lapse(value: &[u8]) -> Option<u64> {
    let digits = pieces(value).find_map(|piece| piece.strip_prefix(b"t"))?;
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex)?;
    u64::from_str_radix(digits, 16).ok()
}

/// Whether a cookie that lapses at `lapse` is to be set again. `timeout`: how long it is to outlive its last use,
/// in milliseconds; `None`: as long as the browser. `now` is Unix time in milliseconds.
#[must_use]
pub fn is_due(lapse: Option<u64>, timeout: Option<u64>, now: u64) -> bool {
    match (lapse, timeout) {
        (None, None) => false,
        // Set by another configuration.
        (None, Some(_)) | (Some(_), None) => true,
        (Some(lapse), Some(timeout)) => {
            let left = lapse.saturating_sub(now);
            // More than the whole time is left where it was longer before, or by another clock.
            left < timeout / 10 * TENTHS_LEFT || left > timeout
        }
    }
}

/// The value with these tags, each once, of which the first are kept where there are more than [`MOST_TAGS`].
#[must_use]
pub fn value(tags: impl Iterator<Item = MemberTag>, lapse: Option<u64>) -> String {
    let mut once: Vec<MemberTag> = Vec::new();
    for tag in tags {
        if once.len() < MOST_TAGS && !once.contains(&tag) {
            once.push(tag);
        }
    }
    let once: Vec<&str> = once.iter().map(MemberTag::as_str).collect();
    let mut value = once.join(".");
    if let Some(lapse) = lapse {
        value.push_str(&format!(".t{lapse:x}"));
    }
    value
}

fn pieces(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persistence::TagKeys;
    use proptest::prelude::*;

    const TIMEOUT: u64 = 5_000;

    fn tag(member: u16) -> MemberTag {
        TagKeys::public().tag("web", ([10, 0, 0, 1], member).into())
    }

    fn read(value: &str) -> (Vec<MemberTag>, Option<u64>) {
        (tags(value.as_bytes()).collect(), lapse(value.as_bytes()))
    }

    #[test]
    fn what_is_written_is_read() {
        for lapse in [None, Some(0), Some(1_900_000_000_123)] {
            for count in 1..=MOST_TAGS {
                let all: Vec<_> = (0..count as u16).map(tag).collect();
                let text = value(all.iter().copied(), lapse);
                assert_eq!(read(&text), (all, lapse), "{text}");
                assert!(text.len() < 300);
            }
        }
        // As it was before there were several, and as it is for one pool.
        assert_eq!(value([tag(80)].into_iter(), None), tag(80).as_str());
    }

    #[test]
    fn the_first_are_kept_and_none_twice() {
        let all: Vec<_> = (0..40).map(tag).collect();
        let text = value(all.iter().flat_map(|tag| [*tag; 2]), None);
        assert_eq!(read(&text), (all[..MOST_TAGS].to_vec(), None));
    }

    #[test]
    fn a_cookie_is_due_after_a_tenth_of_its_time() {
        let now = 1_900_000_000_000;
        for (lapse, timeout, expected) in [
            (None, None, false),
            (None, Some(TIMEOUT), true),
            (Some(now + TIMEOUT), None, true),
            (Some(now + TIMEOUT), Some(TIMEOUT), false),
            (Some(now + TIMEOUT - 500), Some(TIMEOUT), false),
            (Some(now + TIMEOUT - 501), Some(TIMEOUT), true),
            (Some(now - 1), Some(TIMEOUT), true),
            (Some(now + TIMEOUT + 1), Some(TIMEOUT), true),
            (Some(now + TIMEOUT), Some(10 * TIMEOUT), true),
        ] {
            assert_eq!(is_due(lapse, timeout, now), expected, "{lapse:?} {timeout:?}");
        }
    }

    proptest! {
        /// A client keeps its member as long as it asks again within nine tenths of the time.
        #[test]
        fn no_cookie_lapses_in_use(pauses in proptest::collection::vec(0..=TIMEOUT / 10 * TENTHS_LEFT, 1..50)) {
            let mut now = 1_000;
            let mut lapses = now + TIMEOUT;
            for pause in pauses {
                now += pause;
                prop_assert!(now <= lapses);
                if is_due(Some(lapses), Some(TIMEOUT), now) {
                    lapses = now + TIMEOUT;
                }
            }
        }

        #[test]
        fn anything_is_read(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (tags(&value).count(), lapse(&value));
        }
    }
}
