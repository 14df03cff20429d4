//! The parts of the book that come from the product, between `<!-- generated: NAME -->` and
//! `<!-- end -->`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tools::{self, cargo, root};

const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- end -->";

/// The page with its generated parts made again, or `None` where they are right as they are.
pub(crate) fn renew(page: &str, shunt: &Path) -> Result<Option<String>> {
    let mut new = String::with_capacity(page.len());
    let mut rest = page;
    while let Some(begin) = rest.find(BEGIN) {
        let (before, part) = rest.split_at(begin);
        let (name, body) =
            part[BEGIN.len()..].split_once(" -->\n").context("a generated part has no name")?;
        let (_, after) =
            body.split_once(END).with_context(|| format!("the generated part `{name}` has no end"))?;
        let content = match name {
            "hooks" => hooks(&read("wit/hooks.wit")?),
            "configuration" => reference("configuration")?,
            "commands" => commands(shunt)?,
            "metrics" => reference("metrics")?,
            _ => bail!("nothing generates a part `{name}`"),
        };
        write!(new, "{before}{BEGIN}{name} -->\n{content}{END}")?;
        rest = after;
    }
    new.push_str(rest);
    Ok((new != page).then_some(new))
}

/// The hooks of the contract: when each fires and which verdicts it has.
fn hooks(wit: &str) -> String {
    let mut table = String::from("| hook | when | verdicts |\n|---|---|---|\n");
    let mut interfaces = wit.split("\ninterface ");
    let mut doc = trailing_doc(interfaces.next().unwrap_or_default());
    for interface in interfaces {
        let name = interface.split(" {").next().unwrap_or_default();
        let verdicts: Vec<String> = interface
            .split_once("variant verdict {")
            .and_then(|(_, rest)| rest.split_once('}'))
            .map(|(cases, _)| {
                cases.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("///"))
            })
            .into_iter()
            .flatten()
            .map(|case| format!("`{}`", case.split(['(', ',']).next().unwrap_or(case)))
            .collect();
        let verdicts = match name {
            "on-load" => "ok, or an error text".to_owned(),
            _ if verdicts.is_empty() => "–".to_owned(),
            _ => verdicts.join(", "),
        };
        table.push_str(&format!("| `{name}` | {doc} | {verdicts} |\n"));
        doc = trailing_doc(interface);
    }
    table
}

/// The `///` lines at the very end of a text, as one line.
fn trailing_doc(text: &str) -> String {
    let lines = text.trim_end().lines().rev().map_while(|line| line.strip_prefix("///")).map(str::trim);
    let mut lines: Vec<&str> = lines.collect();
    lines.reverse();
    lines.join(" ")
}

