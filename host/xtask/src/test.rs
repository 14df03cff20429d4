//! `cargo xtask test`: the packs with their cases, then every test of the workspace.

mod report;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::terminal::Terminal;
use crate::tools::{self, cargo};
use crate::{book, packs};
use report::CargoReport;
pub(crate) use report::Counts;

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

pub(crate) fn run(terminal: &Terminal, asked: Asked<'_>) -> Result<()> {
    tools::prepare(terminal)?;
    let mut counts = Counts::default();

    // The tests of the product take the program that they find.
    let shunt = tools::build_shunt(tools::Profile::Dev)?;
    if asked == Asked::All {
        terminal.stage("Example packs and their cases");
        for folder in packs::folders()? {
            counts += pack(terminal, &shunt, &folder)?;
        }
        terminal.stage("The book");
        counts += book::check(terminal, &shunt)?;
    }

    terminal.stage("Workspace");
    let cargo = workspace(terminal, &shunt, asked)?;
    counts += cargo.counts;
    for reason in &cargo.skipped {
        terminal.line(terminal.faint(format_args!("skipped: {reason}")));
    }

    println!("\n{counts}");
    if counts.failed > 0 || !cargo.ended_well {
        bail!("not every test passed");
    }
    if counts.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

/// Builds a pack and runs its cases; each counts as a test.
fn pack(terminal: &Terminal, shunt: &Path, folder: &Path) -> Result<Counts> {
    let name = packs::name(folder);
    if let Err(error) = packs::build(shunt, folder) {
        terminal.failure(&error);
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
        print!("{text}{}", String::from_utf8_lossy(&output.stderr));
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
