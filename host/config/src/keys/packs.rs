//! `[packs]` and `[[pack-policy]]`

use shunt_rules::trust::Pattern;

use super::super::containers::{list, one_or_list};
use super::super::model::{PackPolicy, Packs};
use super::super::packs;
use super::super::report::{Cause, Refusal};
use super::super::shape::{Flag, file, folder, integer, registry};
use super::super::walk::Table;

/// Keys of a policy at most: as many as a pack file has signatures.
const MOST_KEYS: usize = shunt_rules::artefact::MAX_SIGNATURES;

pub(in super::super) fn packs(table: &mut Table<'_>) -> Option<Packs> {
    let cache = table.derived(
        "cache",
        "The folder in which Shunt keeps packs of registries, compiled rules, and the highest version that ran at each rule; \
         relative to the folder of the file. It belongs to Shunt's user alone (mode 0700), and to one Shunt.",
        folder(),
        "no packs of registries; a restart compiles all rules and forgets the versions",
    );
    let insecure_registries = table.derived(
        "insecure-registries",
        "Registries that are asked without TLS: `[\"localhost:5000\"]`.",
        list(registry()),
        "all registries are asked with TLS",
    );
    let ca = table.derived(
        "ca",
        "Certificates in PEM of CAs whose registries are trusted beside those of the system; relative to the folder of the file.",
        one_or_list(file("the path of a PEM file")),
        "those of the system",
    );
    let (insecure_registries, ca) = (insecure_registries.unwrap_or_default(), ca.unwrap_or_default());
    Some(Packs { cache, insecure_registries, ca })
}

pub(super) fn pack_policy(table: &mut Table<'_>) -> Option<PackPolicy> {
    let pattern = table.required(
        "match",
        "The packs that it is for: a repository, `registry.example/team/canary`; or a folder or file of this host, \
         `./packs/canary`; either with `/*` at the end, for all below it. `*` is for all packs.",
        packs::Packs,
    );
    let keys = table.optional(
        "keys",
        "Public keys of those who sign, PEM; relative to the folder of the file.",
        list(file("the path of a public key")),
    );
    let threshold = table.derived(
        "threshold",
        "How many of the keys must have signed a pack.",
        integer(1..=32u32),
        "all of them",
    );
    let unsigned =
        table.optional("unsigned", "`true` in place of `keys`: the packs need no signature.", Flag);
    let unsigned = unsigned.unwrap_or_default();
    let grants = table.derived(
        "grants",
        "The most that a pack may ask for, as `[capabilities]` of pack.toml: `{ log = 8, request = { read = [\"accept\"] } }`.",
        packs::Capabilities,
        "whatever a pack asks for",
    );
    table.exactly_one(&["keys", "unsigned"]);
    table.only_with(&["threshold"], "keys");
    let keys = keys.unwrap_or_default();
    if keys.len() > MOST_KEYS {
        let message = format!("{} keys are more than a pack has signatures", keys.len());
        table.refuse(
            "keys",
            Refusal::new(Cause::OutOfRange, message).help(format!("use {MOST_KEYS} at most")),
        );
    }
    let threshold = threshold.map_or(keys.len(), |threshold| threshold as usize);
    if threshold > keys.len() && table.wrote("keys") {
        let message = format!("{threshold} keys must sign, and there are {}", keys.len());
        table.refuse(
            "threshold",
            Refusal::new(Cause::Conflict, message).help("name more keys, or fewer that must"),
        );
    }
    let pattern: Pattern = pattern?;
    Some(PackPolicy { pattern, keys, threshold, unsigned, grants })
}
