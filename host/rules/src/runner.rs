//! How a worker calls a rule.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::breaker::Leave;
use crate::exchange::{ConnectFailure, Exchange, Flow, Summary};
use crate::instance::{Failure, Instance};
use crate::stats::Meter;
use crate::verdict::{BodyVerdict, ConnectFailedVerdict, FlowVerdict, RequestVerdict, ResponseVerdict};
use crate::{Attachment, Fault, FaultKind, Hook, Isolation, Vars, abi, judge};

/// A worker's way to call an attachment; with isolation `flow`, a connection's.
///
/// Holds at most one instance, made by the first call (or by [`Runner::warm`]) and replaced
/// after a fault: the next call finds a fresh one, on which `on-load` has run. A hook that the rule
/// does not export is answered `next` without a call.
///
/// Any hook may return a [`Fault`]; the attachment's [`OnFault`](crate::OnFault) says what to do then.
pub struct Runner {
    attachment: Arc<Attachment>,
    instance: Option<Instance>,
    meter: Meter,
    /// A runner belongs to one thread at a time.
    not_sync: PhantomData<std::cell::Cell<()>>,
}

impl Runner {
    pub fn new(attachment: Arc<Attachment>) -> Runner {
        let meter = Meter::new(&attachment.stats);
        Runner { attachment, instance: None, meter, not_sync: PhantomData }
    }

    pub fn attachment(&self) -> &Arc<Attachment> {
        &self.attachment
    }

    /// Makes the instance now and not at the first call, or after a fault. Does nothing with
    /// isolation `call`.
    ///
    /// # Errors
    /// As a call would.
    pub fn warm(&mut self) -> Result<(), Fault> {
        if self.instance.is_none() && self.attachment.isolation() != Isolation::Call {
            match Instance::new(&self.attachment, &mut self.meter) {
                Ok(instance) => self.instance = Some(instance),
                Err(failure) => return Err(self.faulted(Hook::OnLoad, Leave::Normal, failure)),
            }
        }
        Ok(())
    }

    /// `vars` are those of the flow.
    ///
    /// # Errors
    /// A fault of this call.
    pub fn on_flow(&mut self, flow: &Flow, vars: &mut Vars) -> Result<FlowVerdict, Fault> {
        if !self.attachment.hooks().contains(Hook::OnFlow) {
            return Ok(FlowVerdict::Next);
        }
        self.call(Hook::OnFlow, |instance| instance.on_flow(flow, vars), judge::flow)
    }

    /// # Errors
    /// A fault of this call.
    pub fn on_request(&mut self, exchange: &mut Box<Exchange>) -> Result<RequestVerdict, Fault> {
        if !self.attachment.hooks().contains(Hook::OnRequest) {
            return Ok(RequestVerdict::Next);
        }
        self.call(Hook::OnRequest, |instance| instance.on_request(exchange), judge::request)
    }

    /// `complete` is false when more of the body follows than was asked for.
    ///
    /// # Errors
    /// A fault of this call.
    pub fn on_request_body(
        &mut self,
        exchange: &mut Box<Exchange>,
        body: &[u8],
        complete: bool,
    ) -> Result<BodyVerdict, Fault> {
        if !self.attachment.hooks().contains(Hook::OnRequestBody) {
            return Ok(BodyVerdict::Next);
        }
        let body = abi::Body { bytes: body, complete };
        self.call(Hook::OnRequestBody, |instance| instance.on_request_body(exchange, body), judge::body)
    }

    /// # Errors
    /// A fault of this call.
    pub fn on_connect_failed(
        &mut self,
        exchange: &mut Box<Exchange>,
        failure: &ConnectFailure,
    ) -> Result<ConnectFailedVerdict, Fault> {
        if !self.attachment.hooks().contains(Hook::OnConnectFailed) {
            return Ok(ConnectFailedVerdict::Next);
        }
        let call = |instance: &mut Instance| instance.on_connect_failed(exchange, failure);
        self.call(Hook::OnConnectFailed, call, judge::connect_failed)
    }

