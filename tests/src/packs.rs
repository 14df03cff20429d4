//! Packs for tests, built by the program under test.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so and ends")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::daemon::Folder;
use crate::program;

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder above").to_owned()
}

/// The file of a guest of `tests/guests`.
///
/// # Panics
/// It does not build.
#[track_caller]
#[must_use]
pub fn guest(name: &str) -> PathBuf {
    built(&root().join("tests/guests").join(name))
}

/// The file of an example of `rules-examples`.
///
/// # Panics
/// It does not build.
#[track_caller]
#[must_use]
pub fn example(name: &str) -> PathBuf {
    built(&root().join("rules-examples").join(name))
}

/// The pack of a guest that calls itself another version, and does the same.
#[must_use]
pub fn guest_version(name: &str, version: &str, folder: &Folder) -> PathBuf {
    let mut bytes = std::fs::read(guest(name)).expect("a pack that was built");
    let (old, new) = ("version = \"1.0.0\"", format!("version = {version:?}"));
    assert_eq!(old.len(), new.len(), "the section may not change its length");
    let at = bytes.windows(old.len()).position(|it| it == old.as_bytes()).expect("the version of the pack");
    bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
    folder.write(&format!("{name}-{version}.wasm"), bytes)
}

/// Builds each pack once in a test program. Cargo does not build again what did not change.
#[track_caller]
fn built(folder: &Path) -> PathBuf {
    static BUILT: OnceLock<Mutex<HashMap<PathBuf, PathBuf>>> = OnceLock::new();
    let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = built.get(folder) {
        return file.clone();
    }
    let mut command = program::command();
    // One folder for all: they have their dependencies in common.
    command.env("CARGO_TARGET_DIR", root().join("target/guests"));
    let answer = program::ended(command.args(["rule", "build", "-o", "json"]).arg(folder)).json();
    let file = PathBuf::from(answer["file"].as_str().expect("the file that was built"));
    built.insert(folder.to_owned(), file.clone());
    file
}
