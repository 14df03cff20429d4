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

/// A slot that `pack.toml` does not declare, or declares as one of the other kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeclared {
    pub place: Place,
    pub slot: String,
    /// It is named as a SNAT pool.
    pub snat: bool,
    /// It is declared, and as one of the other kind.
    pub other: bool,
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
                    named.extend(names(tokens).into_iter().map(|named| {
                        (named.slot, named.snat, Place { file: file.to_owned(), line: named.line })
                    }));
                }
            }
        }
    }
    named.sort_by(|(.., a), (.., b)| (&a.file, a.line).cmp(&(&b.file, b.line)));
    let mut undeclared = Vec::new();
    let mut open = Vec::new();
    for (slot, snat, place) in named {
        match slot {
            Some(slot) if slots.get(&slot).is_some_and(|declared| declared.snat == snat) => {}
            Some(slot) => {
                let others = slots.iter().filter(|(name, declared)| declared.snat == snat && **name != slot);
                let nearest = nearest(&slot, others.map(|(name, _)| name.as_str())).map(str::to_owned);
                let other = slots.contains_key(&slot);
                undeclared.push(Undeclared { place, slot, snat, other, nearest });
            }
            None => open.push(place),
        }
    }
    if undeclared.is_empty() { Ok(open) } else { Err(BuildError::Slots(undeclared)) }
}

/// An argument that is a slot.
struct Named {
    /// `None`: it is no literal.
    slot: Option<String>,
    snat: bool,
    line: usize,
}

/// Every argument that is a slot.
fn names(tokens: TokenStream) -> Vec<Named> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else { continue };
        if group.delimiter() == Delimiter::Parenthesis
            && let Some(snat) = takes_slot(&tokens[..at])
        {
            let mut arguments = group.stream().into_iter();
            if let Some(first) = arguments.next() {
                // An expression may begin with a literal: `"a".to_owned()`.
                let alone = arguments.next().is_none_or(|next| is_punct(&next, ','));
                let slot = if alone { literal(&first) } else { None };
                found.push(Named { slot, snat, line: first.span().start().line });
            }
        }
        found.extend(names(group.stream()));
    }
    found
}

/// Whether these tokens end with the name of a function whose first argument is a slot, and whether it is one of a
/// SNAT pool.
fn takes_slot(before: &[TokenTree]) -> Option<bool> {
    let Some((TokenTree::Ident(name), before)) = before.split_last() else { return None };
    let preceded = |by: &str| {
        let mut last = before.iter().rev();
        by.chars().rev().all(|c| last.next().is_some_and(|token| is_punct(token, c)))
    };
    let name = name.to_string();
    let takes = match name.as_str() {
        // Not where a function of that name is declared.
        "to_pool" => !before.last().is_some_and(|token| is_ident(token, "fn")),
        "snat_pool" => preceded("."),
        "pool" | "members" => {
            preceded("::") && before.len() >= 3 && is_ident(&before[before.len() - 3], "lb")
        }
        "lookup" | "bind" | "bind_for" | "delete" | "count" => {
            preceded("::") && before.len() >= 3 && is_ident(&before[before.len() - 3], "persist")
        }
        _ => false,
    };
    takes.then_some(name == "snat_pool")
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
        if self.other {
            let (declared, named) =
                if self.snat { ("a pool", "a SNAT pool") } else { ("a SNAT pool", "a pool") };
            return write!(
                f,
                "{}: {:?} is named as {named}, and pack.toml declares it as {declared}",
                self.place, self.slot
            );
        }
        let kind = if self.snat { "slot of a SNAT pool called" } else { "slot" };
        write!(f, "{}: pack.toml declares no {kind} {:?}", self.place, self.slot)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean {nearest:?}?"),
            None if self.snat => {
                write!(f, "; add {} = {{ snat = true, purpose = \"…\" }} to [slots]", self.slot)
            }
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
        let slots = [("primary", false), ("canary", false), ("out", true)];
        let slots = slots.map(|(name, snat)| (name.to_owned(), Slot { purpose: String::new(), snat }));
        let open = check(folder.path(), &BTreeMap::from(slots)).map_err(|error| error.to_string())?;
        Ok(open.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn literals_that_are_declared_are_right() {
        let source = "fn f() { if x { to_pool(\"canary\").snat_pool(\"out\") } else { shunt_sdk::to_pool(\"primary\",) } }\n\
                      // to_pool(\"none\")\nconst A: &str = \"to_pool(none)\"; fn to_pool(x: &str) {}\n\
                      fn g() { lb::members(\"canary\"); other::members(\"x\"); pool(\"x\"); a.to_pool(); }";
        assert_eq!(checked(source), Ok(vec![]));
    }

    #[test]
    fn literals_that_are_not_declared_are_refused_all_at_once() {
        let source = "fn f() {\n  to_pool(\"canry\");\n  lb::pool(\"third\");\n  v.snat_pool(\"leave\");\n  v.snat_pool(\"primary\");\n  to_pool(\"out\")\n}";
        let error = checked(source).unwrap_err();
        for line in [
            "src/more/a.rs:2: pack.toml declares no slot \"canry\"; did you mean \"canary\"?",
            "src/more/a.rs:3: pack.toml declares no slot \"third\"; add it to [slots]",
            "src/more/a.rs:4: pack.toml declares no slot of a SNAT pool called \"leave\"; add leave = { snat = true, \
             purpose = \"…\" } to [slots]",
            "src/more/a.rs:5: \"primary\" is named as a SNAT pool, and pack.toml declares it as a pool",
            "src/more/a.rs:6: \"out\" is named as a pool, and pack.toml declares it as a SNAT pool",
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
