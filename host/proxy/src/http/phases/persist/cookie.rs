//! A client says by a cookie which member it is bound to.

use http::{HeaderMap, HeaderValue, header, response};
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
    cookie: &'a Cookie,
    /// The place of the member that it is bound to in the pool, and when that cookie lapses.
    bound: Option<(usize, Option<u64>)>,
}

impl Recognise for Cookie {
    fn recognise(&self, request: &Transaction, pool: &PoolView) -> Known<'_> {
        let members = pool.untried(&request.tried);
        let keys = &request.view.virtual_.cookie_keys;
        let mut bound: Option<(usize, Option<u64>)> = None;
        for (value, tag) in tags(request, &self.name) {
            let Some(place) = pool.tagged(keys, &tag) else { continue };
            let serves = members.serves_bound(place);
            if serves || bound.is_none() {
                bound = Some((place, cookie::lapse(value)));
            }
            if serves {
                break;
            }
        }
        Known::Cookie(CookieBinding { cookie: self, bound })
    }
}

impl CookieBinding<'_> {
    pub(super) fn name(&self) -> &str {
        &self.cookie.name
    }

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
            _ if self.cookie.rewrite => return None,
            Why::Bound => self.bound,
            Why::Balanced => None,
        };
        let within = request.outlives();
        let now = within.map_or(0, |_| clock::unix_ms());
        if bound.is_some_and(|(_, lapse)| !cookie::is_due(lapse, within, now)) {
            return None;
        }
        let lapse = within.map(|within| now.saturating_add(within));
        let Cookie { name, path, domain, secure, http_only, same_site, .. } = self.cookie;
        let mut text = format!("{name}={}; Path={path}", value(name, request, pool, member, lapse));
        if let Some(domain) = domain {
            text.push_str(&format!("; Domain={domain}"));
        }
        if *http_only {
            text.push_str("; HttpOnly");
        }
        if let Some(same_site) = same_site.as_str() {
            text.push_str(&format!("; SameSite={same_site}"));
        }
        // Over TLS, never without.
        if secure.unwrap_or(request.stream.connection.https) {
            text.push_str("; Secure");
        }
        if let Some(within) = within {
            text.push_str(&format!("; Max-Age={}", within / 1_000));
        }
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).ok()
    }
}

/// Puts the value that binds the client into the cookie of this name that the member sets, if it does.
pub(super) fn rewrite(
    cookie: &Cookie,
    request: &Transaction,
    pool: &PoolView,
    head: &mut response::Parts,
    member: &MemberView,
) {
    for line in
        head.headers.iter_mut().filter_map(|(name, line)| (name == header::SET_COOKIE).then_some(line))
    {
        let Some(set) = set_cookie(line.as_bytes(), &cookie.name) else { continue };
        let own = value(&cookie.name, request, pool, member, None);
        let attributes = &line.as_bytes()[line.len() - set.attributes..];
        let text = [cookie.name.as_bytes(), b"=", own.as_bytes(), attributes].concat();
        if let Ok(text) = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)) {
            *line = text;
        }
    }
}

/// The value that binds the client to a member, and that keeps what binds it in other pools.
fn value(
    name: &str,
    request: &Transaction,
    pool: &PoolView,
    member: &MemberView,
    lapse: Option<u64>,
) -> String {
    let keys = &request.view.virtual_.cookie_keys;
    let own = keys.tag(&pool.name, member.address);
    // Rules may send the next request to another pool: what binds the client there stays.
    let known = |tag: &MemberTag| request.view.pools().any(|pool| pool.tagged(keys, tag).is_some());
    let all = tags(request, name).map(|(_, tag)| tag);
    let elsewhere = all.filter(|tag| pool.tagged(keys, tag).is_none() && known(tag));
    cookie::value(std::iter::once(own).chain(elsewhere), lapse)
}

/// What a field `Set-Cookie` says.
pub(super) struct SetCookie<'a> {
    pub(super) value: &'a [u8],
    /// How many octets at its end are attributes.
    attributes: usize,
}

/// What a field says, if it sets the cookie of this name (RFC 6265 section 5.2).
pub(super) fn set_cookie<'a>(line: &'a [u8], name: &str) -> Option<SetCookie<'a>> {
    let end = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
    let value = line[..end].trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
    Some(SetCookie { value: unquoted(value), attributes: line.len() - end })
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
    fn what_sets_a_cookie_is_told_from_what_sets_others() {
        let found = |line: &'static str| {
            set_cookie(line.as_bytes(), "S").map(|set| (set.value, &line[line.len() - set.attributes..]))
        };
        assert_eq!(found("S=1; Path=/"), Some((&b"1"[..], "; Path=/")));
        assert_eq!(found(" S=\"1\""), Some((&b"1"[..], "")));
        assert_eq!(found("S=;S=2"), Some((&b""[..], ";S=2")));
        for other in ["SS=1", "s=1", "S", "", "a=S=1", "; S=1"] {
            assert!(found(other).is_none(), "{other}");
        }
    }

    #[test]
    fn quotes_are_no_part_of_a_value() {
        let mut headers = HeaderMap::new();
        headers
            .append(header::COOKIE, HeaderValue::from_static("SHUNT=\"4\"; SHUNT=\"; SHUNT=\"\"; SHUNT=\"5"));
        assert!(cookies(&headers, "SHUNT").eq([&b"4"[..], b"\"", b"", b"\"5"]));
    }
}
