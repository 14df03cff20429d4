//! What a component shows of what its rule does, against what `pack.toml` asks for.
//!
//! An interface that is imported and not asked for is refused where the pack is read. A function of `http` is not: a
//! component of another tool than cargo may import all of them and call none. Where the rule is built from its
//! sources, what stays in the module is called, and is refused as well.

use std::collections::BTreeSet;

use super::{Grant, Grants, Key};
use crate::{Hook, abi};

/// What an interface has to be asked for as; `None`: every rule may import it.
fn of_interface(interface: &str) -> Option<Key> {
    Some(match interface {
        "log" => Key::Log,
        "clock" => Key::Clock,
        "random" => Key::Random,
        "vars" => Key::Vars,
        "table" => Key::Table,
        "persist" => Key::Persist,
        "lb" => Key::Lb,
        "sets" => Key::Sets,
        "flag" => Key::Flags,
        "crypto" => Key::Crypto,
        "client-certificate" => Key::ClientCertificate,
        _ => return None,
    })
}

/// What a function has to be asked for as.
fn of_function(interface: &str, function: &str) -> Option<Key> {
    let (resource, method) = match function.strip_prefix("[method]").and_then(|name| name.split_once('.')) {
        Some(method) if interface == "http" => method,
        _ => return of_interface(interface),
    };
    Some(match (resource, method) {
        ("request", "header" | "headers" | "header-names") => Key::RequestRead,
        ("request", "set-header" | "add-header" | "remove-header") => Key::RequestWrite,
        ("request", "set-path" | "set-query" | "set-authority") => Key::RequestTarget,
        ("request", "set-response-header" | "remove-response-header") => Key::ResponseWrite,
        ("response", "header" | "headers" | "header-names") => Key::ResponseRead,
        ("response", "set-header" | "add-header" | "remove-header") => Key::ResponseWrite,
        ("response", "set-status") => Key::ResponseStatus,
        ("response", "need-body") => Key::ResponseBody,
        _ => return None,
    })
}

/// The interface of `shunt:rule/log@0.1.0`, whatever its version.
fn interface(name: &str) -> Option<&str> {
    name.strip_prefix(abi::PACKAGE)?.strip_prefix('/')?.split('@').next()
}

fn of_exports(exports: &[String]) -> impl Iterator<Item = Key> {
    let hooks = [
        (Hook::OnRequestBody, Key::RequestBody),
        (Hook::OnResponseBody, Key::ResponseBody),
        (Hook::OnData, Key::Data),
    ];
    let has = |hook: Hook| exports.iter().any(|name| interface(name) == Some(hook.name()));
    hooks.into_iter().filter(move |(hook, _)| has(*hook)).map(|(_, key)| key)
}

/// What a component does by its imports and hooks.
pub(crate) fn by_interfaces(imports: &[String], exports: &[String]) -> BTreeSet<Key> {
    let imported = imports.iter().filter_map(|name| of_interface(interface(name)?));
    imported.chain(of_exports(exports)).collect()
}

/// What a rule does by the functions that its core module imports.
pub(crate) fn by_functions<'a>(imports: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeSet<Key> {
    imports.filter_map(|(module, function)| of_function(interface(module)?, function)).collect()
}

impl Grants {
    /// Whether anything of a key is asked for.
    fn has(&self, key: Key) -> bool {
        self.iter().any(|grant| grant.key == key)
    }

    /// What is done and not asked for.
    pub(crate) fn lacking(&self, done: &BTreeSet<Key>) -> Vec<Grant> {
        let lacking = done.iter().filter(|key| !self.has(**key));
        lacking.map(|key| Grant::new(*key, "")).collect()
    }

    /// What is asked for and, where a component shows such a thing, not done.
    pub(crate) fn idle(&self, done: &BTreeSet<Key>) -> Vec<Key> {
        let asked: BTreeSet<Key> = self.iter().map(|grant| grant.key).collect();
        let shown = |key: &Key| !matches!(key, Key::Modes | Key::ResponseAnswer);
        asked.into_iter().filter(shown).filter(|key| !done.contains(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The functions of the contract that need no grant; each other one needs one.
    const FREE: [&str; 22] = [
        "fault.report",
        "tls.get-member-failure",
        "[method]client-hello.flow",
        "[method]client-hello.server-name",
        "[method]client-hello.protocols",
        "[method]client-hello.versions",
        "[method]client-hello.ciphers",
        "[method]client-hello.groups",
        "[method]client-hello.signature-schemes",
        "[method]client-hello.extensions",
        "[method]client-hello.fingerprint",
        "[method]client-hello.offers-early-data",
        "[method]request.flow",
        "[method]request.version",
        "[method]request.scheme",
        "[method]request.method",
        "[method]request.path",
        "[method]request.query",
        "[method]request.authority",
        "[method]response.status",
        "[method]response.slot",
        "[method]response.member",
    ];

    #[test]
    fn every_function_of_the_contract_needs_a_grant_or_is_free() {
        let mut found = 0;
        for text in [
            include_str!("../../../../wit/capabilities.wit"),
            include_str!("../../../../wit/http.wit"),
            include_str!("../../../../wit/tls.wit"),
        ] {
            let (mut interface, mut resource) = ("", "");
            for line in text.lines().map(str::trim) {
                if let Some(name) = line.strip_prefix("interface ") {
                    (interface, resource) = (name.trim_end_matches(" {"), "");
                } else if let Some(name) = line.strip_prefix("resource ") {
                    resource = name.trim_end_matches(" {");
                } else if line == "}" {
                    resource = "";
                } else if let Some((name, _)) = line.split_once(": func(") {
                    let (function, known) = match resource {
                        "" => (name.to_owned(), format!("{interface}.{name}")),
                        _ => (format!("[method]{resource}.{name}"), format!("[method]{resource}.{name}")),
                    };
                    let free = FREE.contains(&known.as_str());
                    assert_eq!(of_function(interface, &function).is_none(), free, "{known}");
                    found += 1;
                }
            }
        }
        assert!(found > 30, "{found}");
    }

    #[test]
    fn what_is_done_and_what_is_asked() {
        let names =
            |names: &[&str]| names.iter().map(|name| format!("shunt:rule/{name}@0.1.0")).collect::<Vec<_>>();
        let done = by_interfaces(&names(&["types", "http", "fault", "log"]), &names(&["on-request-body"]));
        assert_eq!(done, BTreeSet::from([Key::Log, Key::RequestBody]));
        assert_eq!(by_interfaces(&[], &names(&["on-data"])), BTreeSet::from([Key::Data]));
        let grants: Grants =
            toml::from_str("clock = true\nmodes = [\"nat\"]\n[request]\nbody = true").unwrap();
        assert_eq!(grants.lacking(&done), [Grant::new(Key::Log, "")]);
        assert_eq!(grants.idle(&done), [Key::Clock]);
        let functions = [
            ("shunt:rule/http@0.1.0", "[method]request.set-path"),
            ("shunt:rule/http@0.1.0", "[method]request.path"),
            ("shunt:rule/http@0.1.0", "[resource-drop]request"),
            ("shunt:rule/clock@0.1.0", "unix-ms"),
            ("env", "log"),
        ];
        assert_eq!(by_functions(functions.into_iter()), BTreeSet::from([Key::Clock, Key::RequestTarget]));
    }
}
