//! Pool, persistence, selection: which member is next.

mod cookie;
mod hashed;
mod session;
mod source;

use std::rc::Rc;
use std::time::Duration;

use http::response;
use shunt_config::model::WhenDown;
use shunt_config::persistence::PersistBy;
use shunt_engine::balance::Ends;
use shunt_engine::balance::choose::{Ask, Bind};
use shunt_engine::persistence::{Key, is_away, shown};
use shunt_runtime::clock;

use crate::away::{Next, RESELECTED};
use crate::http::phases::Transaction;
use crate::member::MemberView;
use crate::selected::passed_over;
use crate::trace::Considered;
use crate::view::PoolView;
use cookie::CookieBinding;

/// How the client of a request is known.
enum Known<'a> {
    /// By a key in the table of bindings.
    Key(Key),
    /// By what it says itself.
    Cookie(CookieBinding<'a>),
    /// By a session that an answer bound: the place of the member.
    Session(Option<usize>),
}

/// A kind of persistence: how it knows a client.
trait Recognise {
    fn recognise(&self, request: &Transaction, pool: &PoolView) -> Known<'_>;
}

impl Transaction {
    /// The pool that the request goes to; `None`: there is none.
    pub(super) fn pool(&self) -> Option<Rc<PoolView>> {
        self.route.pool.as_ref().or(self.view.pool.as_ref()).cloned()
    }

    /// The member of `pool` that is next.
    pub(super) fn choose(&mut self, pool: &Rc<PoolView>) -> Next {
        self.set_cookie = None;
        let view = Rc::clone(&self.view);
        let by = view.virtual_.settings.persistence.as_ref().map(|it| &it.by);
        let known = self.known(by, pool);
        let bindings = &pool.pool.bindings;
        let (bound, bind) = match &known {
            Some(Known::Key(key)) => {
                let now = clock::monotonic_ms();
                let bound = bindings.find(key.bytes(), now).and_then(|address| pool.place(address));
                (bound, Some(Bind { bindings, key, now }))
            }
            Some(Known::Cookie(cookie)) => (cookie.place(), None),
            Some(Known::Session(place)) => (*place, None),
            None => (None, None),
        };
        let flow = &self.stream.connection.flow;
        let ask = Ask {
            named: self.route.member.and_then(|address| pool.place(address)),
            bound,
            bind,
            ends: Ends {
                key: hashed::key(
                    &pool.pool.settings,
                    &self.exchange.request,
                    view.virtual_.settings.transparent,
                ),
                now: pool.now(),
                ..Ends::new(flow.client.ip().into(), flow.vip.ip().into())
            },
            groups: pool.ranked(),
            is_mid_stream: false,
        };
        let away = is_away(&ask, &pool.untried(&self.tried));
        if away && view.when_down() != WhenDown::Reselect {
            if let Some(considered) = self.considered(pool, &ask, known.as_ref())
                && let Some(trace) = &self.trace
            {
                considered.chosen(None, trace);
            }
            return Next::Away;
        }
        let considered = self.considered(pool, &ask, known.as_ref());
        let passed_over = passed_over(&self.tried, &self.vetoed);
        let chosen = pool.choose(&passed_over, &ask).ok();
        if let (Some(considered), Some(trace)) = (considered, &self.trace) {
            let chosen = chosen.as_ref().map(|(chosen, member, _)| (&***member, chosen.why));
            considered.chosen(chosen, trace);
        }
        let Some((chosen, member, reserved)) = chosen else { return Next::None };
        if away {
            view.counters.persistence_down[RESELECTED].add(1);
        }
        if let Some(Known::Cookie(cookie)) = &known {
            self.set_cookie = cookie.to_set(chosen.why, self, pool, member);
        }
        Next::Member(Rc::clone(member), chosen.why, reserved)
    }

    /// For a trace: by what the client is known, and what speaks against each member.
    fn considered<'a>(
        &self,
        pool: &'a Rc<PoolView>,
        ask: &Ask<'_>,
        known: Option<&Known<'_>>,
    ) -> Option<Considered<'a>> {
        let trace = self.trace.as_ref()?;
        if let Some(known) = known {
            let by = match known {
                Known::Key(key) => format!("by {}", shown::shown(key.bytes()).1),
                Known::Cookie(cookie) => format!("by the cookie {}", cookie.name()),
                Known::Session(_) => "by its session".to_owned(),
            };
            let bound = match ask.bound.and_then(|place| pool.members.get(place)) {
                Some(member) => format!("it is bound to {}", member.address),
                None => format!("it is bound to no member of pool {}", pool.name),
            };
            trace.found("persistence", [format!("the client is known {by}: {bound}")]);
        }
        let in_use = pool.in_use(&self.tried);
        let vetoed = |member: &MemberView| self.vetoed.contains(&member.address);
        Some(Considered::of(pool, in_use, vetoed, pool.hashes(&ask.ends)))
    }

    /// Binds the client as the answer of its member says, where that is configured.
    pub(super) fn bind_by_answer(&self, pool: &PoolView, head: &mut response::Parts, member: &MemberView) {
        let configured = self.view.virtual_.settings.persistence.as_ref();
        match configured.map(|it| &it.by) {
            // A rule says by what the client is known.
            _ if self.route.persist.is_some() => {}
            Some(PersistBy::Session(session)) => session::learn(session, self, pool, head, member),
            Some(PersistBy::Cookie(cookie)) if cookie.rewrite => {
                cookie::rewrite(cookie, self, pool, head, member);
            }
            Some(PersistBy::Cookie(_) | PersistBy::Source(_) | PersistBy::TlsSession(_)) | None => {}
        }
    }

    /// By what the client is known, if it is: by what a rule says, else as configured.
    fn known<'a>(&self, by: Option<&'a PersistBy>, pool: &PoolView) -> Option<Known<'a>> {
        if let Some(key) = &self.route.persist {
            let timeout = key.timeout.map(milliseconds).or(self.outlives());
            return Some(Known::Key(Key::of_rule(self.view.binding_prefix, &key.key, timeout)));
        }
        Some(match by? {
            PersistBy::Source(source) => source.recognise(self, pool),
            PersistBy::Cookie(cookie) => cookie.recognise(self, pool),
            PersistBy::Session(session) => session.recognise(self, pool),
            // It has no requests: TLS is passed through.
            PersistBy::TlsSession(_) => return None,
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
