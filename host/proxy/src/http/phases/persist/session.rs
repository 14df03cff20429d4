//! A client is known by what the application calls its session.

use http::{header, request, response};
use shunt_config::persistence::Session;
use shunt_engine::balance::Members;
use shunt_engine::persistence::Key;
use shunt_runtime::clock;

use super::cookie::{cookies, set_cookie};
use super::{Known, Recognise};
use crate::http::phases::Transaction;
use crate::member::MemberView;
use crate::view::PoolView;

/// What is looked up of one request, and bound by one answer. A browser sends several cookies of a name where some were set
/// for other paths (RFC 6265 section 5.4); no client needs more.
const MOST: usize = 16;

impl Recognise for Session {
    fn recognise(&self, request: &Transaction, pool: &PoolView) -> Known<'_> {
        let members = pool.untried(&request.tried);
        let (bindings, now) = (&pool.pool.bindings, clock::monotonic_ms());
        let mut place = None;
        for value in asked(self, &request.exchange.request) {
            let key = key(value, request, pool);
            let found = bindings.find(key.bytes(), now).and_then(|address| pool.place(address));
            if found.is_some_and(|place| members.serves_bound(place)) {
                return Known::Session(found);
            }
            place = place.or(found);
        }
        Known::Session(place)
    }
}

/// Binds what the answer calls the session to the member that sent it.
pub(super) fn learn(
    session: &Session,
    request: &Transaction,
    pool: &PoolView,
    head: &response::Parts,
    member: &MemberView,
) {
    for value in set(session, head) {
        let key = key(value, request, pool);
        // Whoever sets it has it, whatever was so before.
        let now = clock::monotonic_ms();
        pool.pool.bindings.bind(key.bytes(), member.address, key.timeout(), now, |_| false);
    }
}

fn key(value: &[u8], request: &Transaction, pool: &PoolView) -> Key {
    let digest = pool.pool.bindings.digest(value);
    Key::of_session(request.view.binding_prefix, digest, request.outlives())
}

/// What a request calls its session, in all the places that are configured.
fn asked<'a>(session: &'a Session, request: &'a request::Parts) -> impl Iterator<Item = &'a [u8]> {
    let headers = &request.headers;
    let in_cookies = session.cookie.iter().flat_map(|name| cookies(headers, name));
    let in_field = session.header.iter().flat_map(|name| headers.get_all(name)).map(|it| it.as_bytes());
    let target = request.uri.path_and_query().map_or("", |it| it.as_str()).as_bytes();
    let in_target = session.parameter.iter().flat_map(|name| parameters(target, name));
    some(in_cookies.chain(in_field).chain(in_target))
}

/// What an answer calls the session that it sets.
fn set<'a>(session: &'a Session, head: &'a response::Parts) -> impl Iterator<Item = &'a [u8]> {
    let headers = &head.headers;
    let in_cookies = session.cookie.iter().flat_map(|name| {
        let lines = headers.get_all(header::SET_COOKIE).into_iter().map(|it| it.as_bytes());
        lines.filter_map(move |line| set_cookie(line, name)).map(|set| set.value)
    });
    let in_field = session.header.iter().flat_map(|name| headers.get_all(name)).map(|it| it.as_bytes());
    let location = headers.get(header::LOCATION).map_or(&b""[..], |it| it.as_bytes());
    let in_location = session.parameter.iter().flat_map(move |name| parameters(location, name));
    some(in_cookies.chain(in_field).chain(in_location))
}

/// Without those that say nothing.
fn some<'a>(values: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
    values.filter(|value| !value.is_empty()).take(MOST)
}

/// The values of a parameter: of a segment of the path, after `;` (RFC 3986 section 3.3), or of the query.
fn parameters<'a>(target: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    let target = target.split(|byte| *byte == b'#').next().unwrap_or_default();
    let query = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let (path, query) = target.split_at(query);
    // What stands before the first `;` of a segment is its name.
    let in_path = path.split(|byte| *byte == b'/').flat_map(|it| it.split(|byte| *byte == b';').skip(1));
    let in_query = query.get(1..).unwrap_or_default().split(|byte| matches!(byte, b'&' | b';'));
    in_path.chain(in_query).filter_map(move |pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_of_the_path_and_of_the_query() {
        let found = |target: &'static str| {
            let values =
                parameters(target.as_bytes(), "id").map(|it| String::from_utf8_lossy(it).into_owned());
            values.collect::<Vec<_>>().join(" ")
        };
        for (target, expected) in [
            ("/cart;id=1", "1"),
            ("/cart;id=1/more;a=2;id=3?x=4&id=5#;id=6", "1 3 5"),
            ("/?id=1;id=2&id=", "1 2 "),
            ("/?x=/a;id=1", "1"),
            ("https://shop.example/a;id=a%2Fb", "a%2Fb"),
            ("/id=1", ""),
            ("/;xid=1;idx=2;id", ""),
            ("/?ID=1", ""),
            ("", ""),
        ] {
            assert_eq!(found(target), expected, "{target}");
        }
    }
}
