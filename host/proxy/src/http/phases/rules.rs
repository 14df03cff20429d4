//! The hooks of a request: who is called, what their verdicts mean, and what happens when one faults.

use std::rc::Rc;

use http::{Response, response};
use shunt_rules::{
    BodyVerdict, ConnectFailedVerdict, ConnectFailure, Exchange, Fault, Hook, OnFault, RequestVerdict,
    ResponseVerdict, Runner, Target,
};

use crate::deadline::Waiting;
use crate::http::body::{BodyError, RequestBody, ResponseBody, collect};
use crate::http::member::Lease;
use crate::http::phases::route::Route;
use crate::http::phases::{Stop, Transaction};
use crate::http::problem::Problem;
use crate::view::{PoolView, RuleView};

/// What `on-connect-failed` came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterFailure {
    AsConfigured,
    SamePool,
    Elsewhere,
}

/// What a fault comes to.
enum AfterFault {
    Continue,
    Stop,
}

impl Transaction {
    /// `on-request` and, where a rule asks for the body, `on-request-body`: in the order of the rules,
    /// until one of them decides.
    pub(super) async fn on_request(&mut self) -> Result<(), Stop> {
        if !self.view.hooks.contains(Hook::OnRequest) {
            return Ok(());
        }
        let view = Rc::clone(&self.view);
        for rule in view.rules.iter().filter(|rule| rule.attachment.hooks().contains(Hook::OnRequest)) {
            let decided = match self.call(rule, Runner::on_request) {
                Ok(RequestVerdict::Next) => false,
                Ok(RequestVerdict::To(target)) => self.redirect(rule, Hook::OnRequest, target)?,
                Ok(RequestVerdict::Respond(answer)) => return Err(Stop::Answer(Box::new(answer))),
                Ok(RequestVerdict::Reject) => return Err(Problem::Rejected.into()),
                Ok(RequestVerdict::NeedBody(most)) => Box::pin(self.on_request_body(rule, most)).await?,
                Err(_) => self.after_fault(rule)?,
            };
            if decided {
                break;
            }
        }
        Ok(())
    }

    /// Whether the rule decided.
    async fn on_request_body(&mut self, rule: &Rc<RuleView>, most: u32) -> Result<bool, Stop> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(MOST_COLLECTED);
        self.connection.deadline.wait_idle(Waiting::RequestBody);
        let (bytes, ended) = match collect(&mut self.body, most).await {
            Ok(collected) => collected,
            Err(BodyError::TooLarge) => return Err(Problem::BodyTooLarge.into()),
            Err(BodyError::Stalled) => return Err(Problem::BodyStalled.into()),
            Err(_) => return Err(Problem::BadRequest("the body broke off").into()),
        };
        let shown = bytes.len().min(most);
        let complete = ended && shown == bytes.len();
        let verdict =
            self.call(rule, |runner, exchange| runner.on_request_body(exchange, &bytes[..shown], complete));
        let mut forwarded = bytes.clone();
        let decided = match verdict {
            Ok(BodyVerdict::Next) => false,
            Ok(BodyVerdict::Replace(replacement)) => {
                let rest = bytes.slice(shown..);
                forwarded = if rest.is_empty() { replacement } else { [replacement, rest].concat().into() };
                true
            }
            Ok(BodyVerdict::To(target)) => self.redirect(rule, Hook::OnRequestBody, target)?,
            Ok(BodyVerdict::Respond(answer)) => return Err(Stop::Answer(Box::new(answer))),
            Ok(BodyVerdict::Reject) => return Err(Problem::Rejected.into()),
            Err(_) => self.after_fault(rule)?,
        };
        // The length may be another one now: it is framed anew either way.
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

