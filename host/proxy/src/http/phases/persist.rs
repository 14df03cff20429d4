//! Pool, persistence, selection: which member is next.

use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use shunt_engine::balance::choose::{Ask, Bind, Why};
use shunt_engine::balance::{Ends, Members};
use shunt_engine::persistence::{Key, MemberTag, cookie};

use crate::http::phases::Transaction;
use crate::http::problem::Problem;
use crate::member::MemberView;
use crate::view::PoolView;
use shunt_config::model::PersistBy;
use shunt_runtime::clock;

/// What a client's cookies say.
struct CookieBinding<'a> {
    name: &'a str,
    /// The place of the member that it is bound to in the pool, and when that cookie lapses.
    bound: Option<(usize, Option<u64>)>,
}

impl Transaction {
    /// The pool that the request goes to.
    pub(super) fn pool(&self) -> Result<Rc<PoolView>, Problem> {
        let pool = self.route.pool.as_ref().or(self.view.pool.as_ref());
        pool.cloned().ok_or(Problem::NoPool)
    }

    /// The member of `pool` that is next, or `None` when there is none left to choose.
    pub(super) fn choose(&mut self, pool: &Rc<PoolView>) -> Option<Rc<MemberView>> {
        self.set_cookie = None;
        let key = self.key();
        let view = Rc::clone(&self.view);
        let by_cookie = match view.virtual_.settings.persistence.as_ref().map(|it| &it.by) {
            Some(PersistBy::Cookie(name)) if key.is_none() => Some(self.cookie_binding(name, pool)),
            _ => None,
        };
        let bindings = &pool.pool.bindings;
        let bind = key.as_ref().map(|key| Bind { bindings, key, now: clock::monotonic_ms() });
        let bound = match &by_cookie {
            Some(cookie) => cookie.bound.map(|(place, _)| place),
            None => bind.and_then(|bind| pool.place(bindings.find(bind.key.bytes(), bind.now)?)),
        };
        let flow = &self.stream.connection.flow;
        let ask = Ask {
            named: self.route.member.and_then(|address| pool.place(address)),
            bound,
            bind,
            ends: Ends { client: flow.client.ip().into(), destination: flow.vip.ip().into() },
            is_mid_stream: false,
        };
        let (chosen, member) = pool.choose(&self.tried, &ask).ok()?;
        if let Some(cookie) = by_cookie {
            self.set_cookie = match chosen.why {
                Why::Named => None,
                Why::Bound => self.cookie(pool, member, &cookie),
                Why::Balanced => self.cookie(pool, member, &CookieBinding { bound: None, ..cookie }),
            };
        }
        Some(Rc::clone(member))
    }

    /// By what the client is known in the table of bindings, if it is.
    fn key(&self) -> Option<Key> {
        let configured = self.view.virtual_.settings.persistence.as_ref();
        let timeout = configured.and_then(|it| it.timeout);
        let prefix = self.view.binding_prefix;
        if let Some(key) = &self.route.persist {
            return Some(Key::of_rule(prefix, &key.key, key.timeout.or(timeout).map(milliseconds)));
        }
        let client = self.stream.connection.flow.client.ip();
        match configured?.by {
            PersistBy::Source => Some(Key::of_client(prefix, client, timeout.map(milliseconds))),
            PersistBy::Cookie(_) => None,
        }
    }

    fn cookie_binding<'a>(&self, name: &'a str, pool: &PoolView) -> CookieBinding<'a> {
        let members = pool.untried(&self.tried);
        let bound = self.tags(name).find_map(|(value, tag)| {
            let place = pool.tagged(&tag).filter(|place| members.serves_bound(*place))?;
            Some((place, cookie::lapse(value)))
        });
        CookieBinding { name, bound }
    }

    /// The tags in all cookies of a name, each with the value that it is in.
    fn tags(&self, name: &str) -> impl Iterator<Item = (&[u8], MemberTag)> {
        let values = cookies(&self.exchange.request.headers, name);
        let tags = values.flat_map(|value| cookie::tags(value).map(move |tag| (value, tag)));
        tags.take(cookie::MOST_LOOKED_UP)
    }

    /// The cookie that binds the client to a member, unless it has one that lives on for a while.
    fn cookie(&self, pool: &PoolView, member: &MemberView, sent: &CookieBinding<'_>) -> Option<HeaderValue> {
        let timeout = self.view.virtual_.settings.persistence.as_ref().and_then(|it| it.timeout);
        let (within, now) = (timeout.map(milliseconds), timeout.map_or(0, |_| clock::unix_ms()));
        if sent.bound.is_some_and(|(_, lapse)| !cookie::is_due(lapse, within, now)) {
            return None;
        }
        let name = sent.name;
        let own = MemberTag::of(&pool.name, member.address);
        // Rules may send the next request to another pool: what binds the client there stays.
        let known = |tag: &MemberTag| self.view.pools().any(|pool| pool.tagged(tag).is_some());
        let elsewhere =
            self.tags(name).map(|(_, tag)| tag).filter(|tag| pool.tagged(tag).is_none() && known(tag));
        let lapse = within.map(|within| now.saturating_add(within));
        let value = cookie::value(std::iter::once(own).chain(elsewhere), lapse);
        // RFC 6265bis: not for scripts, not across sites; over TLS, never without.
        let mut text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax");
        if self.stream.connection.tls {
            text.push_str("; Secure");
        }
        if let Some(age) = timeout {
            text.push_str(&format!("; Max-Age={}", age.as_secs()));
        }
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).ok()
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The values of the cookies of that name, in the order in which the client sent them. There are several where
/// some were set for other paths or domains (RFC 6265 section 5.4).
fn cookies<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let pairs =
        headers.get_all(header::COOKIE).iter().flat_map(|it| it.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
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
}
