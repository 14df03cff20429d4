//! `shunt check`

use std::path::Path;

use serde_json::json;

use super::failure::Failure;
use super::format::count;
use super::screen::{Screen, Tone};
use crate::control::{self, Summary};

/// Checks a configuration with all that it names.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn check(config: &Path, screen: &Screen) -> Result<(), Failure> {
    let Summary { virtuals, pools, rules, warnings } = control::check(config)
        .map_err(|error| Failure::not_applied(&error, "the configuration cannot be used"))?;
    let answer =
        json!({ "virtuals": virtuals, "pools": pools, "rules": rules, "warnings": warnings.problems() });
    screen.show(&answer, |paint| {
        let right = paint.on(Tone::Good, "is right");
        let (virtuals, pools, rules) =
            (count(virtuals, "virtual"), count(pools, "pool"), count(rules, "rule"));
        let (told, number) = (warnings.render(paint.0), warnings.problems().len());
        let warned = if number == 0 { String::new() } else { format!("; {}", count(number, "warning")) };
        format!("{told}{} {right}: {virtuals}, {pools}, {rules}{warned}\n", config.display())
    });
    Ok(())
}
