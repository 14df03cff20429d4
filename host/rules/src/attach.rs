//! A rule with an operator's choices: slots bound, settings checked, budgets set.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::breaker::Breaker;
use crate::budget::TimeBudget;
use crate::direct::Direct;
use crate::flags::LiveFlag;
use crate::hooks::Node;
use crate::host::MAX_MEMORY;
use crate::instance::Instance;
use crate::keys::{Keys, KeysError};
use crate::sets::{DeclaredSet, LiveSet, SetError, SetKind, SetLines};
use crate::stats::Meter;
use crate::suggest::hint;
use crate::{
    Environment, Fault, FaultKind, Grants, Hook, HookSet, LogLevel, Rule, RuleStats, Schema, SettingsError,
    SettingsTree, Slot, TableUse, Tables, settings,
};

/// What the operator says where a rule is used.
pub struct AttachOptions {
    /// `virtual/rule`: marks log lines, and owns the variables.
    pub name: String,
    pub slots: Vec<SlotBinding>,
    pub sets: Vec<SetBinding>,
    pub keys: Vec<KeyBinding>,
    /// The flags of what ran before: what was set stays so.
    pub flags: Vec<LiveFlag>,
    /// That of what ran before.
    pub log: Arc<LogLevel>,
    pub settings: SettingsTree,
    pub isolation: Isolation,
    pub budget: Budget,
    pub on_fault: OnFault,
    /// What the rule's virtual can fire. A hook beyond that is refused: it would never be called.
    pub fires: HookSet,
    /// Bytes that a request or response head may grow to by a rule's doing.
    pub header_limit: usize,
    pub environment: Arc<dyn Environment>,
    pub stats: Arc<RuleStats>,
    /// Where its tables are kept.
    pub tables: Arc<Tables>,
    pub way: WayOfCalls,
}

/// How a rule is called. What it does is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WayOfCalls {
    /// Its core module directly, where its component is nothing more.
    #[default]
    Quickest,
    /// As a component, always: what the other way is compared with.
    Component,
}

/// A slot of the pack and the pool or SNAT pool that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotBinding {
    pub slot: String,
    /// The pool's name in the configuration.
    pub pool: String,
    /// Whether that is a SNAT pool.
    pub snat: bool,
}

/// A set of the pack and what it has.
#[derive(Clone, Debug)]
pub struct SetBinding {
    pub set: String,
    pub content: SetContent,
}

/// A key of the pack and the keys of its file.
#[derive(Clone, Debug)]
pub struct KeyBinding {
    pub key: String,
    pub keys: Result<Arc<Keys>, KeysError>,
}

#[derive(Clone, Debug)]
pub enum SetContent {
    /// Lines, to be built.
    Lines(SetLines),
    /// That of another attachment, which is of the declared kind.
    Live(Arc<LiveSet>),
}

/// How far instances of a rule are shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// One warm instance per runner, and a runner per worker.
    #[default]
    Worker,
    /// As `Worker`, and the caller makes a runner per connection or flow.
    Flow,
    /// A fresh instance per call.
    Call,
}

/// What one hook call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Processor time: a call that had to wait for a processor is not to blame. Watched in steps
    /// of a millisecond, so a call may get two more.
    pub time: Duration,
    /// Bytes of linear memory; at most 256 MiB.
    pub memory: u64,
}

impl Default for Budget {
    /// 10 ms and 16 MiB.
    fn default() -> Budget {
        Budget { time: Duration::from_millis(10), memory: 16 << 20 }
    }
}

/// What happens in the rule's place when it faults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnFault {
    /// The request is answered 500, the flow is refused.
    #[default]
    Reject,
    /// As if the rule were not there.
    Continue,
    /// To this pool, by its name in the configuration.
    Pool(String),
}

impl OnFault {
    /// The pool that it names.
    pub fn pool(&self) -> Option<&str> {
        match self {
            OnFault::Pool(name) => Some(name),
            OnFault::Reject | OnFault::Continue => None,
        }
    }
}

