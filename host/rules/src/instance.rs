//! One instance of a rule, in a store of its own.

use std::mem;
use std::sync::Arc;

use wasmtime::component::{ComponentNamedList, Lift, Lower, Resource, TypedFunc};
use wasmtime::{PoolConcurrencyLimitError, Store, StoreContextMut, Trap, UpdateDeadline};

use crate::abi;
use crate::budget::{CallTime, Expiry, thread_time};
use crate::exchange::{ConnectFailure, Flow, Summary};
use crate::state::{Memory, Refusal, State, Usage};
use crate::stats::Meter;
use crate::{Attachment, Exchange, Fault, FaultKind, Hook, Vars};

/// The handles that a call lends. There is one request and one response per call, so
/// their numbers say nothing.
const REQUEST: u32 = 0;
const RESPONSE: u32 = 1;

pub(crate) struct Instance {
    store: Store<State>,
    component: wasmtime::component::Instance,
    functions: Functions,
}

/// The hooks' functions, looked up when they are first called: an instance that lives for
/// one call needs one of them.
#[derive(Default)]
struct Functions {
    on_flow: Option<abi::OnFlow>,
    on_request: Option<abi::OnRequest>,
    on_request_body: Option<abi::OnRequestBody<'static>>,
    on_connect_failed: Option<abi::OnConnectFailed>,
    on_response: Option<abi::OnResponse>,
    on_done: Option<abi::OnDone>,
}

/// A fault, and whether the rule is to blame for it.
pub(crate) struct Failure {
    pub fault: Fault,
    pub blame: bool,
}

impl Instance {
    /// Makes an instance and runs its `on-load`, all under the budget.
    pub(crate) fn new(attachment: &Arc<Attachment>, meter: &mut Meter) -> Result<Instance, Failure> {
        let rule = attachment.rule();
        let state = State {
            attachment: attachment.clone(),
            exchange: Box::default(),
            flow_only: true,
            usage: Usage::default(),
            time: CallTime::default(),
            memory: Memory::new(attachment.budget.memory),
        };
        let mut store = Store::new(rule.pre().engine(), state);
        store.limiter(|state| &mut state.memory);
        // What a guest can make the host copy in one call; a list of strings that all name the
        // same bytes would else multiply its memory.
        store.set_hostcall_fuel(usize::try_from(attachment.budget.memory).unwrap_or(usize::MAX));
        store.epoch_deadline_callback(at_deadline);
        arm(&mut store);
        let component =
            rule.pre().instantiate(&mut store).map_err(|error| explain(&mut store, Hook::OnLoad, error))?;
        let mut instance = Instance { store, component, functions: Functions::default() };
        if rule.export(Hook::OnLoad).is_some() {
            let started = meter.begin(Hook::OnLoad);
            let loaded = instance.on_load();
            meter.end(Hook::OnLoad, started);
            loaded?;
        }
        instance.store.data_mut().memory.settle();
        Ok(instance)
    }

