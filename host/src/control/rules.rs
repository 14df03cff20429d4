//! Rules where they are attached: their names, what an attachment depends on, and what is checked before a
//! version may run.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use shunt_registry::{CacheError, RegistryError};
use shunt_rules::artefact::Reference;
use shunt_rules::keys::Keys;
use shunt_rules::trust::{Source, TrustError};
use shunt_rules::{
    AttachError, AttachOptions, Attachment, Environment, Hook, HookSet, KeyBinding, PackError, Rule,
    RuleError, RuleStats, SetBinding, SlotBinding, Tables, WayOfCalls,
};
use thiserror::Error;

use super::history::History;
use shunt_config::{RuleOwner, model};

/// A rule where it is attached: `virtual/rule`, or `pool:pool/rule` of a monitor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleName {
    /// What it is attached to, as [`RuleOwner::name`] writes it.
    pub virtual_name: String,
    pub rule: String,
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.virtual_name, self.rule)
    }
}

impl FromStr for RuleName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((virtual_name, rule)) if !virtual_name.is_empty() && !rule.is_empty() => {
                Ok(RuleName { virtual_name: virtual_name.to_owned(), rule: rule.to_owned() })
            }
            _ => Err("write VIRTUAL/RULE, as `shunt rule list` shows it".to_owned()),
        }
    }
}

/// Why a rule was not put in force. Nothing was changed.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error("there is no rule {name}; the configuration has {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    NoSuchRule { name: RuleName, known: Vec<String> },
    #[error("{0} has no earlier version to go back to")]
    NoEarlierVersion(RuleName),
    #[error("{name} has no version {number}; it has {}", known.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))]
    NoSuchVersion { name: RuleName, number: u64, known: Vec<u64> },
    #[error("{0} is not loaded")]
    NotLoaded(RuleName),
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error("{reference} is pinned to no pack; pin it by {command}")]
    NotLocked { reference: Box<Reference>, command: String },
    /// Of a check, which asks no registry: why the pack is not there to be checked, and what to do.
    #[error("{reference} is not checked: {why}")]
    NotCached { reference: Box<Reference>, why: String },
    #[error("no version is within {reference}; `shunt pack list {}` shows those that there are", reference.name())]
    NoVersion { reference: Reference },
    /// Of what a tag stands for now.
    #[error(
        "{reference} stood for {before}; if that is meant, name another repository, or remove its lines from the lock"
    )]
    OtherPack { reference: Box<Reference>, before: String },
    /// A tag that is a version, beside the digest of another one.
    #[error("{reference} is {name} {version}, which that tag does not mean; {remedy}")]
    OtherVersion { reference: Box<Reference>, name: String, version: String, remedy: String },
    /// Of what the lock says of a pack.
    #[error(
        "the lock says that {reference} is {said}, and the pack of that digest is {found}; compare, then write the lock \
         again by {command}"
    )]
    OtherPin { reference: Box<Reference>, said: String, found: String, command: String },
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(
        "{name} {version} is older than {highest}, which ran here before; load a newer one, or allow it by --allow-downgrade"
    )]
    Older { name: String, version: String, highest: String },
    #[error("{name} {version} asks for more than {before}; accept it by --accept-grants{}", lines(grown))]
    Grown {
        name: String,
        version: String,
        /// `canary 1.0.0, which runs here`
        before: String,
        grown: Vec<String>,
    },
    #[error(transparent)]
    Component(#[from] RuleError),
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// What failed, and how.
    #[error("the cases of the pack do not pass on this host; get another version of it, or fix it\n{0}")]
    Cases(String),
    #[error("cannot check the rule: {0}")]
    System(String),
}

impl From<super::Aborted> for LoadError {
    fn from(super::Aborted(why): super::Aborted) -> LoadError {
        LoadError::System(why)
    }
}

