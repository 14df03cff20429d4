use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::admin::sample;
use crate::control::LoadedRule;

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let served: BTreeSet<_> =
        routes().into_iter().map(|(method, path, _)| (path.to_owned(), method.as_str().to_owned())).collect();
    let document = document();
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            described.insert((path.clone(), method.to_uppercase()));
            assert!(
                operation["summary"].is_string() && operation["operationId"].is_string(),
                "{method} {path}"
            );
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let parameters = parameters.filter(|it| it["in"] == "path").count();
            assert_eq!(parameters, path.matches('{').count(), "the parameters of {method} {path}");
        }
    }
    assert_eq!(served, described);
}

#[test]
fn references_lead_somewhere() {
    fn walk(value: &Value, document: &Value) {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        match value {
            Value::Object(fields) => fields.values().for_each(|value| walk(value, document)),
            Value::Array(items) => items.iter().for_each(|value| walk(value, document)),
            _ => {}
        }
    }
    let document = document();
    walk(&document, &document);
}

/// Every field that is sent has a schema, and every field with a schema is sent.
fn fits(value: &Value, schema: &Value, at: &str) {
    let document = document();
    let schema = match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => document.pointer(&reference[1..]).unwrap().clone(),
        None => schema.clone(),
    };
    match value {
        Value::Object(fields) => {
            if let Some(each) = schema.get("additionalProperties").filter(|each| each.is_object()) {
                return fields.iter().for_each(|(name, value)| fits(value, each, &format!("{at}.{name}")));
            }
            let properties = schema["properties"].as_object().unwrap_or_else(|| panic!("{at} is no object"));
            let names = |keys: Vec<&String>| keys.into_iter().cloned().collect::<BTreeSet<_>>();
            assert_eq!(
                names(fields.keys().collect()),
                names(properties.keys().collect()),
                "the fields of {at}"
            );
            for (name, value) in fields {
                fits(value, &properties[name], &format!("{at}.{name}"));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fits(item, &schema["items"], &format!("{at}[]"))),
        simple => {
            let kind = match simple {
                Value::String(_) => "string",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "integer",
                _ => "null",
            };
            let types = &schema["type"];
            let listed = types.as_array().is_some_and(|types| types.contains(&json!(kind)));
            assert!(listed || *types == json!(kind), "{at} is a {kind} and not {types}");
        }
    }
}

#[test]
fn what_is_sent_is_what_is_described() {
    let schemas = &document()["components"]["schemas"];
    let sent = |value: Value, name: &str| fits(&value, &schemas[name], name);
    sent(serde_json::to_value(sample::status()).unwrap(), "Status");
    sent(serde_json::to_value(Pools { pools: sample::status().pools }).unwrap(), "Pools");
    sent(serde_json::to_value(Rules { rules: vec![sample::rule()] }).unwrap(), "Rules");
    sent(
        serde_json::to_value(ReloadSummary { added: vec!["pool web".to_owned()], ..Default::default() })
            .unwrap(),
        "ReloadSummary",
    );
    sent(serde_json::to_value(Unloaded { name: "shop/canary".to_owned() }).unwrap(), "Unloaded");
    let flow = sample::flow();
    sent(serde_json::to_value(Flows { flows: vec![flow.flow.clone()], more: false }).unwrap(), "Flows");
    sent(serde_json::to_value(&flow).unwrap(), "FlowDetails");
    sent(serde_json::to_value(sample::explained()).unwrap(), "Explained");
    sent(serde_json::to_value(DeletedFlow { id: flow.flow.id }).unwrap(), "DeletedFlow");
    let loaded = LoadedRule {
        name: "shop/canary".to_owned(),
        running: 2,
        pack: "canary".to_owned(),
        version: "1.2.0".to_owned(),
        digest: "b2".repeat(32),
        hooks: vec!["on-request".to_owned()],
        replaced: None,
    };
    sent(serde_json::to_value(loaded).unwrap(), "LoadedRule");
    let mut refusal = bad_request("no").help("yes").json();
    // Present for a configuration only, and described by the book.
    refusal["error"]["problems"] = json!([]);
    sent(refusal, "Refusal");
}
