//! `cargo xtask docs`: the book, checked against the product.
//!
//! Five things make a book wrong: a link to nowhere, a page that nothing leads to, a table that was
//! true once, an example that the product refuses, and commands that fail as they are printed. All five are tests.

mod generated;
mod run;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packs;
use crate::terminal::Terminal;
use crate::test::{Counts, Failure};
use crate::tools::{self, installed, root};

/// Files that come from the product, each by what the product calls it: the schema by which editors complete and
/// check configurations, and what describes the admin API to generators of clients.
const FILES: [(&str, &str); 2] =
    [("host/docs/shunt.schema.json", "schema"), ("host/docs/shunt.openapi.json", "openapi")];

const OLD: &str = "what is generated is old; run `cargo xtask docs --write`";

/// What to do with the parts that come from the product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generated {
    Check,
    Write,
}

pub(crate) fn run(terminal: &Terminal, generated: Generated) -> Result<()> {
    tools::prepare(terminal)?;
    let shunt = tools::build_shunt(tools::Profile::Dev)?;
    terminal.stage("The book");
    if generated == Generated::Write {
        let write = |path: &Path, text: String| {
            terminal.done(format_args!("wrote {}", shown(path)));
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        for page in pages()? {
            if let Some(new) = generated::renew(&read(&page)?, &shunt)? {
                write(&page, new)?;
            }
        }
        for (file, name) in FILES {
            write(&root().join(file), generated::reference(name)?)?;
        }
    }
    let counts = check(terminal, &shunt, &mut Vec::new())?;
    if counts.failed > 0 {
        bail!("the book is not right");
    }
    if installed("mdbook") {
        tools::run(Command::new("mdbook").arg("build").current_dir(root().join("host/docs")))?;
    } else {
        terminal.line("to read it in a browser: `cargo install mdbook`, then this again");
    }
    Ok(())
}

/// Checks every page; each page and each example counts as a test.
pub(crate) fn check(terminal: &Terminal, shunt: &Path, failures: &mut Vec<Failure>) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut skipped = 0;
    let mut count = |what: String, wrong: Vec<String>| {
        if wrong.is_empty() {
            counts.passed += 1;
        } else {
            counts.failed += 1;
            terminal.line(format_args!("{} {what}", terminal.bad("✗")));
            wrong.iter().for_each(|wrong| terminal.line(format_args!("  {wrong}")));
            failures.push(Failure { name: what, reason: wrong });
        }
    };
    let docs = root().join("host/docs");
    let contents = read(&docs.join("src/SUMMARY.md"))? + &read(&docs.join("src/decisions.md"))?;
    for page in pages()? {
        let text = read(&page)?;
        let mut wrong = dead_links(&page, &text);
        let name = page.file_name().unwrap_or_default().to_string_lossy();
        if !contents.contains(&*name) && name != "README.md" && name != "SUMMARY.md" {
            wrong.push("neither SUMMARY.md nor decisions.md leads to it".to_owned());
        }
        if generated::renew(&text, shunt)?.is_some() {
            wrong.push(OLD.to_owned());
        }
        count(shown(&page), wrong);
        for (line, example) in configurations(&text) {
            count(format!("{}:{line}", shown(&page)), refused(shunt, &example)?);
        }
        if let Some(script) = run::script(&text) {
            let what = format!("{}, run as printed", shown(&page));
            match run::lacking(&script) {
                Some(program) if !may_lack_nothing() => {
                    terminal
                        .line(terminal.faint(format_args!("skipped: {what}: {program} is not installed")));
                    skipped += 1;
                }
                _ => count(what, run::run(&script, shunt)?),
            }
        }
    }
    for (file, name) in FILES {
        let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
        let old = (text != generated::reference(name)?).then(|| OLD.to_owned());
        count(file.to_owned(), old.into_iter().collect());
    }
    counts.skipped = skipped;
    if counts.failed == 0 {
        terminal.done(format_args!("{} pages, examples and generated files are right", counts.passed));
    }
    Ok(counts)
}

/// Where no test may be skipped, as in `.ci/run`.
fn may_lack_nothing() -> bool {
    std::env::var_os("SHUNT_REQUIRE_ROOT").is_some_and(|it| it == "1")
}

/// Every page of the book and the README, sorted.
fn pages() -> Result<Vec<PathBuf>> {
    let mut pages = vec![root().join("README.md")];
    let mut folders = vec![root().join("host/docs")];
    while let Some(folder) = folders.pop() {
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "book") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    Ok(pages)
}

/// Links to files that are not there. Links to the web are not followed.
fn dead_links(page: &Path, text: &str) -> Vec<String> {
    let folder = page.parent().unwrap_or(page);
    let mut dead = Vec::new();
    for rest in prose(text).split("](").skip(1) {
        let link = rest.split([')', ' ', '#']).next().unwrap_or_default();
        if !link.is_empty() && !link.contains("://") && !folder.join(link).exists() {
            dead.push(format!("the link to `{link}` leads nowhere"));
        }
    }
    dead
}

/// The text without its code blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The blocks marked `toml,config`, which are whole configurations, with the lines where they begin.
fn configurations(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if line.trim_end() == "```toml,config" {
            let block: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            found.push((at + 1, block.join("\n")));
        }
    }
    found
}

/// What `shunt check` says against a configuration. The example packs lie beside it.
fn refused(shunt: &Path, configuration: &str) -> Result<Vec<String>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    for pack in packs::folders()? {
        std::os::unix::fs::symlink(&pack, folder.path().join(packs::name(&pack)))?;
    }
    let file = folder.path().join("shunt.toml");
    std::fs::write(&file, configuration)?;
    let output = Command::new(shunt).arg("check").arg(&file).output().context("cannot start shunt")?;
    if output.status.success() {
        return Ok(Vec::new());
    }
    Ok(String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_outside_of_code() {
        let here = root().join("host/xtask/README.md");
        let text = "[a](Cargo.toml) [b](src/main.rs#x) [c](gone.md) [d](https://example.org)\n```\n[e](no.md)\n```\n";
        assert_eq!(dead_links(&here, text), ["the link to `gone.md` leads nowhere"]);
    }

    #[test]
    fn whole_configurations_are_found() {
        let text = "a\n```toml\nx = 1\n```\n```toml,config\ny = 1\nz = 2\n```\nb\n";
        assert_eq!(configurations(text), [(5, "y = 1\nz = 2".to_owned())]);
    }
}