impl LoadError {
    /// A stable name for programs.
    pub fn kind(&self) -> &'static str {
        use shunt_rules::AttachProblem as Problem;
        match self {
            LoadError::NoSuchRule { .. } => "no-such-rule",
            LoadError::NoEarlierVersion(_) => "no-earlier-version",
            LoadError::NoSuchVersion { .. } => "no-such-version",
            LoadError::NotLoaded(_) => "not-loaded",
            LoadError::Pack(_) => "pack",
            LoadError::NotLocked { .. }
            | LoadError::NoVersion { .. }
            | LoadError::OtherVersion { .. }
            | LoadError::OtherPin { .. }
            | LoadError::OtherPack { .. } => "lock",
            LoadError::NotCached { .. } | LoadError::Registry(_) | LoadError::Cache(_) => "registry",
            LoadError::Trust(_) => "trust",
            LoadError::Older { .. } => "downgrade",
            LoadError::Grown { .. } => "grants",
            LoadError::Cases(_) => "cases",
            LoadError::Component(_) => "component",
            LoadError::Attach(error) => match error.0.first() {
                Some(Problem::NeverFires(_) | Problem::NotOfMonitor(_) | Problem::Contract { .. }) => "hooks",
                Some(
                    Problem::UnknownSlot { .. }
                    | Problem::MissingSlot { .. }
                    | Problem::SlotTwice(_)
                    | Problem::SlotKind { .. },
                ) => "slots",
                Some(Problem::UnknownSet { .. } | Problem::MissingSet { .. } | Problem::Set { .. }) => "sets",
                Some(Problem::UnknownKey { .. } | Problem::MissingKey { .. } | Problem::Key(_)) => "keys",
                Some(Problem::Settings(_)) => "settings",
                Some(Problem::Memory(_)) => "budget",
                Some(Problem::Refused(_) | Problem::OnLoad(_)) | None => "on-load",
            },
            LoadError::System(_) => "system",
        }
    }
}

pub(super) fn lines(all: &[String]) -> String {
    all.iter().map(|line| format!("\n  {line}")).collect()
}

/// Everything of the configuration that an attachment depends on.
#[derive(Clone, PartialEq)]
pub(super) struct Using {
    pub(super) rule: model::RuleUse,
    slots: Vec<SlotBinding>,
    header_limit: usize,
    fires: HookSet,
}

/// A rule of a configuration, where it is attached.
pub(super) struct RuleUse<'c> {
    pub(super) name: RuleName,
    pub(super) written: &'c model::RuleUse,
    pub(super) using: Using,
}

pub(super) type Histories = BTreeMap<RuleName, History>;

/// What a virtual can fire that relays packets or bytes.
const OF_RELAYED: HookSet = HookSet::EMPTY.with(Hook::OnLoad).with(Hook::OnFlow).with(Hook::OnDone);

/// What a proxy can fire: it sees no requests where it relays bytes or passes TLS through, and no ClientHello where there
/// is no TLS. `on-connect-failed` is about a request. What is passed through is for nobody to read.
fn of_proxy(virtual_: &model::Virtual) -> HookSet {
    let hello = HookSet::EMPTY.with(Hook::OnClientHello);
    let relayed = OF_RELAYED.with(Hook::OnSelected);
    let hooks = match virtual_.protocol {
        _ if virtual_.pass_through => relayed.union(hello),
        model::Protocol::Tcp => relayed.union(hello).with(Hook::OnData),
        model::Protocol::Udp => OF_RELAYED.with(Hook::OnData),
        model::Protocol::Http => HookSet::HTTP,
    };
    if virtual_.pass_through || virtual_.tls.is_some() { hooks } else { hooks.without(hello) }
}

/// Every rule of a configuration.
pub(super) fn uses(config: &model::Config) -> impl Iterator<Item = RuleUse<'_>> {
    let snat_pools = &config.snat_pools;
    let proxies = config.virtuals.iter().flat_map(move |it| {
        let of = move |rule| RuleUse::of(&it.name, rule, snat_pools, it.limits.head, of_proxy(it));
        it.rules.iter().map(of)
    });
    // Packet virtuals have no heads that a rule could grow, nor have monitors.
    let packets = config.packet_virtuals.iter().flat_map(move |it| {
        it.rules.iter().map(move |rule| RuleUse::of(&it.name, rule, snat_pools, 0, OF_RELAYED))
    });
    let monitors = config.rules().filter(|(owner, _)| matches!(owner, RuleOwner::Pool(_)));
    let monitors = monitors.map(|(owner, rule)| RuleUse::of(&owner.name(), rule, &[], 0, HookSet::MONITOR));
    proxies.chain(packets).chain(monitors)
}