    fn on_load(&mut self) -> Result<(), Failure> {
        let attachment = self.store.data().attachment.clone();
        let loaded = self
            .function(Hook::OnLoad)
            .and_then(|function: abi::OnLoad<'_>| function.call(&mut self.store, (&attachment.settings,)));
        match loaded {
            Ok((Ok(()),)) => Ok(()),
            Ok((Err(message),)) => Err(Failure {
                fault: Fault { kind: FaultKind::Instance, hook: Hook::OnLoad, message },
                blame: true,
            }),
            Err(error) => Err(self.explain(Hook::OnLoad, error)),
        }
    }

    /// Checks that every exported hook has the contract's type.
    pub(crate) fn check_hooks(&mut self) -> Result<(), (Hook, String)> {
        for hook in self.store.data().attachment.hooks().iter() {
            let checked = match hook {
                // It was called.
                Hook::OnLoad => Ok(()),
                Hook::OnFlow => self.on_flow_function().map(drop),
                Hook::OnRequest => self.on_request_function().map(drop),
                Hook::OnRequestBody => self.on_request_body_function().map(drop),
                Hook::OnConnectFailed => self.on_connect_failed_function().map(drop),
                Hook::OnResponse => self.on_response_function().map(drop),
                Hook::OnDone => self.on_done_function().map(drop),
            };
            checked.map_err(|error| (hook, format!("{error:#}")))?;
        }
        Ok(())
    }

    pub(crate) fn on_flow(&mut self, flow: &Flow, vars: &mut Vars) -> wasmtime::Result<abi::FlowVerdict> {
        let function = self.on_flow_function()?;
        self.with_flow(flow, vars, |store| function.call(store, (flow.into(),)).map(first))
    }

    pub(crate) fn on_request(
        &mut self,
        exchange: &mut Box<Exchange>,
    ) -> wasmtime::Result<abi::RequestVerdict> {
        let function = self.on_request_function()?;
        self.with(exchange, |store| function.call(store, (request(),)).map(first))
    }

    pub(crate) fn on_request_body(
        &mut self,
        exchange: &mut Box<Exchange>,
        body: abi::Body<'_>,
    ) -> wasmtime::Result<abi::BodyVerdict> {
        let function: abi::OnRequestBody<'_> = self.on_request_body_function()?;
        self.with(exchange, |store| function.call(store, (request(), body)).map(first))
    }

    pub(crate) fn on_connect_failed(
        &mut self,
        exchange: &mut Box<Exchange>,
        failure: &ConnectFailure,
    ) -> wasmtime::Result<abi::ConnectFailedVerdict> {
        let function = self.on_connect_failed_function()?;
        self.with(exchange, |store| function.call(store, (request(), failure.into())).map(first))
    }

    pub(crate) fn on_response(
        &mut self,
        exchange: &mut Box<Exchange>,
    ) -> wasmtime::Result<abi::ResponseVerdict> {
        let function = self.on_response_function()?;
        self.with(exchange, |store| {
            function.call(store, (request(), Resource::new_borrow(RESPONSE))).map(first)
        })
    }

    pub(crate) fn on_done(
        &mut self,
        summary: &Summary,
        vars: Option<&mut Vars>,
        flow_vars: &mut Vars,
    ) -> wasmtime::Result<()> {
        let function = self.on_done_function()?;
        let Some(vars) = vars else {
            return self.with_flow(&summary.flow, flow_vars, |store| function.call(store, (summary.into(),)));
        };
        self.store.data_mut().flow_only = false;
        mem::swap(&mut self.store.data_mut().exchange.vars, vars);
        let done = self.with_flow_vars(flow_vars, |store| function.call(store, (summary.into(),)));
        mem::swap(&mut self.store.data_mut().exchange.vars, vars);
        done
    }

    /// Whether a fresh one should serve the next call.
    pub(crate) fn wants_fresh(&self) -> bool {
        self.store.data().memory.wants_fresh()
    }

    /// Gives the next call its whole budget.
    #[inline]
    pub(crate) fn arm(&mut self) {
        let state = self.store.data_mut();
        state.usage = Usage::default();
        state.time = CallTime::default();
        arm(&mut self.store);
    }

    /// Says what a call that failed ran into. The instance is not to be called again.
    pub(crate) fn explain(&mut self, hook: Hook, error: wasmtime::Error) -> Failure {
        explain(&mut self.store, hook, error)
    }

    /// Runs a call with the exchange in the store.
    #[inline]
    fn with<R>(&mut self, exchange: &mut Box<Exchange>, call: impl FnOnce(&mut Store<State>) -> R) -> R {
        let state = self.store.data_mut();
        state.flow_only = false;
        mem::swap(&mut state.exchange, exchange);
        let result = call(&mut self.store);
        mem::swap(&mut self.store.data_mut().exchange, exchange);
        result
    }

    /// Runs a call that sees a flow and no request.
    #[inline]
    fn with_flow<R>(&mut self, flow: &Flow, vars: &mut Vars, call: impl FnOnce(&mut Store<State>) -> R) -> R {
        let state = self.store.data_mut();
        state.flow_only = true;
        state.exchange.flow = *flow;
        self.with_flow_vars(vars, call)
    }

    #[inline]
    fn with_flow_vars<R>(&mut self, vars: &mut Vars, call: impl FnOnce(&mut Store<State>) -> R) -> R {
        mem::swap(&mut self.store.data_mut().exchange.flow_vars, vars);
        let result = call(&mut self.store);
        mem::swap(&mut self.store.data_mut().exchange.flow_vars, vars);
        result
    }

    fn function<P, R>(&mut self, hook: Hook) -> wasmtime::Result<TypedFunc<P, R>>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let attachment = self.store.data().attachment.clone();
        let export = attachment
            .rule()
            .export(hook)
            .ok_or_else(|| wasmtime::Error::msg(format!("the rule does not export {hook}")))?;
        self.component.get_typed_func(&mut self.store, export)
    }
}

/// One getter per hook that looks its function up once.
macro_rules! functions {
    ($($getter:ident $field:ident $ty:ty, $hook:expr;)*) => {
        impl Instance {$(
            #[inline]
            fn $getter(&mut self) -> wasmtime::Result<$ty> {
                if let Some(function) = self.functions.$field {
                    return Ok(function);
                }
                let function = self.function($hook)?;
                self.functions.$field = Some(function);
                Ok(function)
            }
        )*}
    };
}

functions! {
    on_flow_function on_flow abi::OnFlow, Hook::OnFlow;
    on_request_function on_request abi::OnRequest, Hook::OnRequest;
    on_request_body_function on_request_body abi::OnRequestBody<'static>, Hook::OnRequestBody;
    on_connect_failed_function on_connect_failed abi::OnConnectFailed, Hook::OnConnectFailed;
    on_response_function on_response abi::OnResponse, Hook::OnResponse;
    on_done_function on_done abi::OnDone, Hook::OnDone;
}

fn request() -> Resource<abi::Request> {
    Resource::new_borrow(REQUEST)
}

fn first<T>((value,): (T,)) -> T {
    value
}

#[inline]
fn arm(store: &mut Store<State>) {
    let attachment = &store.data().attachment;
    attachment.rule().clock().touch();
    let ticks = attachment.time.first_ticks();
    store.set_epoch_deadline(ticks);
}

/// The epoch has reached the deadline of a call.
fn at_deadline(mut store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    let State { attachment, time, .. } = store.data_mut();
    // The clock may not fall asleep over a call that goes on.
    attachment.rule().clock().touch();
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
    let message = match kind {
        FaultKind::Timeout => format!("ran for longer than {:?}", state.attachment.budget.time),
        FaultKind::Stack => "recursed too deeply".to_owned(),
        FaultKind::Panic => match state.usage.last_error.take() {
            Some(panic) => panic,
            None => "reached unreachable code".to_owned(),
        },
        FaultKind::Instance => {
            "no instance is free; use isolation \"worker\", or fewer connections".to_owned()
        }
        _ => error.root_cause().to_string(),
    };
    Failure { fault: Fault { kind, hook, message }, blame }
}
