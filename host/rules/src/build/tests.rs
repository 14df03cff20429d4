use super::*;

const MANIFEST: &str = "[pack]\nname = \"t\"\nversion = \"1.0.0\"\nwit = \"0.1\"\n";

fn refusal(module: &str) -> String {
    componentize(&wat::parse_str(module).unwrap(), MANIFEST, None).unwrap_err().to_string()
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
    assert!(!error.contains("unix-ms"), "{error}");
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
fn a_component_of_another_tool_becomes_a_pack() {
    const HOOK: &str = r#"
        (type $hook (instance))
        (core module (@custom "producers" "kept, as what is inside is its author's"))
        (component $hooks)
        (instance $hooks (instantiate $hooks))
        (export "shunt:rule/on-done@0.1.0" (instance $hooks))"#;
    let made = |text: &str, settings: Option<&[u8]>| {
        let component = wat::parse_str(text).unwrap();
        componentize(&component, MANIFEST, settings).map(|bytes| Pack::from_bytes(bytes).unwrap())
    };
    let foreign = r#"(component (import "wasi:cli/environment@0.2.6" (instance)) (import "shunt:rule/log@0.1.0" (instance)))"#;
    let error = made(foreign, None).unwrap_err().to_string();
    assert!(error.contains("does not offer: wasi:cli/environment@0.2.6; "), "{error}");
    let error = made("(component)", None).unwrap_err().to_string();
    assert!(error.contains("exports no hook") && error.contains("on-request"), "{error}");

    let old = format!(
        r#"(component {HOOK} (@custom "shunt:pack" "of an earlier build") (@custom "producers" "x"))"#
    );
    let pack = made(&old, Some(br#"{"fields":[]}"#)).unwrap();
    assert_eq!(pack.manifest().name, "t");
    assert!(pack.schema().is_some());
    assert_eq!(pack.exports(), ["shunt:rule/on-done@0.1.0"]);
    // Built of itself it is the same.
    assert_eq!(componentize(pack.bytes(), MANIFEST, None).unwrap(), pack.bytes());
}

#[test]
fn what_another_tool_wrote_is_told_when_it_is_no_webassembly() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pack.toml"), MANIFEST).unwrap();
    let component = folder.path().join("rule.js");
    fs::write(&component, "export const onRequest = 1").unwrap();
    let options = BuildOptions { component: Some(component), ..BuildOptions::default() };
    let error = build(folder.path(), &options).unwrap_err().to_string();
    assert!(error.contains("rule.js is no WebAssembly"), "{error}");
}

#[test]
fn only_interfaces_of_the_contract_are_ours() {
    assert!(is_ours("shunt:rule/http@0.1.0"));
    assert!(!is_ours("shunt:rule/files@0.1.0"));
    assert!(!is_ours("shunt:rules/http@0.1.0"));
    assert!(!is_ours("env"));
}
