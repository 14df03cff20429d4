use super::*;

#[derive(Debug, PartialEq, shunt_sdk_macros::Settings)]
struct Everything {
    /// A "switch", and
    /// what it does.
    on: bool,
    small: u8,
    signed: i64,
    #[settings(default = 0.5)]
    share: f64,
    #[settings(default = "web")]
    slot_name: String,
    office: Option<Prefix>,
    peer: Option<IpAddr>,
    #[settings(default)]
    routes: Vec<Route>,
    #[settings(default)]
    weights: BTreeMap<String, u32>,
    #[settings(default = [1, -2])]
    numbers: Vec<i8>,
    r#type: Option<u64>,
}

#[derive(Debug, PartialEq, shunt_sdk_macros::Settings)]
struct Route {
    prefix: String,
}

/// The nodes of a JSON text, as the host would hand them over.
fn nodes(json: &str) -> Vec<Node> {
    fn push(value: &serde_json::Value, nodes: &mut Vec<Node>) -> u32 {
        let at = nodes.len();
        nodes.push(Node::Boolean(false));
        nodes[at] = match value {
            serde_json::Value::Bool(own) => Node::Boolean(*own),
            serde_json::Value::Number(own) => {
                own.as_i64().map_or_else(|| Node::Decimal(own.as_f64().unwrap()), Node::Integer)
            }
            serde_json::Value::String(own) => Node::Text(own.clone()),
            serde_json::Value::Array(own) => Node::Elements(own.iter().map(|own| push(own, nodes)).collect()),
            serde_json::Value::Object(own) => {
                Node::Table(own.iter().map(|(key, own)| (key.clone(), push(own, nodes))).collect())
            }
            serde_json::Value::Null => panic!("TOML has no null"),
        };
        at as u32
    }
    let mut nodes = Vec::new();
    push(&serde_json::from_str(json).unwrap(), &mut nodes);
    nodes
}

fn read<T: Settings>(json: &str) -> Result<T, String> {
    T::read(&Value::root(&nodes(json)))
}

const LEAST: &str = r#""on": true, "small": 255, "signed": -9"#;

fn refusal(more: &str) -> String {
    read::<Everything>(&format!("{{{LEAST}, {more}}}")).unwrap_err()
}

#[test]
fn what_is_not_written_has_its_default() {
    let expected = Everything {
        on: true,
        small: 255,
        signed: -9,
        share: 0.5,
        slot_name: "web".into(),
        office: None,
        peer: None,
        routes: Vec::new(),
        weights: BTreeMap::new(),
        numbers: vec![1, -2],
        r#type: None,
    };
    assert_eq!(read(&format!("{{{LEAST}}}")), Ok(expected));
}

#[test]
fn everything_that_is_written_is_read() {
    let written = r#"{
        "on": false, "small": 0, "signed": 9223372036854775807, "share": 2, "slot-name": "api",
        "office": "192.0.2.0/24", "peer": "2001:db8::1", "routes": [{"prefix": "/a"}, {"prefix": "/b"}],
        "weights": {"a": 1, "b": 2}, "numbers": [], "type": 7
    }"#;
    let route = |prefix: &str| Route { prefix: prefix.into() };
    let expected = Everything {
        on: false,
        small: 0,
        signed: i64::MAX,
        share: 2.0,
        slot_name: "api".into(),
        office: Some("192.0.2.0/24".parse().unwrap()),
        peer: Some("2001:db8::1".parse().unwrap()),
        routes: vec![route("/a"), route("/b")],
        weights: BTreeMap::from([("a".into(), 1), ("b".into(), 2)]),
        numbers: Vec::new(),
        r#type: Some(7),
    };
    assert_eq!(read(written), Ok(expected));
}

#[test]
fn errors_name_the_place() {
    assert_eq!(
        refusal(r#""routes": [{"prefix": "/"}, {"prefix": "/"}, {"prefix": 1}]"#),
        "routes.2.prefix: expected text, found integer"
    );
    assert_eq!(refusal(r#""routes": [{}]"#), "routes.0.prefix: missing");
    assert_eq!(refusal(r#""routes": [3]"#), "routes.0: expected table, found integer");
    assert_eq!(refusal(r#""weights": {"a": true}"#), "weights.a: expected integer, found boolean");
    assert_eq!(refusal(r#""weights": []"#), "weights: expected table, found list");
    assert_eq!(refusal(r#""routes": {}"#), "routes: expected list, found table");
    assert_eq!(
        refusal(r#""office": "here""#),
        "office: expected an address or a prefix such as 192.0.2.0/24, found \"here\""
    );
    assert_eq!(refusal(r#""peer": "::g""#), "peer: expected an address, found \"::g\"");
    assert_eq!(read::<Route>("{}"), Err("prefix: missing".into()));
    assert_eq!(read::<Route>("[]"), Err("settings: expected table, found list".into()));
    assert_eq!(
        Route::read(&Value::root(&[])),
        Err("settings: expected table, found nothing".into()),
        "a host that breaks the contract costs no panic"
    );
}

#[test]
fn numbers_stay_in_the_range_of_their_type() {
    let small = |number: &str| {
        read::<Everything>(&format!(r#"{{"on": true, "small": {number}, "signed": 0}}"#)).unwrap_err()
    };
    assert_eq!(small("256"), "small: 256 is not from 0 to 255");
    assert_eq!(small("-1"), "small: -1 is not from 0 to 255");
    assert_eq!(small("1.5"), "small: expected integer, found decimal");
    assert_eq!(refusal(r#""numbers": [0, -129]"#), "numbers.1: -129 is not from -128 to 127");
    assert_eq!(refusal(r#""type": -1"#), "type: -1 is not from 0 to 18446744073709551615");
}

#[test]
fn the_schema_says_it_all() {
    const LEN: usize = schema::len(Everything::FIELDS);
    const SCHEMA: [u8; LEN] = schema::write(Everything::FIELDS);
    let schema: serde_json::Value = serde_json::from_slice(&SCHEMA).unwrap();
    let expected: serde_json::Value = serde_json::from_str(
        r#"{"fields": [
            {"name": "on", "type": "boolean", "required": true, "doc": "A \"switch\", and what it does."},
            {"name": "small", "type": "integer", "minimum": 0, "maximum": 255, "required": true},
            {"name": "signed", "type": "integer", "required": true},
            {"name": "share", "type": "decimal", "required": false, "default": 0.5},
            {"name": "slot-name", "type": "text", "required": false, "default": "web"},
            {"name": "office", "type": "text", "required": false},
            {"name": "peer", "type": "text", "required": false},
            {"name": "routes", "type": "list", "required": false, "items":
                {"type": "table", "fields": [{"name": "prefix", "type": "text", "required": true}]}},
            {"name": "weights", "type": "table", "required": false, "items":
                {"type": "integer", "minimum": 0, "maximum": 4294967295}},
            {"name": "numbers", "type": "list", "required": false, "default": [1, -2], "items":
                {"type": "integer", "minimum": -128, "maximum": 127}},
            {"name": "type", "type": "integer", "minimum": 0, "required": false}
        ]}"#,
    )
    .unwrap();
    assert_eq!(schema, expected);
}

#[test]
fn a_rule_without_settings_has_an_empty_schema() {
    assert_eq!(&schema::write::<{ schema::len(&[]) }>(&[]), b"{\"fields\":[]}");
}
