//! Pool, persistence, selection: which member is next.

mod cookie;
mod hashed;
mod source;

use std::rc::Rc;
use std::time::Duration;

use shunt_engine::balance::Ends;
use shunt_engine::balance::choose::{Ask, Bind};
use shunt_engine::persistence::Key;

use crate::http::phases::Transaction;
use crate::http::problem::Problem;
use crate::member::MemberView;
use crate::view::PoolView;
use cookie::CookieBinding;
use shunt_config::persistence::PersistBy;
use shunt_runtime::clock;

/// How the client of a request is known.
enum Known<'a> {
    /// By a key in the table of bindings.
    ByKey(Key),
    /// By what it says itself.
    ByCookie(CookieBinding<'a>),
}

/// A kind of persistence: how it knows a client.
trait Recognise {
    fn recognise(&self, request: &Transaction, pool: &PoolView) -> Known<'_>;
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
        let view = Rc::clone(&self.view);
        let by = view.virtual_.settings.persistence.as_ref().map(|it| &it.by);
        let known = self.known(by, pool);
        let bindings = &pool.pool.bindings;
        let (bound, bind) = match &known {
            Some(Known::ByKey(key)) => {
                let now = clock::monotonic_ms();
                let bound = bindings.find(key.bytes(), now).and_then(|address| pool.place(address));
                (bound, Some(Bind { bindings, key, now }))
            }
            Some(Known::ByCookie(cookie)) => (cookie.place(), None),
            None => (None, None),
        };
        let flow = &self.stream.connection.flow;
        let ask = Ask {
            named: self.route.member.and_then(|address| pool.place(address)),
            bound,
            bind,
            ends: Ends {
                key: hashed::key(&pool.pool.settings, &self.exchange.request),
                now: pool.now(),
                ..Ends::new(flow.client.ip().into(), flow.vip.ip().into())
            },
            groups: pool.ranked(),
            is_mid_stream: false,
        };
        let (chosen, member) = pool.choose(&self.tried, &ask).ok()?;
        if let Some(Known::ByCookie(cookie)) = &known {
            self.set_cookie = cookie.to_set(chosen.why, self, pool, member);
        }
        Some(Rc::clone(member))
    }

    /// By what the client is known, if it is: by what a rule says, else as configured.
    fn known<'a>(&self, by: Option<&'a PersistBy>, pool: &PoolView) -> Option<Known<'a>> {
        if let Some(key) = &self.route.persist {
            let timeout = key.timeout.map(milliseconds).or(self.outlives());
            return Some(Known::ByKey(Key::of_rule(self.view.binding_prefix, &key.key, timeout)));
        }
        Some(match by? {
            PersistBy::Source(source) => source.recognise(self, pool),
            PersistBy::Cookie(cookie) => cookie.recognise(self, pool),
        })
    }

    /// How long a binding outlives its last use, in milliseconds, where that is configured.
    fn outlives(&self) -> Option<u64> {
        let configured = self.view.virtual_.settings.persistence.as_ref();
        configured.and_then(|it| it.timeout).map(milliseconds)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
