//! `shunt check`

use std::path::Path;

use serde_json::json;

use super::failure::Failure;
use super::format::count;
use super::screen::{Screen, Tone};
use crate::control::{self, Summary};
use shunt_config::PoolWatch;

/// Checks a configuration with all that it names.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn check(config: &Path, screen: &Screen) -> Result<(), Failure> {
    let Summary { virtuals, pools, rules, watches, warnings } = control::check(config)
        .map_err(|error| Failure::not_applied(&error, "the configuration cannot be used"))?;
    let monitors: Vec<_> = watches.iter().map(object).collect();
    let answer = json!({
        "virtuals": virtuals, "pools": pools, "rules": rules, "monitors": monitors, "warnings": warnings.problems(),
    });
    screen.show(&answer, |paint| {
        let right = paint.on(Tone::Good, "is right");
        let (virtuals, pools, rules) =
            (count(virtuals, "virtual"), count(pools, "pool"), count(rules, "rule"));
        let (told, number) = (warnings.render(paint.0), warnings.problems().len());
        let warned = if number == 0 { String::new() } else { format!("; {}", count(number, "warning")) };
        let watched: String = watches.iter().map(line).collect();
        format!("{told}{watched}{} {right}: {virtuals}, {pools}, {rules}{warned}\n", config.display())
    });
    Ok(())
}

/// What is said of the monitors of a pool, for programs.
fn object(watch: &PoolWatch) -> serde_json::Value {
    let PoolWatch { pool, down_within, misses } = watch;
    let down_within = down_within.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    json!({ "pool": pool, "down-within-ms": down_within, "misses": misses })
}

/// The same for people.
fn line(watch: &PoolWatch) -> String {
    let PoolWatch { pool, down_within, misses } = watch;
    let within = down_within.map(|time| format!("a member that fails is down within {time:?}"));
    let said: Vec<String> = within.into_iter().chain(misses.clone()).collect();
    format!("pool {pool}: {}\n", said.join("; "))
}
