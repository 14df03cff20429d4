//! Settings: the schema in a pack, and the check of the operator's settings against it.

use serde::Deserialize;
use serde_json::Value;

use crate::hooks::Node;
use crate::suggest::hint;

/// The settings that a rule takes: a table of fields. Written by the SDK's derive.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Schema {
    pub fields: Vec<Field>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Field {
    /// As it is written in TOML: `percent-of`.
    pub name: String,
    #[serde(flatten)]
    pub shape: Shape,
    #[serde(default)]
    pub required: bool,
    /// What the rule uses where it is not given.
    #[serde(default)]
    pub default: Option<Value>,
    #[serde(default)]
    pub doc: String,
}

/// What a value may be.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Shape {
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Smallest integer or decimal.
    #[serde(default)]
    pub minimum: Option<f64>,
    /// Largest integer or decimal.
    #[serde(default)]
    pub maximum: Option<f64>,
    /// Texts that are allowed; empty: any.
    #[serde(default)]
    pub values: Vec<String>,
    /// Elements of a list, or values of a table with free keys.
    #[serde(default)]
    pub items: Option<Box<Shape>>,
    /// Fields of a table with fixed keys.
    #[serde(default)]
    pub fields: Option<Vec<Field>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Boolean,
    Integer,
    Decimal,
    Text,
    List,
    Table,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "true or false",
            Kind::Integer => "an integer",
            Kind::Decimal => "a number",
            Kind::Text => "a text",
            Kind::List => "a list",
            Kind::Table => "a table",
        }
    }
}

/// One thing that is wrong with a rule's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// Where: `routes[2].path`; empty for the settings as a whole.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl std::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() {
            write!(f, "settings: {}", self.message)
        } else {
            write!(f, "settings.{}: {}", self.path, self.message)
        }
    }
}

impl std::error::Error for SettingsError {}

impl Schema {
    pub(crate) fn parse(json: &[u8]) -> Result<Schema, String> {
        serde_json::from_slice(json).map_err(|error| error.to_string())
    }

    /// Everything that is wrong with `settings`. A rule without a schema is checked
    /// against one without fields.
    pub fn check(&self, settings: &Value) -> Vec<SettingsError> {
        let mut errors = Vec::new();
        check_table(&self.fields, settings, "", &mut errors);
        errors
    }
}

fn check_table(fields: &[Field], value: &Value, path: &str, errors: &mut Vec<SettingsError>) {
    let Value::Object(given) = value else {
        errors.push(wrong_kind(path, Kind::Table, value));
        return;
    };
    for (key, value) in given {
        match fields.iter().find(|field| field.name == *key) {
            Some(field) => check_value(&field.shape, value, &below(path, key), errors),
            None => {
                let names = fields.iter().map(|field| field.name.as_str());
                let message = if fields.is_empty() && path.is_empty() {
                    format!("unknown setting {key:?}; the rule takes no settings")
                } else {
                    format!("unknown setting {key:?}{}", hint(key, names))
                };
                errors.push(SettingsError { path: path.to_owned(), message });
            }
        }
    }
    for field in fields.iter().filter(|field| field.required && !given.contains_key(&field.name)) {
        let what = if field.doc.is_empty() {
            field.shape.kind.name()
        } else {
            field.doc.lines().next().unwrap_or_default().trim()
        };
        let message = format!("{:?} is missing: {what}", field.name);
        errors.push(SettingsError { path: path.to_owned(), message });
    }
}

fn check_value(shape: &Shape, value: &Value, path: &str, errors: &mut Vec<SettingsError>) {
    let wrong = |errors: &mut Vec<SettingsError>| errors.push(wrong_kind(path, shape.kind, value));
    match (shape.kind, value) {
        (Kind::Boolean, Value::Bool(_)) => {}
        (Kind::Integer, Value::Number(number)) if number.is_i64() => check_range(shape, number, path, errors),
        (Kind::Decimal, Value::Number(number)) => check_range(shape, number, path, errors),
        (Kind::Text, Value::String(text)) => {
            if !shape.values.is_empty() && !shape.values.contains(text) {
                let values = shape.values.iter().map(String::as_str);
                let message = format!("{text:?} is not one of the values{}", hint(text, values));
                errors.push(SettingsError { path: path.to_owned(), message });
            }
        }
        (Kind::List, Value::Array(elements)) => {
            let Some(items) = &shape.items else { return };
            for (index, element) in elements.iter().enumerate() {
                check_value(items, element, &format!("{path}[{index}]"), errors);
            }
        }
        (Kind::Table, Value::Object(entries)) => match (&shape.fields, &shape.items) {
            (Some(fields), _) => check_table(fields, value, path, errors),
            (None, Some(items)) => {
                for (key, entry) in entries {
                    check_value(items, entry, &below(path, key), errors);
                }
            }
            (None, None) => {}
        },
        _ => wrong(errors),
    }
}

