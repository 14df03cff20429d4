//! `shunt rule load|list|rollback|unload`: what is asked of a running daemon.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use http::Method;
use serde_json::{Value, json};
use shunt_rules::artefact::{Artefact, Reference};
use shunt_rules::trust::Source;
use shunt_rules::{PackError, Shipped};

use super::args::{Allowing, LineLevel};
use super::client::{Body, Client};
use super::failure::Failure;
use super::format;
use super::screen::{Paint, Screen, Tone};
use super::status::state;
use super::table::{Align, Cell, Table};
use crate::control::RuleName;
use shunt_api::rules::{LoadedRule, RuleStatus, RuleVersion, Rules};

/// Digits of a digest that tell versions apart for a person.
const SHORT_DIGEST: usize = 12;

/// Loads a version of a rule.
///
/// # Errors
/// The pack cannot be read, no daemon answers, or it refuses the rule.
pub(super) fn load(
    rule: &RuleName,
    pack: &Path,
    allowed: Allowing,
    client: &Client,
    screen: &Screen,
) -> Result<(), Failure> {
    let shipped = Shipped::read(pack).map_err(|error| {
        let failure = Failure::failed("pack", &error);
        // The others say what to do.
        if !matches!(error, PackError::Io { .. }) {
            return failure;
        }
        let built = "name the folder of a pack that was built, or the file that `shunt pack build` or `shunt rule build` wrote";
        failure.help(match pack.to_str().map(Reference::parse) {
            Some(Ok(reference)) => {
                format!("if it is in a registry, use `shunt rule load {rule} --pack {reference}`; else {built}")
            }
            _ => built.to_owned(),
        })
    })?;
    let bytes = shipped.artefact().map_or_else(|| shipped.pack().bytes().to_vec(), Artefact::to_bytes);
    // For the policies, which are for paths as the daemon sees them.
    let from = match Source::of_path(pack) {
        Source::BuiltIn(_) => pack.to_owned(),
        _ => std::path::absolute(pack).unwrap_or_else(|_| pack.to_owned()),
    };
    let mut query = allowed.query();
    query.push(("path", from.display().to_string()));
    let path = ["rules", &rule.virtual_name, &rule.rule];
    let answer = client.put(&path, &query, Body::Pack(bytes))?;
    show_loaded(&answer, client, screen)
}

/// Has the daemon get a version of a rule from a registry.
///
/// # Errors
/// No daemon answers, or it refuses the rule.
pub(super) fn load_reference(
    rule: &RuleName,
    reference: &Reference,
    allowed: Allowing,
    client: &Client,
    screen: &Screen,
) -> Result<(), Failure> {
    let Allowing { allow_downgrade, accept_grants } = allowed;
    let body = json!({
        "pack": reference.to_string(), "allow-downgrade": allow_downgrade, "accept-grants": accept_grants,
    });
    let path = ["rules", &rule.virtual_name, &rule.rule, "load"];
    let answer = client.ask(Method::POST, &path, Body::Json(body))?;
    show_loaded(&answer, client, screen)
}

/// Goes back to the version that ran before, or to the one that is named.
///
/// # Errors
/// No daemon answers, or there is no such version.
pub(super) fn rollback(
    rule: &RuleName,
    to: Option<u64>,
    client: &Client,
    screen: &Screen,
) -> Result<(), Failure> {
    let path = ["rules", &rule.virtual_name, &rule.rule, "rollback"];
    let body = to.map_or(Body::None, |to| Body::Json(json!({ "to": to })));
    let answer = client.ask(Method::POST, &path, body)?;
    show_loaded(&answer, client, screen)
}

/// Takes a rule out of its virtual.
///
/// # Errors
/// No daemon answers, or there is no such rule, or none that is loaded.
pub(super) fn unload(rule: &RuleName, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let path = ["rules", &rule.virtual_name, &rule.rule];
    let answer = client.ask(Method::DELETE, &path, Body::None)?;
    let without = answer["without"].as_str().unwrap_or_default().to_owned();
    screen.show(&answer, |_| {
        format!("{rule} is unloaded: {without}\n`shunt rule rollback {rule}` loads it again\n")
    });
    Ok(())
}

