//! With compilers of others: `cargo xtask test members`.

use std::process::Command;

use shunt_tests::daemon::Folder;
use shunt_tests::{packs, program};

use super::{becomes_a_pack, source};

/// Whether one of these programs is in `PATH`; a test that needs it says so, and how to get it.
fn there(names: &[&str], how: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        std::env::split_paths(&path).any(|folder| names.iter().any(|name| folder.join(name).is_file()));
    if !is_there {
        println!("skipped: needs {}: {how}", names[0]);
    }
    is_there
}

#[test]
#[ignore = "compiles a rule in C: cargo xtask test members"]
fn a_rule_in_c_is_compiled() {
    let tools = [
        there(&["wit-bindgen"], "`cargo install wit-bindgen-cli`"),
        there(&["clang", "clang-14"], "`apt-get install clang`"),
        there(&["wasm-ld", "wasm-ld-14"], "`apt-get install lld`"),
    ];
    if tools.contains(&false) {
        return;
    }
    let folder = Folder::new();
    let module = folder.path().join("rule.wasm");
    let mut build = Command::new(source().join("build"));
    program::ended(build.arg(packs::root().join("wit")).arg(&module)).good();
    becomes_a_pack(&module);
}
