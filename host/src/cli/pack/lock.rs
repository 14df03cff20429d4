//! `shunt pack lock`

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shunt_config::lock::{Lock, Pin};

use super::super::failure::Failure;
use super::super::format::count;
use super::super::screen::{Paint, Screen, Tone};
use super::registry::Bar;
use crate::control::{self, Change, Locked};

/// Pins the references of a configuration.
///
/// # Errors
/// The configuration is wrong, or a pack cannot be had or is refused; the lock that was there stays.
pub(super) fn lock(config: &Path, screen: &Screen) -> Result<(), Failure> {
    let damaged = set_aside(config)?;
    let bar = Bar::new(screen, "lock");
    let locked = control::lock(config, &bar);
    bar.end();
    let locked = locked.map_err(|error| {
        let kept = damaged.as_ref().filter(|damaged| fs::rename(damaged, Lock::path(config)).is_err());
        let outcome = kept.map(|kept| format!("the damaged lock is {} now", kept.display()));
        Failure::not_applied(&error, outcome.as_deref().unwrap_or("the lock stays as it was"))
    })?;
    let changes: Vec<Value> = locked.changes.iter().map(as_json).collect();
    let damaged = damaged.map(|damaged| damaged.display().to_string());
    let answer = json!({
        "file": locked.path.display().to_string(), "pins": locked.pins, "changes": changes, "damaged": damaged,
    });
    screen.show(&answer, |paint| {
        let damaged = damaged.map(|damaged| {
            let sign = paint.on(Tone::Bad, "damaged:");
            format!("{sign} the lock before, which is {damaged} now; what it pinned is not known\n")
        });
        damaged.unwrap_or_default() + &told(&locked, paint)
    });
    Ok(())
}

/// Puts a lock that is damaged beside its place, where another can then be written, and an operator can still look at it.
fn set_aside(config: &Path) -> Result<Option<PathBuf>, Failure> {
    let path = Lock::path(config);
    // A configuration may have any name; that of its lock is refused when it is read.
    if path == config || !Lock::read(&path).is_err_and(|error| error.is_damaged()) {
        return Ok(None);
    }
    let aside = path.with_extension("lock.damaged");
    fs::rename(&path, &aside).map_err(|error| {
        let (from, to) = (path.display(), aside.display());
        Failure::failed("system", format!("cannot move {from}, which is damaged, to {to}: {error}"))
    })?;
    Ok(Some(aside))
}

fn as_json(change: &Change) -> Value {
    let pin = |pin: &Option<Pin>| {
        pin.as_ref().map(|pin| {
            json!({ "digest": format!("sha256:{}", pin.digest), "name": pin.name, "version": pin.version })
        })
    };
    json!({
        "reference": change.reference, "from": pin(&change.from), "to": pin(&change.to), "grants": change.grown,
        "may": change.may, "signers": change.signers,
    })
}

fn told(locked: &Locked, paint: Paint) -> String {
    let mut text = String::new();
    for Change { reference, from, to, grown, may, signers } in &locked.changes {
        let shown = |pin: &Pin| format!("{} {} sha256:{}", pin.name, pin.version, pin.digest);
        let (sign, what) = match (from, to) {
            (None, Some(to)) => (paint.on(Tone::Good, "+"), shown(to)),
            (Some(from), Some(to)) => {
                (paint.on(Tone::Head, "~"), format!("{}\n    before: {}", shown(to), shown(from)))
            }
            (Some(from), None) => (paint.on(Tone::Bad, "-"), shown(from)),
            (None, None) => continue,
        };
        text.push_str(&format!("{sign} {reference}\n    {what}\n"));
        match grown {
            Some(grown) => grown.iter().for_each(|it| text.push_str(&format!("    may now {it}\n"))),
            None => {
                if from.is_some() {
                    text.push_str(
                        "    the pack before is not in the cache: what it asked for is not known here\n",
                    );
                }
                may.iter().for_each(|it| text.push_str(&format!("    may {it}\n")));
            }
        }
        match to {
            Some(_) if signers.is_empty() => text.push_str("    signed by nobody who was asked for\n"),
            Some(_) => text.push_str(&format!("    signed by {}\n", signers.join(", "))),
            None => {}
        }
    }
    let changed = match locked.changes.len() {
        0 => "as it was".to_owned(),
        changes => count(changes, "change"),
    };
    let pins = count(locked.pins, "reference");
    text.push_str(&format!("{}: {pins}, {changed}\n", locked.path.display()));
    text
}

#[cfg(test)]
mod tests {
    use shunt_rules::Digest;

    use super::*;

    #[test]
    fn what_changed_is_told() {
        let pin = |version: &str| {
            Some(Pin { digest: Digest::of(b""), name: "canary".to_owned(), version: version.to_owned() })
        };
        let lines = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect();
        let change = |reference: &str, from, to, grown: Option<&[&str]>| Change {
            reference: reference.to_owned(),
            from,
            to,
            grown: grown.map(lines),
            may: lines(&["read the time", "get random numbers"]),
            signers: lines(if grown.is_some() { &["team.pub", "ops.pub"] } else { &[] }),
        };
        let locked = Locked {
            path: "shunt.lock".into(),
            pins: 2,
            changes: vec![
                change("r.example/a:1", None, pin("1.0.0"), None),
                change("r.example/b:1", pin("1.0.0"), pin("1.1.0"), Some(&["get random numbers"])),
                change("r.example/c:1", pin("1.0.0"), None, Some(&[])),
            ],
        };
        let text = told(&locked, Paint(false)).replace(&Digest::of(b"").to_string(), "0");
        let expected = "\
+ r.example/a:1
    canary 1.0.0 sha256:0
    may read the time
    may get random numbers
    signed by nobody who was asked for
~ r.example/b:1
    canary 1.1.0 sha256:0
    before: canary 1.0.0 sha256:0
    may now get random numbers
    signed by team.pub, ops.pub
- r.example/c:1
    canary 1.0.0 sha256:0
shunt.lock: 2 references, 3 changes
";
        assert_eq!(text, expected);
    }
}
