//! One instance of a rule, in a store of its own.

use std::mem;
use std::sync::Arc;

use wasmtime::component::Resource;
use wasmtime::{PoolConcurrencyLimitError, Store, StoreContextMut, Trap, UpdateDeadline, WasmBacktrace};

use crate::abi;
use crate::budget::{CallTime, Expiry, thread_time};
use crate::exchange::Flow;
use crate::grants::Grant;
use crate::hello::Hello;
use crate::hooks::Functions;
use crate::names::Names;
use crate::state::{Memory, Refusal, State, Usage};
use crate::stats::Meter;
use crate::{Attachment, Exchange, Fault, FaultKind, Hook, Vars};

/// The handles that a call lends. There is at most one of each kind per call, so their
/// numbers say nothing.
const REQUEST: u32 = 0;
pub(crate) const RESPONSE: u32 = 1;
pub(crate) const HELLO: u32 = 2;

pub(crate) struct Instance {
    pub(crate) store: Store<State>,
    pub(crate) made: Made,
    pub(crate) functions: Functions,
}

/// What was instantiated.
#[derive(Clone, Copy)]
pub(crate) enum Made {
    Component(wasmtime::component::Instance),
    /// The core module alone, see [`crate::direct`].
    Direct(wasmtime::Instance),
}

/// A fault, and whether the rule is to blame for it.
pub(crate) struct Failure {
    pub fault: Fault,
    pub blame: bool,
}

impl Instance {
    /// Makes an instance and runs its `on-load`, all under the budget.
    pub(crate) fn new(attachment: &Arc<Attachment>, meter: &mut Meter) -> Result<Instance, Failure> {
        let mut instance = Instance::make(attachment, attachment.is_direct())?;
        if attachment.rule().export(Hook::OnLoad).is_some() {
            let started = meter.begin(Hook::OnLoad);
            let loaded = instance.on_load();
            meter.end(Hook::OnLoad, started);
            loaded?;
        }
        instance.rest();
        instance.store.data_mut().memory.settle();
        Ok(instance)
    }

