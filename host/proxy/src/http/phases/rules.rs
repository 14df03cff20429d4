//! The hooks of a request: who is called, what their verdicts mean, and what happens when one faults.

use std::rc::Rc;
use std::slice;

use shunt_engine::balance::choose::Why;
use shunt_rules::{
    Answer, BodyVerdict, ConnectFailedVerdict, ConnectFailure, Exchange, Fault, Hook, RequestVerdict,
    ResponseVerdict, Runner, Target,
};

use crate::deadline::Waiting;
use crate::http::body::{BodyError, RequestBody, collect};
use crate::http::phases::{Stop, Transaction};
use crate::http::problem::Problem;
use crate::member::MemberView;
use crate::route::Route;
use crate::selected::{AfterSelection, Selected};
use crate::view::{PoolView, RuleView};
use shunt_runtime::rules::chain::{Chain, Decision};

/// What `on-connect-failed` came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterFailure {
    AsConfigured,
    SamePool,
    Elsewhere,
}

/// What `on-response` came to.
pub(super) enum AfterResponse {
    Send,
    /// The request is to be sent to another member.
    Again,
    /// The rule at this place asks for so many bytes of the body.
    Body {
        rule: usize,
        most: u32,
    },
}

/// What a rule asks for in `on-response`.
enum Asked<'a> {
    Answer(Answer),
    Again,
    Body(&'a Rc<RuleView>, u32),
}

impl Transaction {
    /// `on-request` and, where a rule asks for the body, `on-request-body`: in the order of the rules,
    /// until one of them decides.
    pub(super) async fn on_request(&mut self) -> Result<(), Stop> {
        if !self.view.hooks.contains(Hook::OnRequest) {
            return Ok(());
        }
        let view = Rc::clone(&self.view);
        let mut chain = Chain::new(Hook::OnRequest, &view.rules);
        loop {
            let mut wants_body = None;
            let decision = chain.ask(|rule| {
                Ok(match self.call(rule, Runner::on_request)? {
                    RequestVerdict::Next => None,
                    RequestVerdict::To(target) => {
                        self.redirect(rule, Hook::OnRequest, target)?;
                        Some(Ok(()))
                    }
                    RequestVerdict::Respond(answer) => Some(Err(Stop::Answer(Box::new(answer)))),
                    RequestVerdict::Reject => Some(Err(Problem::Rejected.into())),
                    RequestVerdict::NeedBody(most) => {
                        wants_body = Some((rule, most));
                        Some(Ok(()))
                    }
                })
            });
            self.decide(decision)?;
            let Some((rule, most)) = wants_body else { return Ok(()) };
            if Box::pin(self.on_request_body(rule, most)).await? {
                return Ok(());
            }
        }
    }

