//! Every operation of the admin API, and the OpenAPI 3.1 document that describes them. A new operation is a row
//! here and a handler in the daemon; a test there compares the two.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::bindings::{Bindings, DeletedBindings};
use crate::explain::{Explained, ExplainedRequest, TraceLine};
use crate::flags::{FlagChange, FlagStatus};
use crate::flows::{DeletedFlow, FlowDetails, Flows};
use crate::refusal::Refusal;
use crate::requests::{
    Allowed, AskedRequest, BindingsQuery, FlowsQuery, LoadQuery, LoadReference, MemberChange, Packet,
    PrioritiesChange, Rollback, SetMatchQuery, SetQuery, TableChange, TableQuery, TraceQuery,
};
use crate::rules::{LoadedRule, LogChange, RuleLog, Rules, Unloaded};
use crate::sets::{SetMatch, SetStatus, Sets};
use crate::status::{MemberStatus, PoolStatus, Pools, ReloadSummary, Status};
use crate::tables::{ClearedTable, TableEntries, TableEntry, Tables};

/// One thing that can be asked of the daemon.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// In capitals.
    pub method: &'static str,
    /// With parameters in braces.
    pub path: &'static str,
    /// Its name for programs.
    pub id: &'static str,
    summary: &'static str,
    /// Empty where the summary says all.
    description: &'static str,
    query: Option<SchemaOf>,
    body: Option<Body>,
    answer: Answer,
    /// Statuses of refusals.
    refusals: &'static [u16],
}

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

#[derive(Clone, Copy, Debug)]
struct Body {
    required: bool,
    description: &'static str,
    media_type: &'static str,
    schema: SchemaOf,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    description: &'static str,
    media_type: &'static str,
    schema: SchemaOf,
}

const JSON: &str = "application/json";

/// Path parameters, each with what it is.
const PARAMETERS: [(&str, &str); 10] = [
    ("pool", "Name of the pool."),
    ("address", "Address and port of the member."),
    ("virtual", "Name of the virtual."),
    ("rule", "Name of the rule in it."),
    ("table", "Name of the table, as the pack declares it."),
    ("entry", "Key of the entry, as the list of entries has it."),
    ("set", "Name of the set in its pack."),
    ("flag", "Name of the flag in its pack."),
    ("id", "As the list of flows has it."),
    ("key", "As the list of bindings has it, or what the application calls the session."),
];

/// What a refusal's status says.
const REFUSALS: [(u16, &str); 7] = [
    (400, "The request is not valid."),
    (404, "It does not exist; `help` names what does."),
    (409, "Not possible in the present state: the rule is not loaded, or the process is draining."),
    (413, "The pack or the set is too large."),
    (422, "It was checked and refused; what ran before stays in force."),
    (500, "Shunt itself failed; see its log."),
    (502, "The registry does not give it."),
];

impl Operation {
    const fn get(path: &'static str, id: &'static str, summary: &'static str, answer: Answer) -> Self {
        let (description, query, body) = ("", None, None);
        Operation { method: "GET", path, id, summary, description, query, body, answer, refusals: &[] }
    }

    const fn change(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        answer: Answer,
        refusals: &'static [u16],
    ) -> Self {
        let (description, query, body) = ("", None, None);
        Operation { method, path, id, summary, description, query, body, answer, refusals }
    }

    const fn description(self, description: &'static str) -> Self {
        Operation { description, ..self }
    }

    const fn takes<T: JsonSchema>(self, required: bool, description: &'static str) -> Self {
        let body = Body { required, description, media_type: JSON, schema: schema_of::<T> };
        Operation { body: Some(body), ..self }
    }

    const fn refuses(self, refusals: &'static [u16]) -> Self {
        Operation { refusals, ..self }
    }
}

const fn answers<T: JsonSchema>(description: &'static str) -> Answer {
    Answer { description, media_type: JSON, schema: schema_of::<T> }
}

