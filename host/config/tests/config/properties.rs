//! No text makes the reader panic, or its report.

use std::fs;

use proptest::prelude::*;
use shunt_config::Document;

/// Reads a text, and shows what is wrong with it in every way.
fn read(text: &[u8]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shunt.toml");
    fs::write(&path, text).unwrap();
    match Document::read(&path) {
        Ok(_) => true,
        Err(report) => {
            assert!(!report.problems().is_empty());
            assert!(!report.render(false).is_empty() && !report.render(true).is_empty());
            false
        }
    }
}

fn everything() -> String {
    fs::read_to_string("tests/config/accept/everything.toml").unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read(&bytes);
    }

    #[test]
    fn any_text(text in any::<String>()) {
        read(text.as_bytes());
    }

    /// Text made of what TOML is made of.
    #[test]
    fn nearly_toml(pieces in proptest::collection::vec(
        proptest::sample::select(vec![
            "[[virtual]]", "[pool]", "[[virtual.rule]]", "[", "]", "{", "}", "=", ",", ".", "\n", "\r\n", "\r", " ", "#",
            "\"", "'", "\"\"\"", "name", "listen", "tls", "settings", "slots", "members", "monitor", "rule", "virtual",
            "pool", "0", "-1", "1e9", "nan", "true", "2026-01-01", "\"web\"", "\"5s\"", "é", "\u{feff}", "\0", "\\u0000",
        ]),
        0..60,
    )) {
        read(pieces.concat().as_bytes());
    }

    /// A right configuration in which a part was replaced.
    #[test]
    fn nearly_right(at in any::<prop::sample::Index>(), length in 0..40usize, put in "[\\[\\]{}=\",.a-z0-9é \n-]{0,8}") {
        let text: Vec<char> = everything().chars().collect();
        let start = at.index(text.len());
        let end = (start + length).min(text.len());
        let edited: String = text[..start].iter().copied().chain(put.chars()).chain(text[end..].iter().copied()).collect();
        read(edited.as_bytes());
    }

    /// A configuration that lost its end.
    #[test]
    fn cut_off(at in any::<prop::sample::Index>()) {
        let text = everything();
        let cut = at.index(text.len());
        if let Some(text) = text.get(..cut) {
            read(text.as_bytes());
        }
    }
}

#[test]
fn great_depth_is_refused_and_does_no_harm() {
    for open in ["[", "{ a = ", "a."] {
        let text = format!("[[virtual]]\n[[virtual.rule]]\nsettings.x = {}", open.repeat(100_000));
        assert!(!read(text.as_bytes()));
    }
}

#[test]
fn many_mistakes_are_told_in_time() {
    let mistakes: String = (0..2_000).map(|number| format!("key-{number} = 1\n")).collect();
    assert!(!read(mistakes.as_bytes()));
}

#[test]
fn line_ends_and_byte_order_marks_of_other_systems_are_fine() {
    let text = everything().replace('\n', "\r\n");
    assert!(read(format!("\u{feff}{text}").as_bytes()));
}