/// Says which lines of a rule are written.
///
/// # Errors
/// No daemon answers, or there is no such rule that runs.
pub(super) fn log(
    rule: &RuleName,
    level: LineLevel,
    client: &Client,
    screen: &Screen,
) -> Result<(), Failure> {
    let level = match level {
        LineLevel::Error => Some("error"),
        LineLevel::Warn => Some("warn"),
        LineLevel::Info => Some("info"),
        LineLevel::Debug => Some("debug"),
        LineLevel::Default => None,
    };
    let path = ["rules", &rule.virtual_name, &rule.rule, "log"];
    let answer = client.ask(Method::PUT, &path, Body::Json(json!({ "level": level })))?;
    screen.show(&answer, |_| match level {
        Some(level) => format!("lines of {rule} are written from level {level} on\n"),
        None => format!("lines of {rule} are written as others are\n"),
    });
    Ok(())
}

/// Lists rules with their versions, and how their hooks do.
///
/// # Errors
/// No daemon answers.
pub(super) fn list(client: &Client, screen: &Screen) -> Result<(), Failure> {
    let answer = client.get("rules")?;
    let rules = client.read::<Rules>(&answer)?.rules;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    screen.show(&answer, |paint| listed(&rules, u64::try_from(now.as_millis()).unwrap_or(u64::MAX), paint));
    Ok(())
}

/// Shows a rule, with where its versions came from.
///
/// # Errors
/// No daemon answers, or there is no such rule.
pub(super) fn show(rule: &RuleName, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let answer = client.get("rules")?;
    let rules = client.read::<Rules>(&answer)?.rules;
    let name = rule.to_string();
    let Some(found) = rules.iter().find(|rule| rule.name == name) else {
        let known: Vec<String> = rules.into_iter().map(|rule| rule.name).collect();
        return Err(Failure::failed("no-such-rule", format!("there is no rule {name}")).help(format!(
            "the configuration has {}",
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        )));
    };
    let all = answer["rules"].as_array().into_iter().flatten();
    let json = all.into_iter().find(|rule| rule["name"] == name).cloned().unwrap_or_default();
    screen.show(&json, |paint| shown(found, paint));
    Ok(())
}

/// The versions, the newest first, a paragraph each; then the hooks.
fn shown(rule: &RuleStatus, paint: Paint) -> String {
    let mut text = String::new();
    for version in rule.versions.iter().rev() {
        let (word, tone) = if rule.running == Some(version.number) {
            state(rule)
        } else if version.faulty {
            ("faulty", Tone::Bad)
        } else {
            ("kept", Tone::Faint)
        };
        let RuleVersion { number, pack, version, digest, source, pack_digest, policy, signers, .. } = version;
        let head = paint.on(Tone::Head, &format!("version {number}: {pack} {version}"));
        text.push_str(&format!("{head}  {}\n", paint.on(tone, word)));
        let signed = signers.iter().map(|it| format!("{} (key sha256:{})", it.file, short(&it.key)));
        let signed = match signed.collect::<Vec<_>>() {
            none if none.is_empty() => "nobody who was asked for".to_owned(),
            signers => signers.join(", "),
        };
        for (name, value) in [
            ("from", source.clone()),
            ("pack", pack_digest.as_ref().map_or("no pack file".to_owned(), |it| format!("sha256:{it}"))),
            ("component", format!("sha256:{digest}")),
            ("signed by", signed),
            ("policy", policy.clone().unwrap_or_else(|| "none".to_owned())),
        ] {
            text.push_str(&format!("  {name:9}  {value}\n"));
        }
    }
    let hooks = hooks(std::slice::from_ref(rule));
    if !hooks.is_empty() {
        text.push_str(&format!("\n{}", hooks.render(paint)));
    }
    text
}

fn show_loaded(answer: &Value, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let loaded: LoadedRule = client.read(answer)?;
    screen.show(answer, |_| {
        let LoadedRule { name, running, pack, version, digest, hooks, replaced, grants, warnings } = &loaded;
        let warnings: String = warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
        let replaced = match replaced {
            Some(before) if before != running => format!(" in place of version {before}"),
            _ => String::new(),
        };
        let hooks = if hooks.is_empty() { "no hooks".to_owned() } else { hooks.join(", ") };
        let grown: String = grants.iter().map(|it| format!("  it may now {it}\n")).collect();
        format!(
            "{name}: version {running} runs{replaced} ({pack} {version}, {}; {hooks})\n{grown}{warnings}",
            short(digest)
        )
    });
    Ok(())
}

