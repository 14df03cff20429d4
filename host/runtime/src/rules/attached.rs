//! A rule as one worker of a plane has it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use shunt_rules::{Attachment, Fault, Hook, OnFault, Runner};

use super::fault_log::FaultLog;

/// An attachment with a warm instance, and what its names stand for: `P` is what a pool is to the plane, and `S` what
/// a slot can be.
pub struct AttachedRule<P, S = P> {
    pub attachment: Arc<Attachment>,
    /// The warm instance of this worker. Not used with isolation `flow`.
    pub runner: RefCell<Runner>,
    /// In the order of the attachment's slots.
    slots: Vec<Option<S>>,
    /// The pool of `on-fault = { pool = … }`.
    fallback: Option<P>,
    faults: FaultLog,
}

/// What a fault of a rule comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFault<P> {
    /// As if the rule were not there.
    Continue,
    /// The request or flow is refused.
    Refuse,
    /// It goes to this pool.
    Pool(P),
}

impl<P, S> AttachedRule<P, S> {
    /// `before` is the same attachment under an earlier configuration: its instance stays warm. `slot` and `pool`
    /// resolve names of the configuration, which was refused where one of them means nothing.
    pub fn new(
        attachment: &Arc<Attachment>,
        before: Option<&Self>,
        slot: impl Fn(&str) -> Option<S>,
        pool: impl Fn(&str) -> Option<P>,
    ) -> Self {
        let rule = Self::cold(attachment, slot, pool);
        match before {
            Some(before) => rule.go_on(before),
            // So that the first call does not wait for it; where it fails, that call says why.
            None => drop(rule.runner.borrow_mut().warm()),
        }
        rule
    }

    /// Without an instance: that of the same attachment under an earlier configuration is still [to
    /// come](Self::go_on).
    pub fn cold(
        attachment: &Arc<Attachment>,
        slot: impl Fn(&str) -> Option<S>,
        pool: impl Fn(&str) -> Option<P>,
    ) -> Self {
        AttachedRule {
            attachment: Arc::clone(attachment),
            runner: RefCell::new(Runner::new(Arc::clone(attachment))),
            slots: attachment.slots().iter().map(|binding| slot(&binding.pool)).collect(),
            fallback: attachment.on_fault().pool().and_then(pool),
            faults: FaultLog::default(),
        }
    }

    /// Continues with the instance of the same attachment under an earlier configuration.
    pub fn go_on(&self, before: &Self) {
        if Arc::ptr_eq(&self.attachment, &before.attachment) {
            self.runner.swap(&before.runner);
        }
    }

    /// What the slot of this number stands for.
    pub fn slot(&self, number: usize) -> Option<&S> {
        self.slots.get(number)?.as_ref()
    }

    /// What its slots stand for.
    pub fn slots(&self) -> impl Iterator<Item = &S> {
        self.slots.iter().flatten()
    }

    /// The pool of `on-fault = { pool = … }`.
    pub fn fallback(&self) -> Option<&P> {
        self.fallback.as_ref()
    }
}

/// What a [`Chain`](super::chain::Chain) needs of a rule.
pub trait Link {
    type Pool;

    /// Whether it takes part in a hook.
    fn exports(&self, hook: Hook) -> bool;

    /// What a fault comes to. It has been written to the log.
    fn faulted(&self, fault: &Fault) -> AfterFault<&Self::Pool>;
}

impl<P, S> Link for AttachedRule<P, S> {
    type Pool = P;

    fn exports(&self, hook: Hook) -> bool {
        self.attachment.hooks().contains(hook)
    }

    fn faulted(&self, fault: &Fault) -> AfterFault<&P> {
        self.faults.tell(&self.attachment, fault);
        match (self.attachment.on_fault(), &self.fallback) {
            (OnFault::Continue, _) => AfterFault::Continue,
            (OnFault::Pool(_), Some(pool)) => AfterFault::Pool(pool),
            (OnFault::Reject, _) | (OnFault::Pool(_), None) => AfterFault::Refuse,
        }
    }
}

impl<L: Link> Link for Rc<L> {
    type Pool = L::Pool;

    fn exports(&self, hook: Hook) -> bool {
        (**self).exports(hook)
    }

    fn faulted(&self, fault: &Fault) -> AfterFault<&L::Pool> {
        (**self).faulted(fault)
    }
}
