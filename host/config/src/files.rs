//! Whether the files that a configuration names are there.

use std::fs::{self, File};
use std::io;

use shunt_rules::plain_file;

use super::report::{Cause, Refusal};
use super::source::unreadable;
use super::suggest::{has_tilde, not_expanded, variable};
use super::walk::NamedFile;

/// `None`: it is there, and can be opened.
pub(super) fn check(named: &NamedFile) -> Option<Refusal> {
    let path = &named.path;
    let opened = || -> io::Result<Option<&'static str>> {
        let kind = fs::metadata(path)?.file_type();
        match plain_file::other(kind) {
            Some(_) if kind.is_dir() && named.may_be_folder => fs::read_dir(path).map(|_| None),
            Some(other) => Ok(Some(other)),
            None => File::open(path).map(|_| None),
        }
    };
    match opened() {
        Ok(Some(other)) => {
            let message = format!("`{}` is {other}", path.display());
            let help = if path.is_dir() { "name the file in it" } else { "name a plain file" };
            Some(Refusal::new(Cause::Refused, message).help(help))
        }
        Ok(None) => None,
        Err(error) => {
            let refusal = unreadable(path, &error);
            let shown = path.display().to_string();
            let is_missing = error.kind() == io::ErrorKind::NotFound;
            if let Some(help) = named.help_if_missing.as_ref().filter(|_| is_missing) {
                return Some(refusal.help(help));
            }
            Some(match variable(&shown) {
                Some(variable) => refusal.help(not_expanded(variable)),
                None if has_tilde(path) => refusal.help("`~` is not expanded: write the path of the folder"),
                None => refusal,
            })
        }
    }
}