/// The rule of each monitor by its name, with what runs of it.
pub(super) fn of_monitors(
    config: &model::Config,
    histories: &Histories,
) -> HashMap<String, Option<Arc<Attachment>>> {
    let monitors = config.rules().filter(|(owner, _)| matches!(owner, RuleOwner::Pool(_)));
    let named = |(owner, rule): (RuleOwner<'_>, &model::RuleUse)| {
        let name = RuleName { virtual_name: owner.name(), rule: rule.name.clone() };
        let runs = histories.get(&name).and_then(History::running).map(|it| Arc::clone(&it.attachment));
        (name.to_string(), runs)
    };
    monitors.map(named).collect()
}

/// What runs at a virtual, in the order of its configuration.
pub(super) fn running(
    histories: &Histories,
    virtual_: &str,
    rules: &[model::RuleUse],
) -> Vec<Arc<Attachment>> {
    let attachment = |rule: &model::RuleUse| {
        let name = RuleName { virtual_name: virtual_.to_owned(), rule: rule.name.clone() };
        Some(Arc::clone(&histories.get(&name)?.running()?.attachment))
    };
    rules.iter().filter_map(attachment).collect()
}

pub(super) fn same_rules(left: &[Arc<Attachment>], right: &[Arc<Attachment>]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| Arc::ptr_eq(left, right))
}

impl<'c> RuleUse<'c> {
    fn of(
        virtual_name: &str,
        written: &'c model::RuleUse,
        snat_pools: &[model::SnatPool],
        header_limit: usize,
        fires: HookSet,
    ) -> Self {
        let name = RuleName { virtual_name: virtual_name.to_owned(), rule: written.name.clone() };
        // Where the pack came from does not matter once it is read.
        let rule = model::RuleUse { pack: Source::Sent, ..written.clone() };
        let slots = written.slots.iter().map(|(slot, pool)| SlotBinding {
            slot: slot.clone(),
            pool: pool.clone(),
            snat: snat_pools.iter().any(|it| it.name == *pool),
        });
        RuleUse { name, written, using: Using { rule, slots: slots.collect(), header_limit, fires } }
    }
}

/// What a rule has beside what is written in its table.
pub(super) struct Bound<'a> {
    pub(super) sets: Vec<SetBinding>,
    pub(super) keys: Vec<KeyBinding>,
    /// What runs: what operators have set of it stays so.
    pub(super) running: Option<&'a Arc<Attachment>>,
}

/// Reads the keys that the configuration binds.
pub(super) fn keys(written: &model::RuleUse) -> Vec<KeyBinding> {
    let read = |(key, path): &(String, PathBuf)| KeyBinding {
        key: key.clone(),
        keys: Keys::read(path).map(Arc::new),
    };
    written.keys.iter().map(read).collect()
}

/// Attaches a rule as the configuration says, which runs its `on-load` once.
pub(super) fn attach(
    rule: &Arc<Rule>,
    name: &RuleName,
    using: &Using,
    bound: Bound<'_>,
    environment: Arc<dyn Environment>,
    stats: Arc<RuleStats>,
    tables: Arc<Tables>,
) -> Result<Arc<Attachment>, LoadError> {
    let use_ = &using.rule;
    let Bound { sets, keys, running } = bound;
    let options = AttachOptions {
        name: name.to_string(),
        slots: using.slots.clone(),
        sets,
        keys,
        log: running.map(|running| Arc::clone(running.log())).unwrap_or_default(),
        flags: running.map(|running| running.flags().to_vec()).unwrap_or_default(),
        settings: use_.settings.clone(),
        isolation: use_.isolation,
        budget: use_.budget,
        on_fault: use_.on_fault.clone(),
        fires: using.fires,
        header_limit: using.header_limit,
        environment,
        stats,
        tables,
        way: WayOfCalls::Quickest,
    };
    Ok(rule.attach(options)?)
}
