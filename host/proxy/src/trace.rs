//! What a connection or a request passes, for who asks why. While nobody does, a step costs a branch.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request};
use shunt_api::explain::{ConsideredStatus, HostCalled, RequestStep, RuleCalled, TracedRequest};
use shunt_engine::balance::Balance;
use shunt_engine::balance::choose::Why;
use shunt_engine::balance::groups::InUse;
use shunt_engine::datapath::Standing;
use shunt_rules::trace::{Called, is_secret, left_out};

use shunt_runtime::traces::{Follower, Said};
use shunt_runtime::{clock, traces};
use shunt_wire::authority::split_port;

use crate::member::MemberView;
use crate::view::{PoolView, VirtualView};

/// The steps so far.
#[derive(Default)]
pub(crate) struct Trace {
    steps: RefCell<Vec<RequestStep>>,
    /// The request is apart from those that are served: it stops where it would be sent, or would wait.
    pub(crate) apart: bool,
    end: Cell<Option<End>>,
    /// Of a request that is served: who is told of it, and what is known before its end.
    told: Vec<Arc<Follower>>,
    begun: TracedRequest,
}

/// Where a request stops that is apart.
pub(crate) enum End {
    /// It would be sent.
    Send { pool: Option<Rc<PoolView>>, member: Rc<MemberView> },
    /// It would wait for a member; says how.
    Wait(String),
}

/// Why a member was chosen, and what spoke against each before.
pub(crate) struct Considered<'a> {
    pub(crate) pool: &'a PoolView,
    /// In the order of the members, as they were before the choice.
    pub(crate) members: Vec<ConsideredStatus>,
    /// What the balance hashes of the request leads to the member.
    pub(crate) hashes: bool,
}

impl Trace {
    /// Of a request that is only explained.
    pub(crate) fn apart() -> Rc<Self> {
        Rc::new(Trace { apart: true, ..Trace::default() })
    }

    /// Of a request that comes, for those who follow such requests; `None`: nobody does.
    #[inline]
    pub(crate) fn followed(
        view: &VirtualView,
        client: SocketAddr,
        head: &request::Parts,
    ) -> Option<Rc<Self>> {
        if traces::are_followed() { Trace::for_followers(view, client, head) } else { None }
    }

    #[cold]
    fn for_followers(view: &VirtualView, client: SocketAddr, head: &request::Parts) -> Option<Rc<Self>> {
        let virtual_ = &view.virtual_.settings.name;
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let said = Said {
            virtual_,
            client,
            method: head.method.as_str(),
            path: head.uri.path(),
            host: host.map_or("", |host| split_host(host)),
        };
        let told = traces::followers(&said);
        if told.is_empty() {
            return None;
        }
        let target = head.uri.path_and_query().map_or("", |it| it.as_str());
        let first = format!("{} {target} {:?}", head.method, head.version);
        let begun = TracedRequest {
            at: clock::unix_ms(),
            virtual_name: virtual_.clone(),
            client: client.to_string(),
            request: std::iter::once(first).chain(shown(&head.headers)).collect(),
            ..TracedRequest::default()
        };
        Some(Rc::new(Trace { told, begun, ..Trace::default() }))
    }

    /// Tells those who follow what the request came to.
    pub(crate) fn served(&self, status: Option<StatusCode>, member: Option<SocketAddr>, took: Duration) {
        let Some((last, others)) = self.told.split_last() else { return };
        let request = TracedRequest {
            steps: self.take_steps(),
            status: status.map(|it| it.as_u16()),
            member: member.map(|it| it.to_string()),
            took: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
            ..self.begun.clone()
        };
        others.iter().for_each(|follower| follower.tell(request.clone()));
        last.tell(request);
    }

    pub(crate) fn found(&self, phase: &str, found: impl IntoIterator<Item = String>) {
        let found = found.into_iter().collect();
        self.push(RequestStep { phase: phase.to_owned(), found, ..RequestStep::default() });
    }

    fn push(&self, step: RequestStep) {
        self.steps.borrow_mut().push(step);
    }

    /// Takes in calls of rules.
    pub(crate) fn called(&self, called: Vec<Called>) {
        for Called { rule, hook, calls, more_calls, verdict, said, took } in called {
            if took.is_zero() {
                self.refused(said);
                continue;
            }
            let rule = RuleCalled {
                rule: rule.to_string(),
                verdict: verdict.to_owned(),
                said,
                took: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
                calls: calls
                    .into_iter()
                    .map(|it| HostCalled {
                        function: it.function,
                        arguments: it.arguments,
                        result: it.result,
                        changes: it.changes,
                    })
                    .collect(),
                more_calls,
            };
            self.push(RequestStep {
                phase: hook.name().to_owned(),
                rule: Some(rule),
                ..RequestStep::default()
            });
        }
    }

    /// The verdict of the call that was taken in last means nothing.
    fn refused(&self, why: String) {
        let mut steps = self.steps.borrow_mut();
        if let Some(rule) = steps.last_mut().and_then(|step| step.rule.as_mut()) {
            (rule.verdict, rule.said) = ("fault".to_owned(), why);
        }
    }

    pub(crate) fn ends(&self, end: End) {
        self.end.set(Some(end));
    }

