//! The snapshot as one worker sees it: the same names, with what only this worker touches beside them
//! (turns, kept connections, warm rule instances). Carried from snapshot to snapshot by identity.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use shunt_engine::persistence::MemberTag;
use shunt_engine::selection::{Balance, Candidate, Selector};
use shunt_rules::{Attachment, Fault, HookSet, OnFault, Runner};

use crate::config::model;
use crate::http::member::MemberView;
use crate::live::counters::VirtualCounters;
use crate::live::{Pool, Snapshot, Virtual};
use crate::worker::fault_log::FaultLog;

pub(crate) struct PoolView {
    pub(crate) pool: Arc<Pool>,
    pub(crate) name: Arc<str>,
    selector: RefCell<Selector>,
    pub(crate) members: Vec<Rc<MemberView>>,
    /// What a cookie calls each of the members.
    tags: Vec<MemberTag>,
}

pub(crate) struct VirtualView {
    pub(crate) virtual_: Arc<Virtual>,
    pub(crate) counters: Arc<VirtualCounters>,
    pub(crate) pool: Option<Rc<PoolView>>,
    pub(crate) rules: Vec<Rc<RuleView>>,
    /// Every hook that any of its rules exports.
    pub(crate) hooks: HookSet,
    /// Keeps the bindings of two virtuals that share a pool apart.
    pub(crate) binding_prefix: [u8; 8],
}

pub(crate) struct RuleView {
    pub(crate) attachment: Arc<Attachment>,
    /// The warm instance of this worker. Not used with isolation `flow`.
    pub(crate) runner: RefCell<Runner>,
    /// In the order of the attachment's slots.
    pub(crate) slots: Vec<Rc<PoolView>>,
    /// The pool of `on-fault = { pool = … }`.
    pub(crate) fallback: Option<Rc<PoolView>>,
    faults: FaultLog,
}

impl RuleView {
    /// Tells the operator what a fault was, unless one was told a moment ago.
    pub(crate) fn log(&self, fault: &Fault) {
        self.faults.tell(&self.attachment, fault);
    }
}

/// Everything that one worker sees.
#[derive(Default)]
pub(crate) struct Views {
    worker: usize,
    pools: HashMap<String, Rc<PoolView>>,
    virtuals: HashMap<String, Rc<VirtualView>>,
}

impl Views {
    pub(crate) fn new(worker: usize) -> Self {
        Views { worker, ..Views::default() }
    }

    pub(crate) fn virtual_named(&self, name: &str) -> Option<&Rc<VirtualView>> {
        self.virtuals.get(name)
    }

    /// Takes over a snapshot. Requests under way keep the views that they began with.
    pub(crate) fn apply(&mut self, snapshot: &Snapshot) {
        let mut before = std::mem::take(&mut self.pools);
        for pool in &snapshot.pools {
            let name = &pool.settings.name;
            let view = PoolView::next(before.remove(name), pool, self.worker);
            self.pools.insert(name.clone(), view);
        }
        for gone in before.values() {
            gone.members.iter().for_each(|member| member.close_idle());
        }

        let before = std::mem::take(&mut self.virtuals);
        for virtual_ in &snapshot.virtuals {
            let name = &virtual_.settings.name;
            let view = self.virtual_view(virtual_, before.get(name).map(|view| &**view));
            self.virtuals.insert(name.clone(), Rc::new(view));
        }
    }

    /// Closes connections to members that no one used for a while.
    pub(crate) fn sweep(&self) {
        for pool in self.pools.values() {
            pool.members.iter().for_each(|member| member.sweep());
        }
    }

    fn virtual_view(&self, virtual_: &Arc<Virtual>, before: Option<&VirtualView>) -> VirtualView {
        let rules: Vec<_> = virtual_.rules.iter().map(|it| self.rule_view(it, before)).collect();
        let hooks = rules.iter().fold(HookSet::EMPTY, |all, rule| all.union(rule.attachment.hooks()));
        let name = virtual_.settings.name.as_bytes();
        VirtualView {
            counters: virtual_.counters.shard(self.worker),
            pool: virtual_.settings.pool.as_ref().and_then(|name| self.pools.get(name)).cloned(),
            binding_prefix: shunt_engine::hash::stable(name).to_be_bytes(),
            virtual_: Arc::clone(virtual_),
            rules,
            hooks,
        }
    }

