//! `cargo xtask test`: the packs with their cases, then every test of the workspace.

mod report;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, anyhow};

use crate::terminal::Terminal;
use crate::tools::{self, cargo};
use crate::{book, packs};
use report::CargoReport;
pub(crate) use report::{Counts, Failure};

/// Tests that the ordinary run leaves out: each is marked `#[ignore]` with the command that runs it, and stands in a
/// module of the suite's name.
const SUITES: [&str; 2] = ["slow", "members"];

/// Which tests to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked<'a> {
    All,
    /// Those whose names contain this.
    Named(&'a str),
    Suite(&'a str),
}

impl<'a> Asked<'a> {
    pub(crate) fn named(name: &'a str) -> Self {
        if SUITES.contains(&name) { Asked::Suite(name) } else { Asked::Named(name) }
    }
}

/// Runs the tests, and ends with what failed and why, and with the counts in a line of their own.
pub(crate) fn run(terminal: &Terminal, asked: Asked<'_>) -> ExitCode {
    let mut failures = Vec::new();
    match all(terminal, asked, &mut failures) {
        Ok((counts, ended_well)) => {
            let wrong = match (counts.failed > 0 || !ended_well, counts.passed) {
                (true, _) => Some("not every test passed"),
                (false, 0) => Some("no test ran"),
                (false, _) => None,
            };
            if let Some(wrong) = wrong {
                for Failure { name, reason } in &failures {
                    terminal.line(format_args!("\n  {} {}", terminal.bad("✗"), terminal.strong(name)));
                    reason.iter().for_each(|line| terminal.line(format_args!("  {line}")));
                }
                terminal.failure(&anyhow!(wrong));
            }
            println!("\n{counts}");
            if wrong.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            terminal.failure(&error);
            ExitCode::FAILURE
        }
    }
}

/// Gives the counts, and whether cargo ended well.
fn all(terminal: &Terminal, asked: Asked<'_>, failures: &mut Vec<Failure>) -> Result<(Counts, bool)> {
    tools::prepare(terminal)?;
    let mut counts = Counts::default();

    // The tests of the product take the program that they find.
    let shunt = tools::build_shunt(tools::Profile::Dev)?;
    if asked == Asked::All {
        terminal.stage("Example packs and their cases");
        for folder in packs::folders()? {
            counts += pack(terminal, &shunt, &folder, failures)?;
        }
        terminal.stage("The book");
        counts += book::check(terminal, &shunt, failures)?;
    }

    terminal.stage("Workspace");
    let cargo = workspace(terminal, &shunt, asked)?;
    counts += cargo.counts;
    for (reason, tests) in &cargo.skipped {
        let tests = if *tests == 1 { "1 test".to_owned() } else { format!("{tests} tests") };
        terminal.line(terminal.faint(format_args!("skipped: {tests}: {reason}")));
    }

    failures.extend(cargo.failures());
    Ok((counts, cargo.ended_well))
}

/// Builds a pack and runs its cases; each counts as a test.
fn pack(terminal: &Terminal, shunt: &Path, folder: &Path, failures: &mut Vec<Failure>) -> Result<Counts> {
    let name = packs::name(folder);
    if let Err(error) = packs::build(shunt, folder) {
        terminal.failure(&error);
        failures.push(Failure { name: format!("pack {name}"), reason: vec![error.to_string()] });
        return Ok(Counts { failed: 1, ..Counts::default() });
    }
    let output = Command::new(shunt)
        .args(["rule", "test"])
        .arg(folder)
        .env("CARGO_TARGET_DIR", tools::target_folder(shunt))
        .output()
        .context("cannot start shunt")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut counts = report::pack_counts(&text).unwrap_or_default();
    if output.status.success() && counts.failed == 0 {
        terminal.done(format_args!("{name}: {} cases", counts.passed));
    } else {
        // A run that could not begin has no failed case to count.
        counts.failed = counts.failed.max(1);
        let said = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
        print!("{said}");
        let reason = said.lines().filter(|line| !line.starts_with("ok ") && !line.is_empty());
        failures.push(Failure { name: format!("pack {name}"), reason: reason.map(str::to_owned).collect() });
    }
    Ok(counts)
}

fn workspace(terminal: &Terminal, shunt: &Path, asked: Asked<'_>) -> Result<CargoReport> {
    let mut command = cargo();
    let packages = if matches!(asked, Asked::Suite(_)) { "--package=shunt-tests" } else { "--workspace" };
    command.args(["test", packages, "--no-fail-fast", "--"]);
    // What a test prints is shown for those that pass as well, because it is how one says that it
    // was skipped.
    command.arg("--show-output").env("SHUNT_BIN", shunt);
    match asked {
        Asked::All => {}
        Asked::Named(name) => {
            command.arg(name);
        }
        Asked::Suite(name) => {
            command.arg("--ignored").arg(format!("{name}::"));
        }
    }
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut report = CargoReport::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read what cargo says")?;
        let line = String::from_utf8_lossy(&line);
        if report.take(&line) {
            terminal.line(&line);
        }
    }
    report.ended_well = child.wait().context("cannot wait for cargo")?.success();
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test that no command runs would be forgotten.
    #[test]
    fn every_test_that_is_left_out_is_in_a_suite() {
        let mut found = Vec::new();
        let mut folders = vec![tools::root().join("tests/tests")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                for line in text.lines().filter(|line| line.trim_start().starts_with("#[ignore")) {
                    let suite =
                        line.split_once("cargo xtask test ").map(|(_, rest)| rest.trim_end_matches("\"]"));
                    let suite = suite.unwrap_or_else(|| panic!("{}: {line}", path.display()));
                    let module = text.contains(&format!("mod {suite} {{"))
                        || path.iter().any(|part| part == suite || part == format!("{suite}.rs").as_str());
                    assert!(module, "{}: it stands in no module `{suite}`", path.display());
                    found.push(suite.to_owned());
                }
            }
        }
        found.sort();
        found.dedup();
        let mut suites = SUITES.map(str::to_owned);
        suites.sort();
        assert_eq!(found, suites);
    }
}
