//! What a test needs of the machine that it runs on.

use crate::programs;

/// Whether this process is root. Where it is not, the test says that it is skipped, as `cargo xtask
/// test` counts it; with `SHUNT_REQUIRE_ROOT=1` it fails. `why` names what root is for.
///
/// # Panics
/// Root is required and missing.
#[must_use]
pub fn root(why: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    or_skip(root, why, || "root".to_owned())
}

/// Whether labs can be made here: by root, with the programs of
/// [`check_programs`](crate::check_programs). Where something is missing, as [`root`].
///
/// # Panics
/// Root is required, and it or a program is missing.
#[must_use]
pub fn namespaces(why: &str) -> bool {
    if !root(why) {
        return false;
    }
    let missing = programs::missing();
    or_skip(missing.is_empty(), why, || programs::names(&missing))
}

/// Whether a program is there. Where it is not, as [`root`].
///
/// # Panics
/// Root is required, and the program is missing: then all is to be tested that can be.
#[must_use]
pub fn program(path: &std::path::Path, why: &str) -> bool {
    or_skip(path.is_file(), why, || path.display().to_string())
}

#[expect(clippy::panic, reason = "a test that cannot run where all have to says so and ends")]
fn or_skip(there: bool, why: &str, needed: impl FnOnce() -> String) -> bool {
    if there {
        return true;
    }
    let needed = needed();
    if std::env::var_os("SHUNT_REQUIRE_ROOT").is_some_and(|it| it == "1") {
        panic!("this needs {needed}: {why}");
    }
    println!("skipped: needs {needed}: {why}");
    false
}
