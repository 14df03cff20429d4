//! `[[virtual.rule]]`

use std::path::PathBuf;

use serde_json::Value;
use shunt_rules::{Budget, Isolation, OnFault};

use super::super::containers::{Settings, map, once, or_table};
use super::super::model::{RuleUse, SetSource};
use super::super::packs::Pack;
use super::super::report::{Cause, Refusal};
use super::super::sets::Entries;
use super::super::shape::{duration, file, name, one_of, pool_name, size, slot_name};
use super::super::walk::{Kind, Table};
use super::{KIB, MIB, MILLISECOND, SECOND};

pub(super) fn rule(table: &mut Table<'_>) -> Option<RuleUse> {
    let name = table.required(
        "name",
        "The rule's name in commands, logs and metrics.",
        once(name(), |walk| &mut walk.seen.rules, "this virtual already has a rule"),
    );
    let pack = table.required(
        "pack",
        "The rule pack: its folder or its file, relative to the folder of the file; or a reference to a pack in a registry, \
         `registry.example/team/canary:1.2.0`, which `shunt pack lock` pins. Three come with Shunt: `builtin:headers`, \
         `builtin:https-redirect`, `builtin:maintenance`.",
        Pack,
    );
    let slots = table.derived(
        "slots",
        "The pool of each slot of the pack: `{ primary = \"web\" }`. Every slot of the pack must be bound. \
         At a packet virtual a slot may stand for a SNAT pool.",
        map(slot_name()),
        "the pack has no slots",
    );
    let (sets, keys) = (sets(table), keys(table));
    let settings = table.or(
        "settings",
        "The rule's settings; its pack defines them.",
        Settings,
        Value::Object(serde_json::Map::new()),
    );
    let isolation = table.or(
        "isolation",
        "How far an instance of the rule is shared: one per `worker`, one per connection (`flow`), or a new one per `call`.",
        one_of(&[("worker", Isolation::Worker), ("flow", Isolation::Flow), ("call", Isolation::Call)]),
        Isolation::Worker,
    );
    if isolation == Isolation::Flow && table.walk.kind == Some(Kind::Packet) {
        let refusal = Refusal::new(
            Cause::Conflict,
            "a packet virtual cannot have an instance of the rule for each flow",
        )
        .label("it may hold a million flows")
        .help("use `\"worker\"`, or `\"call\"` for a new instance at each call");
        table.refuse("isolation", refusal);
    }
    let budget = table.section("budget", "What a call of the rule may use.", budget);
    let on_fault = table.or(
        "on-fault",
        "What Shunt does where a call of the rule is a fault: `reject` responds to a request with 500 and refuses a flow, \
         `continue` continues as if the rule were not there, `{ pool = \"…\" }` sends the request or flow to that pool.",
        or_table(one_of(&[("reject", OnFault::Reject), ("continue", OnFault::Continue)]), on_fault_pool),
        OnFault::Reject,
    );
    Some(RuleUse {
        name: name?,
        pack: pack?,
        slots: slots.unwrap_or_default(),
        sets,
        keys,
        settings,
        isolation,
        budget: budget?,
        on_fault,
    })
}

pub(in super::super) fn sets(table: &mut Table<'_>) -> Vec<(String, SetSource)> {
    let sets = table.derived(
        "sets",
        "The entries of each set of the pack: `{ deny = \"deny.txt\" }`, a file that is relative to the folder of this one, or \
         its lines in a list. Every set of the pack must be bound.",
        map(Entries),
        "the pack has no sets",
    );
    sets.unwrap_or_default()
}

pub(in super::super) fn keys(table: &mut Table<'_>) -> Vec<(String, PathBuf)> {
    let keys = table.derived(
        "keys",
        "The file of each key of the pack: `{ session = \"session.key\" }`, relative to the folder of this one. Every key of the \
         pack must be bound.",
        map(file("the path of a file of keys")),
        "the pack has no keys",
    );
    keys.unwrap_or_default()
}

pub(in super::super) fn budget(table: &mut Table<'_>) -> Option<Budget> {
    Some(Budget {
        time: table.or(
            "time",
            "Processor time of one call of a hook.",
            duration(MILLISECOND..=SECOND),
            10 * MILLISECOND,
        ),
        memory: table.or("memory", "Memory of an instance.", size(64 * KIB..=256 * MIB), 16 * MIB),
    })
}

fn on_fault_pool(table: &mut Table<'_>) -> Option<OnFault> {
    table.required("pool", "The pool for such requests and flows.", pool_name()).map(OnFault::Pool)
}