    /// `exchange.response` must be set.
    ///
    /// # Errors
    /// A fault of this call.
    pub fn on_response(&mut self, exchange: &mut Box<Exchange>) -> Result<ResponseVerdict, Fault> {
        if !self.attachment.hooks().contains(Hook::OnResponse) {
            return Ok(ResponseVerdict::Next);
        }
        self.call(Hook::OnResponse, |instance| instance.on_response(exchange), judge::response)
    }

    /// `vars` are those of the request; `None` when a flow is done.
    ///
    /// # Errors
    /// A fault of this call. There is nothing left to decide, so it is counted and no more.
    pub fn on_done(
        &mut self,
        summary: &Summary,
        vars: Option<&mut Vars>,
        flow_vars: &mut Vars,
    ) -> Result<(), Fault> {
        if !self.attachment.hooks().contains(Hook::OnDone) {
            return Ok(());
        }
        self.call(Hook::OnDone, |instance| instance.on_done(summary, vars, flow_vars), |(), _| Ok(()))
    }

    /// For verdicts that only the caller can judge (a member that the pool does not have): counts
    /// the last call as a fault, replaces the instance, and gives the fault to act on.
    pub fn refuse_verdict(&mut self, hook: Hook, message: impl Into<String>) -> Fault {
        self.instance = None;
        let fault = Fault { kind: FaultKind::Verdict, hook, message: message.into() };
        self.faulted(hook, Leave::Normal, Failure { fault, blame: true })
    }

    #[inline]
    fn call<R, V>(
        &mut self,
        hook: Hook,
        run: impl FnOnce(&mut Instance) -> wasmtime::Result<R>,
        judge: impl FnOnce(R, &Attachment) -> Result<V, String>,
    ) -> Result<V, Fault> {
        let Some(leave) =
            self.attachment.breakers[hook as usize].ask(|| self.attachment.environment.monotonic_us())
        else {
            self.meter.fault(hook, FaultKind::BreakerOpen);
            return Err(Fault { kind: FaultKind::BreakerOpen, hook, message: String::new() });
        };
        let started = self.meter.begin(hook);
        let result = self.attempt(hook, run, judge);
        self.meter.end(hook, started);
        match result {
            Ok(verdict) => {
                self.attachment.breakers[hook as usize].good(leave);
                Ok(verdict)
            }
            Err(failure) => Err(self.faulted(hook, leave, failure)),
        }
    }

    #[inline]
    fn attempt<R, V>(
        &mut self,
        hook: Hook,
        run: impl FnOnce(&mut Instance) -> wasmtime::Result<R>,
        judge: impl FnOnce(R, &Attachment) -> Result<V, String>,
    ) -> Result<V, Failure> {
        let instance = match &mut self.instance {
            Some(instance) => instance,
            none => none.insert(Instance::new(&self.attachment, &mut self.meter)?),
        };
        instance.arm();
        let result = match run(instance) {
            Ok(verdict) => judge(verdict, &self.attachment).map_err(|message| Failure {
                fault: Fault { kind: FaultKind::Verdict, hook, message },
                blame: true,
            }),
            Err(error) => Err(instance.explain(hook, error)),
        };
        if result.is_err() || self.attachment.isolation() == Isolation::Call || instance.wants_fresh() {
            self.instance = None;
        }
        result
    }

    #[cold]
    fn faulted(&mut self, hook: Hook, leave: Leave, Failure { fault, blame }: Failure) -> Fault {
        self.meter.fault(fault.hook, fault.kind);
        let environment = &self.attachment.environment;
        // An instance pool that is used up says nothing about this rule.
        if blame && self.attachment.breakers[hook as usize].bad(leave, environment.monotonic_us()) {
            environment.breaker_opened(self.attachment.name());
        }
        fault
    }
}
