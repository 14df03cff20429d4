//! How a worker calls a rule.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::breaker::Permit;
use crate::grants::Grant;
use crate::instance::{Failure, Instance};
use crate::state::MOST_DENIED;
use crate::stats::Meter;
use crate::trace::{Recording, Verdict};
use crate::{Attachment, Fault, FaultKind, Hook, Isolation};

/// A worker's way to call an attachment; with isolation `flow`, a connection's.
///
/// Holds at most one instance, made by the first call (or by [`Runner::warm`]) and replaced
/// after a fault: the next call finds a fresh one, on which `on-load` has run. A hook that the rule
/// does not export is answered `next` without a call.
///
/// Any hook may return a [`Fault`]; the attachment's [`OnFault`](crate::OnFault) says what to do then.
pub struct Runner {
    pub(crate) attachment: Arc<Attachment>,
    instance: Option<Instance>,
    meter: Meter,
    /// What calls asked for and the pack was not granted; the first few, each once.
    denied: Vec<Grant>,
    /// While somebody listens.
    pub(crate) recording: Option<Box<Recording>>,
    /// A runner belongs to one thread at a time.
    not_sync: PhantomData<std::cell::Cell<()>>,
}

impl Runner {
    pub fn new(attachment: Arc<Attachment>) -> Runner {
        let meter = Meter::new(&attachment.stats);
        Runner {
            attachment,
            instance: None,
            meter,
            denied: Vec::new(),
            recording: None,
            not_sync: PhantomData,
        }
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
                Err(failure) => return Err(self.faulted(Hook::OnLoad, Permit::Normal, failure)),
            }
        }
        Ok(())
    }

    /// For verdicts that only the caller can judge (a member that the pool does not have): counts
    /// the last call as a fault, replaces the instance, and gives the fault to act on.
    pub fn refuse_verdict(&mut self, hook: Hook, message: impl Into<String>) -> Fault {
        self.instance = None;
        let fault = Fault { kind: FaultKind::Verdict, hook, message: message.into() };
        let fault = self.faulted(hook, Permit::Normal, Failure { fault, blame: true });
        if self.recording.is_some() {
            self.record_refusal(&fault);
        }
        fault
    }

    #[inline]
    pub(crate) fn call<R, V: Verdict>(
        &mut self,
        hook: Hook,
        run: impl FnOnce(&mut Instance) -> wasmtime::Result<R>,
        validate: impl FnOnce(R, &Attachment) -> Result<V, String>,
    ) -> Result<V, Fault> {
        self.call_until(hook, run, validate, |_| true)
    }

    /// The same of a hook that is called in steps: a step that does not decide says nothing good of the rule, for the
    /// fault may come in the next, each time.
    #[inline]
    pub(crate) fn call_until<R, V: Verdict>(
        &mut self,
        hook: Hook,
        run: impl FnOnce(&mut Instance) -> wasmtime::Result<R>,
        validate: impl FnOnce(R, &Attachment) -> Result<V, String>,
        decides: impl FnOnce(&V) -> bool,
    ) -> Result<V, Fault> {
        let Some(permit) = self.attachment.breakers[hook as usize]
            .try_acquire(|| self.attachment.environment.monotonic_us())
        else {
            self.meter.fault(hook, FaultKind::BreakerOpen);
            let fault = Fault { kind: FaultKind::BreakerOpen, hook, message: String::new() };
            if let Some(began) = self.recorded_from() {
                self.record(hook, began, Err(&fault));
            }
            return Err(fault);
        };
        let recorded = self.recorded_from();
        let started = self.meter.begin(hook);
        let result = self.attempt(hook, run, validate);
        self.meter.end(hook, started);
        let result = match result {
            Ok(verdict) => {
                // Where the breaker is open, the next step is to be permitted.
                if permit == Permit::Probe || decides(&verdict) {
                    self.attachment.breakers[hook as usize].record_success(permit);
                }
                Ok(verdict)
            }
            Err(failure) => Err(self.faulted(hook, permit, failure)),
        };
        if let Some(began) = recorded {
            self.record(hook, began, result.as_ref().map(|verdict| verdict as &dyn Verdict));
        }
        result
    }

    #[inline]
    fn attempt<R, V>(
        &mut self,
        hook: Hook,
        run: impl FnOnce(&mut Instance) -> wasmtime::Result<R>,
        validate: impl FnOnce(R, &Attachment) -> Result<V, String>,
    ) -> Result<V, Failure> {
        let instance = match &mut self.instance {
            Some(instance) => instance,
            none => none.insert(Instance::new(&self.attachment, &mut self.meter)?),
        };
        instance.arm();
        Runner::lend_calls(&mut self.recording, instance.store.data_mut());
        let called = run(instance);
        instance.rest();
        Runner::take_calls(&mut self.recording, instance.store.data_mut());
        let result = match called {
            Ok(verdict) => validate(verdict, &self.attachment).map_err(|message| Failure {
                fault: Fault { kind: FaultKind::Verdict, hook, message },
                blame: true,
            }),
            Err(error) => Err(instance.explain(hook, error)),
        };
        let denied = instance.denied();
        if result.is_err() || self.attachment.isolation() == Isolation::Call || instance.wants_fresh() {
            self.instance = None;
        }
        if let Some((times, grants)) = denied {
            self.note_denied(hook, times, grants);
        }
        result
    }

    /// What calls asked for and the pack was not granted.
    pub(crate) fn denied(&self) -> &[Grant] {
        &self.denied
    }

    #[cold]
    fn note_denied(&mut self, hook: Hook, times: u32, grants: Vec<Grant>) {
        self.meter.not_granted(hook, times);
        for grant in grants {
            // What is known takes no lock: a rule that is refused something is so at each call.
            if self.denied.len() < MOST_DENIED && !self.denied.contains(&grant) {
                self.meter.denied(&grant);
                self.denied.push(grant);
            }
        }
    }

    #[cold]
    fn faulted(&mut self, hook: Hook, permit: Permit, Failure { fault, blame }: Failure) -> Fault {
        self.meter.fault(fault.hook, fault.kind);
        let environment = &self.attachment.environment;
        // An instance pool that is used up says nothing about this rule.
        if blame && self.attachment.breakers[hook as usize].record_failure(permit, environment.monotonic_us())
        {
            environment.breaker_opened(self.attachment.name());
        }
        fault
    }
}