impl AttachOptions {
    /// The defaults of the configuration: no slots, no settings, every hook may fire, heads up to 64 KiB.
    pub fn new(name: impl Into<String>, environment: Arc<dyn Environment>) -> AttachOptions {
        AttachOptions {
            name: name.into(),
            slots: Vec::new(),
            sets: Vec::new(),
            keys: Vec::new(),
            flags: Vec::new(),
            log: Arc::default(),
            settings: Value::Object(serde_json::Map::new()),
            isolation: Isolation::default(),
            budget: Budget::default(),
            on_fault: OnFault::default(),
            fires: HookSet::ALL,
            header_limit: 64 << 10,
            environment,
            stats: RuleStats::new(),
            tables: Arc::default(),
            way: WayOfCalls::default(),
        }
    }
}

/// Why a rule cannot be used as the operator asks: everything that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachError(pub Vec<AttachProblem>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachProblem {
    #[error(
        "the rule exports {hooks}, which its virtual never calls; {remedy}", hooks = .0, remedy = remedy(*.0)
    )]
    NeverFires(HookSet),
    #[error("the rule exports {0}, which a monitor never calls; attach it to a virtual, or build it without")]
    NotOfMonitor(HookSet),
    #[error("the pack has no slot {slot:?}{hint}")]
    UnknownSlot { slot: String, hint: String },
    #[error("slot {slot:?} ({purpose}) is not bound to a {}; add slots = {{ {slot} = \"…\" }}", kind(*snat))]
    MissingSlot { slot: String, purpose: String, snat: bool },
    #[error("slot {0:?} is bound twice; remove one")]
    SlotTwice(String),
    #[error(
        "slot {slot:?} ({purpose}) stands for a {}, and {pool:?} is a {}; bind it to a {}",
        kind(!bound_snat), kind(*bound_snat), kind(!bound_snat)
    )]
    SlotKind { slot: String, purpose: String, pool: String, bound_snat: bool },
    #[error("the pack has no set {set:?}{hint}")]
    UnknownSet { set: String, hint: String },
    #[error(
        "set {set:?} ({purpose}) is not bound to entries; add sets = {{ {set} = \"…\" }}, the path of a file with {}",
        entries(*kind)
    )]
    MissingSet { set: String, purpose: String, kind: SetKind },
    #[error("set {set:?} cannot be built:{}", indented(error))]
    Set { set: String, error: SetError },
    #[error("the pack has no key {key:?}{hint}")]
    UnknownKey { key: String, hint: String },
    #[error(
        "key {key:?} ({purpose}) is not bound to a file; add keys = {{ {key} = \"…\" }}, the path of a file of keys"
    )]
    MissingKey { key: String, purpose: String },
    #[error(transparent)]
    Key(KeysError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("a memory budget of {0} bytes is more than 256 MiB")]
    Memory(u64),
    /// The text that the rule gave.
    #[error("the rule refuses its settings: {0}")]
    Refused(String),
    /// Its `on-load` faulted, or no instance could be made.
    #[error("the rule fails to load: {0}")]
    OnLoad(Fault),
    #[error(
        "{hook} does not match the contract: {message}; build the pack with the shunt-sdk of this version of Shunt"
    )]
    Contract { hook: Hook, message: String },
}

fn remedy(idle: HookSet) -> &'static str {
    if idle.contains(Hook::OnProbe) {
        "use it in the `monitor` of a pool, rule = { … }, or build it without"
    } else {
        "attach it to a virtual that does, or build it without"
    }
}

fn kind(snat: bool) -> &'static str {
    if snat { "SNAT pool" } else { "pool" }
}

/// A line for each problem.
fn indented(error: &SetError) -> String {
    error.to_string().lines().map(|line| format!("\n  {line}")).collect()
}

/// What the lines of a set have.
fn entries(kind: SetKind) -> &'static str {
    match kind {
        SetKind::Addresses => "an address or a prefix in each line",
        SetKind::Exact => "a text in each line",
        SetKind::Prefix => "the beginning of a text in each line",
        SetKind::Suffix => "a host name in each line",
        SetKind::Regex => "a regular expression in each line",
    }
}

