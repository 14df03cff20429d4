//! A rule judges the member.

use serde_json::Value;
use shunt_engine::datapath::Transport;
use shunt_rules::{Isolation, OnFault};

use super::{Kind, Tcp, Udp};
use crate::containers::{Settings, map, once, table as in_table};
use crate::keys::rules::{budget, keys, sets};
use crate::model::RuleUse;
use crate::packs::Pack;
use crate::shape::{name, one_of, pool_name};
use crate::walk::Table;

/// `rule = { name = "primary", pack = "packs/redis-primary" }`
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// One instance serves all members. A fault is a failed probe, whatever `on_fault` says.
    pub rule: RuleUse,
    pub over: Over,
}

/// What the rule speaks over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// With TLS where the pool has it.
    Tcp,
    Udp,
}

impl Kind for Rule {
    const KEY: &'static str = "rule";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        table.optional(
            Self::KEY,
            "A rule says what is sent to the member, and judges what comes back: `on-probe`.",
            in_table(rule),
        )
    }

    /// One over the right transport does.
    fn passes(_: Transport) -> bool {
        true
    }

    fn is_passed(&self, transport: Transport) -> bool {
        match self.over {
            Over::Tcp => Tcp::passes(transport),
            Over::Udp => Udp::passes(transport),
        }
    }
}

fn rule(table: &mut Table<'_>) -> Option<Rule> {
    let name = table.required(
        "name",
        "The rule's name in commands, logs and metrics, which put `pool:` and the pool before it: `pool:web/NAME`.",
        once(name(), |walk| &mut walk.seen.probing, "this pool already has a monitor with a rule"),
    );
    let pack = table.required(
        "pack",
        "The rule pack, as for rules of virtuals: its folder or its file, or a reference to a pack in a registry.",
        Pack,
    );
    let over = table.or(
        "over",
        "What the rule speaks over: `tcp`, with TLS where the pool has `tls`, or `udp`.",
        one_of(&[("tcp", Over::Tcp), ("udp", Over::Udp)]),
        Over::Tcp,
    );
    let slots = table.derived(
        "slots",
        "The pool of each slot of the pack, whose live state the rule may read.",
        map(pool_name()),
        "the pack has no slots",
    );
    let (sets, keys) = (sets(table), keys(table));
    let settings = table.or(
        "settings",
        "The rule's settings; its pack defines them.",
        Settings,
        Value::Object(serde_json::Map::new()),
    );
    let budget = table.section("budget", "What a call of the rule may use.", budget);
    let rule = RuleUse {
        name: name?,
        pack: pack?,
        slots: slots.unwrap_or_default(),
        sets,
        keys,
        settings,
        isolation: Isolation::Worker,
        budget: budget?,
        on_fault: OnFault::Reject,
    };
    Some(Rule { rule, over })
}
