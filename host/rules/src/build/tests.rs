use super::*;

const MANIFEST: &str = "[pack]\nname = \"t\"\nversion = \"1.0.0\"\nwit = \"0.1\"\n";

fn refusal(module: &str) -> String {
    componentize(&wat::parse_str(module).unwrap(), MANIFEST).unwrap_err().to_string()
}

#[test]
fn an_import_of_wasi_is_told_by_its_name() {
    let error = refusal(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
            (import "shunt:rule/clock@0.1.0" "unix-ms" (func (result i64)))
        )"#,
    );
    assert!(error.contains("wasi_snapshot_preview1#fd_write"), "{error}");
    assert!(!error.contains("clock"), "{error}");
}

#[test]
fn a_module_that_knows_no_contract_is_refused() {
    let error = refusal("(module)");
    assert!(error.contains("#[rule]"), "{error}");
}

#[test]
fn a_folder_without_a_pack_is_told_by_the_file_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let error = build(folder.path(), &BuildOptions::default()).unwrap_err().to_string();
    assert!(error.contains("pack.toml"), "{error}");
    fs::write(folder.path().join("pack.toml"), MANIFEST).unwrap();
    let error = build(folder.path(), &BuildOptions::default()).unwrap_err().to_string();
    assert!(error.contains("Cargo.toml"), "{error}");
}

#[test]
fn only_interfaces_of_the_contract_are_ours() {
    assert!(is_ours("shunt:rule/http@0.1.0"));
    assert!(!is_ours("shunt:rule/files@0.1.0"));
    assert!(!is_ours("shunt:rules/http@0.1.0"));
    assert!(!is_ours("env"));
}
