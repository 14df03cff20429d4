//! The slots that the sources of a rule name, against those that its pack declares.
//!
//! Found by reading: a slot is mostly a literal, `to_pool("canary")`. What is no literal is told, for only a case that
//! reaches it, or a client, would find out.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::BuildError;
use crate::Slot;
use crate::suggest::nearest;

/// A place in the sources, relative to the pack: `src/lib.rs:14`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub line: usize,
}

/// A slot that `pack.toml` does not declare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeclared {
    pub place: Place,
    pub slot: String,
    /// What was probably meant.
    pub nearest: Option<String>,
}

/// Reads the sources of the pack in `folder`; gives the places where a slot is no literal.
///
/// # Errors
/// [`BuildError::Slots`] with every literal that is not among `slots`; [`BuildError::Io`].
pub(super) fn check(folder: &Path, slots: &BTreeMap<String, Slot>) -> Result<Vec<Place>, BuildError> {
    let mut named = Vec::new();
    let mut folders = vec![folder.join("src")];
    while let Some(next) = folders.pop() {
        // A crate may keep its sources elsewhere; then cargo alone judges them.
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path)
                    .map_err(|source| BuildError::Io { path: path.clone(), source })?;
                let file = path.strip_prefix(folder).unwrap_or(&path);
                // What is no Rust is the compiler's to refuse.
                if let Ok(tokens) = text.parse::<TokenStream>() {
                    named.extend(
                        names(tokens)
                            .into_iter()
                            .map(|(slot, line)| (slot, Place { file: file.to_owned(), line })),
                    );
                }
            }
        }
    }
    named.sort_by(|(_, a), (_, b)| (&a.file, a.line).cmp(&(&b.file, b.line)));
    let mut undeclared = Vec::new();
    let mut open = Vec::new();
    for (slot, place) in named {
        match slot {
            Some(slot) if slots.contains_key(&slot) => {}
            Some(slot) => {
                let nearest = nearest(&slot, slots.keys().map(String::as_str)).map(str::to_owned);
                undeclared.push(Undeclared { place, slot, nearest });
            }
            None => open.push(place),
        }
    }
    if undeclared.is_empty() { Ok(open) } else { Err(BuildError::Slots(undeclared)) }
}

/// Every argument that is a slot, with its line; `None`: it is no literal.
fn names(tokens: TokenStream) -> Vec<(Option<String>, usize)> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else { continue };
        if group.delimiter() == Delimiter::Parenthesis && takes_slot(&tokens[..at]) {
            let mut arguments = group.stream().into_iter();
            if let Some(first) = arguments.next() {
                // An expression may begin with a literal: `"a".to_owned()`.
                let alone = arguments.next().is_none_or(|next| is_punct(&next, ','));
                let slot = if alone { literal(&first) } else { None };
                found.push((slot, first.span().start().line));
            }
        }
        found.extend(names(group.stream()));
    }
    found
}

/// Whether these tokens end with the name of a function whose first argument is a slot.
fn takes_slot(before: &[TokenTree]) -> bool {
    let Some((TokenTree::Ident(name), before)) = before.split_last() else { return false };
    let preceded = |by: &str| {
        let mut last = before.iter().rev();
        by.chars().rev().all(|c| last.next().is_some_and(|token| is_punct(token, c)))
    };
    match name.to_string().as_str() {
        // Not where a function of that name is declared.
        "to_pool" => !before.last().is_some_and(|token| is_ident(token, "fn")),
        "snat_pool" => preceded("."),
        "pool" | "members" => {
            preceded("::") && before.len() >= 3 && is_ident(&before[before.len() - 3], "lb")
        }
        _ => false,
    }
}

fn is_punct(token: &TokenTree, c: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == c)
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

/// The text of a string literal. The name of a slot needs no escapes.
fn literal(token: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = token else { return None };
    Some(literal.to_string().strip_prefix('"')?.strip_suffix('"')?.to_owned())
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl fmt::Display for Undeclared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: pack.toml declares no slot {:?}", self.place, self.slot)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean {nearest:?}?"),
            None => write!(f, "; add it to [slots]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(source: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("src/more")).unwrap();
        fs::write(folder.path().join("src/more/a.rs"), source).unwrap();
        let slot = Slot { purpose: String::new(), snat: false };
        let slots = ["primary", "canary"].map(|name| (name.to_owned(), slot.clone()));
        let open = check(folder.path(), &BTreeMap::from(slots)).map_err(|error| error.to_string())?;
        Ok(open.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn literals_that_are_declared_are_right() {
        let source = "fn f() { if x { to_pool(\"canary\").snat_pool(\"primary\") } else { shunt_sdk::to_pool(\"primary\",) } }\n\
                      // to_pool(\"none\")\nconst A: &str = \"to_pool(none)\"; fn to_pool(x: &str) {}\n\
                      fn g() { lb::members(\"canary\"); other::members(\"x\"); pool(\"x\"); a.to_pool(); }";
        assert_eq!(checked(source), Ok(vec![]));
    }

    #[test]
    fn literals_that_are_not_declared_are_refused_all_at_once() {
        let source = "fn f() {\n  to_pool(\"canry\");\n  lb::pool(\"third\");\n  v.snat_pool(\"out\")\n}";
        let error = checked(source).unwrap_err();
        for line in [
            "src/more/a.rs:2: pack.toml declares no slot \"canry\"; did you mean \"canary\"?",
            "src/more/a.rs:3: pack.toml declares no slot \"third\"; add it to [slots]",
            "src/more/a.rs:4: pack.toml declares no slot \"out\"; add it to [slots]",
        ] {
            assert!(error.contains(line), "{error}");
        }
    }

    #[test]
    fn what_is_no_literal_is_told() {
        let source =
            "fn f() {\n  to_pool(slot);\n  to_pool(&format!(\"a{}\", 1));\n  to_pool(\"canary\".trim())\n}";
        let places = ["src/more/a.rs:2", "src/more/a.rs:3", "src/more/a.rs:4"].map(str::to_owned);
        assert_eq!(checked(source), Ok(places.to_vec()));
        assert_eq!(checked("this is no ) Rust"), Ok(vec![]), "the compiler says so");
    }
}
