//! Files that are damaged or no files, and references where a path was expected.

use std::path::{Path, PathBuf};
use std::process::Command;

use shunt_tests::daemon::Folder;
use shunt_tests::{program, site};

const CONFIG: &str = "\
[[virtual]]
name = \"shop\"
listen = \"127.0.0.1:8080\"
protocol = \"http\"
pool = \"web\"

[[pool]]
name = \"web\"
members = [{ address = \"10.0.0.1:80\" }]
";

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
        folder.configure(&format!("{CONFIG}\n{more}"));
        says(&["check", text(&folder.config())], &format!("`{fifo}` is a FIFO"));
    }
}