/// Everything that is served, in the order of the document.
pub const OPERATIONS: [Operation; 36] = [
    Operation::get("/v1/status", "status", "The state of everything.", answers::<Status>("The status.")),
    Operation::get("/v1/pools", "pools", "Pools and their members.", answers::<Pools>("The pools.")),
    Operation::change(
        "PUT",
        "/v1/pools/{pool}/members/{address}",
        "setMember",
        "Enables, drains or disables a member.",
        answers::<MemberStatus>("The member as it is now."),
        &[400, 404, 409],
    )
    .description("The state stays over reloads, until the member leaves its pool or the process ends.")
    .takes::<MemberChange>(true, ""),
    Operation::change(
        "PUT",
        "/v1/pools/{pool}/priorities",
        "setPriorities",
        "Moves members to other priority groups.",
        answers::<PoolStatus>("The pool as it is now."),
        &[400, 404, 409],
    )
    .description(
        "They take effect at once and together, whatever `fail-back` says, and stay over reloads until they are reset, the \
         members leave the pool or the process ends.",
    )
    .takes::<PrioritiesChange>(true, ""),
    Operation::change(
        "DELETE",
        "/v1/pools/{pool}/priorities",
        "resetPriorities",
        "Gives all members their configured priorities.",
        answers::<PoolStatus>("The pool as it is now."),
        &[404, 409],
    ),
    Operation::change(
        "POST",
        "/v1/pools/{pool}/fail-back",
        "failBack",
        "Has the highest priority groups used again that have enough usable members.",
        answers::<PoolStatus>("The pool as it is now."),
        &[404, 409],
    ),
    Operation::get(
        "/v1/rules",
        "rules",
        "Rules with the versions that are kept.",
        answers::<Rules>("The rules."),
    ),
    Operation {
        query: Some(schema_of::<LoadQuery>),
        body: Some(Body {
            required: true,
            description: "A component, 8 MiB at most, or a pack file, 64 MiB at most.",
            media_type: "application/wasm",
            schema: |_| Schema::from(wasm()),
        }),
        ..Operation::change(
            "PUT",
            "/v1/rules/{virtual}/{rule}",
            "loadRule",
            "Loads a version of a rule.",
            answers::<LoadedRule>("The version runs."),
            &[400, 404, 409, 413, 422, 500],
        )
        .description(
            "It is checked (policies, versions and grants; then component, imports, hooks, slots, settings, on-load, cases) \
             before it takes the place of the one that runs, for the next flow and the next request.",
        )
    },
    Operation::change(
        "POST",
        "/v1/rules/{virtual}/{rule}/load",
        "loadReference",
        "Gets a version of a rule from a registry and loads it.",
        answers::<LoadedRule>("The version runs."),
        &[400, 404, 409, 422, 500, 502],
    )
    .description("With a digest, a pack that is in the cache is taken from there. Checked as a pack that is sent.")
    .takes::<LoadReference>(true, ""),
    Operation::change(
        "DELETE",
        "/v1/rules/{virtual}/{rule}",
        "unloadRule",
        "Unloads a rule from its virtual.",
        answers::<Unloaded>("The rule is not called any more."),
        &[404, 409, 500],
    )
    .description("Its versions are kept, and a rollback or a load brings it back."),
    Operation::change(
        "POST",
        "/v1/rules/{virtual}/{rule}/rollback",
        "rollbackRule",
        "Rolls back to the version that ran before, or to the one that is named.",
        answers::<LoadedRule>("The version runs."),
        &[400, 404, 409, 422, 500],
    )
    .takes::<Rollback>(false, "Without a body: the version that ran before."),
    Operation::get("/v1/tables", "tables", "Tables of the rules that run.", answers::<Tables>("The tables.")),
    Operation {
        query: Some(schema_of::<TableQuery>),
        ..Operation::get(
            "/v1/tables/{virtual}/{rule}/{table}",
            "tableEntries",
            "A page of the entries of a table.",
            answers::<TableEntries>("The entries, in no order."),
        )
        .description("To look at an entry is no use of it.")
        .refuses(&[400, 404])
    },
    Operation::change(
        "DELETE",
        "/v1/tables/{virtual}/{rule}/{table}",
        "clearTable",
        "Deletes all entries of a table.",
        answers::<ClearedTable>("The table is empty."),
        &[400, 404],
    ),
    Operation::get(
        "/v1/tables/{virtual}/{rule}/{table}/{entry}",
        "tableEntry",
        "An entry of a table.",
        answers::<TableEntry>("The entry."),
    )
    .refuses(&[400, 404]),
    Operation::change(
        "PUT",
        "/v1/tables/{virtual}/{rule}/{table}/{entry}",
        "setTableEntry",
        "Puts an entry into a table of kind `values` or `counters`.",
        answers::<TableEntry>("The entry as it is now."),
        &[400, 404],
    )
    .description("Its lifetime begins anew.")
    .takes::<TableChange>(true, ""),
    Operation::change(
        "DELETE",
        "/v1/tables/{virtual}/{rule}/{table}/{entry}",
        "deleteTableEntry",
        "Deletes an entry of a table.",
        answers::<TableEntry>("The entry as it was."),
        &[400, 404],
    ),
    Operation::get("/v1/sets", "sets", "The sets of the rules that run.", answers::<Sets>("The sets.")),
    Operation::get(
        "/v1/rules/{virtual}/{rule}/sets/{set}",
        "set",
        "A set of a rule.",
        answers::<SetStatus>("The set."),
    )
    .refuses(&[400, 404]),
    Operation {
        query: Some(schema_of::<SetQuery>),
        body: Some(Body {
            required: true,
            description: "A line for each entry, with its value behind a space; 256 MiB at most.",
            media_type: "text/plain",
            schema: schema_of::<String>,
        }),
        ..Operation::change(
            "PUT",
            "/v1/rules/{virtual}/{rule}/sets/{set}",
            "loadSet",
            "Replaces what is in a set.",
            answers::<SetStatus>("The set is in force."),
            &[400, 404, 409, 413, 422, 500],
        )
        .description(
            "As a whole, for the next look-up. It stays over reloads until the configuration has other lines, and ends with \
             the process.",
        )
    },
    Operation {
        query: Some(schema_of::<SetMatchQuery>),
        ..Operation::get(
            "/v1/rules/{virtual}/{rule}/sets/{set}/match",
            "matchSet",
            "What a text finds in a set.",
            answers::<SetMatch>("What is found."),
        )
        .refuses(&[400, 404])
    },
    Operation::change(
        "PUT",
        "/v1/rules/{virtual}/{rule}/log",
        "setRuleLog",
        "Says which lines of a rule are written to the log.",
        answers::<RuleLog>("Which lines are written now."),
        &[400, 404, 409],
    )
    .description("It stays over reloads and versions of the rule, and ends with the process.")
    .takes::<LogChange>(true, ""),
    Operation::change(
        "PUT",
        "/v1/rules/{virtual}/{rule}/flags/{flag}",
        "setFlag",
        "Sets a flag of a rule.",
        answers::<FlagStatus>("The flag as it is now."),
        &[400, 404, 409, 422],
    )
    .description("For the next call of the rule. It stays over reloads and versions of the rule, and ends with the process.")
    .takes::<FlagChange>(true, ""),
    Operation::change(
        "DELETE",
        "/v1/rules/{virtual}/{rule}/flags/{flag}",
        "resetFlag",
        "Gives a flag its default.",
        answers::<FlagStatus>("The flag as it is now."),
        &[400, 404, 409],
    ),
    Operation {
        query: Some(schema_of::<BindingsQuery>),
        ..Operation::get(
            "/v1/pools/{pool}/bindings",
            "bindings",
            "Bindings of clients to members of a pool.",
            answers::<Bindings>("The bindings that match."),
        )
        .description("Those in Shunt's table: by source address, by session, and by a rule's key. Cookies are with the clients.")
        .refuses(&[400, 404])
    },
    Operation::get(
        "/v1/pools/{pool}/bindings/{key}",
        "binding",
        "The bindings of a key, one of each virtual or group that has it.",
        answers::<Bindings>("The bindings."),
    )
    .refuses(&[400, 404]),
    Operation::change(
        "DELETE",
        "/v1/pools/{pool}/bindings/{key}",
        "deleteBinding",
        "Deletes the bindings of a key.",
        answers::<DeletedBindings>("The bindings are deleted."),
        &[400, 404],
    )
    .description("The next request or flow of the client is bound anew. What is open stays with its member."),
    Operation {
        query: Some(schema_of::<FlowsQuery>),
        ..Operation::get(
            "/v1/flows",
            "flows",
            "Flows of packet virtuals.",
            answers::<Flows>("The flows that match."),
        )
        .description("Of those that are shown the oldest first.")
        .refuses(&[400])
    },
    Operation::get(
        "/v1/flows/{id}",
        "flow",
        "A flow, and what is done to its packets.",
        answers::<FlowDetails>("The flow."),
    )
    .refuses(&[400, 404]),
    Operation::change(
        "DELETE",
        "/v1/flows/{id}",
        "deleteFlow",
        "Deletes a flow.",
        answers::<DeletedFlow>("The flow is deleted."),
        &[400, 404],
    )
    .description("Both ends of a TCP connection get a reset, if its replies come through Shunt."),
    Operation::change(
        "POST",
        "/v1/explain",
        "explain",
        "Traces how a packet would be handled.",
        answers::<Explained>("How the packet would be handled, and why."),
        &[400, 404],
    )
    .description(
        "It changes no flow, binding, port or limit, but calls the rules, with `on-done` at the end.",
    )
    .takes::<Packet>(true, ""),
    Operation::change(
        "POST",
        "/v1/explain/http",
        "explainHttp",
        "Traces how a request would be handled.",
        answers::<ExplainedRequest>("How the request would be handled, and why."),
        &[400, 404, 500],
    )
    .description(
        "By the code that serves requests, on copies of what it would change: nothing is sent to a member, counted, bound or \
         logged. Values of `Authorization`, `Proxy-Authorization`, `Cookie` and `Set-Cookie` are not shown.",
    )
    .takes::<AskedRequest>(true, ""),
    Operation {
        query: Some(schema_of::<TraceQuery>),
        ..Operation::get(
            "/v1/virtuals/{virtual}/trace",
            "trace",
            "Follows the requests of a proxy virtual as they are served.",
            Answer {
                description: "A line of JSON for each request, once the head of its answer is there, and one at the end.",
                media_type: "application/x-ndjson",
                schema: schema_of::<TraceLine>,
            },
        )
        .description(
            "It ends by itself. Requests that come faster than they are read are served, counted and not shown. Values of \
             `Authorization`, `Proxy-Authorization`, `Cookie` and `Set-Cookie` are not shown.",
        )
        .refuses(&[400, 404])
    },
    Operation::change(
        "POST",
        "/v1/reload",
        "reload",
        "Reads the configuration again and applies it.",
        answers::<ReloadSummary>("What changed."),
        &[400, 409, 422, 500],
    )
    .takes::<Allowed>(false, "Without a body: nothing of it."),
    Operation::get(
        "/v1/metrics",
        "metrics",
        "The counters as OpenMetrics text.",
        Answer {
            description: "The counters.",
            media_type: "application/openmetrics-text",
            schema: schema_of::<String>,
        },
    ),
    Operation::get(
        "/v1/openapi.json",
        "openapi",
        "This document.",
        answers::<Map<String, Value>>("This document."),
    ),
];