    /// Makes an instance of the component, or of its core module.
    pub(crate) fn make(attachment: &Arc<Attachment>, direct: bool) -> Result<Instance, Failure> {
        let rule = attachment.rule();
        let state = State {
            attachment: attachment.clone(),
            exchange: Box::default(),
            flow_only: true,
            usage: Usage::default(),
            time: CallTime::default(),
            memory: Memory::new(attachment.budget.memory),
            guest: None,
            calls: None,
            mark: rule.clock().mark(),
        };
        let mut store = Store::new(rule.pre().engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(store.data().copied_at_most());
        store.epoch_deadline_callback(at_deadline);
        arm(&mut store);
        let made = match rule.direct() {
            Some(core) if direct => core.instantiate(&mut store).map(Made::Direct),
            _ => rule.pre().instantiate(&mut store).map(Made::Component),
        };
        let made = made.map_err(|error| explain(&mut store, Hook::OnLoad, error))?;
        Ok(Instance { store, made, functions: Functions::default() })
    }

    /// Checks that every exported hook has the contract's type.
    pub(crate) fn check_hooks(&mut self) -> Result<(), (Hook, String)> {
        for hook in self.store.data().attachment.hooks().iter() {
            self.check_hook(hook).map_err(|error| (hook, format!("{error:#}")))?;
        }
        Ok(())
    }

    /// Whether a fresh one should serve the next call.
    pub(crate) fn wants_fresh(&self) -> bool {
        self.store.data().memory.wants_fresh()
    }

    /// How often the last call asked for what the pack was not granted, and for what; `None`: never.
    #[inline]
    pub(crate) fn denied(&mut self) -> Option<(u32, Vec<Grant>)> {
        let usage = &mut self.store.data_mut().usage;
        (usage.not_granted > 0).then(|| (usage.not_granted, mem::take(&mut usage.denied)))
    }

    /// Gives the next call its whole budget.
    #[inline]
    pub(crate) fn arm(&mut self) {
        let state = self.store.data_mut();
        state.usage = Usage::default();
        state.time = CallTime::default();
        arm(&mut self.store);
    }

    /// Says that no call runs.
    #[inline]
    pub(crate) fn rest(&self) {
        self.store.data().mark.end();
    }

    /// Says what a call that failed ran into. The instance is not to be called again.
    pub(crate) fn explain(&mut self, hook: Hook, error: wasmtime::Error) -> Failure {
        explain(&mut self.store, hook, error)
    }
}

/// Runs a call with the exchange in the store.
#[inline]
pub(crate) fn with<R>(
    store: &mut Store<State>,
    exchange: &mut Box<Exchange>,
    call: impl FnOnce(&mut Store<State>) -> R,
) -> R {
    let state = store.data_mut();
    state.flow_only = false;
    mem::swap(&mut state.exchange, exchange);
    let result = call(store);
    mem::swap(&mut store.data_mut().exchange, exchange);
    result
}

/// Runs a call that sees a flow and no request.
#[inline]
pub(crate) fn with_flow<R>(
    store: &mut Store<State>,
    flow: &Flow,
    vars: &mut Vars,
    call: impl FnOnce(&mut Store<State>) -> R,
) -> R {
    let state = store.data_mut();
    state.flow_only = true;
    state.exchange.flow = *flow;
    with_flow_vars(store, vars, call)
}

/// The same, with what the client of the flow has said first.
pub(crate) fn with_hello<R>(
    store: &mut Store<State>,
    flow: &Flow,
    hello: &Arc<Hello>,
    vars: &mut Vars,
    call: impl FnOnce(&mut Store<State>) -> R,
) -> R {
    store.data_mut().exchange.hello = Some(Arc::clone(hello));
    let result = with_flow(store, flow, vars, call);
    store.data_mut().exchange.hello = None;
    result
}

#[inline]
pub(crate) fn with_flow_vars<R>(
    store: &mut Store<State>,
    vars: &mut Vars,
    call: impl FnOnce(&mut Store<State>) -> R,
) -> R {
    mem::swap(&mut store.data_mut().exchange.flow_vars, vars);
    let result = call(store);
    mem::swap(&mut store.data_mut().exchange.flow_vars, vars);
    result
}

pub(crate) fn request() -> Resource<abi::Request> {
    Resource::new_borrow(REQUEST)
}

pub(crate) fn first<T>((value,): (T,)) -> T {
    value
}

#[inline]
fn arm(store: &mut Store<State>) {
    let State { attachment, mark, .. } = store.data();
    mark.begin();
    attachment.rule().clock().touch();
    let ticks = attachment.time.first_ticks();
    store.set_epoch_deadline(ticks);
}

/// The epoch has reached the deadline of a call.
fn at_deadline(mut store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    let State { attachment, time, .. } = store.data_mut();
    Ok(match attachment.time.expired(time, thread_time()) {
        Expiry::Stop => UpdateDeadline::Interrupt,
        Expiry::GoOn(ticks) => UpdateDeadline::Continue(ticks),
    })
}

fn explain(store: &mut Store<State>, hook: Hook, error: wasmtime::Error) -> Failure {
    let state = store.data_mut();
    let kind = if let Some(refusal) = error.downcast_ref::<Refusal>() {
        match refusal {
            Refusal::HostCalls(_) => FaultKind::HostCalls,
            Refusal::Memory { .. } | Refusal::Table(_) => FaultKind::Memory,
        }
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        match trap {
            Trap::Interrupt => FaultKind::Timeout,
            Trap::StackOverflow => FaultKind::Stack,
            Trap::UnreachableCodeReached => FaultKind::Panic,
            _ => FaultKind::Trap,
        }
    } else if error.is::<PoolConcurrencyLimitError>() {
        FaultKind::Instance
    } else {
        FaultKind::Trap
    };
    let blame = kind != FaultKind::Instance;
    let told = state.usage.report.take().filter(|_| kind == FaultKind::Panic);
    let names = state.attachment.rule().names();
    let place = match error.downcast_ref::<WasmBacktrace>() {
        // A panic says where it was in its own words; numbers add nothing to them.
        Some(trace) if told.is_none() || names.is_some() => Names::place(names, trace),
        _ => String::new(),
    };
    let message = match kind {
        FaultKind::Timeout => format!("ran for longer than {:?}", state.attachment.budget.time),
        FaultKind::Stack => "recursed too deeply".to_owned(),
        FaultKind::Panic => told.unwrap_or_else(|| "executed the instruction `unreachable`".to_owned()),
        FaultKind::Instance => {
            "no instance is free; use isolation \"worker\", or fewer connections".to_owned()
        }
        _ => error.root_cause().to_string(),
    };
    let message = message + &place;
    Failure { fault: Fault { kind, hook, message }, blame }
}