/// Every command with its help text.
fn commands(shunt: &Path) -> Result<String> {
    let general = options(&help(shunt, &[])?).1;
    let mut text = String::new();
    let mut waiting = vec![Vec::new()];
    while let Some(words) = waiting.pop() {
        let mut help = help(shunt, &words)?;
        if !words.is_empty() {
            help = without(&help, &general);
        }
        let title =
            std::iter::once("shunt").chain(words.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        write!(text, "\n### `{title}`\n\n```text\n{}\n```\n", help.trim_end())?;
        for name in subcommands(&help).into_iter().rev() {
            waiting.push([words.as_slice(), &[name]].concat());
        }
    }
    text.push('\n');
    Ok(text)
}

fn help(shunt: &Path, words: &[String]) -> Result<String> {
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
    let text = stdout(shunt, &words)?;
    Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

/// What the product's own lists say: of keys as `configuration` and `schema`, of `metrics`, of the admin API as
/// `openapi`. It needs no place in the program that people run.
pub(crate) fn reference(name: &str) -> Result<String> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "shunt", "--example", "reference", "--", name]);
    let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("{} ended with {}", tools::shown(&command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What the program prints.
fn stdout(shunt: &Path, words: &[&str]) -> Result<String> {
    // clap breaks lines at the width of the terminal, and a page has none.
    let output =
        Command::new(shunt).args(words).env("COLUMNS", "100").output().context("cannot start shunt")?;
    if !output.status.success() {
        bail!("`shunt {}` ended with {}", words.join(" "), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A help text without the options that every command has.
fn without(help: &str, general: &[String]) -> String {
    let name = |entry: &str| entry.lines().next().unwrap_or_default().trim().to_owned();
    let general: Vec<String> = general.iter().map(|entry| name(entry)).collect();
    let (before, mut own) = options(help);
    own.retain(|entry| !general.contains(&name(entry)));
    if own.is_empty() { before } else { format!("{before}\nOptions:\n{}", own.concat()) }
}

/// What stands before `Options:` in a help text, and the options with their descriptions.
fn options(help: &str) -> (String, Vec<String>) {
    let Some((before, list)) = help.split_once("\nOptions:\n") else {
        return (help.to_owned(), Vec::new());
    };
    let mut entries: Vec<String> = Vec::new();
    for line in list.lines() {
        // Descriptions are further in than any name of an option.
        let begins = line.trim_start().starts_with('-') && line.len() - line.trim_start().len() <= 6;
        let line = format!("{line}\n");
        match entries.last_mut() {
            Some(entry) if !begins => entry.push_str(&line),
            _ => entries.push(line),
        }
    }
    (before.to_owned(), entries)
}

/// The names under `Commands:` in a help text.
fn subcommands(help: &str) -> Vec<String> {
    let lines =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| {
        let name = line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.split(' ').next()?;
        (name != "help").then(|| name.to_owned())
    });
    names.collect()
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_come_from_the_contract() {
        let wit = "/// Once.\ninterface on-load {\n  x: func();\n}\n\n/// The head\n/// is in.\ninterface on-request {\n  \
                   variant verdict {\n    /// Leave it.\n    next,\n    to(target),\n  }\n}\n\n\
                   /// The end.\ninterface on-done {\n}\n";
        assert_eq!(
            hooks(wit),
            "| hook | when | verdicts |\n|---|---|---|\n| `on-load` | Once. | ok, or an error text |\n\
             | `on-request` | The head is in. | `next`, `to` |\n| `on-done` | The end. | – |\n"
        );
    }

    #[test]
    fn subcommands_come_from_the_help() {
        let help = "Usage: shunt\n\nCommands:\n  run   Runs\n        on\n  rule  Rules\n  help  Help\n\nOptions:\n  -h\n";
        assert_eq!(subcommands(help), ["run", "rule"]);
    }

    #[test]
    fn options_of_all_commands_are_told_once() {
        let top = "Usage: x\n\nOptions:\n      --socket <PATH>\n          Where\n\n  -h, --help\n          Print help\n";
        let run = "Usage: x run\n\nOptions:\n  -c, --config <PATH>\n          A file\n\n      --socket <PATH>\n          Where\n";
        let general = options(top).1;
        assert_eq!(general.len(), 2);
        assert_eq!(
            without(run, &general),
            "Usage: x run\n\nOptions:\n  -c, --config <PATH>\n          A file\n\n"
        );
        assert_eq!(without(top, &general), "Usage: x\n");
    }

    #[test]
    fn a_page_without_parts_is_right() {
        assert!(renew("# Title\n", Path::new("none")).unwrap().is_none());
        assert!(renew("<!-- generated: what -->\n<!-- end -->", Path::new("none")).is_err());
        assert!(renew("<!-- generated: hooks -->\n", Path::new("none")).is_err());
    }

    #[test]
    fn an_old_part_is_renewed_and_a_new_one_stays() {
        let old = "a\n<!-- generated: hooks -->\nold\n<!-- end -->\nb\n";
        let new = renew(old, Path::new("none")).unwrap().unwrap();
        assert!(
            new.starts_with("a\n<!-- generated: hooks -->\n| hook") && new.ends_with("|\n<!-- end -->\nb\n")
        );
        assert!(renew(&new, Path::new("none")).unwrap().is_none());
    }
}
