//! With the tool of others for components in registries: `cargo xtask test members`.

use std::path::{Path, PathBuf};
use std::process::Command;

use shunt_tests::registry::{Registry, digest};
use shunt_tests::{packs, program};

use super::Team;

fn wkg() -> Option<PathBuf> {
    program::other(&["wkg"], "`cargo install wkg`")
}

#[test]
#[ignore = "pushes and pulls by wkg: cargo xtask test members"]
fn wkg_and_shunt_read_what_the_other_pushed() {
    let (Some(wkg), Some(registry)) = (wkg(), Registry::start()) else { return };
    let team = Team::new();
    let name = registry.name();
    let oci = |words: &[&str]| {
        let mut command = Command::new(&wkg);
        command.args(["oci", words[0], "--insecure", &name]).args(&words[1..]).current_dir(team.path());
        program::ended(&mut command).good()
    };
    let component = |file: &str| {
        let shown = team.pack(&["inspect", file, "-o", "json"]).json();
        shown["component"]["digest"].as_str().unwrap().to_owned()
    };
    let pulled = |file: &str| digest(&std::fs::read(team.path().join(file)).unwrap());

    let at = format!("{name}/team/headers");
    team.plain(&registry, &["push", team.file(), &at]).good();
    oci(&["pull", &format!("{at}:1.0.0"), "-o", "headers.wasm"]);
    assert_eq!(pulled("headers.wasm"), component(team.file()));

    // A component alone is nothing that a pack's signature covers: it comes as a file, and becomes a pack.
    let alone = format!("{name}/others/headers:1.0.0");
    oci(&["push", &alone, "headers.wasm"]);
    let text = team.plain(&registry, &["pull", &alone]).refused(1);
    assert!(text.contains("it is a component without a pack"), "{text}");
    oci(&["pull", &alone, "-o", "again.wasm"]);
    assert_eq!(component("again.wasm"), component(team.file()));
}

#[test]
#[ignore = "builds by wkg: cargo xtask test members"]
fn wkg_reads_the_contract() {
    let Some(wkg) = wkg() else { return };
    let folder = shunt_tests::daemon::Folder::new();
    let mut command = Command::new(wkg);
    command.args(["wit", "build", "-o", "rule.wasm", "-d"]).arg(packs::root().join("wit"));
    program::ended(command.current_dir(folder.path())).good();
    assert!(Path::new(&folder.path().join("rule.wasm")).is_file());
}
