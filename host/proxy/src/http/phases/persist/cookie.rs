//! A client says by a cookie which member it is bound to.

use http::{HeaderMap, HeaderValue, header};
use shunt_config::persistence::Cookie;
use shunt_engine::balance::Members;
use shunt_engine::balance::choose::Why;
use shunt_engine::persistence::{MemberTag, cookie};

use super::{Known, Recognise};
use crate::http::phases::Transaction;
use crate::member::MemberView;
use crate::view::PoolView;
use shunt_runtime::clock;

/// What a client's cookies say.
pub(super) struct CookieBinding<'a> {
    name: &'a str,
    /// The place of the member that it is bound to in the pool, and when that cookie lapses.
    bound: Option<(usize, Option<u64>)>,
}

impl Recognise for Cookie {
    fn recognise(&self, request: &Transaction, pool: &PoolView) -> Known<'_> {
        let members = pool.untried(&request.tried);
        let bound = tags(request, &self.name).find_map(|(value, tag)| {
            let place = pool.tagged(&tag).filter(|place| members.serves_bound(*place))?;
            Some((place, cookie::lapse(value)))
        });
        Known::ByCookie(CookieBinding { name: &self.name, bound })
    }
}

impl CookieBinding<'_> {
    /// The place of the member that the client is bound to in the pool.
    pub(super) fn place(&self) -> Option<usize> {
        self.bound.map(|(place, _)| place)
    }

    /// The cookie that binds the client to the member that was chosen, unless it has one that lives on for a while.
    pub(super) fn to_set(
        &self,
        why: Why,
        request: &Transaction,
        pool: &PoolView,
        member: &MemberView,
    ) -> Option<HeaderValue> {
        let bound = match why {
            Why::Named => return None,
            Why::Bound => self.bound,
            Why::Balanced => None,
        };
        let within = request.outlives();
        let now = within.map_or(0, |_| clock::unix_ms());
        if bound.is_some_and(|(_, lapse)| !cookie::is_due(lapse, within, now)) {
            return None;
        }
        let name = self.name;
        let own = MemberTag::of(&pool.name, member.address);
        // Rules may send the next request to another pool: what binds the client there stays.
        let known = |tag: &MemberTag| request.view.pools().any(|pool| pool.tagged(tag).is_some());
        let all = tags(request, name).map(|(_, tag)| tag);
        let elsewhere = all.filter(|tag| pool.tagged(tag).is_none() && known(tag));
        let lapse = within.map(|within| now.saturating_add(within));
        let value = cookie::value(std::iter::once(own).chain(elsewhere), lapse);
        // RFC 6265bis: not for scripts, not across sites; over TLS, never without.
        let mut text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax");
        if request.stream.connection.https {
            text.push_str("; Secure");
        }
        if let Some(within) = within {
            text.push_str(&format!("; Max-Age={}", within / 1_000));
        }
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).ok()
    }
}

/// The tags in all cookies of a name, each with the value that it is in.
fn tags<'a>(request: &'a Transaction, name: &str) -> impl Iterator<Item = (&'a [u8], MemberTag)> {
    let values = cookies(&request.exchange.request.headers, name);
    let tags = values.flat_map(|value| cookie::tags(value).map(move |tag| (value, tag)));
    tags.take(cookie::MOST_LOOKED_UP)
}

/// The values of the cookies of that name, in the order in which the client sent them. There are several where
/// some were set for other paths or domains (RFC 6265 section 5.4).
pub(super) fn cookies<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let pairs =
        headers.get_all(header::COOKIE).iter().flat_map(|it| it.as_bytes().split(|byte| *byte == b';'));
    let values =
        pairs.filter_map(move |pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    values.map(unquoted)
}

/// A value may have a quote on either side (RFC 6265 section 4.1.1), which belongs to no tag.
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("xSHUNT=1; SHUNTx=2; a=SHUNT=3"));
        assert_eq!(cookies(&headers, "SHUNT").count(), 0);
        headers.append(header::COOKIE, HeaderValue::from_static("b=1;SHUNT=4; SHUNT=5"));
        headers.append(header::COOKIE, HeaderValue::from_static("SHUNT=6"));
        assert!(cookies(&headers, "SHUNT").eq([&b"4"[..], b"5", b"6"]));
    }

    #[test]
    fn quotes_are_no_part_of_a_value() {
        let mut headers = HeaderMap::new();
        headers
            .append(header::COOKIE, HeaderValue::from_static("SHUNT=\"4\"; SHUNT=\"; SHUNT=\"\"; SHUNT=\"5"));
        assert!(cookies(&headers, "SHUNT").eq([&b"4"[..], b"\"", b"", b"\"5"]));
    }
}
