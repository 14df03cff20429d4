//! `pack.toml`: what a pack says about itself, asks for, and suggests.

pub(crate) mod advice;

use std::collections::BTreeMap;
use std::time::Duration;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::flags::{DeclaredFlag, FlagValue};
use crate::grants::Grants;
use crate::sets::DeclaredSet;
use crate::suggest::hint;
use crate::tables::Declared;
use crate::tables::declared::{MOST_MEMORY, MOST_TABLES};
use crate::{Hook, HookSet, abi};

pub use advice::{Advice, FaultAdvice};

/// Bytes of a text that people read.
const MAX_TEXT: usize = 4 << 10;
/// Maintainers of a pack.
const MAX_MAINTAINERS: usize = 16;

/// The checked text of `pack.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Lower-case letters, digits and hyphens; at most 64.
    pub name: String,
    pub version: Version,
    /// The versions of the contract that it was written for, as it says: `0.1`, or `>=0.1, <0.3`.
    pub wit: String,
    pub description: Option<String>,
    /// Who answers for it: `The web team <web@shop.example>`.
    pub maintainers: Vec<String>,
    /// What is new since the last version.
    pub changes: Option<String>,
    /// The hooks that it says it has; `None`: it does not say.
    pub hooks: Option<HookSet>,
    pub slots: BTreeMap<String, Slot>,
    /// What it remembers, by name.
    pub tables: BTreeMap<String, Declared>,
    /// The sets that the rule looks up, which the operator binds to entries.
    pub sets: BTreeMap<String, DeclaredSet>,
    /// The names of keys, which the operator binds to files, each with what it is for.
    pub keys: BTreeMap<String, String>,
    /// The switches that operators set while the rule runs.
    pub flags: BTreeMap<String, DeclaredFlag>,
    /// What it asks for under `[capabilities]`, which is all that the rule may do.
    pub grants: Grants,
    /// What its authors suggest to operators.
    pub advice: Advice,
}

/// A name in verdicts, which the operator binds to a pool.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "SlotForm")]
pub struct Slot {
    /// What the pool is for, in a sentence.
    pub purpose: String,
    /// It stands for a SNAT pool.
    pub snat: bool,
}

/// `"purpose"`, or `{ snat = true, purpose = "…" }`.
#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a slot is its purpose, as in \"the new version\", or { snat = true, purpose = \"…\" }"
)]
enum SlotForm {
    Purpose(String),
    Table {
        #[serde(default)]
        snat: bool,
        purpose: String,
    },
}

impl From<SlotForm> for Slot {
    fn from(form: SlotForm) -> Slot {
        match form {
            SlotForm::Purpose(purpose) => Slot { purpose, snat: false },
            SlotForm::Table { snat, purpose } => Slot { purpose, snat },
        }
    }
}

