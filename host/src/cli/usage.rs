//! Wrong usage, told to programs.

use std::ffi::OsString;

use clap::Error;
use clap::error::ErrorKind;

use super::failure::{Exit, Failure};

/// Whether arguments that cannot be read as a whole ask for JSON.
pub(super) fn asks_for_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let words: Vec<String> =
        arguments.map(|it| it.to_string_lossy().into_owned()).take_while(|it| it != "--").collect();
    let apart =
        words.windows(2).any(|pair| matches!(pair[0].as_str(), "-o" | "--output") && pair[1] == "json");
    apart || words.iter().any(|it| matches!(it.as_str(), "-ojson" | "-o=json" | "--output=json"))
}

/// What clap says, in the shape of every other refusal.
pub(super) fn failure(error: &Error) -> Failure {
    let text = error.render().to_string();
    let text = text.trim();
    // What clap shows without a command is what to do.
    let no_command = [ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand, ErrorKind::MissingSubcommand];
    if no_command.contains(&error.kind()) {
        return Failure::new(Exit::Usage, "usage", "a command is missing").help(text);
    }
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let (message, help) = text.split_once("\n\n").unwrap_or((text, ""));
    let failure = Failure::new(Exit::Usage, "usage", message);
    if help.is_empty() { failure } else { failure.help(help.trim()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_asked_for_in_many_ways() {
        let asks = |words: &str| asks_for_json(words.split(' ').map(OsString::from));
        for words in [
            "shunt -o json x",
            "shunt x --output json",
            "shunt -ojson",
            "shunt --output=json",
            "shunt -o=json",
        ] {
            assert!(asks(words), "{words}");
        }
        for words in ["shunt json", "shunt -o text", "shunt -o", "shunt x -- -o json"] {
            assert!(!asks(words), "{words}");
        }
    }
}
