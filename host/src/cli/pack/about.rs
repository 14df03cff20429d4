//! What a pack says about itself, and what its component shows.

use std::path::Path;

use shunt_rules::artefact::{Artefact, files_of};
use shunt_rules::grants::{Grant, Key};
use shunt_rules::{Digest, Field, Kind, Pack, Shape, Slot};

use super::super::failure::Failure;
use super::super::format::bytes;
use super::super::screen::Screen;
use super::registry::RegistryArgs;
use super::{fetched, refused};

/// A pack, and what goes with it where it is a pack file or could be made one.
pub(super) struct About {
    pub pack: Pack,
    pub artefact: Option<Artefact>,
    /// Whether it is a pack file or of a registry, and may have signatures.
    pub is_file: bool,
}

/// A file that goes with the component.
pub(super) struct File<'a> {
    pub path: &'a str,
    pub digest: Digest,
    /// The names of the cases in it.
    pub cases: Vec<String>,
}

/// A setting, with those inside of it after it.
pub(super) struct Setting<'a> {
    /// `routes.path`
    pub path: String,
    pub kind: String,
    pub doc: &'a str,
}

impl About {
    /// # Errors
    /// There is no pack.
    pub(super) fn read(path: &Path, registry: &RegistryArgs, screen: &Screen) -> Result<About, Failure> {
        if let Some(artefact) = fetched(path, registry, screen)? {
            return Ok(About { pack: artefact.pack().clone(), artefact: Some(artefact), is_file: true });
        }
        if path.is_file()
            && let Some(artefact) = Artefact::open(path).map_err(refused)?
        {
            return Ok(About { pack: artefact.pack().clone(), artefact: Some(artefact), is_file: true });
        }
        let pack = Pack::read(path).map_err(refused)?;
        let artefact = if path.is_dir() {
            let files = files_of(path, &pack).map_err(refused)?;
            Some(Artefact::new(pack.clone(), files).map_err(refused)?)
        } else {
            None
        };
        Ok(About { pack, artefact, is_file: false })
    }

    /// Of the pack as a whole.
    pub(super) fn digest(&self) -> Option<String> {
        self.artefact.as_ref().map(|artefact| format!("sha256:{}", artefact.digest()))
    }

    /// In the order in which a request meets them.
    pub(super) fn hooks(&self) -> Vec<&str> {
        self.pack.exports().iter().map(|name| interface(name)).collect()
    }

    /// The interfaces that its component imports.
    pub(super) fn imports(&self) -> Vec<&str> {
        self.pack.imports().iter().map(|name| interface(name)).collect()
    }

    /// What it may do: `request.read x-team`, and what that means.
    pub(super) fn may(&self) -> Vec<(String, String)> {
        let grants = self.pack.manifest().grants.iter();
        // The number of lines is no name: it grows and shrinks.
        let name = |grant: &Grant| match grant.value.as_str() {
            "" => grant.key.name().to_owned(),
            _ if grant.key == Key::Log => grant.key.name().to_owned(),
            value => format!("{} {value}", grant.key.name()),
        };
        grants.map(|grant| (name(&grant), grant.to_string())).collect()
    }

    /// What a slot stands for.
    pub(super) fn slots(&self) -> Vec<(&str, String)> {
        let slots = self.pack.manifest().slots.iter();
        let told = |slot: &Slot| {
            if slot.snat { format!("SNAT pool: {}", slot.purpose) } else { slot.purpose.clone() }
        };
        slots.map(|(name, slot)| (name.as_str(), told(slot))).collect()
    }

    /// What a set has.
    pub(super) fn sets(&self) -> Vec<(&str, String)> {
        let sets = self.pack.manifest().sets.iter();
        sets.map(|(name, set)| (name.as_str(), format!("{}: {}", set.kind.name(), set.purpose))).collect()
    }

    /// What a flag does, and its default.
    pub(super) fn flags(&self) -> Vec<(&str, String)> {
        let flags = self.pack.manifest().flags.iter();
        flags
            .map(|(name, flag)| (name.as_str(), format!("{}; default {}", flag.purpose, flag.default)))
            .collect()
    }

    /// What a key is for.
    pub(super) fn keys(&self) -> Vec<(&str, String)> {
        let keys = self.pack.manifest().keys.iter();
        keys.map(|(name, purpose)| (name.as_str(), purpose.clone())).collect()
    }

    /// What its authors suggest.
    pub(super) fn advice(&self) -> Vec<(&'static str, String)> {
        let advice = &self.pack.manifest().advice;
        let time = advice.time.map(|time| ("budget.time", format!("{time:?}")));
        let memory = advice.memory.map(|memory| ("budget.memory", bytes(memory)));
        let on_fault = advice.on_fault.as_ref().map(|on_fault| ("on-fault", on_fault.to_string()));
        [time, memory, on_fault].into_iter().flatten().collect()
    }

