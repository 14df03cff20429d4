//! `[defaults.http]`, `[defaults.tcp]` and `[defaults.packet]`: keys that virtuals of one file have in common.
//!
//! They are put into each virtual before it is read, so that a virtual is read in one way only, and the report names the
//! default as the place of a wrong value. Each table is read by itself too: no virtual may use a default.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::virtuals::virtual_server;
use super::reference::Type;
use super::report::{Cause, KeyPath, Refusal};
use super::shape::{Shape, wrong_type};
use super::walk::{At, Walk};

/// Tables whose keys are filled up one by one; any other value that a virtual has stands as it is.
const FILLED: [&str; 5] = ["timeouts", "limits", "http2", "udp", "pages"];

/// What each virtual has for itself.
const OWN: [&str; 4] = ["name", "listen", "protocol", "rule"];

/// What means nothing in mode `siit`, whose packets belong to no flows.
const STATEFUL: [&str; 9] =
    ["transport", "pool", "snat-pool", "dscp", "gue-port", "mss", "persistence", "timeouts", "limits"];

/// The defaults for virtuals of one protocol.
pub(super) struct Defaults {
    pub(super) protocol: &'static str,
}

impl Shape for Defaults {
    type Value = ();

    fn describe(&self) -> Type {
        Type::Any
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<()> {
        let DeValue::Table(content) = at.value else {
            wrong_type(&at, &self.describe(), walk);
            return None;
        };
        let mut alone = content.clone();
        for (name, _) in content.iter().filter(|(name, _)| OWN.contains(&name.get_ref().as_ref())) {
            let message = format!("`{}` has no default", name.get_ref());
            let refusal = Refusal::new(Cause::Conflict, message).help("write it in each `[[virtual]]`");
            let (place, key) = (walk.place(name.span()), at.key.named(name.get_ref()));
            walk.refuse(&place, Some(&key), refusal);
            alone.remove(name.get_ref().as_ref());
        }
        let protocol = DeValue::String(Cow::Borrowed(self.protocol));
        alone.insert(Spanned::new(0..0, "protocol".into()), Spanned::new(0..0, protocol));
        // As in a virtual, so that what is wrong with a default is reported once.
        let key = KeyPath { here: at.key.here.clone(), entry: "virtual".to_owned() };
        walk.is_default = true;
        walk.table(&at.place, &key, &alone, virtual_server);
        walk.is_default = false;
        Some(())
    }
}

/// Puts the defaults of a file into its virtuals.
pub(super) fn spread(content: &mut DeTable<'_>) {
    let Some(defaults) = content.get("defaults").map(|it| it.get_ref().clone()) else { return };
    let Some(virtuals) = content.get_mut("virtual") else { return };
    let DeValue::Array(virtuals) = virtuals.get_mut() else { return };
    for virtual_ in virtuals.iter_mut() {
        let DeValue::Table(virtual_) = virtual_.get_mut() else { continue };
        let protocol = virtual_.get("protocol").and_then(|it| it.get_ref().as_str());
        let of_protocol = protocol.and_then(|protocol| defaults.get(protocol)).map(Spanned::get_ref);
        let Some(DeValue::Table(of_protocol)) = of_protocol else { continue };
        let mode = virtual_.get("mode").or_else(|| of_protocol.get("mode"));
        let skipped: &[&str] =
            if mode.and_then(|it| it.get_ref().as_str()) == Some("siit") { &STATEFUL } else { &[] };
        fill(virtual_, of_protocol, &[&OWN, skipped].concat(), true);
    }
}

fn fill<'d>(table: &mut DeTable<'d>, defaults: &DeTable<'d>, skipped: &[&str], outer: bool) {
    for (name, default) in defaults.iter().filter(|(name, _)| !skipped.contains(&name.get_ref().as_ref())) {
        let key = name.get_ref().as_ref();
        match table.get_mut(key).map(Spanned::get_mut) {
            None => drop(table.insert(name.clone(), default.clone())),
            Some(DeValue::Table(inner)) if outer && FILLED.contains(&key) => {
                if let DeValue::Table(default) = default.get_ref() {
                    fill(inner, default, &[], false);
                }
            }
            Some(_) => {}
        }
    }
}
