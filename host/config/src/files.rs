//! Whether the files that a configuration names are there.

use std::fs::{self, File};
use std::io;

use super::report::{Cause, Refusal};
use super::source::unreadable;
use super::suggest::{has_tilde, not_expanded, variable};
use super::walk::NamedFile;

/// `None`: it is there, and can be opened.
pub(super) fn check(named: &NamedFile) -> Option<Refusal> {
    let path = &named.path;
    let opened = || -> io::Result<bool> {
        let is_folder = fs::metadata(path)?.is_dir();
        if is_folder { fs::read_dir(path).map(|_| true) } else { File::open(path).map(|_| false) }
    };
    match opened() {
        Ok(true) if !named.may_be_folder => {
            let message = format!("`{}` is a folder", path.display());
            Some(Refusal::new(Cause::Refused, message).help("name the file in it"))
        }
        Ok(_) => None,
        Err(error) => {
            let refusal = unreadable(path, &error);
            let shown = path.display().to_string();
            Some(match variable(&shown) {
                Some(variable) => refusal.help(not_expanded(variable)),
                None if has_tilde(path) => refusal.help("`~` is not expanded: write the path of the folder"),
                None => refusal,
            })
        }
    }
}