    /// All but those that say what the component says.
    pub(super) fn files(&self) -> Vec<File<'_>> {
        let files = self.artefact.iter().flat_map(Artefact::files);
        let files = files.filter(|file| !["pack.toml", "settings.json"].contains(&file.path.as_str()));
        let files = files.map(|file| File {
            path: &file.path,
            digest: Digest::of(&file.bytes),
            cases: if file.path.starts_with("cases/") { case_names(&file.bytes) } else { Vec::new() },
        });
        files.collect()
    }

    pub(super) fn settings(&self) -> Vec<Setting<'_>> {
        let mut settings = Vec::new();
        if let Some(schema) = self.pack.schema() {
            add_fields("", &schema.fields, &mut settings);
        }
        settings
    }
}

/// `on-request` of `shunt:rule/on-request@0.1.0`; the whole name of what is not of the contract.
fn interface(name: &str) -> &str {
    let own = name.strip_prefix("shunt:rule/");
    own.map_or(name, |name| name.split_once('@').map_or(name, |(name, _)| name))
}

fn case_names(toml: &[u8]) -> Vec<String> {
    let table: toml::Table =
        std::str::from_utf8(toml).ok().and_then(|text| text.parse().ok()).unwrap_or_default();
    let cases = table.get("case").and_then(toml::Value::as_array).into_iter().flatten();
    cases.filter_map(|case| Some(case.get("name")?.as_str()?.to_owned())).collect()
}

fn add_fields<'a>(above: &str, fields: &'a [Field], to: &mut Vec<Setting<'a>>) {
    for field in fields {
        let path = if above.is_empty() { field.name.clone() } else { format!("{above}.{}", field.name) };
        let mut kind = described(&field.shape);
        match &field.default {
            _ if field.required => kind.push_str(", required"),
            Some(default) if !default.is_null() => kind.push_str(&format!(", default {default}")),
            _ => {}
        }
        to.push(Setting {
            path: path.clone(),
            kind,
            doc: field.doc.lines().next().unwrap_or_default().trim(),
        });
        let inner = field.shape.fields.as_deref();
        let items = field.shape.items.as_deref().and_then(|items| items.fields.as_deref());
        add_fields(&path, inner.or(items).unwrap_or_default(), to);
    }
}

/// `integer, 0 to 100`
fn described(shape: &Shape) -> String {
    let kind = match shape.kind {
        Kind::Boolean => "boolean",
        Kind::Integer => "integer",
        Kind::Decimal => "decimal",
        Kind::Text => "text",
        Kind::List => "list",
        Kind::Table => "table",
    };
    let range = match (shape.minimum, shape.maximum) {
        (Some(minimum), Some(maximum)) => format!(", {minimum} to {maximum}"),
        (Some(minimum), None) => format!(", at least {minimum}"),
        (None, Some(maximum)) => format!(", at most {maximum}"),
        (None, None) => String::new(),
    };
    let values =
        if shape.values.is_empty() { String::new() } else { format!(": {}", shape.values.join(", ")) };
    let items = shape.items.as_ref().map(|items| format!(" of {}", described(items))).unwrap_or_default();
    format!("{kind}{items}{range}{values}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_listed_with_what_is_inside() {
        let schema: shunt_rules::Schema = serde_json::from_str(
            r#"{"fields":[
                {"name":"percent","type":"integer","required":true,"minimum":0,"maximum":100,"doc":"Share.\nMore."},
                {"name":"mode","type":"text","values":["a","b"],"default":"a"},
                {"name":"routes","type":"list","items":{"type":"table","fields":[{"name":"path","type":"text"}]}}
            ]}"#,
        )
        .unwrap();
        let mut settings = Vec::new();
        add_fields("", &schema.fields, &mut settings);
        let told: Vec<_> =
            settings.iter().map(|it| format!("{}: {} | {}", it.path, it.kind, it.doc)).collect();
        assert_eq!(
            told,
            [
                "percent: integer, 0 to 100, required | Share.",
                "mode: text: a, b, default \"a\" | ",
                "routes: list of table | ",
                "routes.path: text | ",
            ]
        );
    }

    #[test]
    fn names_of_the_contract_are_short() {
        assert_eq!(interface("shunt:rule/on-request@0.1.0"), "on-request");
        assert_eq!(interface("wasi:cli/environment@0.2.0"), "wasi:cli/environment@0.2.0");
        assert_eq!(case_names(b"[[case]]\nname = \"a\"\n\n[[case]]\nname = \"b\"\n"), ["a", "b"]);
        assert!(case_names(b"\xff").is_empty());
    }
}
