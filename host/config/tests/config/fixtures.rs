//! Finding the fixtures, and what is written in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The configurations of a folder: files `*.toml`, and folders of such.
pub(crate) fn fixtures(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new("tests/config").join(kind);
    let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.is_dir() || path.extension().is_some_and(|end| end == "toml")).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no fixtures", folder.display());
    paths
}

/// The keys, by their names in the reference, that a configuration has. Read by another parser
/// than our own.
pub(crate) fn written_entries(path: &Path, known: &BTreeSet<String>) -> BTreeSet<String> {
    let mut written = BTreeSet::new();
    let files = if path.is_dir() {
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
    } else {
        vec![path.to_path_buf()]
    };
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "toml")) {
        if let Ok(table) = fs::read_to_string(file).unwrap().parse::<toml::Table>() {
            collect("", &toml::Value::Table(table), known, &mut written);
        }
    }
    written
}

fn collect(path: &str, value: &toml::Value, known: &BTreeSet<String>, written: &mut BTreeSet<String>) {
    if known.contains(path) {
        written.insert(path.to_string());
    }
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(&path, value, known, written);
            }
        }
        toml::Value::Array(array) => array.iter().for_each(|value| collect(path, value, known, written)),
        _ => {}
    }
}
