//! A rule in C: `tests/languages/c`, whose compiled module is committed so that this needs no compiler for it.

mod members;

use std::path::{Path, PathBuf};

use shunt_tests::daemon::Folder;
use shunt_tests::{packs, program};

fn source() -> PathBuf {
    packs::root().join("tests/languages/c")
}

fn run(folder: &Path, words: &[&str]) -> program::Ended {
    program::ended(program::command().args(words).current_dir(folder))
}

/// Makes a pack of a module in a folder without sources, and plays its cases.
fn becomes_a_pack(module: &Path) {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("cases")).unwrap();
    for file in ["pack.toml", "cases/steer.toml"] {
        std::fs::copy(source().join(file), folder.path().join(file)).unwrap();
    }
    let module = module.to_str().unwrap();
    let built = run(
        folder.path(),
        &["pack", "build", "--component", module, "--file", "steer.pack.tar", "-o", "json"],
    )
    .json();
    assert_eq!(built["file"], "steer.pack.tar");
    let told = run(folder.path(), &["pack", "test"]).good();
    assert!(told.ends_with("\n2 passed, 0 failed\n"), "{told}");
    let shown = run(folder.path(), &["pack", "inspect", "steer.pack.tar", "-o", "json"]).json();
    assert_eq!(shown["hooks"], serde_json::json!(["on-request"]));
    // Its names, which the compiler of C writes as well as that of Rust.
    assert!(shown["files"].as_array().unwrap().iter().any(|file| file["path"] == "debug.wasm"), "{shown}");
    let component = std::fs::metadata(folder.path().join("dist/steer.wasm")).unwrap().len();
    assert!(component <= 4_096, "{component} bytes");
}

#[test]
fn a_rule_in_c_runs() {
    becomes_a_pack(&source().join("rule.wasm"));
}

#[test]
fn what_needs_an_operating_system_is_refused_by_the_names_of_its_imports() {
    let folder = Folder::new();
    std::fs::copy(source().join("pack.toml"), folder.path().join("pack.toml")).unwrap();
    // A component that imports an instance without exports (Component Model, Binary.md: sections 7 and 10).
    let name = b"wasi:cli/environment@0.2.0";
    let import = [&[1, 0, name.len() as u8][..], name, &[5, 0]].concat();
    let component =
        [&b"\0asm\x0d\0\x01\0\x07\x03\x01\x42\0"[..], &[10, import.len() as u8], &import].concat();
    folder.write("python.wasm", component);
    let refused = run(folder.path(), &["pack", "build", "--component", "python.wasm"]).refused(1);
    assert!(refused.contains("does not offer: wasi:cli/environment@0.2.0; "), "{refused}");
    assert!(!folder.path().join("dist").exists());
}