impl std::error::Error for AttachError {}

/// One problem per line.
impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// A rule that is ready to be called, by any number of [`Runner`](crate::Runner)s.
pub struct Attachment {
    pub(crate) rule: Arc<Rule>,
    pub(crate) name: Arc<str>,
    pub(crate) slots: Vec<SlotBinding>,
    pub(crate) sets: Vec<(String, Arc<LiveSet>)>,
    pub(crate) flags: Vec<LiveFlag>,
    pub(crate) keys: Vec<(String, Arc<Keys>)>,
    pub(crate) log: Arc<LogLevel>,
    pub(crate) isolation: Isolation,
    pub(crate) on_fault: OnFault,
    pub(crate) settings: Vec<Node>,
    /// Those of the pack, close at hand.
    pub(crate) grants: Grants,
    pub(crate) budget: Budget,
    pub(crate) time: TimeBudget,
    pub(crate) header_limit: usize,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) stats: Arc<RuleStats>,
    pub(crate) tables: Box<[TableUse]>,
    pub(crate) way: WayOfCalls,
    /// One per hook: a hook that is fine says nothing about another that is not.
    pub(crate) breakers: [Breaker; Hook::COUNT],
}

impl Rule {
    /// Checks the operator's choices and runs `on-load` once, under the budget, on the calling thread.
    ///
    /// # Errors
    /// Everything that is wrong; `on-load` runs only when all else is right.
    pub fn attach(self: &Arc<Self>, options: AttachOptions) -> Result<Arc<Attachment>, AttachError> {
        let mut problems = self.problems(&options);
        let sets = self.sets(&options.sets, &mut problems);
        let keys = self.keys(&options.keys, &mut problems);
        if !problems.is_empty() {
            return Err(AttachError(problems));
        }
        let time = TimeBudget::new(options.budget.time);
        let name = options.name.into();
        let tables = self.manifest().tables.iter();
        let tables = tables.map(|(table, declared)| options.tables.of(&name, table, declared)).collect();
        let flags = self.manifest().flags.iter().map(|(name, declared)| {
            let before = options.flags.iter().find(|it| it.name() == name);
            LiveFlag::new(name, &declared.default, before)
        });
        let flags = flags.collect();
        let attachment = Arc::new(Attachment {
            rule: self.clone(),
            name,
            tables,
            settings: settings::flatten(&options.settings),
            grants: self.manifest().grants.clone(),
            slots: options.slots,
            sets,
            flags,
            keys,
            log: options.log,
            isolation: options.isolation,
            budget: options.budget,
            time,
            on_fault: options.on_fault,
            header_limit: options.header_limit,
            environment: options.environment,
            stats: options.stats,
            way: options.way,
            breakers: std::array::from_fn(|_| Breaker::new()),
        });
        let one = |problem| Err(AttachError(vec![problem]));
        if attachment.is_direct() {
            // A core module's functions say less of their types than the component does.
            match Instance::make(&attachment, false).map(|mut component| component.check_hooks()) {
                Ok(Ok(())) => {}
                Ok(Err((hook, message))) => return one(AttachProblem::Contract { hook, message }),
                Err(failure) => return one(AttachProblem::OnLoad(failure.fault)),
            }
        }
        match Instance::new(&attachment, &mut Meter::new(&attachment.stats)) {
            Ok(mut instance) => match instance.check_hooks() {
                Ok(()) => Ok(attachment),
                Err((hook, message)) => one(AttachProblem::Contract { hook, message }),
            },
            Err(failure) if failure.fault.kind == FaultKind::Instance && failure.blame => {
                one(AttachProblem::Refused(failure.fault.message))
            }
            Err(failure) => one(AttachProblem::OnLoad(failure.fault)),
        }
    }

