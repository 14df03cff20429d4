//! A program must succeed.

use std::path::PathBuf;

use shunt_engine::datapath::Transport;

use super::Kind;
use crate::containers::list;
use crate::report::{Cause, Refusal};
use crate::shape::text_up_to;
use crate::walk::Table;

/// `exec = ["/usr/local/lib/check", "--deep"]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// Absolute.
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

impl Kind for Exec {
    const KEY: &'static str = "exec";
    const HAS_PORT: bool = false;

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let words = table.optional(
            Self::KEY,
            "A program, by its absolute path, and its arguments: it must exit with 0. No shell is between.",
            list(text_up_to::<4096>()),
        )?;
        let (program, arguments) = words.split_first()?;
        let program = PathBuf::from(program);
        if !program.is_absolute() || words.iter().any(|word| word.contains('\0')) {
            let message = format!("`{}` is not the absolute path of a program", program.display());
            let help = "write its whole path, and each argument as an element of its own";
            table.refuse(Self::KEY, Refusal::new(Cause::BadValue, message).help(help));
        }
        Some(Exec { program, arguments: arguments.to_vec() })
    }

    fn passes(_: Transport) -> bool {
        false
    }
}
