//! Pool, persistence, selection: which member is next.

use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use shunt_engine::persistence::{Bound, MemberTag, source_key};

use crate::config::model::PersistBy;
use crate::http::member::MemberView;
use crate::http::phases::Transaction;
use crate::http::problem::Problem;
use crate::worker::clock;
use crate::worker::view::PoolView;

/// How long a binding outlives its last use where no time-out is configured.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3600);

impl Transaction {
    /// The pool that the request goes to.
    pub(super) fn pool(&self) -> Result<Rc<PoolView>, Problem> {
        let pool = self.route.pool.as_ref().or(self.view.pool.as_ref());
        pool.cloned().ok_or(Problem::NoPool)
    }

    /// The member of `pool` that is next, or `None` when there is none left to choose.
    pub(super) fn choose(&mut self, pool: &Rc<PoolView>) -> Option<Rc<MemberView>> {
        self.set_cookie = None;
        let fresh = |member: &&Rc<MemberView>| !self.tried.contains(&member.address);
        if let Some(address) = self.route.member {
            let named = pool.member(address).filter(fresh);
            if let Some(member) = named.filter(|member| member.state.usable_for_persistent()) {
                return Some(Rc::clone(member));
            }
        }
        if let Some(key) = &self.route.persist {
            let timeout = key.timeout.or_else(|| self.configured_timeout());
            let key = [&self.view.binding_prefix, &key.key[..]].concat();
            return self.choose_bound(pool, &key, timeout.unwrap_or(DEFAULT_TIMEOUT));
        }
        match self.view.virtual_.settings.persistence.as_ref().map(|it| &it.by) {
            None => pool.pick(&self.tried).cloned(),
            Some(PersistBy::Source) => {
                let key = source_key(self.connection.flow.client.ip());
                let key = [&self.view.binding_prefix[..], &key].concat();
                let timeout = self.configured_timeout().unwrap_or(DEFAULT_TIMEOUT);
                self.choose_bound(pool, &key, timeout)
            }
            Some(PersistBy::Cookie(name)) => {
                let name = name.clone();
                self.choose_by_cookie(pool, &name)
            }
        }
    }

    fn configured_timeout(&self) -> Option<Duration> {
        self.view.virtual_.settings.persistence.as_ref().and_then(|it| it.timeout)
    }

    fn choose_bound(&self, pool: &Rc<PoolView>, key: &[u8], timeout: Duration) -> Option<Rc<MemberView>> {
        let bindings = &pool.pool.bindings;
        let now = clock::monotonic_ms();
        let usable = |address: &_| {
            !self.tried.contains(address)
                && pool.member(*address).is_some_and(|member| member.state.usable_for_persistent())
        };
        let bound = bindings.find(key, now).filter(usable);
        if let Some(member) = bound.and_then(|address| pool.member(address)) {
            return Some(Rc::clone(member));
        }
        let choice = pool.pick(&self.tried)?;
        let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        // Another worker may have bound the key in between: then its choice is taken.
        let address = match bindings.bind(key, choice.address, timeout, now, usable) {
            Bound::Before(address) | Bound::Now(address) | Bound::Not(address) => address,
        };
        pool.member(address).or(Some(choice)).cloned()
    }

    fn choose_by_cookie(&mut self, pool: &Rc<PoolView>, name: &str) -> Option<Rc<MemberView>> {
        let sent = cookie(&self.exchange.request.headers, name).and_then(MemberTag::parse);
        if let Some(tag) = sent {
            let bound = pool.tagged().find(|(known, member)| {
                **known == tag
                    && member.state.usable_for_persistent()
                    && !self.tried.contains(&member.address)
            });
            if let Some((_, member)) = bound {
                return Some(Rc::clone(member));
            }
        }
        let member = Rc::clone(pool.pick(&self.tried)?);
        let tag = MemberTag::of(&pool.name, member.address);
        // RFC 6265bis: not for scripts, not across sites; over TLS, never without.
        let mut text = format!("{name}={tag}; Path=/; HttpOnly; SameSite=Lax");
        if self.connection.tls {
            text.push_str("; Secure");
        }
        if let Some(age) = self.configured_timeout() {
            text.push_str(&format!("; Max-Age={}", age.as_secs()));
        }
        self.set_cookie = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).ok();
        Some(member)
    }
}

/// The value of a cookie that the client sent (RFC 6265 section 5.4).
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    headers.get_all(header::COOKIE).iter().find_map(|value| {
        value.as_bytes().split(|&byte| byte == b';').find_map(|pair| {
            let pair = pair.trim_ascii();
            let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(value)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("xSHUNT=1; SHUNTx=2; a=SHUNT=3"));
        assert_eq!(cookie(&headers, "SHUNT"), None);
        headers.append(header::COOKIE, HeaderValue::from_static("b=1;SHUNT=4; SHUNT=5"));
        assert_eq!(cookie(&headers, "SHUNT"), Some(&b"4"[..]));
    }
}
