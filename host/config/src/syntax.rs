//! What is not TOML: the parser's errors, said with what to do.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::Error;

use super::report::{Cause, Refusal};
use super::source::{Place, Source};
use super::suggest::{not_expanded, quoted, variable};
use super::walk::Walk;

/// The first error of each line.
pub(super) fn refuse(source: &Source, errors: &[Error], walk: &mut Walk) {
    /// After so many lines it is another kind of file.
    const SHOWN: usize = 10;
    let text = source.text.as_str();
    let mut lines = BTreeSet::new();
    // Tables that are there twice, each from its line on: what their keys are is not said again.
    let mut twice = Vec::new();
    for error in errors {
        let span = error
            .span()
            .map_or(text.len()..text.len(), |span| walk.original(span.start)..walk.original(span.end));
        let line = source.line_of(span.start);
        if lines.len() == SHOWN || lines.contains(&line) {
            continue;
        }
        if error.message() == DUPLICATE {
            let begins = (0..=line).rev().find(|line| header_of(source, *line).is_some()).unwrap_or(0);
            if twice.contains(&begins) {
                continue;
            }
            if begins == line {
                twice.push(line);
            }
        }
        lines.insert(line);
        let refusal = refusal(text, span.clone(), error.message());
        let place = Place { source: walk.source, span: Some(span) };
        walk.refuse(&place, None, refusal);
    }
}

/// What the parser says of a key or a table that is there already.
const DUPLICATE: &str = "duplicate key";

/// The text of a line that begins a table.
fn header_of(source: &Source, line: usize) -> Option<&str> {
    let text = source.text.get(source.start_of(line)..source.start_of(line + 1))?;
    Some(text.trim()).filter(|text| text.starts_with('['))
}

fn refusal(text: &str, span: Range<usize>, message: &str) -> Refusal {
    if message == DUPLICATE {
        let line_start = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let is_table = text[line_start..].trim_start().starts_with('[');
        let message = format!("{} is written twice", quoted(text.get(span).unwrap_or_default()));
        let help = if is_table { "keep one of them, with the keys of both" } else { "keep one of them" };
        return Refusal::new(Cause::Duplicate, message).help(help);
    }
    if let Some(variable) = unquoted_variable(text, span.start) {
        let message = format!("{} is not a TOML value", quoted(variable));
        return Refusal::new(Cause::Syntax, message).help(not_expanded(variable));
    }
    match unquoted(text, span.start) {
        // The parser tells what kind of number it took the text for, which helps nobody.
        Some((key, value)) => Refusal::new(Cause::Syntax, format!("{} is not a TOML value", quoted(value)))
            .help(format!("write text in quotes: `{key} = {value:?}`")),
        None => Refusal::new(Cause::Syntax, message.trim_end_matches(", expected nothing")),
    }
}

/// The variable that stands in the place of a value.
fn unquoted_variable(text: &str, byte: usize) -> Option<&str> {
    let (before, _) = text.split_at_checked(byte)?;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let (_, value) = text[start..].lines().next()?.split_once('=')?;
    let value = value.trim_start();
    variable(value).filter(|variable| value.starts_with(variable))
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
