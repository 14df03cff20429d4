//! The program under test, run to its end.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// How a run of the program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit code; `None`: a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Where it is.
///
/// # Panics
/// It was not built.
#[must_use]
pub fn path() -> PathBuf {
    if let Some(path) = std::env::var_os("SHUNT_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("the path of this test");
    let found = test.ancestors().skip(1).map(|folder| folder.join("shunt")).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("no `shunt` above {}: run `cargo build` first, or set SHUNT_BIN", test.display())
    })
}

/// The first of these programs of others that is in `PATH`; a test that needs one says that it is skipped, and how to get it.
#[must_use]
pub fn other(names: &[&str], how: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files =
        std::env::split_paths(&path).flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    let found = files.find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: needs {}: {how}", names[0]);
    }
    found
}

/// The program, in surroundings that do not depend on who runs the test.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new(path());
    command
        .stdin(Stdio::null())
        .env_remove("SHUNT_LOG")
        .env_remove("SHUNT_SOCKET")
        .env_remove("NO_COLOR")
        .env("COLUMNS", "100");
    command
}

/// Runs it with these arguments.
pub fn run(arguments: &[&str]) -> Ended {
    ended(command().args(arguments))
}

/// Runs a command to its end.
pub fn ended(command: &mut Command) -> Ended {
    let output = command.output().expect("a program that can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Ended {
    /// What it printed as its result.
    ///
    /// # Panics
    /// It failed.
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// What it said when it refused, with this exit code.
    ///
    /// # Panics
    /// It ended otherwise.
    #[track_caller]
    pub fn refused(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stderr
    }

    /// The JSON that it printed as its result.
    ///
    /// # Panics
    /// It failed, or printed something else.
    #[track_caller]
    #[must_use]
    pub fn json(self) -> serde_json::Value {
        let text = self.good();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON: {error}\n{text}"))
    }
}