/// The OpenAPI 3.1 document.
#[must_use]
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        // That a client fills what an older daemon does not send is no default of the daemon's.
        .with_transform(RecursiveTransform(|schema: &mut Schema| drop(schema.remove("default"))));
    let mut sent = settings.clone().for_serialize().into_generator();
    let mut read = settings.for_deserialize().into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.to_lowercase()] = described(&operation, &mut sent, &mut read);
    }
    let mut schemas: Map<String, Value> = read.take_definitions(true);
    // Their fields are parameters.
    for query in [
        FlowsQuery::schema_name(),
        LoadQuery::schema_name(),
        SetMatchQuery::schema_name(),
        SetQuery::schema_name(),
        TraceQuery::schema_name(),
    ] {
        schemas.remove(&*query);
    }
    schemas.extend(sent.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Shunt admin interface",
            "version": "1",
            "summary": "HTTP/1.1 with JSON on a unix socket.",
            "description": "Served on the socket that `admin.socket` names, to its owner and root. Within /v1 fields are added and never removed.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "http://localhost", "description": "The unix socket; the host does not matter." }],
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

fn described(operation: &Operation, sent: &mut SchemaGenerator, read: &mut SchemaGenerator) -> Value {
    let mut it = json!({ "operationId": operation.id, "summary": operation.summary });
    if !operation.description.is_empty() {
        it["description"] = operation.description.into();
    }
    let mut parameters: Vec<Value> = path_parameters(operation.path).collect();
    if let Some(query) = operation.query {
        parameters.extend(query_parameters(query(read), read));
    }
    if !parameters.is_empty() {
        it["parameters"] = parameters.into();
    }
    if let Some(Body { required, description, media_type, schema }) = operation.body {
        it["requestBody"] =
            json!({ "required": required, "content": { media_type: { "schema": schema(read) } } });
        if !description.is_empty() {
            it["requestBody"]["description"] = description.into();
        }
    }
    let Answer { description, media_type, schema } = operation.answer;
    let content = json!({ media_type: { "schema": schema(sent) } });
    it["responses"] = json!({ "200": { "description": description, "content": content } });
    for (status, description) in REFUSALS.iter().filter(|(status, _)| operation.refusals.contains(status)) {
        let content = json!({ JSON: { "schema": sent.subschema_for::<Refusal>() } });
        it["responses"][status.to_string()] = json!({ "description": description, "content": content });
    }
    it
}

fn path_parameters(path: &str) -> impl Iterator<Item = Value> {
    let names = path.split('{').skip(1).filter_map(|part| part.split('}').next());
    names.map(|name| {
        let described = PARAMETERS.iter().find(|(known, _)| *known == name);
        let description = described.map_or("", |(_, description)| description);
        json!({ "name": name, "in": "path", "required": true, "description": description, "schema": { "type": "string" } })
    })
}

/// Each field of a query's schema as a parameter of its own.
fn query_parameters(schema: Schema, read: &SchemaGenerator) -> Vec<Value> {
    let schema = schema.to_value();
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    let properties = name.and_then(|name| read.definitions().get(name)?.get("properties")?.as_object());
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|it| it.remove("description"));
        json!({ "name": name, "in": "query", "description": description, "schema": schema })
    };
    properties.into_iter().flatten().map(parameter).collect()
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