    /// Whether the rule decided.
    async fn on_request_body(&mut self, rule: &Rc<RuleView>, most: u32) -> Result<bool, Stop> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(MOST_COLLECTED);
        self.stream.deadline.wait_idle(Waiting::RequestBody);
        let (bytes, ended) = match collect(&mut self.body, most).await {
            Ok(collected) => collected,
            Err(BodyError::TooLarge) => return Err(Problem::BodyTooLarge.into()),
            Err(BodyError::Stalled) => return Err(Problem::BodyStalled.into()),
            Err(_) => return Err(Problem::BadRequest("the body ended early").into()),
        };
        let shown = bytes.len().min(most);
        let complete = ended && shown == bytes.len();
        let mut forwarded = bytes.clone();
        let decision = Chain::new(Hook::OnRequestBody, slice::from_ref(rule)).ask(|rule| {
            let ask = |runner: &mut Runner, exchange: &mut _| {
                runner.on_request_body(exchange, &bytes[..shown], complete)
            };
            Ok(match self.call(rule, ask)? {
                BodyVerdict::Next => None,
                BodyVerdict::Replace(replacement) => {
                    let rest = bytes.slice(shown..);
                    forwarded =
                        if rest.is_empty() { replacement } else { [replacement, rest].concat().into() };
                    Some(Ok(()))
                }
                BodyVerdict::To(target) => {
                    self.redirect(rule, Hook::OnRequestBody, target)?;
                    Some(Ok(()))
                }
                BodyVerdict::Respond(answer) => Some(Err(Stop::Answer(Box::new(answer)))),
                BodyVerdict::Reject => Some(Err(Problem::Rejected.into())),
            })
        });
        let decided = self.decide(decision)?;
        // The length may be another one now: it is framed again either way.
        self.exchange.request.headers.remove(http::header::CONTENT_LENGTH);
        let body = std::mem::replace(&mut self.body, RequestBody::Empty);
        if ended {
            self.replay = Some(forwarded);
        } else {
            self.body = body.behind(forwarded);
        }
        self.wait_for_member();
        Ok(decided)
    }

    /// Called for every member that is chosen, until a rule decides.
    pub(super) fn on_selected(
        &mut self,
        pool: &PoolView,
        member: &MemberView,
        why: Why,
        has_place: bool,
    ) -> Result<AfterSelection, Stop> {
        let (view, connection) = (Rc::clone(&self.view), Rc::clone(&self.stream.connection));
        let route = self.route.clone();
        let vetoes = self.vetoed.len();
        let selected = Selected { pool, member, why, has_place, vetoes, route: &route };
        let after = selected.ask(&view, &connection, |rule, selection| {
            self.call(rule, |runner, exchange| runner.on_selected(exchange, selection))
        });
        match &after {
            AfterSelection::Refused => return Err(Problem::Fault.into()),
            AfterSelection::Vetoed => self.vetoed.push(member.address),
            AfterSelection::Elsewhere(route) => self.route = route.clone(),
            AfterSelection::Taken => {}
        }
        Ok(after)
    }

    /// Called for every failure, until a rule decides.
    pub(super) fn on_connect_failed(&mut self, failure: &ConnectFailure) -> Result<AfterFailure, Stop> {
        let view = Rc::clone(&self.view);
        let hook = Hook::OnConnectFailed;
        let mut chain = Chain::new(hook, &view.rules);
        loop {
            let decision = chain.ask(|rule| {
                Ok(match self.call(rule, |runner, exchange| runner.on_connect_failed(exchange, failure))? {
                    ConnectFailedVerdict::Next => None,
                    ConnectFailedVerdict::Retry => Some(Ok(AfterFailure::SamePool)),
                    ConnectFailedVerdict::Respond(answer) => Some(Err(Stop::Answer(Box::new(answer)))),
                    // Around in circles: the configuration takes over.
                    ConnectFailedVerdict::To(_) if self.detours >= MOST_DETOURS => {
                        Some(Ok(AfterFailure::AsConfigured))
                    }
                    ConnectFailedVerdict::To(target) => {
                        self.redirect(rule, hook, target)?;
                        self.detours += 1;
                        Some(Ok(AfterFailure::Elsewhere))
                    }
                })
            });
            match decision {
                None => return Ok(AfterFailure::AsConfigured),
                Some(Decision::Verdict(result)) => return result,
                Some(Decision::Pool(pool)) if self.detours < MOST_DETOURS => {
                    self.detours += 1;
                    self.route = Route::to_pool(Rc::clone(pool));
                    return Ok(AfterFailure::Elsewhere);
                }
                // What the operator wants of a fault is about the request; here it is already lost, so only
                // another pool helps.
                Some(Decision::Refuse | Decision::Pool(_)) => {}
            }
        }
    }

    /// The rules from this one on, about the response in the exchange.
    pub(super) fn on_response(
        &mut self,
        pool: Option<&PoolView>,
        from: usize,
    ) -> Result<AfterResponse, Stop> {
        let view = Rc::clone(&self.view);
        let rules = view.rules.get(from..).unwrap_or_default();
        let mut chain = Chain::new(Hook::OnResponse, rules);
        loop {
            let decision = chain.ask(|rule| {
                Ok(match self.call(rule, Runner::on_response)? {
                    ResponseVerdict::Next => None,
                    ResponseVerdict::Replace(answer) => Some(Asked::Answer(answer)),
                    ResponseVerdict::Retry => Some(Asked::Again),
                    ResponseVerdict::NeedBody(most) => Some(Asked::Body(rule, most)),
                })
            });
            match decision {
                None => break,
                Some(Decision::Verdict(Asked::Answer(answer))) => {
                    return Err(Stop::Answer(Box::new(answer)));
                }
                Some(Decision::Verdict(Asked::Body(rule, most))) => {
                    let place = view.rules.iter().position(|it| Rc::ptr_eq(it, rule)).unwrap_or_default();
                    return Ok(AfterResponse::Body { rule: place, most });
                }
                Some(Decision::Verdict(Asked::Again)) => {
                    let Some(tried) = self.exchange.member else { break };
                    let another = pool.is_some_and(|pool| pool.has_another(&self.tried, tried));
                    if self.can_replay() && another {
                        self.tried.push(tried);
                        self.wait_for_member();
                        return Ok(AfterResponse::Again);
                    }
                    break;
                }
                Some(Decision::Refuse) => return Err(Problem::Fault.into()),
                // It has been to a pool already.
                Some(Decision::Pool(_)) => {}
            }
        }
        Ok(AfterResponse::Send)
    }

    pub(super) fn call<T>(
        &mut self,
        rule: &Rc<RuleView>,
        hook: impl FnOnce(&mut Runner, &mut Box<Exchange>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (connection, trace) = (&self.stream.connection, self.trace.as_deref());
        connection.with_vars_in(&mut self.exchange, |it| {
            connection.with_runner_of(trace, rule, |runner| hook(runner, it))
        })
    }

    /// Takes over a target. One that means nothing is a fault.
    fn redirect(&mut self, rule: &Rc<RuleView>, hook: Hook, target: Target) -> Result<(), Fault> {
        self.route.redirect(rule, target, self.view.pool.as_ref()).map_err(|why| {
            let trace = self.trace.as_deref();
            let refuse = |runner: &mut Runner| runner.refuse_verdict(hook, why);
            self.stream.connection.with_runner_of(trace, rule, refuse)
        })
    }

    /// What a decision means to a request that has not been sent. Whether there is one.
    fn decide(
        &mut self,
        decision: Option<Decision<'_, Result<(), Stop>, Rc<PoolView>>>,
    ) -> Result<bool, Stop> {
        match decision {
            None => return Ok(false),
            Some(Decision::Verdict(result)) => result?,
            Some(Decision::Refuse) => return Err(Problem::Fault.into()),
            Some(Decision::Pool(pool)) => self.route = Route::to_pool(Rc::clone(pool)),
        }
        Ok(true)
    }
}

/// What a rule may ask to be collected, however much it asks for.
pub(super) const MOST_COLLECTED: usize = 16 << 20;
/// How often one request may be sent to another pool after failures.
pub(super) const MOST_DETOURS: u32 = 3;
