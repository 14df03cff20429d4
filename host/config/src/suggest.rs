//! What somebody may have meant, and how their text is shown to them.

use std::path::Path;

pub(super) use shunt_rules::suggest::{distance, nearest};

/// Text of the operator's inside a message: in backticks, on one line, not endless, and with
/// nothing in it that a terminal would act on.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.is_empty() {
        return "`\"\"`".to_string();
    }
    let mut shown = String::new();
    for letter in text.chars().take(SHOWN) {
        // Quotes read better as they are; everything else that does not print is escaped.
        if matches!(letter, '\'' | '"' | '\\') {
            shown.push(letter);
        } else {
            shown.extend(letter.escape_debug());
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// A variable that other programs would expand: `${PORT}`, `$PORT`, `{{ port }}`.
pub(super) fn variable(text: &str) -> Option<&str> {
    let from = |open: &str, close: &str| {
        let start = text.find(open)?;
        let length = text[start..].find(close)? + close.len();
        Some(&text[start..start + length])
    };
    let plain = || {
        let start = text.find('$')?;
        let rest = &text[start + 1..];
        let length = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_').unwrap_or(rest.len());
        let begins = rest.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_');
        begins.then(|| &text[start..=start + length])
    };
    from("${", "}").or_else(|| from("{{", "}}")).or_else(plain)
}

/// What to do about a variable.
pub(super) fn not_expanded(variable: &str) -> String {
    format!(
        "variables are not expanded: write what {} stands for, or make this file from a template",
        quoted(variable)
    )
}

/// Whether a path has the sign by which a shell means the folder of a user: `~/x`, `~joe/x`.
pub(super) fn has_tilde(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"~"))
}

/// `a`, `b` or `c`.
pub(super) fn or_list<T: AsRef<str>>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        [only] => only.as_ref().to_string(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} or {}", first.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::variable;

    #[test]
    fn variables_are_found() {
        for (text, found) in [
            ("127.0.0.1:${PORT}", Some("${PORT}")),
            ("$HOST:80", Some("$HOST")),
            ("{{ .Port }}", Some("{{ .Port }}")),
            ("a$", None),
            ("5$", None),
            ("$5", None),
            ("${", None),
            ("plain", None),
        ] {
            assert_eq!(variable(text), found, "{text}");
        }
    }

    use super::*;

    #[test]
    fn quoted_text_stays_on_its_line() {
        assert_eq!(quoted("a\u{1b}[31m\nb"), "`a\\u{1b}[31m\\nb`");
        assert_eq!(quoted("größer"), "`größer`");
        assert!(quoted(&"x".repeat(1000)).chars().count() < 70);
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(or_list(&["a"]), "a");
        assert_eq!(or_list(&["a", "b", "c"]), "a, b or c");
    }
}
