//! Texts that the program prints, compared with those that are stored in `tests/stored`.
//! `SHUNT_BLESS=1` stores them again.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

use std::path::PathBuf;

/// Compares a text with `tests/stored/NAME`. What differs from run to run (paths, addresses) is given
/// with the name that stands for it.
///
/// # Panics
/// It differs.
#[track_caller]
pub fn compare(name: &str, text: &str, names: &[(&str, &str)]) {
    same(name, &named(text, names));
}

/// As `compare`, for texts with tables: the room in them, which depends on what was replaced, does not
/// count.
///
/// # Panics
/// It differs.
#[track_caller]
pub fn compare_tables(name: &str, text: &str, names: &[(&str, &str)]) {
    same(name, &named(text, names).lines().map(even).collect::<String>());
}

fn named(text: &str, names: &[(&str, &str)]) -> String {
    names.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[track_caller]
fn same(name: &str, text: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "stored", name].iter().collect();
    if std::env::var_os("SHUNT_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder that can be made");
        std::fs::write(&path, text).expect("a file that can be written");
        return;
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "{} has\n{stored}\nand now it is\n{text}", path.display());
}

/// Runs of three and more spaces within a line, as tables have them, made two.
fn even(line: &str) -> String {
    let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
    let mut text = indent.to_owned();
    let mut spaces = 0;
    for letter in rest.trim_end().chars() {
        spaces = if letter == ' ' { spaces + 1 } else { 0 };
        if spaces <= 2 {
            text.push(letter);
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn room_in_tables_does_not_count() {
        assert_eq!(super::even("A      B  c d "), "A  B  c d\n");
        assert_eq!(super::even("    indented"), "    indented\n");
    }
}
