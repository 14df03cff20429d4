//! Files that are damaged or no files, and references where a path was expected.

use std::path::{Path, PathBuf};
use std::process::Command;

use shunt_tests::daemon::Folder;
use shunt_tests::{program, site};

use super::check::RIGHT;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn fifo(folder: &Folder, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[track_caller]
fn says(words: &[&str], expected: &str) {
    let refused = program::run(words).refused(1);
    assert!(refused.contains(expected), "{words:?}: {expected:?} is not in {refused}");
}

#[test]
fn a_fifo_is_refused_and_not_waited_for() {
    let folder = Folder::new();
    let fifo = fifo(&folder, "fifo");
    let fifo = text(&fifo);
    let what = "it is a FIFO and not a file";
    says(&["pack", "inspect", fifo], what);
    says(&["pack", "inspect", "builtin:headers", "--key", fifo], what);
    says(&["rule", "load", "shop/main", fifo], what);
    says(&["check", fifo], what);
    let rule = site::rule("main", Path::new(fifo), "");
    let policy = format!("\n[[pack-policy]]\nmatch = \"*\"\nkeys = [{fifo:?}]\n");
    for more in [rule, policy] {
        folder.configure(&format!("{RIGHT}\n{more}"));
        says(&["check", text(&folder.config())], &format!("`{fifo}` is a FIFO"));
    }
}

#[test]
fn what_is_no_lock_file_is_to_be_moved_away() {
    for make in ["mkfifo", "mkdir"] {
        let folder = Folder::new();
        folder.configure(RIGHT);
        let (config, lock) = (folder.config(), folder.path().join("shunt.lock"));
        assert!(Command::new(make).arg(&lock).status().unwrap().success());
        let advice = format!("move it away, then pin by `shunt pack lock --config {}`", config.display());
        says(&["check", text(&config)], &advice);
        says(&["pack", "lock", "--config", text(&config)], &advice);
    }
}

#[test]
fn a_damaged_lock_is_replaced_and_kept() {
    let folder = Folder::new();
    let (config, lock) = (folder.config(), folder.path().join("shunt.lock"));
    let kept = folder.path().join("shunt.lock.damaged");
    let advice = format!("write it again by `shunt pack lock --config {}`", config.display());
    for damaged in [&b"\xff\xfe\x00"[..], &b"[[pack]]\nreference = \"registry.ex"[..]] {
        std::fs::write(&lock, damaged).unwrap();
        folder.configure(RIGHT);
        says(&["check", text(&config)], &advice);
        folder.configure("wrong = 1\n");
        says(&["pack", "lock", "--config", text(&config)], "the lock stays as it was");
        assert_eq!(std::fs::read(&lock).unwrap(), damaged);
        folder.configure(RIGHT);
        let told = program::run(&["pack", "lock", "--config", text(&config)]).good();
        let expected = format!(
            "damaged: the lock before, which is {} now; what it pinned is not known\n",
            kept.display()
        );
        assert!(told.starts_with(&expected), "{told}");
        assert_eq!(std::fs::read(&kept).unwrap(), damaged);
        program::run(&["check", text(&config)]).good();
    }
}

#[test]
fn a_reference_where_a_path_is_meant_is_told() {
    let folder = Folder::new();
    let rule = site::rule("main", Path::new("registry.example/team/steer"), "");
    folder.configure(&format!("{RIGHT}\n{rule}"));
    says(
        &["check", text(&folder.config())],
        "if it is in a registry, add a tag or a digest, as in registry.example/team/steer:1.2.0",
    );
    let reference = "registry.example/team/steer:0.2.0";
    says(
        &["rule", "load", "shop/main", reference],
        &format!("if it is in a registry, use `shunt rule load shop/main --pack {reference}`"),
    );
}