    pub(crate) fn take_end(&self) -> Option<End> {
        self.end.take()
    }

    pub(crate) fn take_steps(&self) -> Vec<RequestStep> {
        self.steps.take()
    }
}

impl<'a> Considered<'a> {
    /// What speaks against each member before one is chosen.
    pub(crate) fn of(
        pool: &'a PoolView,
        in_use: Option<InUse>,
        vetoed: impl Fn(&MemberView) -> bool,
        hashes: bool,
    ) -> Self {
        let members = pool.members.iter().map(|member| {
            let standing = match member.state.ineligible_among(member.weight, in_use) {
                Some(why) => Standing::from(why),
                None if vetoed(member) => Standing::Vetoed,
                None => Standing::NotAsked,
            };
            ConsideredStatus {
                pool: pool.name.to_string(),
                member: member.address.to_string(),
                weight: member.state.weight(member.weight),
                active: member.state.active(),
                chosen: false,
                standing: standing.as_str().to_owned(),
                why: standing.means().to_owned(),
            }
        });
        Considered { pool, members: members.collect(), hashes }
    }

    /// The step of a choice.
    pub(crate) fn chosen(mut self, chosen: Option<(&MemberView, Why)>, trace: &Trace) {
        let settings = &self.pool.pool.settings;
        let by_hash =
            format!("the hash of {} leads to it", hashed(settings.balance, settings.hashed.as_deref()));
        if let Some((chosen, why)) = chosen {
            let (own, others) = match why {
                Why::Named => (Standing::Named, Standing::AnotherNamed),
                Why::Bound => (Standing::Bound, Standing::AnotherBound),
                Why::Balanced if self.hashes => (Standing::Hash, Standing::AnotherHash),
                Why::Balanced => (Standing::Turn, Standing::AnotherTurn),
            };
            for (status, member) in self.members.iter_mut().zip(&self.pool.members) {
                let standing = match () {
                    () if member.address == chosen.address => own,
                    () if status.standing == Standing::NotAsked.as_str() => others,
                    () => continue,
                };
                status.chosen = standing.is_chosen();
                status.standing = standing.as_str().to_owned();
                status.why = match standing {
                    Standing::Hash => by_hash.clone(),
                    Standing::AnotherHash => "usable, but the hash leads to another one".to_owned(),
                    other => other.means().to_owned(),
                };
            }
        }
        let mut found = vec![format!("pool {}, balance {}", self.pool.name, settings.balance.as_str())];
        if matches!(chosen, Some((_, Why::Balanced))) && !self.hashes {
            found.extend(not_certain(settings.balance).map(str::to_owned));
        }
        if chosen.is_none() {
            found.push("no member can be chosen".to_owned());
        }
        trace.push(RequestStep {
            phase: "selection".to_owned(),
            found,
            members: self.members,
            ..RequestStep::default()
        });
    }
}

/// What a balance hashes, in words.
fn hashed(balance: Balance, which: Option<&str>) -> String {
    match (balance, which) {
        (Balance::UrlHash, _) => "the URL".to_owned(),
        (Balance::HeaderHash, Some(name)) => format!("the field {name}"),
        (Balance::CookieHash, Some(name)) => format!("the cookie {name}"),
        (Balance::DestinationHash, _) => "the destination".to_owned(),
        (Balance::SymmetricHash, _) => "both addresses".to_owned(),
        _ => "the client's address".to_owned(),
    }
}

/// Why another request like this one may go to another member.
fn not_certain(balance: Balance) -> Option<&'static str> {
    Some(match balance {
        Balance::RoundRobin | Balance::WeightedRoundRobin | Balance::HeaderHash | Balance::CookieHash => {
            "each worker takes turns of its own: the next request may go to another usable member"
        }
        Balance::TwoRandomChoices => "chance has a say: the next request may go to another usable member",
        Balance::LeastConnections | Balance::LeastResponseTime | Balance::Fastest => {
            "by the load of this moment: the next request may go to another usable member"
        }
        _ => return None,
    })
}

/// A host without its port.
fn split_host(host: &str) -> &str {
    let (name, _) = split_port(host.as_bytes());
    host.get(..name.len()).unwrap_or(host)
}

/// Fields as lines, without what is nobody's to read.
pub(crate) fn shown(headers: &HeaderMap) -> impl Iterator<Item = String> {
    headers.iter().map(|(name, value)| line(name, value))
}

pub(crate) fn line(name: &HeaderName, value: &HeaderValue) -> String {
    if is_secret(name.as_str()) {
        return format!("{name}: {}", left_out(value.len()));
    }
    format!("{name}: {}", printable(&String::from_utf8_lossy(value.as_bytes())))
}

/// Without what terminals take for commands.
pub(crate) fn printable(text: &str) -> String {
    let letter = |letter: char| match letter.is_control() {
        true => letter.escape_debug().to_string(),
        false => letter.to_string(),
    };
    text.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("h"));
        headers.insert("cookie", HeaderValue::from_static("s=1"));
        let lines: Vec<String> = shown(&headers).collect();
        assert_eq!(lines, ["host: h", "cookie: (3 bytes, not shown)"]);
        assert_eq!(printable("a\"ä\u{1b}["), "a\"ä\\u{1b}[");
    }
}
