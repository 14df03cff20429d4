//! Tests that need root.

/// Whether this process is root. Where it is not, the test says that it is skipped, as `cargo xtask
/// test` counts it; with `SHUNT_REQUIRE_ROOT=1` it fails.
///
/// # Panics
/// Root is required and missing.
#[must_use]
#[allow(clippy::panic, reason = "it fails the test")]
pub fn is_root(why: &str) -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var_os("SHUNT_REQUIRE_ROOT").is_none_or(|it| it != "1"), "this needs root: {why}");
    println!("skipped: needs root: {why}");
    false
}
