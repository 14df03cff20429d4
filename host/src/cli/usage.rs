//! Wrong usage, in the shape of every other refusal: what is wrong, and one sentence that says what to do.

use std::error::Error as _;
use std::ffi::OsString;

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::failure::{Exit, Failure};

/// Whether arguments that cannot be read as a whole ask for JSON.
pub(super) fn asks_for_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let words: Vec<String> =
        arguments.map(|it| it.to_string_lossy().into_owned()).take_while(|it| it != "--").collect();
    let apart =
        words.windows(2).any(|pair| matches!(pair[0].as_str(), "-o" | "--output") && pair[1] == "json");
    apart || words.iter().any(|it| matches!(it.as_str(), "-ojson" | "-o=json" | "--output=json"))
}

/// An error of clap's as a refusal.
pub(super) fn failure(error: &Error) -> Failure {
    let text = error.render().to_string();
    let usage =
        text.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or("shunt [OPTIONS] <COMMAND>");
    let command = usage.split([' ', '\n']).take_while(|word| !word.starts_with(['[', '<']));
    let command = command.collect::<Vec<_>>().join(" ");
    let (message, help) = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            ("a command is missing".to_owned(), format!("`{command} --help` lists the commands"))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = said(error, ContextKind::InvalidArg).join(", ");
            (format!("{missing} is missing"), format!("usage: {usage}"))
        }
        ErrorKind::ValueValidation => value(error, &first_line(&text)),
        ErrorKind::InvalidValue => (first_line(&text), list(error, ContextKind::ValidValue, "write")),
        ErrorKind::InvalidSubcommand => {
            let near = list(error, ContextKind::SuggestedSubcommand, "did you mean");
            let near = Some(near).filter(|near| !near.is_empty()).map(|near| format!("{near}?"));
            (first_line(&text), near.unwrap_or_else(|| format!("`{command} --help` lists the commands")))
        }
        ErrorKind::UnknownArgument => (first_line(&text), unknown_argument(error, &command, usage)),
        _ => (first_line(&text), format!("usage: {usage}")),
    };
    Failure::new(Exit::Usage, "usage", message).help(help)
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The parsers of values say what to write, which clap appends to its own message.
fn value(error: &Error, line: &str) -> (String, String) {
    let help = error.source().map(ToString::to_string).unwrap_or_default();
    let message = line.strip_suffix(&help).map_or(line, |line| line.trim_end_matches(": "));
    (message.to_owned(), help)
}

fn unknown_argument(error: &Error, command: &str, usage: &str) -> String {
    let argument = said(error, ContextKind::InvalidArg).concat();
    if argument == "--config" && matches!(command, "shunt check" | "shunt doctor") {
        return format!("`{command}` takes the path of a configuration without an option: `{command} PATH`");
    }
    match said(error, ContextKind::SuggestedArg).as_slice() {
        [] => format!("usage: {usage}"),
        near => format!("did you mean `{}`?", near.join("`, `")),
    }
}

/// What the error says of something.
fn said(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(one)) => vec![one.clone()],
        Some(ContextValue::Strings(several)) => several.clone(),
        _ => Vec::new(),
    }
}

fn list(error: &Error, kind: ContextKind, before: &str) -> String {
    let all = said(error, kind);
    if all.is_empty() { String::new() } else { format!("{before} `{}`", all.join("` or `")) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::Arguments;

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

    #[test]
    fn wrong_usage_says_what_to_do_in_a_sentence() {
        for (words, message, help) in [
            ("shunt -o json", "a command is missing", "`shunt --help` lists the commands"),
            ("shunt rule", "a command is missing", "`shunt rule --help` lists the commands"),
            ("shunt reboot", "unrecognized subcommand 'reboot'", "`shunt --help` lists the commands"),
            ("shunt statu", "unrecognized subcommand 'statu'", "did you mean `status`?"),
            ("shunt status x", "unexpected argument 'x' found", "usage: shunt status [OPTIONS]"),
            ("shunt status --sockt x", "unexpected argument '--sockt' found", "did you mean `--socket`?"),
            (
                "shunt check --config c.toml",
                "unexpected argument '--config' found",
                "`shunt check` takes the path of a configuration without an option: `shunt check PATH`",
            ),
            (
                "shunt member drain p 127.0.0.1",
                "invalid value '127.0.0.1' for '<ADDRESS>'",
                "write an address and a port, such as 10.0.0.1:80 or [2001:db8::1]:80",
            ),
            (
                "shunt flow show x",
                "invalid value 'x' for '<ID>'",
                "write the id as `shunt flow list` shows it",
            ),
            (
                "shunt rule unload shop",
                "invalid value 'shop' for '<VIRTUAL/RULE>'",
                "write VIRTUAL/RULE, as `shunt rule list` shows it",
            ),
            ("shunt flow list --limit x", "invalid value 'x' for '--limit <LIMIT>'", "write a whole number"),
            (
                "shunt flow list --client x",
                "invalid value 'x' for '--client <ADDRESS>'",
                "write an address, such as 192.0.2.7 or 2001:db8::7",
            ),
            ("shunt status -o xml", "invalid value 'xml' for '--output <FORMAT>'", "write `text` or `json`"),
            (
                "shunt rule load shop/canary",
                "<PACK> is missing",
                "usage: shunt rule load <VIRTUAL/RULE> <PACK>",
            ),
        ] {
            let failure = failure(&Arguments::try_parse_from(words.split(' ')).unwrap_err());
            assert_eq!(failure.json["error"]["message"], message, "{words}");
            assert_eq!(failure.help.as_deref(), Some(help), "{words}");
        }
    }
}
