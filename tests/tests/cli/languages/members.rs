//! With compilers of others: `cargo xtask test members`.

use std::process::Command;

use shunt_tests::daemon::Folder;
use shunt_tests::{packs, program};

use super::{becomes_a_pack, source};

#[test]
#[ignore = "compiles a rule in C: cargo xtask test members"]
fn a_rule_in_c_is_compiled() {
    let tools = [
        program::other(&["wit-bindgen"], "`cargo install wit-bindgen-cli`"),
        program::other(&["clang", "clang-14"], "`apt-get install clang`"),
        program::other(&["wasm-ld", "wasm-ld-14"], "`apt-get install lld`"),
    ];
    if tools.contains(&None) {
        return;
    }
    let folder = Folder::new();
    let module = folder.path().join("rule.wasm");
    let mut build = Command::new(source().join("build"));
    program::ended(build.arg(packs::root().join("wit")).arg(&module)).good();
    becomes_a_pack(&module);
}