/// Why a `pack.toml` is refused. The text shows the place and says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not TOML, or not the keys that are expected.
    #[error("pack.toml: {0}")]
    Syntax(String),
    #[error(
        "pack.toml: name = {0:?}: use 1 to 64 lower-case letters, digits and hyphens, beginning with a letter"
    )]
    Name(String),
    #[error("pack.toml: version = {0:?}: write three numbers, as in \"1.0.0\" (semantic versioning)")]
    Version(String),
    #[error(
        "pack.toml: slot {0:?}: use 1 to 64 lower-case letters, digits and hyphens, beginning with a letter"
    )]
    Slot(String),
    #[error(
        "pack.toml: table {0:?}: use 1 to 64 lower-case letters, digits and hyphens, beginning with a letter"
    )]
    TableName(String),
    #[error("pack.toml: table {name:?}: {problem}")]
    Table { name: String, problem: String },
    #[error(
        "pack.toml: set {0:?}: use 1 to 64 lower-case letters, digits and hyphens, beginning with a letter"
    )]
    Set(String),
    #[error(
        "pack.toml: flag {0:?}: use 1 to 64 lower-case letters, digits and hyphens, beginning with a letter"
    )]
    Flag(String),
    #[error(
        "pack.toml: key {0:?}: use 1 to 64 lower-case letters, digits and hyphens, beginning with a letter"
    )]
    Key(String),
    #[error("pack.toml: hooks: there is no hook {hook:?}{hint}")]
    Hook { hook: String, hint: String },
    #[error("pack.toml: {key}: use at most {most}")]
    TooMuch { key: &'static str, most: String },
    #[error(transparent)]
    Wit(#[from] abi::ContractError),
    #[error("pack.toml: on-fault: [slots] declares no pool {slot:?}{hint}")]
    AdvisedSlot { slot: String, hint: String },
}

impl Manifest {
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn parse(text: &str) -> Result<Manifest, ManifestError> {
        let file: File = toml::from_str(text)
            .map_err(|error| ManifestError::Syntax(error.to_string().trim_end().into()))?;
        let File { pack, slots, tables, sets, flags, keys, capabilities, budget } = file;
        if !is_name(&pack.name) {
            return Err(ManifestError::Name(pack.name));
        }
        let version = match Version::parse(&pack.version) {
            Ok(version) if pack.version.len() <= MAX_VERSION => version,
            _ => return Err(ManifestError::Version(pack.version)),
        };
        if let Some(slot) = slots.keys().find(|slot| !is_name(slot)) {
            return Err(ManifestError::Slot(slot.clone()));
        }
        check_tables(&tables)?;
        if let Some(set) = sets.keys().find(|set| !is_name(set)) {
            return Err(ManifestError::Set(set.clone()));
        }
        if let Some(flag) = flags.keys().find(|flag| !is_name(flag)) {
            return Err(ManifestError::Flag(flag.clone()));
        }
        if let Some(key) = keys.keys().find(|key| !is_name(key)) {
            return Err(ManifestError::Key(key.clone()));
        }
        abi::check_written(&pack.wit)?;
        let too_much = |key, most: String| Err(ManifestError::TooMuch { key, most });
        if pack.maintainers.len() > MAX_MAINTAINERS {
            return too_much("maintainers", format!("{MAX_MAINTAINERS} names"));
        }
        let purposes = slots.values().map(|slot| ("slots", &slot.purpose));
        let purposes = purposes.chain(tables.values().map(|table| ("tables", &table.purpose)));
        let purposes = purposes.chain(sets.values().map(|set| ("sets", &set.purpose)));
        let purposes = purposes.chain(flags.values().map(|flag| ("flags", &flag.purpose)));
        let purposes = purposes.chain(keys.values().map(|purpose| ("keys", purpose)));
        let defaults = flags.values().filter_map(|flag| match &flag.default {
            FlagValue::Text(text) => Some(("flags", text)),
            FlagValue::Boolean(_) | FlagValue::Integer(_) => None,
        });
        let purposes = purposes.chain(defaults);
        let texts = pack.description.iter().map(|text| ("description", text));
        let texts = texts.chain(pack.changes.iter().map(|text| ("changes", text)));
        let mut texts =
            texts.chain(pack.maintainers.iter().map(|text| ("maintainers", text))).chain(purposes);
        if let Some((key, _)) = texts.find(|(_, text)| text.len() > MAX_TEXT) {
            return too_much(key, format!("{MAX_TEXT} bytes"));
        }
        let advice = Advice { time: budget.time, memory: budget.memory, on_fault: pack.on_fault };
        if let Some(FaultAdvice::Slot(slot)) = &advice.on_fault
            && slots.get(slot).is_none_or(|slot| slot.snat)
        {
            let pools = slots.iter().filter(|(_, slot)| !slot.snat).map(|(name, _)| name.as_str());
            return Err(ManifestError::AdvisedSlot { slot: slot.clone(), hint: hint(slot, pools) });
        }
        Ok(Manifest {
            name: pack.name,
            version,
            wit: pack.wit,
            description: pack.description,
            maintainers: pack.maintainers,
            changes: pack.changes,
            hooks: pack.hooks.map(|names| hooks(&names)).transpose()?,
            slots,
            tables,
            sets,
            flags,
            keys,
            grants: capabilities,
            advice,
        })
    }
}

fn check_tables(tables: &BTreeMap<String, Declared>) -> Result<(), ManifestError> {
    if let Some(name) = tables.keys().find(|name| !is_name(name)) {
        return Err(ManifestError::TableName(name.clone()));
    }
    for (name, table) in tables {
        if let Some(problem) = table.problem() {
            return Err(ManifestError::Table { name: name.clone(), problem });
        }
    }
    let too_much = |most| Err(ManifestError::TooMuch { key: "tables", most });
    if tables.len() > MOST_TABLES {
        return too_much(format!("{MOST_TABLES} tables"));
    }
    if tables.values().map(|table| table.memory).sum::<u64>() > MOST_MEMORY {
        return too_much(format!("{} MiB of memory for all together", MOST_MEMORY >> 20));
    }
    Ok(())
}

/// Hooks by their names.
fn hooks(names: &[String]) -> Result<HookSet, ManifestError> {
    let hook = |name: &String| {
        Hook::from_name(name).ok_or_else(|| ManifestError::Hook {
            hook: name.clone(),
            hint: hint(name, Hook::ALL.map(Hook::name)),
        })
    };
    names.iter().map(hook).collect()
}

/// Whether that can name a pack or a slot.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Bytes of a version.
const MAX_VERSION: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    pack: PackTable,
    #[serde(default)]
    slots: BTreeMap<String, Slot>,
    #[serde(default)]
    tables: BTreeMap<String, Declared>,
    #[serde(default)]
    sets: BTreeMap<String, DeclaredSet>,
    #[serde(default)]
    flags: BTreeMap<String, DeclaredFlag>,
    #[serde(default)]
    keys: BTreeMap<String, String>,
    #[serde(default)]
    capabilities: Grants,
    #[serde(default)]
    budget: BudgetTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PackTable {
    name: String,
    version: String,
    wit: String,
    description: Option<String>,
    #[serde(default)]
    maintainers: Vec<String>,
    changes: Option<String>,
    hooks: Option<Vec<String>>,
    on_fault: Option<FaultAdvice>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BudgetTable {
    #[serde(deserialize_with = "advice::time")]
    time: Option<Duration>,
    #[serde(deserialize_with = "advice::memory")]
    memory: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sets::SetKind;
    use crate::tables::Kind;

    const GOOD: &str =
        "[pack]\nname = \"canary\"\nversion = \"1.2.0\"\nwit = \"0.1\"\n\n[slots]\nprimary = \"most\"\n";

    #[test]
    fn reads_what_the_design_shows() {
        let manifest = Manifest::parse(GOOD).unwrap();
        assert_eq!((manifest.name.as_str(), manifest.version.to_string().as_str()), ("canary", "1.2.0"));
        assert_eq!(manifest.slots["primary"], Slot { purpose: "most".to_owned(), snat: false });
        assert_eq!((manifest.description, manifest.hooks), (None, None));
        assert!(manifest.grants.is_empty() && manifest.advice == Advice::default());
    }

    #[test]
    fn reads_every_key() {
        let manifest = Manifest::parse(
            r#"
            [pack]
            name = "canary"
            version = "1.2.0-rc.1+5"
            wit = ">=0.1, <0.3"
            description = "Splits."
            maintainers = ["The web team <web@shop.example>"]
            changes = "Reads one field more."
            hooks = ["on-request", "on-done"]
            on-fault = { slot = "primary" }

            [slots]
            primary = "most"
            out = { snat = true, purpose = "where it leaves" }

            [tables.clients]
            purpose = "requests of each client"
            kind = "counters"
            key = "address"
            entries = 1000
            memory = "1MiB"
            idle = "1500ms"
            lifetime = "1h"
            [sets]
            deny = { kind = "addresses", purpose = "who is refused" }

            [flags]
            share = { default = 5, purpose = "of a hundred" }

            [capabilities]
            clock = true
            [capabilities.request]
            read = ["x-canary"]

            [budget]
            time = "2ms"
            memory = "4MiB"
            "#,
        )
        .unwrap();
        assert_eq!(manifest.hooks.unwrap().to_string(), "on-request, on-done");
        assert_eq!(manifest.slots["out"], Slot { purpose: "where it leaves".to_owned(), snat: true });
        let deny = DeclaredSet { kind: SetKind::Addresses, purpose: "who is refused".to_owned() };
        assert_eq!(manifest.sets["deny"], deny);
        assert_eq!(manifest.flags["share"].default, FlagValue::Integer(5));
        assert_eq!(manifest.advice.time, Some(Duration::from_millis(2)));
        assert_eq!(manifest.advice.memory, Some(4 << 20));
        assert_eq!(manifest.advice.on_fault, Some(FaultAdvice::Slot("primary".to_owned())));
        let clients = &manifest.tables["clients"];
        assert_eq!((clients.kind, clients.entries, clients.memory), (Kind::Counters, 1000, 1 << 20));
        assert_eq!(
            (clients.idle, clients.lifetime),
            (Some(Duration::from_millis(1500)), Some(Duration::from_secs(3600)))
        );
        assert!(manifest.grants.clock && manifest.grants.request.read.contains("X-Canary"));
        assert_eq!((manifest.maintainers.len(), manifest.wit.as_str()), (1, ">=0.1, <0.3"));
    }

    #[test]
    fn each_mistake_has_its_own_text() {
        let pack = |line: &str| format!("wit = \"0.1\"\n{line}\n");
        for (from, to, says) in [
            ("name = \"canary\"\n", "", "missing field `name`"),
            (
                "name = \"canary\"",
                "nmae = \"canary\"",
                "expected one of `name`, `version`, `wit`, `description`",
            ),
            ("canary", "Canary", "lower-case"),
            ("1.2.0", "1.2", "three numbers"),
            ("1.2.0", "1.2.x", "three numbers"),
            ("1.2.0", "01.2.0", "three numbers"),
            ("1.2.0", "1.2.0 ", "three numbers"),
            ("1.2.0", "../1.2.0", "three numbers"),
            ("\"0.1\"", "\"0.2\"", "wit = \"0.2\": the pack is for a newer"),
            ("\"0.1\"", "\"one\"", "as in \"0.1\""),
            ("primary =", "\"Pri mary\" =", "slot \"Pri mary\""),
            ("\"most\"", "5", "a slot is its purpose"),
            ("\"most\"", "{ snat = true }", "a slot is its purpose"),
            (
                "[slots]",
                "[tables.a_b]\npurpose = \"p\"\nkind = \"values\"\n[slots]",
                "table \"a_b\": use 1 to 64",
            ),
            ("[slots]", "[tables.a]\npurpose = \"p\"\nkind = \"value\"\n[slots]", "unknown variant `value`"),
            ("[slots]", "[tables.a]\nkind = \"values\"\n[slots]", "missing field `purpose`"),
            (
                "[slots]",
                "[tables.a]\npurpose = \"p\"\nkind = \"windows\"\nidle = \"1s\"\n[slots]",
                "table \"a\": entries of kind \"windows\" end when they limit nothing any more; remove idle",
            ),
            (
                "[slots]",
                "[tables.a]\npurpose = \"p\"\nkind = \"values\"\nentries = 0\n[slots]",
                "write 1 to 16777216",
            ),
            (
                "[slots]",
                "[tables.a]\npurpose = \"p\"\nkind = \"values\"\nmemory = \"1\"\n[slots]",
                "64KiB to 1GiB",
            ),
            (
                "[slots]",
                "[tables.a]\npurpose = \"p\"\nkind = \"values\"\nmemory = \"1GiB\"\n[tables.b]\npurpose = \"p\"\nkind = \"values\"\n[slots]",
                "tables: use at most 1024 MiB",
            ),
            ("[slots]", "[slot]", "unknown field `slot`"),
            ("[slots]", "[keys]\nA = \"p\"\n[slots]", "key \"A\""),
            ("[slots]", "[flags]\nOn = { default = true, purpose = \"p\" }\n[slots]", "flag \"On\""),
            (
                "[slots]",
                "[flags]\non = { default = 1.5, purpose = \"p\" }\n[slots]",
                "true or false, a whole number",
            ),
            ("[slots]", "[sets]\nDeny = { kind = \"exact\", purpose = \"p\" }\n[slots]", "set \"Deny\""),
            (
                "[slots]",
                "[sets]\nd = { kind = \"ip\", purpose = \"p\" }\n[slots]",
                "expected one of `addresses`, `exact`",
            ),
            ("[slots]", "[capabilities]\nclok = true\n[slots]", "unknown field `clok`"),
            ("[slots]", "[budget]\ntime = \"soon\"\n[slots]", "as in \"10ms\""),
            ("[slots]", "[budget]\nmemory = 5\n[slots]", "as in \"16MiB\""),
            ("wit = \"0.1\"\n", &pack("hooks = [\"on-requst\"]"), "did you mean \"on-request\"?"),
            ("wit = \"0.1\"\n", &pack("on-fault = \"ignore\""), "\"reject\", \"continue\" or"),
            (
                "wit = \"0.1\"\n",
                &pack("on-fault = { slot = \"primry\" }"),
                "no pool \"primry\"; did you mean \"primary\"?",
            ),
            ("wit = \"0.1\"\n", &pack(&format!("changes = \"{}\"", "x".repeat(5000))), "at most 4096 bytes"),
            ("[pack]", "[pack", "pack.toml:"),
        ] {
            let error = Manifest::parse(&GOOD.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(says), "{to:?} gave {error:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_manifest_or_an_error(text: String) {
            let _ = Manifest::parse(&text);
        }
    }
}
