//! What is not TOML: the parser's errors, said with what to do.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::Error;

use super::report::{Cause, Refusal};
use super::source::Source;
use super::suggest::quoted;
use super::walk::Walk;

/// The first error of each line.
pub(super) fn refuse(source: &Source, errors: &[Error], walk: &mut Walk) {
    /// After so many lines it is another kind of file.
    const SHOWN: usize = 10;
    let text = source.text.as_str();
    let mut lines = BTreeSet::new();
    for error in errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        if lines.len() == SHOWN || !lines.insert(source.line_of(span.start)) {
            continue;
        }
        let refusal = refusal(text, span.clone(), error.message());
        let place = walk.place(span);
        walk.refuse(&place, None, refusal);
    }
}

fn refusal(text: &str, span: Range<usize>, message: &str) -> Refusal {
    if message == "duplicate key" {
        let message = format!("{} is there twice", quoted(text.get(span).unwrap_or_default()));
        return Refusal::new(Cause::Duplicate, message).help("keep one of them");
    }
    match unquoted(text, span.start) {
        // The parser tells what kind of number it took the text for, which helps nobody.
        Some((key, value)) => Refusal::new(Cause::Syntax, format!("{} is not a TOML value", quoted(value)))
            .help(format!("text stands in quotes: `{key} = {value:?}`")),
        None => Refusal::new(Cause::Syntax, message.trim_end_matches(", expected nothing")),
    }
}

/// Key and value of a line such as `listen = 0.0.0.0:80`, where quotes are all that it lacks.
fn unquoted(text: &str, byte: usize) -> Option<(&str, &str)> {
    let (before, _) = text.split_at_checked(byte)?;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let (key, value) = text[start..].lines().next()?.split_once('=')?;
    let value = value.split(" #").next()?.trim();
    let key = key.trim();
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let plain = |letter: char| !letter.is_control() && !"\"'[]{}=,#`\\".contains(letter);
    let lacks_quotes =
        !key.is_empty() && key.bytes().all(bare) && !value.is_empty() && value.chars().all(plain);
    // With the quotes it must be the value that the key's line was broken by.
    (lacks_quotes && byte > start + key.len()).then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_missed_where_only_they_lack() {
        let text = "a = 1\nlisten = 0.0.0.0:80 # all\nb = [x]\nlast = web";
        assert_eq!(unquoted(text, text.find("0.0.0").unwrap()), Some(("listen", "0.0.0.0:80")));
        assert_eq!(unquoted(text, text.len()), Some(("last", "web")));
        assert_eq!(unquoted(text, text.find('x').unwrap()), None);
        assert_eq!(unquoted("= 5", 0), None);
        assert_eq!(unquoted("", 0), None);
    }
}