    /// The hooks for which a rule is refused where `fires` is all that is called. One pack may serve a virtual with TLS and
    /// one without, so `on-client-hello` may stand beside other hooks of HTTP.
    fn never_fired(&self, fires: HookSet) -> HookSet {
        let load = HookSet::EMPTY.with(Hook::OnLoad);
        let idle = self.hooks().without(fires.union(load));
        let hello = HookSet::EMPTY.with(Hook::OnClientHello);
        let serves = !self.hooks().without(load.union(idle)).is_empty();
        if serves && fires.contains(Hook::OnRequest) { idle.without(hello) } else { idle }
    }

    /// The sets, in the order of their names.
    fn sets(
        &self,
        bindings: &[SetBinding],
        problems: &mut Vec<AttachProblem>,
    ) -> Vec<(String, Arc<LiveSet>)> {
        let declared = &self.manifest().sets;
        for SetBinding { set, .. } in bindings.iter().filter(|it| !declared.contains_key(&it.set)) {
            let hint = match declared.len() {
                0 => "; the pack declares none".to_owned(),
                _ => hint(set, declared.keys().map(String::as_str)),
            };
            problems.push(AttachProblem::UnknownSet { set: set.clone(), hint });
        }
        let mut sets = Vec::new();
        for (set, DeclaredSet { kind, purpose }) in declared {
            let built = match bindings.iter().find(|it| it.set == *set).map(|it| &it.content) {
                Some(SetContent::Live(live)) => Ok(Arc::clone(live)),
                Some(SetContent::Lines(lines)) => LiveSet::build(*kind, lines)
                    .map_err(|error| AttachProblem::Set { set: set.clone(), error }),
                None => {
                    let (set, purpose) = (set.clone(), purpose.clone());
                    Err(AttachProblem::MissingSet { set, purpose, kind: *kind })
                }
            };
            match built {
                Ok(live) => sets.push((set.clone(), live)),
                Err(problem) => problems.push(problem),
            }
        }
        sets
    }

    /// The keys, in the order of their names.
    fn keys(&self, bindings: &[KeyBinding], problems: &mut Vec<AttachProblem>) -> Vec<(String, Arc<Keys>)> {
        let declared = &self.manifest().keys;
        for KeyBinding { key, .. } in bindings.iter().filter(|it| !declared.contains_key(&it.key)) {
            let hint = match declared.len() {
                0 => "; the pack declares none".to_owned(),
                _ => hint(key, declared.keys().map(String::as_str)),
            };
            problems.push(AttachProblem::UnknownKey { key: key.clone(), hint });
        }
        let mut keys = Vec::new();
        for (key, purpose) in declared {
            match bindings.iter().find(|it| it.key == *key).map(|it| &it.keys) {
                Some(Ok(read)) => keys.push((key.clone(), Arc::clone(read))),
                Some(Err(error)) => problems.push(AttachProblem::Key(error.clone())),
                None => {
                    problems.push(AttachProblem::MissingKey { key: key.clone(), purpose: purpose.clone() });
                }
            }
        }
        keys
    }

