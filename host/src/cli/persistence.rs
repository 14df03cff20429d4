//! `shunt persistence list|show|delete`

use http::Method;

use super::args::PersistenceCommand;
use super::client::{Body, Client};
use super::failure::Failure;
use super::format;
use super::screen::{Paint, Screen};
use super::table::{Align, Table};
use shunt_api::bindings::{BindingStatus, Bindings, DeletedBindings, LargeKey};

/// Does what is asked for.
///
/// # Errors
/// No daemon answers, or it does not have what is asked for.
pub(super) fn run(command: PersistenceCommand, client: &Client, screen: &Screen) -> Result<(), Failure> {
    match command {
        PersistenceCommand::List { pool, member, limit } => {
            let query = [("member", member.map(|it| it.to_string())), ("limit", Some(limit.to_string()))];
            let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let answer = client.search(&["pools", &pool, "bindings"], &query)?;
            let bindings: Bindings = client.read(&answer)?;
            screen.show(&answer, |paint| listed(&bindings, paint));
        }
        PersistenceCommand::Show { pool, key } => {
            let answer = client.ask(Method::GET, &["pools", &pool, "bindings", &key], Body::None)?;
            let bindings: Bindings = client.read(&answer)?;
            screen.show(&answer, |paint| listed(&bindings, paint));
        }
        PersistenceCommand::Delete { pool, key } => {
            let answer = client.ask(Method::DELETE, &["pools", &pool, "bindings", &key], Body::None)?;
            let deleted: DeletedBindings = client.read(&answer)?;
            screen.show(&answer, |_| deleted.deleted.iter().map(told).collect());
        }
    }
    Ok(())
}

fn told(binding: &BindingStatus) -> String {
    let BindingStatus { of, key, member, .. } = binding;
    format!("{key} of {} is not bound to {member} any more\n", owner(of))
}

fn owner(of: &str) -> &str {
    if of.is_empty() { "a virtual that is gone" } else { of }
}

fn listed(bindings: &Bindings, paint: Paint) -> String {
    use Align::{Left, Right};
    if bindings.bindings.is_empty() {
        return "no bindings\n".to_owned() + &largest(bindings, paint);
    }
    let columns = [("KEY", Left), ("OF", Left), ("MEMBER", Left), ("IDLE", Right), ("ENDS IN", Right)];
    let mut table = Table::new(columns);
    for it in &bindings.bindings {
        table.row([
            (&it.key).into(),
            owner(&it.of).into(),
            (&it.member).into(),
            format::span(it.idle_ms / 1_000).into(),
            format::span(it.expires_ms / 1_000).into(),
        ]);
    }
    let mut text = table.render(paint);
    if bindings.more {
        text.push_str("there are more; `--limit` shows more of them, and `--member` picks some\n");
    }
    text + &largest(bindings, paint)
}

/// Keys that are a large part of the look-ups, if there are any.
fn largest(bindings: &Bindings, paint: Paint) -> String {
    use Align::{Left, Right};
    if bindings.largest.is_empty() {
        return String::new();
    }
    let columns = [("LARGEST KEYS", Left), ("OF", Left), ("MEMBER", Left), ("OF LOOK-UPS", Right)];
    let mut table = Table::new(columns);
    for LargeKey { of, key, member, percent } in &bindings.largest {
        let member = member.as_deref().unwrap_or("-");
        table.row([key.into(), owner(of).into(), member.into(), format!("{percent} %").into()]);
    }
    format!("\n{}", table.render(paint))
}
