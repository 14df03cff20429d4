//! What is logged: `SHUNT_LOG`, a level or a filter of targets and levels.

use std::env::{self, VarError};

use shunt_rules::suggest::nearest;
use thiserror::Error;
use tracing_subscriber::EnvFilter;

/// The variable of the environment that says what is logged.
const VARIABLE: &str = "SHUNT_LOG";

/// What is logged where the variable says nothing. `h2` warns of what any client can do as often as it likes.
const DEFAULT: &str = "info,h2=error";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The first parts of targets: the crates of Shunt begin with `shunt`, `rule` is what rules log, and the
/// others are libraries that log.
const TARGETS: [&str; 12] = [
    "shunt",
    "rule",
    "axum",
    "cranelift_codegen",
    "h2",
    "hyper",
    "hyper_util",
    "netlink_proto",
    "rustls",
    "tokio",
    "tokio_rustls",
    "wasmtime",
];

/// Why `SHUNT_LOG` is no filter.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{VARIABLE}={text}: {why}")]
pub(super) struct FilterError {
    text: String,
    why: String,
}

impl FilterError {
    /// What can be written.
    pub(super) const HELP: &str = "write a level (off, error, warn, info, debug, trace), or a filter of targets and levels as in info,rule=debug";
}

/// Reads the variable.
pub(super) fn from_environment() -> Result<EnvFilter, FilterError> {
    match env::var(VARIABLE) {
        Ok(text) if !text.trim().is_empty() => read(&text),
        Ok(_) | Err(VarError::NotPresent) => Ok(EnvFilter::new(DEFAULT)),
        Err(VarError::NotUnicode(text)) => Err(FilterError {
            text: text.to_string_lossy().into_owned(),
            why: "this is not UTF-8".to_owned(),
        }),
    }
}

/// Reads a filter. A word that nothing is called by is refused: a filter of it alone would let nothing
/// through, and the log would stay empty without a reason.
fn read(text: &str) -> Result<EnvFilter, FilterError> {
    let refused = |why: String| FilterError { text: text.to_owned(), why };
    let directives = text.split(',').map(str::trim).filter(|it| !it.is_empty()).collect::<Vec<_>>();
    for directive in &directives {
        check(directive).map_err(&refused)?;
    }
    // It takes no spaces.
    EnvFilter::try_new(directives.join(",")).map_err(|error| refused(error.to_string()))
}

fn check(directive: &str) -> Result<(), String> {
    let (target, level) = match directive.split_once('=') {
        Some((target, level)) => (target.trim(), Some(level.trim())),
        None if is_level(directive) => return Ok(()),
        None => (directive, None),
    };
    if let Some(level) = level.filter(|level| !is_level(level)) {
        return Err(format!("there is no level `{level}`{}", meant(level, &LEVELS)));
    }
    // Spans and fields are written in brackets, which the filter reads by itself.
    let target = target.split('[').next().unwrap_or_default();
    let root = target.split("::").next().unwrap_or_default();
    if target.is_empty() || TARGETS.contains(&root) || root.starts_with("shunt_") {
        return Ok(());
    }
    if level.is_some() {
        return Err(format!("nothing logs under `{target}`{}", meant(root, &TARGETS)));
    }
    Err(format!("there is no level `{target}`{}", meant(target, &LEVELS)))
}

/// Levels may be numbers, too: 0 is `off`, 5 is `trace`.
fn is_level(text: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text))
        || text.parse::<u8>().is_ok_and(|number| number <= 5)
}

fn meant(text: &str, known: &[&str]) -> String {
    match text {
        // Names of other programs.
        "warning" | "WARNING" => "; did you mean `warn`?".to_owned(),
        "verbose" | "VERBOSE" => "; did you mean `debug`?".to_owned(),
        _ => nearest(text, known.iter().copied())
            .map(|known| format!("; did you mean `{known}`?"))
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn levels_and_filters_are_read() {
        for text in [
            "info",
            "INFO",
            "3",
            "off",
            "info,shunt::http=debug",
            "warn, rule=info",
            "shunt_engine=trace",
            "shunt_proxy::http=debug,",
            "shunt",
            "info,hyper=off",
        ] {
            assert!(read(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_word_that_would_silence_everything_is_refused() {
        assert_eq!(why("verbose"), "SHUNT_LOG=verbose: there is no level `verbose`; did you mean `debug`?");
        assert_eq!(why("warning"), "SHUNT_LOG=warning: there is no level `warning`; did you mean `warn`?");
        assert_eq!(why("inf"), "SHUNT_LOG=inf: there is no level `inf`; did you mean `info`?");
        assert_eq!(why("all"), "SHUNT_LOG=all: there is no level `all`");
        assert_eq!(why("6"), "SHUNT_LOG=6: there is no level `6`");
        assert_eq!(why("info,shunt=loud"), "SHUNT_LOG=info,shunt=loud: there is no level `loud`");
        assert_eq!(
            why("shnt=debug"),
            "SHUNT_LOG=shnt=debug: nothing logs under `shnt`; did you mean `shunt`?"
        );
        assert_eq!(why("info debug"), "SHUNT_LOG=info debug: there is no level `info debug`");
    }
}
