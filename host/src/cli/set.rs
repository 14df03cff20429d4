//! `shunt set list|show|load|test`

use std::path::Path;

use http::Method;
use shunt_api::sets::{SetMatch, SetStatus, Sets};
use shunt_rules::sets::SetLines;

use super::args::{SetCommand, SetName};
use super::client::{Body, Client};
use super::failure::Failure;
use super::format;
use super::screen::{Paint, Screen};
use super::table::{Align, Table};

/// Does what is asked for.
///
/// # Errors
/// No daemon answers, it does not have what is asked for, or a file cannot be read.
pub(super) fn run(command: SetCommand, client: &Client, screen: &Screen) -> Result<(), Failure> {
    match command {
        SetCommand::List => {
            let answer = client.get("sets")?;
            let sets: Sets = client.read(&answer)?;
            screen.show(&answer, |paint| listed(&sets.sets, paint));
        }
        SetCommand::Show { set } => {
            let answer = client.ask(Method::GET, &path(&set), Body::None)?;
            let status: SetStatus = client.read(&answer)?;
            screen.show(&answer, |_| shown(&status));
        }
        SetCommand::Load { set, file } => load(&set, &file, client, screen)?,
        SetCommand::Test { set, text } => {
            let mut path = path(&set).to_vec();
            path.push("match");
            let answer = client.search(&path, &[("text", text.clone())])?;
            let found: SetMatch = client.read(&answer)?;
            let Some(matched) = found.matched else {
                let SetName { rule, name } = set;
                return Err(Failure::failed(
                    "no-match",
                    format!("nothing in the set {name} of {rule} matches {text}"),
                ));
            };
            screen.show(&answer, |_| match found.value.as_str() {
                "" => format!("{matched}\n"),
                value => format!("{matched} {value}\n"),
            });
        }
    }
    Ok(())
}

fn path(SetName { rule, name }: &SetName) -> [&str; 5] {
    ["rules", &rule.virtual_name, &rule.rule, "sets", name]
}

fn load(set: &SetName, file: &Path, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let lines = SetLines::of_file(file).map_err(|error| {
        Failure::failed("set", error).help("name a file with a line for each entry of the set")
    })?;
    let query = [("source", lines.source)];
    let answer = client.put(&path(set), &query, Body::Lines(lines.bytes))?;
    let status: SetStatus = client.read(&answer)?;
    screen.show(&answer, |_| {
        let SetStatus { rule, name, entries, bytes, .. } = &status;
        format!("the set {name} of {rule} has {entries} entries now, in {}\n", format::bytes(*bytes))
    });
    Ok(())
}

fn listed(sets: &[SetStatus], paint: Paint) -> String {
    use Align::{Left, Right};
    if sets.is_empty() {
        return "no sets\n".to_owned();
    }
    let columns = [
        ("RULE", Left),
        ("SET", Left),
        ("KIND", Left),
        ("ENTRIES", Right),
        ("MEMORY", Right),
        ("FROM", Left),
    ];
    let mut table = Table::new(columns);
    for it in sets {
        table.row([
            (&it.rule).into(),
            (&it.name).into(),
            (&it.kind).into(),
            it.entries.to_string().into(),
            format::bytes(it.bytes).into(),
            from(it).into(),
        ]);
    }
    table.render(paint)
}

fn from(set: &SetStatus) -> String {
    if set.loaded { format!("{} (loaded)", set.source) } else { set.source.clone() }
}

fn shown(set: &SetStatus) -> String {
    let SetStatus { rule, name, kind, purpose, entries, bytes, digest, .. } = set;
    let memory = format::bytes(*bytes);
    format!(
        "{name} of {rule}: {purpose}\n  kind     {kind}\n  entries  {entries}\n  memory   {memory}\n  \
         from     {}\n  sha256   {digest}\n",
        from(set)
    )
}