fn wasm() -> Map<String, Value> {
    let fields = [("type", "string"), ("contentMediaType", "application/wasm")];
    fields.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

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

    #[test]
    fn every_operation_is_described_once_with_its_parameters() {
        let ids: BTreeSet<_> = OPERATIONS.iter().map(|it| it.id).collect();
        assert_eq!(ids.len(), OPERATIONS.len());
        let document = document();
        for Operation { method, path, refusals, .. } in OPERATIONS {
            let it = &document["paths"][path][method.to_lowercase()];
            let parameters = it["parameters"].as_array().into_iter().flatten();
            assert!(parameters.clone().all(|it| it["description"].as_str().is_some_and(|it| !it.is_empty())));
            let of_path = parameters.filter(|it| it["in"] == "path").count();
            assert_eq!(of_path, path.matches('{').count(), "the parameters of {method} {path}");
            assert_eq!(it["responses"].as_object().unwrap().len(), 1 + refusals.len(), "{method} {path}");
        }
    }

    #[test]
    fn a_query_has_its_fields_as_parameters() {
        let document = document();
        let parameters = document["paths"]["/v1/flows"]["get"]["parameters"].as_array().unwrap();
        let names: Vec<_> = parameters.iter().map(|it| it["name"].as_str().unwrap()).collect();
        for name in ["virtual", "client", "member", "mode", "state", "limit"] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
    }

    #[test]
    fn what_is_sent_is_required_and_what_is_read_is_not() {
        let schemas = &document()["components"]["schemas"];
        assert!(schemas["MemberStatus"]["required"].as_array().unwrap().contains(&"address".into()));
        assert_eq!(schemas["Packet"]["required"], Value::Null);
    }
}