fn check_range(shape: &Shape, number: &serde_json::Number, path: &str, errors: &mut Vec<SettingsError>) {
    let Some(value) = number.as_f64() else { return };
    let below = shape.minimum.is_some_and(|minimum| value < minimum);
    let above = shape.maximum.is_some_and(|maximum| value > maximum);
    if below || above {
        let range = match (shape.minimum, shape.maximum) {
            (Some(minimum), Some(maximum)) => format!("from {minimum} to {maximum}"),
            (Some(minimum), None) => format!("at least {minimum}"),
            (_, maximum) => format!("at most {}", maximum.unwrap_or_default()),
        };
        errors.push(SettingsError {
            path: path.to_owned(),
            message: format!("{number} is out of range; it must be {range}"),
        });
    }
}

fn wrong_kind(path: &str, expected: Kind, found: &Value) -> SettingsError {
    let found = match found {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_i64() || number.is_u64() => "an integer",
        Value::Number(_) => "a decimal",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    };
    SettingsError { path: path.to_owned(), message: format!("expected {}, found {found}", expected.name()) }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Settings as `on-load` takes them: a list of nodes that name their parts by index; node 0
/// is the table that holds all. Null (which TOML cannot say) is left out.
pub(crate) fn flatten(settings: &Value) -> Vec<Node> {
    let mut nodes = Vec::new();
    push(settings, &mut nodes);
    nodes
}

fn push(value: &Value, nodes: &mut Vec<Node>) -> u32 {
    let at = nodes.len();
    // Holds the place: parents come before their parts.
    nodes.push(Node::Boolean(false));
    nodes[at] = match value {
        Value::Null => Node::Table(Vec::new()),
        Value::Bool(boolean) => Node::Boolean(*boolean),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Node::Integer(integer),
            None => Node::Decimal(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Node::Text(text.clone()),
        Value::Array(elements) => {
            Node::Elements(elements.iter().map(|element| push(element, nodes)).collect())
        }
        Value::Object(entries) => {
            let kept = entries.iter().filter(|(_, entry)| !entry.is_null());
            Node::Table(kept.map(|(key, entry)| (key.clone(), push(entry, nodes))).collect())
        }
    };
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        Schema::parse(
            json!({ "fields": [
                { "name": "percent", "type": "integer", "required": true, "doc": "Share of clients, 0 to 100.", "minimum": 0, "maximum": 255 },
                { "name": "sticky", "type": "boolean", "required": false, "default": true },
                { "name": "mode", "type": "text", "values": ["hash", "random"] },
                { "name": "factor", "type": "decimal" },
                { "name": "routes", "type": "list", "items": { "type": "table", "fields": [
                    { "name": "path", "type": "text", "required": true },
                ] } },
                { "name": "labels", "type": "table", "items": { "type": "text" } },
            ] })
            .to_string()
            .as_bytes(),
        )
        .unwrap()
    }

    #[test]
    fn what_fits_passes() {
        let settings = json!({ "percent": 5, "factor": 1, "mode": "hash", "routes": [{ "path": "/a" }], "labels": { "any key": "x" } });
        assert_eq!(schema().check(&settings), []);
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let settings = json!({
            "prcent": 5, "sticky": "yes", "mode": "hsah", "factor": "x",
            "routes": [{ "path": "/a" }, { "paht": 1 }], "labels": { "a": 1 },
        });
        let errors: Vec<String> = schema().check(&settings).iter().map(ToString::to_string).collect();
        for says in [
            "settings: unknown setting \"prcent\"; did you mean \"percent\"?",
            "settings: \"percent\" is missing: Share of clients, 0 to 100.",
            "settings.sticky: expected true or false, found a text",
            "settings.mode: \"hsah\" is not one of the values; did you mean \"hash\"?",
            "settings.factor: expected a number, found a text",
            "settings.routes[1]: unknown setting \"paht\"; did you mean \"path\"?",
            "settings.routes[1]: \"path\" is missing: a text",
            "settings.labels.a: expected a text, found an integer",
        ] {
            assert!(errors.iter().any(|error| error == says), "{says:?} is not in {errors:#?}");
        }
        assert_eq!(errors.len(), 8);
        let range = schema().check(&json!({ "percent": 256 }));
        assert_eq!(range[0].to_string(), "settings.percent: 256 is out of range; it must be from 0 to 255");
    }

    #[test]
    fn a_rule_without_settings_says_so() {
        let none = Schema { fields: Vec::new() };
        assert_eq!(none.check(&json!({})), []);
        assert!(none.check(&json!({ "a": 1 }))[0].message.contains("takes no settings"));
        assert!(none.check(&json!([])).len() == 1);
    }

    #[test]
    fn nodes_name_their_parts_by_index() {
        let nodes = flatten(&json!({ "a": [1, true], "b": { "c": "x" }, "d": 0.5 }));
        assert_eq!(
            nodes,
            [
                Node::Table(vec![("a".into(), 1), ("b".into(), 4), ("d".into(), 6)]),
                Node::Elements(vec![2, 3]),
                Node::Integer(1),
                Node::Boolean(true),
                Node::Table(vec![("c".into(), 5)]),
                Node::Text("x".into()),
                Node::Decimal(0.5),
            ]
        );
        assert_eq!(flatten(&json!({})), [Node::Table(Vec::new())]);
    }
}
