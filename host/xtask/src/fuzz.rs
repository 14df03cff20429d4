//! `cargo xtask fuzz`: every target of `host/fuzz` for a while, from its corpus on.
//!
//! libFuzzer needs the program to count which edges of its code were taken. rustc has LLVM's pass for that
//! (SanitizerCoverage), and the flags that turn it on are stable; only sanitizers need a nightly, and code without
//! unsafe needs none of them. So this does what `cargo fuzz run --sanitizer none` does, with the pinned tool chain.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::terminal::Terminal;
use crate::tools::{self, cargo};

/// What a run lasts for each target, if nothing else is asked for.
pub(crate) const SECONDS: u32 = 10;

/// As cargo-fuzz has them: libFuzzer counts edges inline, and sees the operands of comparisons.
const FLAGS: &str = "--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0";

/// How long one input may take. The slowest of the corpus takes milliseconds.
const SECONDS_PER_INPUT: u32 = 10;

pub(crate) fn run(terminal: &Terminal, seconds: u32) -> Result<()> {
    tools::prepare(terminal)?;
    // libFuzzer itself is C++.
    if !tools::installed("c++") && std::env::var_os("CXX").is_none() {
        bail!("a C++ compiler is missing; install one: `apt-get install g++` or `dnf install gcc-c++`");
    }
    let folder = tools::root().join("host/fuzz");
    let targets = targets(&folder)?;
    terminal.stage("Building the fuzz targets");
    let programs = build(&folder)?;

    terminal.stage(format_args!("{} targets, {seconds} s each", targets.len()));
    for target in &targets {
        let said = fuzz(&folder, &programs, target, seconds)?;
        terminal.done(format_args!("{target}: {said}"));
    }
    Ok(())
}

/// The names of all targets, sorted.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let folder = folder.join("fuzz_targets");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Builds all of them; gives the folder of the programs.
fn build(folder: &Path) -> Result<PathBuf> {
    let host = tools::host_target()?;
    let target_folder = tools::workspace_target_folder().join("fuzz");
    let mut command = cargo();
    command.args(["build", "--release", "--bins", "--target", &host, "--manifest-path"]);
    command.arg(folder.join("Cargo.toml"));
    // With `--target` the flags are for the program alone, not for build scripts and macros.
    command.env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", &target_folder);
    command.env_remove("CARGO_ENCODED_RUSTFLAGS");
    tools::run(&mut command)?;
    Ok(target_folder.join(host).join("release"))
}

/// Runs one target: the inputs of its corpus first, then what libFuzzer makes of them.
fn fuzz(folder: &Path, programs: &Path, target: &str, seconds: u32) -> Result<String> {
    let corpus = folder.join("corpus").join(target);
    ensure!(corpus.is_dir(), "the target `{target}` has no corpus: {} is missing", corpus.display());
    let artifacts = folder.join("artifacts").join(target);
    std::fs::create_dir_all(&artifacts).with_context(|| format!("cannot make {}", artifacts.display()))?;
    // What it finds worth keeping in a run that fails nowhere.
    let found = tempfile::tempdir().context("cannot make a temporary folder")?;
    let output = Command::new(programs.join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={SECONDS_PER_INPUT}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-print_final_stats=1")
        .args([found.path(), &corpus])
        .output()
        .with_context(|| format!("cannot start the target `{target}`"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(40)..].join("\n");
        bail!("the target `{target}` fails ({}):\n{last}", output.status);
    }
    let run = Run::read(&text)
        .with_context(|| format!("the target `{target}` says nothing of its run:\n{text}"))?;
    // A target that is built without counters passes every input and learns nothing.
    ensure!(run.covered > 0, "the target `{target}` is built without coverage counters");
    let replayed = std::fs::read_dir(&corpus).map(Iterator::count).unwrap_or_default();
    Ok(format!("{replayed} inputs of the corpus, {} made of them, {} edges covered", run.inputs, run.covered))
}

/// What libFuzzer says at its end.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    inputs: u64,
    covered: u64,
}

impl Run {
    fn read(text: &str) -> Option<Run> {
        let stat = text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        // `#12345 DONE   cov: 678 ft: 90 corp: 12/3456b …`
        let done = text.lines().rev().find(|line| line.starts_with('#') && line.contains("cov: "))?;
        let covered = done.split("cov: ").nth(1)?.split(' ').next()?;
        Some(Run { inputs: stat?.trim().parse().ok()?, covered: covered.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_run_is_read() {
        let text = "INFO: seed corpus\n#2\tINITED cov: 30 ft: 31 corp: 1/1b exec/s: 0 rss: 29Mb\n\
                    #977\tDONE   cov: 310 ft: 800 corp: 90/3Kb lim: 4096 exec/s: 97 rss: 40Mb\n\
                    Done 977 runs in 10 second(s)\nstat::number_of_executed_units: 977\n";
        assert_eq!(Run::read(text), Some(Run { inputs: 977, covered: 310 }));
        assert_eq!(Run::read("nothing"), None);
    }

    /// Each target is a program of `host/fuzz`, and has inputs.
    #[test]
    fn targets_have_programs_and_corpora() {
        let folder = tools::root().join("host/fuzz");
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let targets = targets(&folder).unwrap();
        assert!(!targets.is_empty());
        for target in &targets {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
            assert!(
                std::fs::read_dir(folder.join("corpus").join(target)).unwrap().next().is_some(),
                "{target}"
            );
        }
        assert_eq!(manifest.matches("[[bin]]").count(), targets.len());
    }
}