fn listed(rules: &[RuleStatus], now_unix_ms: u64, paint: Paint) -> String {
    if rules.is_empty() {
        return "no rules\n".to_owned();
    }
    let (versions, hooks) = (versions(rules, now_unix_ms), hooks(rules));
    let mut text = versions.render(paint);
    if !hooks.is_empty() {
        text = format!("{text}\n{}", hooks.render(paint));
    }
    for rule in rules.iter().filter(|rule| !rule.not_granted.is_empty()) {
        let times: u64 = rule.hooks.iter().map(|hook| hook.not_granted).sum();
        let refused = format!("was refused {} what its pack does not ask for:", format::count(times, "time"));
        text.push_str(&format!("\n{} {}\n", rule.name, paint.on(Tone::Bad, &refused)));
        rule.not_granted.iter().for_each(|it| text.push_str(&format!("  {it}\n")));
    }
    text
}

/// One row for each version, the newest first; one for a rule without any.
fn versions(rules: &[RuleStatus], now_unix_ms: u64) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("RULE", Left),
        ("NO", Right),
        ("PACK", Left),
        ("VERSION", Left),
        ("DIGEST", Left),
        ("LOADED", Left),
        ("STATE", Left),
        ("HOOKS", Left),
    ]);
    for rule in rules {
        for version in rule.versions.iter().rev() {
            let (text, tone) = if rule.running == Some(version.number) {
                state(rule)
            } else if version.faulty {
                ("faulty", Tone::Bad)
            } else {
                ("kept", Tone::Faint)
            };
            let age = now_unix_ms.saturating_sub(version.loaded_unix_ms) / 1_000;
            table.row([
                (&rule.name).into(),
                version.number.into(),
                (&version.pack).into(),
                (&version.version).into(),
                short(&version.digest).into(),
                format!("{} ago", format::span(age)).into(),
                Cell::from(text).tone(tone),
                version.hooks.join(", ").into(),
            ]);
        }
    }
    table
}

/// One row for each hook that was called.
fn hooks(rules: &[RuleStatus]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("RULE", Left),
        ("HOOK", Left),
        ("CALLS", Right),
        ("HALF BELOW", Right),
        ("99% BELOW", Right),
        ("FAULTS", Left),
    ]);
    for (rule, hook) in rules.iter().flat_map(|rule| rule.hooks.iter().map(move |hook| (rule, hook))) {
        let faults = hook.faults.iter().map(|(kind, count)| format!("{count} {kind}"));
        let faults = faults.collect::<Vec<_>>().join(", ");
        let tone = if faults.is_empty() { Tone::Plain } else { Tone::Bad };
        table.row([
            (&rule.name).into(),
            (&hook.hook).into(),
            hook.calls.into(),
            hook.p50_ns.map(format::nanoseconds).into(),
            hook.p99_ns.map(format::nanoseconds).into(),
            Cell::from(faults).tone(tone),
        ]);
    }
    table
}

fn short(digest: &str) -> &str {
    digest.get(..SHORT_DIGEST).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample;

    #[test]
    fn what_is_listed() {
        let rule: RuleStatus = serde_json::from_value(serde_json::to_value(sample::rule()).unwrap()).unwrap();
        let expected = "\
RULE         NO  PACK    VERSION  DIGEST        LOADED     STATE    HOOKS
shop/canary   2  canary  1.2.0    b2b2b2b2b2b2  1m 5s ago  running  on-request
shop/canary   1  canary  1.0.0    a1a1a1a1a1a1  1m 5s ago  kept     on-request

RULE         HOOK        CALLS  HALF BELOW  99% BELOW  FAULTS
shop/canary  on-request   1234       1.0µs      2.0µs  3 timeout

shop/canary was refused 5 times what its pack does not ask for:
  read the field cookie of requests
";
        assert_eq!(listed(&[rule], 1_700_000_065_000, Paint(false)), expected);
        assert_eq!(listed(&[], 0, Paint(false)), "no rules\n");
    }

    #[test]
    fn what_is_shown() {
        let rule: RuleStatus = serde_json::from_value(serde_json::to_value(sample::rule()).unwrap()).unwrap();
        let text = shown(&rule, Paint(false));
        let (first, hooks) = text.split_once("version 1: canary 1.0.0  kept\n").unwrap();
        let (of, signer) = ("registry.example/team/canary:1.2.0", "team.pub (key sha256:d4d4d4d4d4d4)");
        let expected = format!(
            "version 2: canary 1.2.0  running\n  from       {of}\n  pack       sha256:{}\n  component  sha256:{}\n  \
             signed by  {signer}\n  policy     registry.example/team/*\n",
            "c3".repeat(32),
            "b2".repeat(32)
        );
        assert_eq!(first, expected);
        assert!(hooks.ends_with("3 timeout\n"), "{hooks}");
    }
}
