//! The table of permissions in README.md, compared with what the manifests say. Only tests use it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::tools::{cargo, root};

/// Crates of a folder that the table has in one row.
const PACKS: &str = "rules-examples";

/// Folder, and the crates of Shunt that it uses, by their short names.
type House = BTreeMap<String, BTreeSet<String>>;

/// What README.md promises.
fn promised() -> House {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let house = text.split("\n## ").find(|section| section.starts_with("The house\n")).unwrap();
    let rows = house.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [folder, _, _, _, uses] = cells[..] else { panic!("not five cells: {line}") };
        let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(String::from).collect::<Vec<_>>();
        (quoted(folder).remove(0), quoted(uses).into_iter().collect())
    };
    rows.map(row).collect()
}

/// What a manifest depends on, for tests too: they may not reach further, but to the lab.
fn found() -> House {
    let mut house = House::new();
    for manifest in ["Cargo.toml", "host/bpf/Cargo.toml"] {
        let output = cargo()
            .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path", manifest])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        for package in metadata["packages"].as_array().unwrap() {
            let path = package["manifest_path"].as_str().unwrap();
            let folder = path.trim_end_matches("/Cargo.toml").trim_start_matches(root().to_str().unwrap());
            let folder = folder.trim_start_matches('/');
            let folder = if folder.starts_with(PACKS) { PACKS } else { folder };
            let uses = package["dependencies"].as_array().unwrap().iter().filter(|it| !it["path"].is_null());
            let uses = uses.filter(|it| it["kind"] != "dev" || it["name"] != "shunt-lab");
            let short = |it: &Value| it["name"].as_str().unwrap().trim_start_matches("shunt-").to_owned();
            house.entry(folder.to_owned()).or_default().extend(uses.map(short));
        }
    }
    house
}

#[test]
fn crates_use_what_the_readme_lets_them_use() {
    let (promised, found) = (promised(), found());
    for (folder, uses) in &found {
        // Macros have no room of their own: they are the SDK's.
        if folder == "sdk/macros" {
            assert!(uses.is_empty(), "{folder} uses {uses:?}");
            continue;
        }
        let row = promised.get(folder).unwrap_or_else(|| panic!("README.md has no row for {folder}"));
        assert_eq!(row, uses, "what README.md says of {folder} (left) is not what its manifest says (right)");
    }
    let rooms = promised.keys().filter(|folder| !found.contains_key(*folder));
    // Scripts and the contract are no crates.
    assert_eq!(rooms.collect::<Vec<_>>(), ["findings", "wit"]);
}
