//! Cases: what a rule must do, played offline on the real rule host.
//!
//! A case is a request (or a flow) and what is expected of it, in `cases/*.toml` of a pack. The
//! rule runs as in the daemon, with its budgets; the world around it is a stage: pools as
//! the case says, a clock that it moves, randomness from a fixed seed.

mod compare;
pub(crate) mod data;
pub(crate) mod file;
pub(crate) mod play;
pub(crate) mod probe;
mod stage;
pub(crate) mod tables;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::artefact::PackFile;
use crate::{Pack, Rule, RuleError, RuleHost, plain_file};

pub use compare::Difference;

/// What became of all cases.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order of the files' names, and in each of the file.
    pub cases: Vec<CaseReport>,
}

#[derive(Clone, Debug)]
pub struct CaseReport {
    pub file: PathBuf,
    /// Where the case begins, from 1.
    pub line: usize,
    pub name: String,
    /// What was not as expected; empty: the case passed.
    pub differences: Vec<Difference>,
    /// What the rule logged: `info: text`.
    pub log: Vec<String>,
}

/// Why no case could be played.
#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} has no cases; write one in {}", .0.display(), .0.join("first.toml").display())]
    None(PathBuf),
    /// What is wrong in a file, with the line.
    #[error("{}: {message}", file.display())]
    File { file: PathBuf, message: String },
    /// Of cases that a pack brings along.
    #[error("the cases of the pack took longer than {} s; have fewer of them, or a faster host", .0.as_secs())]
    Slow(Duration),
    #[error(transparent)]
    Rule(#[from] RuleError),
}

impl Report {
    pub fn passed(&self) -> bool {
        self.failed().next().is_none()
    }

    pub fn failed(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases.iter().filter(|case| !case.differences.is_empty())
    }
}

/// `cases/share.toml:3: everyone at 100 percent`, and what was not as expected below it.
impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.name)?;
        self.differences.iter().try_for_each(|difference| write!(f, "\n{difference}"))
    }
}

/// Plays every `*.toml` in a folder.
///
/// # Errors
/// See [`CasesError`]. A case that fails is no error.
pub fn run(host: &RuleHost, pack: &Pack, folder: &Path) -> Result<Report, CasesError> {
    let io = |source| CasesError::Io { path: folder.to_owned(), source };
    let mut files: Vec<PathBuf> = match std::fs::read_dir(folder) {
        Ok(entries) => {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(io)?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(io(error)),
    };
    files.retain(|file| file.extension().is_some_and(|kind| kind == "toml"));
    files.sort();
    let rule = host.compile(pack)?;
    let mut report = Report::default();
    for file in files {
        let text = plain_file::open(&file)
            .and_then(io::read_to_string)
            .map_err(|source| CasesError::Io { path: file.clone(), source })?;
        report.play(&rule, &file, &text, None)?;
    }
    if report.cases.is_empty() {
        return Err(CasesError::None(folder.to_owned()));
    }
    Ok(report)
}

/// Plays the cases among the files that a pack was shipped with, on the calling thread, at most for so long.
///
/// # Errors
/// See [`CasesError`]. A case that fails is no error, and neither is a pack without cases.
pub fn run_shipped(rule: &Arc<Rule>, files: &[PackFile], most: Duration) -> Result<Report, CasesError> {
    let mut report = Report::default();
    let limit = Some((Instant::now(), most));
    for PackFile { path, bytes } in files.iter().filter(|file| file.path.starts_with("cases/")) {
        let file = Path::new(path);
        let text = std::str::from_utf8(bytes)
            .map_err(|error| CasesError::File { file: file.to_owned(), message: error.to_string() })?;
        report.play(rule, file, text, limit)?;
    }
    Ok(report)
}

impl Report {
    fn play(
        &mut self,
        rule: &Arc<Rule>,
        file: &Path,
        text: &str,
        limit: Option<(Instant, Duration)>,
    ) -> Result<(), CasesError> {
        let cases = file::parse(text, rule.manifest())
            .map_err(|message| CasesError::File { file: file.to_owned(), message })?;
        for (line, case) in cases {
            if let Some((begin, most)) = limit
                && begin.elapsed() > most
            {
                return Err(CasesError::Slow(most));
            }
            let (differences, log) = play::play(rule, &case);
            self.cases.push(CaseReport { file: file.to_owned(), line, name: case.name, differences, log });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