    fn problems(&self, options: &AttachOptions) -> Vec<AttachProblem> {
        let mut problems = Vec::new();
        let idle = self.never_fired(options.fires);
        if !idle.is_empty() {
            let is_monitor = options.fires == HookSet::MONITOR;
            problems.push(match is_monitor {
                true => AttachProblem::NotOfMonitor(idle),
                false => AttachProblem::NeverFires(idle),
            });
        }
        let declared = &self.manifest().slots;
        for (index, SlotBinding { slot, pool, snat }) in options.slots.iter().enumerate() {
            let Some(Slot { purpose, snat: declared_snat }) = declared.get(slot) else {
                let hint = match declared.len() {
                    0 => "; the pack declares none".to_owned(),
                    _ => hint(slot, declared.keys().map(String::as_str)),
                };
                problems.push(AttachProblem::UnknownSlot { slot: slot.clone(), hint });
                continue;
            };
            if options.slots[..index].iter().any(|before| before.slot == *slot) {
                problems.push(AttachProblem::SlotTwice(slot.clone()));
            } else if snat != declared_snat {
                problems.push(AttachProblem::SlotKind {
                    slot: slot.clone(),
                    purpose: purpose.clone(),
                    pool: pool.clone(),
                    bound_snat: *snat,
                });
            }
        }
        for (slot, Slot { purpose, snat }) in declared {
            // A proxy virtual ignores SNAT pools (`target` in wit/types.wit), and binds none.
            let is_ignored = *snat && options.fires.contains(Hook::OnRequest);
            if !is_ignored && !options.slots.iter().any(|binding| binding.slot == *slot) {
                let (slot, purpose, snat) = (slot.clone(), purpose.clone(), *snat);
                problems.push(AttachProblem::MissingSlot { slot, purpose, snat });
            }
        }
        let none = Schema { fields: Vec::new() };
        let schema = self.schema().unwrap_or(&none);
        problems.extend(schema.check(&options.settings).into_iter().map(AttachProblem::from));
        if options.budget.memory > MAX_MEMORY {
            problems.push(AttachProblem::Memory(options.budget.memory));
        }
        problems
    }
}

impl Attachment {
    pub fn rule(&self) -> &Arc<Rule> {
        &self.rule
    }

    /// `virtual/rule`
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn hooks(&self) -> HookSet {
        self.rule.hooks()
    }

    /// What the indices in a [`Target`](crate::Target) mean.
    pub fn slots(&self) -> &[SlotBinding] {
        &self.slots
    }

    /// In the order of their names.
    pub fn sets(&self) -> &[(String, Arc<LiveSet>)] {
        &self.sets
    }

    #[inline]
    pub fn set(&self, name: &str) -> Option<&Arc<LiveSet>> {
        self.sets.iter().find(|(set, _)| set == name).map(|(_, live)| live)
    }

    /// The level from which its lines are written, for operators to set.
    pub fn log(&self) -> &Arc<LogLevel> {
        &self.log
    }

    /// In the order of their names.
    pub fn flags(&self) -> &[LiveFlag] {
        &self.flags
    }

    #[inline]
    pub fn flag(&self, name: &str) -> Option<&LiveFlag> {
        self.flags.iter().find(|flag| flag.name() == name)
    }

    pub(crate) fn key(&self, name: &str) -> Option<&Keys> {
        self.keys.iter().find(|(key, _)| key == name).map(|(_, keys)| &**keys)
    }

    /// Whether these are the keys that it has.
    pub fn has_keys(&self, bindings: &[KeyBinding]) -> bool {
        bindings.len() == self.keys.len()
            && bindings.iter().all(|KeyBinding { key, keys }| {
                let own = self.key(key).map(Keys::digest);
                own.is_some() && own == keys.as_ref().ok().map(|keys| keys.digest())
            })
    }

    /// Whether instances are made of the rule's core module alone.
    pub(crate) fn is_direct(&self) -> bool {
        self.way == WayOfCalls::Quickest && self.rule.is_direct()
    }

    /// The core module that such instances are made of.
    pub(crate) fn direct(&self) -> wasmtime::Result<&Direct> {
        self.rule.direct().ok_or_else(|| wasmtime::Error::msg("the rule is called as a component"))
    }

    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    pub fn budget(&self) -> Budget {
        self.budget
    }

    pub fn on_fault(&self) -> &OnFault {
        &self.on_fault
    }

    /// Those that the pack declares, in the order of their names.
    pub fn tables(&self) -> &[TableUse] {
        &self.tables
    }

    pub fn stats(&self) -> &Arc<RuleStats> {
        &self.stats
    }

    /// Whether calls of any hook are being refused because it faulted too often.
    pub fn breaker_is_open(&self) -> bool {
        self.breakers.iter().any(Breaker::is_open)
    }

    pub(crate) fn slot_index(&self, slot: &str) -> Option<usize> {
        self.slots.iter().position(|binding| binding.slot == slot)
    }
}