    /// Called for every failure, until a rule decides.
    pub(super) fn on_connect_failed(&mut self, failure: &ConnectFailure) -> Result<AfterFailure, Stop> {
        let view = Rc::clone(&self.view);
        let hook = Hook::OnConnectFailed;
        for rule in view.rules.iter().filter(|rule| rule.attachment.hooks().contains(hook)) {
            match self.call(rule, |runner, exchange| runner.on_connect_failed(exchange, failure)) {
                Ok(ConnectFailedVerdict::Next) => {}
                Ok(ConnectFailedVerdict::Retry) => return Ok(AfterFailure::SamePool),
                Ok(ConnectFailedVerdict::Respond(answer)) => return Err(Stop::Answer(Box::new(answer))),
                Ok(ConnectFailedVerdict::To(target)) => {
                    if self.detours >= MOST_DETOURS {
                        // Around in circles: the configuration takes over.
                        return Ok(AfterFailure::AsConfigured);
                    }
                    if self.redirect(rule, hook, target)? {
                        self.detours += 1;
                        return Ok(AfterFailure::Elsewhere);
                    }
                }
                Err(_) => {
                    // What the operator wants of a fault is about the request; here it is already lost,
                    // so only another pool helps.
                    if let (OnFault::Pool(_), Some(pool)) = (rule.attachment.on_fault(), &rule.fallback)
                        && self.detours < MOST_DETOURS
                    {
                        self.detours += 1;
                        self.route = Route::to_pool(Rc::clone(pool));
                        return Ok(AfterFailure::Elsewhere);
                    }
                }
            }
        }
        Ok(AfterFailure::AsConfigured)
    }

    /// `None`: the request is to be sent to another member.
    pub(super) fn on_response(
        &mut self,
        pool: &Rc<PoolView>,
        head: response::Parts,
        lease: Lease,
    ) -> Result<Option<Response<ResponseBody>>, Stop> {
        if !self.view.hooks.contains(Hook::OnResponse) {
            return Ok(Some(self.stream(head, lease)));
        }
        let view = Rc::clone(&self.view);
        self.exchange.response = Some(head);
        self.exchange.member = Some(lease.member().address);
        self.exchange.pool = Some(pool.name.clone());
        for rule in view.rules.iter().filter(|rule| rule.attachment.hooks().contains(Hook::OnResponse)) {
            match self.call(rule, Runner::on_response) {
                Ok(ResponseVerdict::Next) => {}
                Ok(ResponseVerdict::Replace(answer)) => return Err(Stop::Answer(Box::new(answer))),
                Ok(ResponseVerdict::Retry) => {
                    let tried = lease.member().address;
                    let another = pool.members.iter().any(|member| {
                        member.address != tried
                            && member.state.usable_for_new()
                            && !self.tried.contains(&member.address)
                    });
                    if self.can_replay() && another {
                        self.tried.push(tried);
                        return Ok(None);
                    }
                    break;
                }
                Err(_) => match self.fault(rule) {
                    AfterFault::Continue => {}
                    AfterFault::Stop => return Err(Problem::Fault.into()),
                },
            }
        }
        let head = self.exchange.response.take().unwrap_or_else(|| Response::new(()).into_parts().0);
        Ok(Some(self.stream(head, lease)))
    }

    fn call<T>(
        &mut self,
        rule: &Rc<RuleView>,
        hook: impl FnOnce(&mut Runner, &mut Box<Exchange>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let exchange = &mut self.exchange;
        let result = self.connection.with_runner(rule, |runner| hook(runner, exchange));
        if let Err(fault) = &result {
            rule.log(fault);
        }
        result
    }

    /// Takes over a target. Says whether the rule decided: a target that means nothing is a fault.
    fn redirect(&mut self, rule: &Rc<RuleView>, hook: Hook, target: Target) -> Result<bool, Stop> {
        match self.route.redirect(rule, target, self.view.pool.as_ref()) {
            Ok(()) => Ok(true),
            Err(why) => {
                let fault = self.connection.with_runner(rule, |runner| runner.refuse_verdict(hook, why));
                rule.log(&fault);
                self.after_fault(rule)
            }
        }
    }

    /// What `on-fault` says of a request that has not been sent. `true`: it is decided.
    fn after_fault(&mut self, rule: &RuleView) -> Result<bool, Stop> {
        if let (OnFault::Pool(_), Some(pool)) = (rule.attachment.on_fault(), &rule.fallback) {
            self.route = Route::to_pool(Rc::clone(pool));
            return Ok(true);
        }
        match self.fault(rule) {
            AfterFault::Continue => Ok(false),
            AfterFault::Stop => Err(Problem::Fault.into()),
        }
    }

    fn fault(&self, rule: &RuleView) -> AfterFault {
        match rule.attachment.on_fault() {
            OnFault::Reject => AfterFault::Stop,
            OnFault::Continue | OnFault::Pool(_) => AfterFault::Continue,
        }
    }
}

/// What a rule may ask to be collected, however much it asks for.
const MOST_COLLECTED: usize = 16 << 20;
/// How often one request may be sent to another pool after failures.
pub(super) const MOST_DETOURS: u32 = 3;
