//! What test programs say, as counts.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub passed: u32,
    pub failed: u32,
    pub skipped: u32,
}

/// A test that failed, and why, as far as it said so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    pub name: String,
    pub reason: Vec<String>,
}

impl Failure {
    /// How much of a message is shown at the end; the whole of it stands where the test failed.
    const LINES: usize = 12;

    /// Takes a line of what the test printed. Its reason is the message of its panic: what follows
    /// `thread '…' panicked at …`, up to the backtrace.
    fn take(&mut self, line: &str) {
        let is_panic = line.starts_with("thread '") && line.contains(" panicked at ");
        let goes_on = !self.reason.is_empty() && self.reason.len() < Self::LINES && !self.reason_ended();
        if is_panic && self.reason.is_empty() {
            let place = line.split_once(" panicked at ").map_or(line, |(_, place)| place);
            self.reason.push(place.to_owned());
        } else if goes_on {
            self.reason.push(line.to_owned());
        }
    }

    fn reason_ended(&self) -> bool {
        self.reason
            .last()
            .is_some_and(|line| line == "stack backtrace:" || line.starts_with("note: run with"))
    }

    /// Without what only closed it.
    fn closed(mut self) -> Self {
        while self.reason_ended() || self.reason.last().is_some_and(String::is_empty) {
            self.reason.pop();
        }
        self
    }
}

/// What `cargo test -- --show-output` says, line by line.
#[derive(Debug, Default)]
pub(crate) struct CargoReport {
    pub counts: Counts,
    /// Why tests were skipped, in their own words, and how many.
    pub skipped: BTreeMap<String, u32>,
    pub failures: Vec<Failure>,
    pub ended_well: bool,
    place: Place,
    /// Tests of the program now running that said that they were skipped.
    skipped_here: u32,
}

/// Which part of a test program's output a line belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Running,
    /// Between `successes:` and what follows: the output of tests that passed.
    Successes,
    /// The output of tests that failed, and their names.
    Failures,
}

impl CargoReport {
    /// Takes a line; true if people should see it.
    ///
    /// A test that cannot run here prints a line `skipped: …` and returns; libtest counts it as
    /// passed, this does not.
    pub(crate) fn take(&mut self, line: &str) -> bool {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.place = Place::Running;
            let mut counts = libtest_counts(result);
            counts.passed = counts.passed.saturating_sub(self.skipped_here);
            counts.skipped += std::mem::take(&mut self.skipped_here);
            self.counts += counts;
            return true;
        }
        match (line, self.place) {
            ("successes:", _) => self.place = Place::Successes,
            ("failures:", _) => self.place = Place::Failures,
            (_, Place::Successes) => {
                if let Some(reason) = line.strip_prefix("skipped: ") {
                    *self.skipped.entry(reason.to_owned()).or_default() += 1;
                    self.skipped_here += 1;
                }
            }
            (_, Place::Failures) => {
                self.take_failure(line);
                return true;
            }
            (_, Place::Running) => {
                if let Some((_, reason)) = line.split_once(" ... ignored, ") {
                    *self.skipped.entry(reason.to_owned()).or_default() += 1;
                }
                return line.ends_with("FAILED") || line.ends_with("has been running for over 60 seconds");
            }
        }
        false
    }
}

impl CargoReport {
    /// A line of what failed tests printed: `---- NAME stdout ----`, and what follows.
    fn take_failure(&mut self, line: &str) {
        let name = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        match (name, self.failures.last_mut()) {
            (Some(name), _) => {
                self.failures.push(Failure { name: name.to_owned(), reason: Vec::new() });
            }
            (None, Some(failure)) => failure.take(line),
            (None, None) => {}
        }
    }

    /// Tests that failed, in their order.
    pub(crate) fn failures(&self) -> Vec<Failure> {
        self.failures.iter().cloned().map(Failure::closed).collect()
    }
}

/// `N passed, N failed` at the beginning of a line, as `shunt rule test` ends.
pub(crate) fn pack_counts(text: &str) -> Option<Counts> {
    text.lines().rev().find_map(|line| {
        let mut parts = line.trim().split(", ");
        let passed = parts.next()?.strip_suffix(" passed")?.parse().ok()?;
        let failed = parts.next()?.strip_suffix(" failed")?.parse().ok()?;
        Some(Counts { passed, failed, skipped: 0 })
    })
}

/// `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`
fn libtest_counts(result: &str) -> Counts {
    let number = |word: &str| {
        let parts = result.split(['.', ';']).map(str::trim);
        parts
            .filter_map(|part| part.strip_suffix(word))
            .find_map(|count| count.trim().parse().ok())
            .unwrap_or(0)
    };
    Counts { passed: number("passed"), failed: number("failed"), skipped: number("ignored") }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_PROGRAMS: &str = "
running 3 tests
test a ... ok
test b ... ok
test c ... FAILED

successes:

---- a stdout ----
skipped: needs root
---- b stdout ----
skipped nothing


successes:
    a
    b

failures:

---- c stdout ----
it printed this

thread 'c' (7) panicked at tests/c.rs:3:5:
assertion failed: no more
than that

stack backtrace:
   0: rust_begin_unwind

failures:
    c

test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s

running 2 tests
test d ... ok
test e ... ignored, waits a minute: cargo xtask test slow

test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
";

    #[test]
    fn cargo_is_counted() {
        let mut report = CargoReport::default();
        let shown: Vec<&str> = TWO_PROGRAMS.lines().filter(|line| report.take(line)).collect();
        assert_eq!(report.counts, Counts { passed: 2, failed: 1, skipped: 2 });
        let reasons = ["needs root", "waits a minute: cargo xtask test slow"];
        assert_eq!(report.skipped, reasons.map(|it| (it.to_owned(), 1)).into());
        assert!(shown.contains(&"assertion failed: no more") && shown.contains(&"test c ... FAILED"));
        assert!(!shown.contains(&"test a ... ok") && !shown.contains(&"skipped nothing"));
        let reason = ["tests/c.rs:3:5:", "assertion failed: no more", "than that"].map(str::to_owned);
        assert_eq!(report.failures(), [Failure { name: "c".to_owned(), reason: reason.to_vec() }]);
        assert_eq!(report.counts.to_string(), "2 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn packs_are_counted() {
        let text = "ok  everyone\n\n7 passed, 0 failed\n";
        assert_eq!(pack_counts(text), Some(Counts { passed: 7, failed: 0, skipped: 0 }));
        assert_eq!(
            pack_counts("3 passed, 1 failed, 0 skipped"),
            Some(Counts { passed: 3, failed: 1, skipped: 0 })
        );
        assert_eq!(pack_counts("nothing"), None);
    }
}
