//! `shunt flag list|set|reset`

use http::Method;
use serde_json::{Value, json};
use shunt_api::flags::{FlagStatus, FlagValue};
use shunt_api::rules::{RuleStatus, Rules};

use super::args::{FlagCommand, FlagName};
use super::client::{Body, Client};
use super::failure::Failure;
use super::screen::{Paint, Screen};
use super::table::{Align, Table};

/// Does what is asked for.
///
/// # Errors
/// No daemon answers, it does not have what is asked for, or the value is of another type.
pub(super) fn run(command: FlagCommand, client: &Client, screen: &Screen) -> Result<(), Failure> {
    match command {
        FlagCommand::List => {
            let answer = client.get("rules")?;
            let rules: Rules = client.read(&answer)?;
            screen.show(&as_json(&rules.rules), |paint| listed(&rules.rules, paint));
        }
        FlagCommand::Set { flag, value } => {
            let value = match known(&flag, client)? {
                FlagValue::Text(_) => json!(value),
                // What is of no such type is the daemon's to refuse.
                _ => serde_json::from_str(&value)
                    .ok()
                    .filter(|it: &Value| !it.is_string())
                    .unwrap_or(json!(value)),
            };
            show(
                client.ask(Method::PUT, &path(&flag), Body::Json(json!({ "value": value })))?,
                &flag,
                client,
                screen,
            )?;
        }
        FlagCommand::Reset { flag } => {
            show(client.ask(Method::DELETE, &path(&flag), Body::None)?, &flag, client, screen)?;
        }
    }
    Ok(())
}

fn path(FlagName { rule, name }: &FlagName) -> [&str; 5] {
    ["rules", &rule.virtual_name, &rule.rule, "flags", name]
}

/// What the flag is now, and so of which type; what is not there is the daemon's to refuse.
fn known(FlagName { rule, name }: &FlagName, client: &Client) -> Result<FlagValue, Failure> {
    let rules: Rules = client.read(&client.get("rules")?)?;
    let rule = rules.rules.into_iter().find(|it| it.name == rule.to_string());
    let flag = rule.and_then(|rule| rule.flags.into_iter().find(|it| it.name == *name));
    Ok(flag.map(|flag| flag.value).unwrap_or_default())
}

fn show(
    answer: Value,
    FlagName { rule, name }: &FlagName,
    client: &Client,
    screen: &Screen,
) -> Result<(), Failure> {
    let flag: FlagStatus = client.read(&answer)?;
    let value = told(&flag.value);
    screen.show(&answer, |_| match flag.set {
        true => format!("{name} of {rule} is {value} now\n"),
        false => format!("{name} of {rule} has its default, {value}\n"),
    });
    Ok(())
}

fn told(value: &FlagValue) -> String {
    match value {
        FlagValue::Boolean(value) => value.to_string(),
        FlagValue::Integer(value) => value.to_string(),
        FlagValue::Text(value) => format!("{value:?}"),
    }
}

fn as_json(rules: &[RuleStatus]) -> Value {
    let of = |rule: &RuleStatus| json!({ "rule": rule.name, "flags": rule.flags });
    json!({ "rules": rules.iter().filter(|rule| !rule.flags.is_empty()).map(of).collect::<Vec<_>>() })
}

fn listed(rules: &[RuleStatus], paint: Paint) -> String {
    use Align::Left;
    let columns = [("RULE", Left), ("FLAG", Left), ("VALUE", Left), ("DEFAULT", Left), ("WHAT", Left)];
    let mut table = Table::new(columns);
    for (rule, flag) in rules.iter().flat_map(|rule| rule.flags.iter().map(move |flag| (rule, flag))) {
        let value = if flag.set { format!("{} (set)", told(&flag.value)) } else { told(&flag.value) };
        table.row([
            (&rule.name).into(),
            (&flag.name).into(),
            value.into(),
            told(&flag.default).into(),
            (&flag.purpose).into(),
        ]);
    }
    if table.is_empty() { "no flags\n".to_owned() } else { table.render(paint) }
}