    fn rule_view(&self, attachment: &Arc<Attachment>, before: Option<&VirtualView>) -> Rc<RuleView> {
        let slots: Vec<_> =
            attachment.slots().iter().filter_map(|slot| self.pools.get(&slot.pool)).cloned().collect();
        let fallback = match attachment.on_fault() {
            OnFault::Pool(name) => self.pools.get(name).cloned(),
            OnFault::Reject | OnFault::Continue => None,
        };
        let same = before
            .into_iter()
            .flat_map(|view| &view.rules)
            .find(|rule| Arc::ptr_eq(&rule.attachment, attachment));
        if let Some(rule) = same {
            let unchanged = |old: &Rc<PoolView>, new: &Rc<PoolView>| Rc::ptr_eq(old, new);
            if rule.slots.iter().zip(&slots).all(|(old, new)| unchanged(old, new))
                && rule.fallback.iter().zip(&fallback).all(|(old, new)| unchanged(old, new))
            {
                return Rc::clone(rule);
            }
        }
        let attachment = Arc::clone(attachment);
        let runner = match same {
            // The instance stays warm when only a pool changed.
            Some(rule) => rule.runner.replace(Runner::new(Arc::clone(&attachment))),
            None => {
                let mut runner = Runner::new(Arc::clone(&attachment));
                // So that the first request does not wait for it; where it fails, that request's call says why.
                let _ = runner.warm();
                runner
            }
        };
        Rc::new(RuleView {
            attachment,
            runner: RefCell::new(runner),
            slots,
            fallback,
            faults: FaultLog::default(),
        })
    }
}

impl PoolView {
    /// The view of a pool, built on the one before it.
    fn next(before: Option<Rc<PoolView>>, pool: &Arc<Pool>, worker: usize) -> Rc<PoolView> {
        if let Some(view) = &before
            && Arc::ptr_eq(&view.pool, pool)
        {
            return Rc::clone(view);
        }
        let balance = match pool.settings.balance {
            model::Balance::RoundRobin => Balance::RoundRobin,
            model::Balance::WeightedRoundRobin => Balance::WeightedRoundRobin,
            model::Balance::LeastConnections => Balance::LeastConnections,
            // Of pools that no proxy uses.
            model::Balance::DestinationHash => Balance::DestinationHash,
            model::Balance::SymmetricHash => Balance::SymmetricHash,
        };
        let old = before.as_ref().map_or(&[][..], |view| &view.members);
        let members = pool
            .members
            .iter()
            .map(|member| {
                let (address, weight) = (member.settings.address, member.settings.weight);
                match old.iter().find(|old| old.address == address) {
                    Some(old) if old.weight == weight => Rc::clone(old),
                    Some(old) => Rc::new(old.with_weight(weight)),
                    None => {
                        let counters = member.counters.shard(worker);
                        Rc::new(MemberView::new(address, weight, Arc::clone(&member.state), counters))
                    }
                }
            })
            .collect::<Vec<_>>();
        for gone in old.iter().filter(|old| members.iter().all(|member| member.address != old.address)) {
            gone.close_idle();
        }
        let selector = match &before {
            Some(view) if view.selector.borrow().balance() == balance => view.selector.borrow().clone(),
            _ => Selector::new(balance, worker),
        };
        let tags = members.iter().map(|it| MemberTag::of(&pool.settings.name, it.address)).collect();
        Rc::new(PoolView {
            tags,
            name: pool.settings.name.as_str().into(),
            pool: Arc::clone(pool),
            selector: RefCell::new(selector),
            members,
        })
    }

    /// The next member, none of those that were `tried`.
    pub(crate) fn pick(&self, tried: &[SocketAddr]) -> Option<&Rc<MemberView>> {
        let candidate = |index: usize| {
            let member = &self.members[index];
            Candidate {
                usable: member.state.usable_for_new() && !tried.contains(&member.address),
                weight: member.weight,
                active: member.state.active(),
            }
        };
        let index = self.selector.borrow_mut().pick(self.members.len(), candidate)?;
        self.members.get(index)
    }

    /// The members, each with what a cookie calls it.
    pub(crate) fn tagged(&self) -> impl Iterator<Item = (&MemberTag, &Rc<MemberView>)> {
        self.tags.iter().zip(&self.members)
    }

    pub(crate) fn member(&self, address: SocketAddr) -> Option<&Rc<MemberView>> {
        self.members.iter().find(|member| member.address == address)
    }
}
