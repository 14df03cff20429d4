//! What can be asked of the admin interface.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::LazyLock;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, Path, Query, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post, put};
use http_body::Body;
use shunt_api::bindings::{Bindings, DeletedBindings};
use shunt_api::explain::{Explained, ExplainedRequest};
use shunt_api::flags::{FlagChange, FlagStatus};
use shunt_api::flows::{DeletedFlow, FlowDetails, Flows};
use shunt_api::openapi;
use shunt_api::requests::{
    Allowed, AskedRequest, BindingsQuery, FlowsQuery, LoadQuery, LoadReference, MemberChange, Packet,
    PrioritiesChange, Rollback, SetMatchQuery, SetQuery, TableChange, TableQuery, TraceQuery,
};
use shunt_api::rules::{LoadedRule, LogChange, RuleLog, Rules, Unloaded};
use shunt_api::sets::{SetMatch, SetStatus, Sets};
use shunt_api::status::{MemberStatus, PoolStatus, Pools, ReloadSummary, Status};
use shunt_api::tables::{ClearedTable, TableEntries, TableEntry, Tables};
use shunt_engine::datapath::ModeName;
use shunt_engine::flow::FlowId;
use shunt_engine::member::Admin;
use shunt_rules::artefact::{MAX_FILE_BYTES, Reference};
use shunt_rules::sets::{MAX_SET_BYTES, SetLines};
use shunt_rules::trust::Source;
use shunt_rules::{Level, MAX_PACK_BYTES, Pack, Shipped};
use tokio::sync::MutexGuard;

use super::refusal::Refusal;
use super::socket::Peer;
use super::{SharedControl, explain, metrics, trace};
use crate::control::{self, Actor, Allow, Control, FlowQuery, Load, LoadError, OperatedTable, RuleName};

/// The OpenAPI document, as it is sent.
static OPENAPI: LazyLock<String> = LazyLock::new(|| format!("{:#}", openapi::document()));

type Answer<T> = Result<Json<T>, Refusal>;

/// Who asks.
type By = ConnectInfo<Peer>;

/// Everything that is served.
pub(super) fn router(control: SharedControl) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, (_, path, handler)| router.route(path, handler))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(MAX_PACK_BYTES))
        .with_state(control)
}

fn routes() -> Vec<(Method, &'static str, MethodRouter<SharedControl>)> {
    vec![
        (Method::GET, "/v1/status", get(status)),
        (Method::GET, "/v1/pools", get(pools)),
        (Method::PUT, "/v1/pools/{pool}/members/{address}", put(set_member)),
        (Method::PUT, "/v1/pools/{pool}/priorities", put(set_priorities)),
        (Method::DELETE, "/v1/pools/{pool}/priorities", delete(reset_priorities)),
        (Method::POST, "/v1/pools/{pool}/fail-back", post(fail_back)),
        (Method::GET, "/v1/pools/{pool}/bindings", get(bindings)),
        (Method::GET, "/v1/pools/{pool}/bindings/{key}", get(binding)),
        (Method::DELETE, "/v1/pools/{pool}/bindings/{key}", delete(delete_binding)),
        (Method::GET, "/v1/rules", get(rules)),
        (
            Method::PUT,
            "/v1/rules/{virtual}/{rule}",
            put(load_rule).layer(DefaultBodyLimit::max(MAX_FILE_BYTES)),
        ),
        (Method::POST, "/v1/rules/{virtual}/{rule}/load", post(load_reference)),
        (Method::DELETE, "/v1/rules/{virtual}/{rule}", delete(unload_rule)),
        (Method::POST, "/v1/rules/{virtual}/{rule}/rollback", post(rollback_rule)),
        (Method::GET, "/v1/tables", get(tables)),
        (Method::GET, "/v1/tables/{virtual}/{rule}/{table}", get(table_entries)),
        (Method::DELETE, "/v1/tables/{virtual}/{rule}/{table}", delete(clear_table)),
        (Method::GET, "/v1/tables/{virtual}/{rule}/{table}/{entry}", get(table_entry)),
        (Method::PUT, "/v1/tables/{virtual}/{rule}/{table}/{entry}", put(set_table_entry)),
        (Method::DELETE, "/v1/tables/{virtual}/{rule}/{table}/{entry}", delete(delete_table_entry)),
        (Method::PUT, "/v1/rules/{virtual}/{rule}/log", put(set_rule_log)),
        (Method::PUT, "/v1/rules/{virtual}/{rule}/flags/{flag}", put(set_flag)),
        (Method::DELETE, "/v1/rules/{virtual}/{rule}/flags/{flag}", delete(reset_flag)),
        (Method::GET, "/v1/sets", get(sets)),
        (Method::GET, "/v1/rules/{virtual}/{rule}/sets/{set}", get(set)),
        (
            Method::PUT,
            "/v1/rules/{virtual}/{rule}/sets/{set}",
            put(load_set).layer(DefaultBodyLimit::max(MAX_SET_BYTES)),
        ),
        (Method::GET, "/v1/rules/{virtual}/{rule}/sets/{set}/match", get(match_set)),
        (Method::GET, "/v1/flows", get(flows)),
        (Method::GET, "/v1/flows/{id}", get(flow)),
        (Method::DELETE, "/v1/flows/{id}", delete(delete_flow)),
        (Method::POST, "/v1/explain", post(explain)),
        (Method::POST, "/v1/explain/http", post(explain_http)),
        (Method::GET, "/v1/virtuals/{virtual}/trace", get(follow)),
        (Method::POST, "/v1/reload", post(reload)),
        (Method::GET, "/v1/metrics", get(metrics)),
        (Method::GET, "/v1/openapi.json", get(openapi_json)),
    ]
}

async fn status(State(control): State<SharedControl>) -> Json<Status> {
    control::look_at_ports(&control).await;
    Json(control.lock().await.status().await)
}

async fn pools(State(control): State<SharedControl>) -> Json<Pools> {
    control::look_at_ports(&control).await;
    Json(Pools { pools: control.lock().await.status().await.pools })
}

async fn rules(State(control): State<SharedControl>) -> Json<Rules> {
    let status = control.lock().await.status().await;
    Json(Rules { rules: status.rules().cloned().collect() })
}

async fn set_member(
    State(control): State<SharedControl>,
    by: By,
    path: Result<Path<(String, String)>, PathRejection>,
    change: Result<Json<MemberChange>, JsonRejection>,
) -> Answer<MemberStatus> {
    let Path((pool, address)) = path.map_err(|error| bad_request(error.body_text()))?;
    let address = member_address(&address)?;
    let Json(change) = change.map_err(|error| bad_request(error.body_text()))?;
    let admin = change.admin.parse::<Admin>().map_err(|()| {
        bad_request(format!("{:?} is not a state of a member", change.admin))
            .help("use `enabled`, `draining` or `disabled`")
    })?;
    Ok(Json(for_change(&control).await?.set_member(&pool, address, admin, &actor(by)).await?))
}

async fn set_priorities(
    State(control): State<SharedControl>,
    by: By,
    pool: Result<Path<String>, PathRejection>,
    change: Result<Json<PrioritiesChange>, JsonRejection>,
) -> Answer<PoolStatus> {
    let Path(pool) = pool.map_err(|error| bad_request(error.body_text()))?;
    let Json(change) = change.map_err(|error| bad_request(error.body_text()))?;
    let mut priorities = Vec::new();
    for (address, priority) in change.priorities {
        priorities.push((member_address(&address)?, priority));
    }
    Ok(Json(for_change(&control).await?.set_priorities(&pool, &priorities, &actor(by)).await?))
}

async fn reset_priorities(
    State(control): State<SharedControl>,
    by: By,
    pool: Result<Path<String>, PathRejection>,
) -> Answer<PoolStatus> {
    let Path(pool) = pool.map_err(|error| bad_request(error.body_text()))?;
    Ok(Json(for_change(&control).await?.reset_priorities(&pool, &actor(by)).await?))
}

async fn fail_back(
    State(control): State<SharedControl>,
    by: By,
    pool: Result<Path<String>, PathRejection>,
) -> Answer<PoolStatus> {
    let Path(pool) = pool.map_err(|error| bad_request(error.body_text()))?;
    Ok(Json(for_change(&control).await?.fail_back(&pool, &actor(by)).await?))
}

fn member_address(text: &str) -> Result<SocketAddr, Refusal> {
    SocketAddr::from_str(text).map_err(|_| {
        bad_request(format!("{text:?} is not the address of a member"))
            .help("write an address and a port, such as 10.0.0.1:80")
    })
}

async fn load_rule(
    State(control): State<SharedControl>,
    by: By,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<LoadQuery>, QueryRejection>,
    request: Request,
) -> Answer<LoadedRule> {
    let name = rule_name(path)?;
    let Query(LoadQuery { path, allow_downgrade, accept_grants }) =
        query.map_err(|error| bad_request(error.body_text()))?;
    let allow = Allow { downgrade: allow_downgrade, grants: accept_grants };
    // With the body in it: who has sent all of it may leave.
    let loaded = to_the_end(async move {
        let bytes = body_bytes(request, "pack", MAX_FILE_BYTES).await?;
        let refused = |error| Refusal::from(&error);
        let shipped = Shipped::from_bytes(bytes.into()).map_err(LoadError::from).map_err(refused)?;
        let source = sent_from(path, shipped.pack())?;
        // What takes long is done without the lock.
        drop(for_change(&control).await?);
        let load = Load { source, shipped, allow };
        control::load_rule(&control, &name, load, &actor(by)).await.map_err(refused)
    });
    Ok(Json(loaded.await??))
}

async fn load_reference(
    State(control): State<SharedControl>,
    by: By,
    path: Result<Path<(String, String)>, PathRejection>,
    asked: Result<Json<LoadReference>, JsonRejection>,
) -> Answer<LoadedRule> {
    let name = rule_name(path)?;
    let Json(LoadReference { pack, allow_downgrade, accept_grants }) =
        asked.map_err(|error| bad_request(error.body_text()))?;
    let reference = Reference::parse(&pack).and_then(Reference::versioned);
    let reference = reference.map_err(|error| bad_request(error.to_string()))?;
    let allow = Allow { downgrade: allow_downgrade, grants: accept_grants };
    let loaded = to_the_end(async move {
        drop(for_change(&control).await?);
        let loaded = control::load_reference(&control, &name, reference, allow, &actor(by)).await;
        loaded.map_err(|error| Refusal::from(&error))
    });
    Ok(Json(loaded.await??))
}

async fn rollback_rule(
    State(control): State<SharedControl>,
    by: By,
    path: Result<Path<(String, String)>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<LoadedRule> {
    let name = rule_name(path)?;
    let body = body.map_err(|error| bad_request(error.body_text()))?;
    let Rollback { to } = if body.is_empty() {
        Rollback::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| {
            bad_request(error.to_string()).help("send nothing, or the number of a version: {\"to\": 2}")
        })?
    };
    let back = to_the_end(async move {
        drop(for_change(&control).await?);
        let back = control::rollback_rule(&control, &name, to, &actor(by)).await;
        back.map_err(|error| Refusal::from(&error))
    });
    Ok(Json(back.await??))
}

async fn unload_rule(
    State(control): State<SharedControl>,
    by: By,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Answer<Unloaded> {
    let name = rule_name(path)?;
    let shown = name.to_string();
    let done = to_the_end(async move {
        let done = for_change(&control).await?.unload_rule(&name, &actor(by)).await;
        done.map_err(|error| Refusal::from(&error))
    });
    Ok(Json(Unloaded { name: shown, without: done.await?? }))
}

async fn sets(State(control): State<SharedControl>) -> Json<Sets> {
    Json(Sets { sets: control.lock().await.sets() })
}

async fn set(
    State(control): State<SharedControl>,
    path: Result<Path<(String, String, String)>, PathRejection>,
) -> Answer<SetStatus> {
    let (name, set) = part_of_rule(path)?;
    Ok(Json(control.lock().await.set(&name, &set)?))
}

async fn load_set(
    State(control): State<SharedControl>,
    by: By,
    path: Result<Path<(String, String, String)>, PathRejection>,
    query: Result<Query<SetQuery>, QueryRejection>,
    request: Request,
) -> Answer<SetStatus> {
    let (name, set) = part_of_rule(path)?;
    let Query(SetQuery { source }) = query.map_err(|error| bad_request(error.body_text()))?;
    let loaded = to_the_end(async move {
        let bytes = body_bytes(request, "set", MAX_SET_BYTES).await?;
        drop(for_change(&control).await?);
        let lines = SetLines::new(source.unwrap_or_else(|| "set".to_owned()), bytes);
        control::load_set(&control, &name, &set, lines, &actor(by)).await.map_err(Refusal::from)
    });
    Ok(Json(loaded.await??))
}

async fn match_set(
    State(control): State<SharedControl>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    query: Result<Query<SetMatchQuery>, QueryRejection>,
) -> Answer<SetMatch> {
    let (name, set) = part_of_rule(path)?;
    let Query(SetMatchQuery { text }) = query.map_err(|error| bad_request(error.body_text()))?;
    Ok(Json(control.lock().await.find_in_set(&name, &set, &text)?))
}

async fn set_rule_log(
    State(control): State<SharedControl>,
    by: By,
    path: Result<Path<(String, String)>, PathRejection>,
    change: Result<Json<LogChange>, JsonRejection>,
) -> Answer<RuleLog> {
    let name = rule_name(path)?;
    let Json(LogChange { level }) = change.map_err(|error| bad_request(error.body_text()))?;
    let read = |level: String| {
        Level::ALL.into_iter().find(|it| it.name() == level).ok_or_else(|| {
            bad_request(format!("{level:?} is no level of the log")).help("use error, warn, info or debug")
        })
    };
    let level = level.map(read).transpose()?;
    Ok(Json(for_change(&control).await?.set_rule_log(&name, level, &actor(by))?))
}

async fn set_flag(
    State(control): State<SharedControl>,
    by: By,
    path: Result<Path<(String, String, String)>, PathRejection>,
    change: Result<Json<FlagChange>, JsonRejection>,
) -> Answer<FlagStatus> {
    let (name, flag) = part_of_rule(path)?;
    let Json(FlagChange { value }) = change.map_err(|error| bad_request(error.body_text()))?;
    Ok(Json(for_change(&control).await?.set_flag(&name, &flag, Some(value), &actor(by))?))
}

async fn reset_flag(
    State(control): State<SharedControl>,
    by: By,
    path: Result<Path<(String, String, String)>, PathRejection>,
) -> Answer<FlagStatus> {
    let (name, flag) = part_of_rule(path)?;
    Ok(Json(for_change(&control).await?.set_flag(&name, &flag, None, &actor(by))?))
}

/// A rule, and what it has of this name.
fn part_of_rule(
    path: Result<Path<(String, String, String)>, PathRejection>,
) -> Result<(RuleName, String), Refusal> {
    let Path((virtual_name, rule, set)) = path.map_err(|error| bad_request(error.body_text()))?;
    Ok((RuleName { virtual_name, rule }, set))
}

async fn bindings(
    State(control): State<SharedControl>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<BindingsQuery>, QueryRejection>,
) -> Answer<Bindings> {
    let Path(pool) = path.map_err(|error| bad_request(error.body_text()))?;
    let Query(BindingsQuery { member, limit }) = query.map_err(|error| bad_request(error.body_text()))?;
    let limit = limit.unwrap_or(LISTED);
    if !(1..=MOST_LISTED).contains(&limit) {
        return Err(bad_request(format!("cannot list {limit} bindings"))
            .help(format!("use a limit from 1 to {MOST_LISTED}")));
    }
    let help = "write an address and a port, such as 10.0.0.1:80";
    let member = parsed(member, "a member's address", help)?;
    Ok(Json(control::bindings(&control, &pool, member, limit).await?))
}

async fn binding(
    State(control): State<SharedControl>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Answer<Bindings> {
    let Path((pool, key)) = path.map_err(|error| bad_request(error.body_text()))?;
    Ok(Json(control.lock().await.binding(&pool, &key)?))
}

async fn delete_binding(
    State(control): State<SharedControl>,
    by: By,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Answer<DeletedBindings> {
    let Path((pool, key)) = path.map_err(|error| bad_request(error.body_text()))?;
    let deleted = control.lock().await.delete_binding(&pool, &key, &actor(by))?;
    Ok(Json(DeletedBindings { deleted }))
}

async fn tables(State(control): State<SharedControl>) -> Json<Tables> {
    Json(Tables { tables: control.lock().await.tables() })
}

async fn table_entries(
    State(control): State<SharedControl>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    query: Result<Query<TableQuery>, QueryRejection>,
) -> Answer<TableEntries> {
    let table = table(&control, path).await?;
    let Query(TableQuery { after, limit }) = query.map_err(|error| bad_request(error.body_text()))?;
    let limit = limit.unwrap_or(LISTED);
    if !(1..=MOST_LISTED).contains(&limit) {
        return Err(bad_request(format!("cannot list {limit} entries"))
            .help(format!("use a limit from 1 to {MOST_LISTED}")));
    }
    let after = after.map(|text| {
        text.parse().map_err(|()| {
            bad_request(format!("{text:?} is no place in a table"))
                .help("write what the page before has as `next`")
        })
    });
    Ok(Json(table.entries(after.transpose()?, limit)))
}

async fn clear_table(
    State(control): State<SharedControl>,
    by: By,
    path: Result<Path<(String, String, String)>, PathRejection>,
) -> Answer<ClearedTable> {
    Ok(Json(table(&control, path).await?.clear(&actor(by))))
}

async fn table_entry(
    State(control): State<SharedControl>,
    path: Result<Path<(String, String, String, String)>, PathRejection>,
) -> Answer<TableEntry> {
    let (table, key) = table_and_key(&control, path).await?;
    Ok(Json(table.entry(&key)?))
}

async fn set_table_entry(
    State(control): State<SharedControl>,
    by: By,
    path: Result<Path<(String, String, String, String)>, PathRejection>,
    change: Result<Json<TableChange>, JsonRejection>,
) -> Answer<TableEntry> {
    let (table, key) = table_and_key(&control, path).await?;
    let Json(TableChange { value }) = change.map_err(|error| bad_request(error.body_text()))?;
    Ok(Json(table.set(&key, &value, &actor(by))?))
}

async fn delete_table_entry(
    State(control): State<SharedControl>,
    by: By,
    path: Result<Path<(String, String, String, String)>, PathRejection>,
) -> Answer<TableEntry> {
    let (table, key) = table_and_key(&control, path).await?;
    Ok(Json(table.delete(&key, &actor(by))?))
}

async fn table_and_key(
    control: &SharedControl,
    path: Result<Path<(String, String, String, String)>, PathRejection>,
) -> Result<(OperatedTable, String), Refusal> {
    let Path((virtual_name, rule, name, key)) = path.map_err(|error| bad_request(error.body_text()))?;
    Ok((table(control, Ok(Path((virtual_name, rule, name)))).await?, key))
}

async fn table(
    control: &SharedControl,
    path: Result<Path<(String, String, String)>, PathRejection>,
) -> Result<OperatedTable, Refusal> {
    let Path((virtual_name, rule, name)) = path.map_err(|error| bad_request(error.body_text()))?;
    Ok(control.lock().await.table(RuleName { virtual_name, rule }, &name)?)
}

/// Flows, bindings or entries that a list has where it is not said how many, and at most.
const LISTED: usize = 100;
const MOST_LISTED: usize = 10_000;

async fn flows(
    State(control): State<SharedControl>,
    query: Result<Query<FlowsQuery>, QueryRejection>,
) -> Answer<Flows> {
    let Query(asked) = query.map_err(|error| bad_request(error.body_text()))?;
    let limit = asked.limit.unwrap_or(LISTED);
    if !(1..=MOST_LISTED).contains(&limit) {
        return Err(bad_request(format!("cannot list {limit} flows"))
            .help(format!("use a limit from 1 to {MOST_LISTED}")));
    }
    let query = FlowQuery {
        virtual_name: asked.virtual_name,
        client: parsed(asked.client, "a client's address", "write an IP address, as in 192.0.2.7")?,
        member: parsed(
            asked.member,
            "a member's address",
            "write an address and a port, such as 10.0.0.1:80",
        )?,
        mode: asked.mode.map(mode).transpose()?,
        state: asked.state,
        limit,
    };
    Ok(Json(control.lock().await.flows(&query).await))
}

async fn flow(
    State(control): State<SharedControl>,
    path: Result<Path<String>, PathRejection>,
) -> Answer<FlowDetails> {
    let id = flow_id(path)?;
    let found = control.lock().await.flow(id).await;
    found.map(Json).ok_or_else(|| no_such_flow(id))
}

async fn delete_flow(
    State(control): State<SharedControl>,
    by: By,
    path: Result<Path<String>, PathRejection>,
) -> Answer<DeletedFlow> {
    let id = flow_id(path)?;
    if control.lock().await.delete_flow(id, &actor(by)).await {
        Ok(Json(DeletedFlow { id: id.to_string() }))
    } else {
        Err(no_such_flow(id))
    }
}

fn parsed<T: FromStr>(text: Option<String>, what: &str, help: &str) -> Result<Option<T>, Refusal> {
    let parse =
        |text: String| text.parse().map_err(|_| bad_request(format!("{text:?} is not {what}")).help(help));
    text.map(parse).transpose()
}

fn mode(text: String) -> Result<ModeName, Refusal> {
    text.parse().map_err(|()| {
        let modes = ModeName::ALL.map(ModeName::as_str).join(", ");
        bad_request(format!("{text:?} is not a mode")).help(format!("use one of {modes}"))
    })
}

fn flow_id(path: Result<Path<String>, PathRejection>) -> Result<FlowId, Refusal> {
    let Path(text) = path.map_err(|error| bad_request(error.body_text()))?;
    text.parse().map_err(|_| {
        bad_request(format!("{text:?} is not the id of a flow"))
            .help("write the id as `shunt flow list` shows it")
    })
}

fn no_such_flow(id: FlowId) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "no-such-flow", format!("there is no flow {id}"))
        .help("the flow may have ended; `shunt flow list` shows the present ones")
}

async fn explain(
    State(control): State<SharedControl>,
    packet: Result<Json<Packet>, JsonRejection>,
) -> Answer<Explained> {
    let Json(packet) = packet.map_err(|error| bad_request(error.body_text()))?;
    let query = explain::query(packet)?;
    Ok(Json(control.lock().await.explain(&query).await.map_err(explain::refusal)?))
}

async fn explain_http(
    State(control): State<SharedControl>,
    request: Result<Json<AskedRequest>, JsonRejection>,
) -> Answer<ExplainedRequest> {
    let Json(request) = request.map_err(|error| bad_request(error.body_text()))?;
    Ok(Json(control::explain_http(&control, &request).await.map_err(explain::unasked)?))
}

async fn follow(
    State(control): State<SharedControl>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<TraceQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Path(name) = path.map_err(|error| bad_request(error.body_text()))?;
    let Query(query) = query.map_err(|error| bad_request(error.body_text()))?;
    control.lock().await.find_proxy(&name)?;
    trace::follow(name, query)
}

async fn reload(
    State(control): State<SharedControl>,
    by: By,
    body: Result<Bytes, BytesRejection>,
) -> Answer<ReloadSummary> {
    let body = body.map_err(|error| bad_request(error.body_text()))?;
    let Allowed { allow_downgrade, accept_grants } = if body.is_empty() {
        Allowed::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| {
            bad_request(error.to_string()).help("send nothing, or what is allowed: {\"accept-grants\": true}")
        })?
    };
    let allow = Allow { downgrade: allow_downgrade, grants: accept_grants };
    let summary = to_the_end(async move {
        drop(for_change(&control).await?);
        control::reload(&control, allow, &actor(by)).await.map_err(|error| Refusal::from(&error))
    });
    Ok(Json(summary.await??))
}

async fn metrics(State(control): State<SharedControl>) -> Response {
    control::look_at_ports(&control).await;
    let status = control.lock().await.status().await;
    match metrics::encode(status) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "system", error.to_string()).into_response()
        }
    }
}

async fn openapi_json() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI.as_str()).into_response()
}

async fn no_such_path() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "no-such-path", "the admin interface has no such path")
        .help("GET /v1/openapi.json lists the paths")
}

async fn no_such_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", "this path does not take this method")
        .help("GET /v1/openapi.json lists the methods of each path")
}

/// Where a pack that was sent came from, as its sender says. Who may send packs may read any file that Shunt may, so that
/// nothing is won by a lie; but what comes with Shunt is known.
fn sent_from(path: Option<String>, pack: &Pack) -> Result<Source, Refusal> {
    let Some(path) = path else { return Ok(Source::Sent) };
    match Source::of_path(path.as_ref()) {
        Source::BuiltIn(name) if Pack::builtin(&name).is_ok_and(|own| own.digest() == pack.digest()) => {
            Ok(Source::BuiltIn(name))
        }
        Source::BuiltIn(_) => Err(bad_request(format!("{path} of this Shunt is another pack"))
            .help("use the `shunt` of the daemon's version")),
        source => Ok(source),
    }
}

/// The body of a request, of so many bytes at most. One that says that it is longer is not waited for.
async fn body_bytes(request: Request, what: &str, most: usize) -> Result<Bytes, Refusal> {
    let too_large = || {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("the {what} is too large"))
            .help(format!("the file of a {what} may have at most {} MiB", most >> 20))
    };
    if request.body().size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    Bytes::from_request(request, &()).await.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => bad_request(error.body_text()),
    })
}

/// Who asks, as the control knows them.
fn actor(ConnectInfo(Peer { uid, pid }): By) -> Actor {
    Actor::Peer { uid, pid }
}

fn rule_name(path: Result<Path<(String, String)>, PathRejection>) -> Result<RuleName, Refusal> {
    let Path((virtual_name, rule)) = path.map_err(|error| bad_request(error.body_text()))?;
    Ok(RuleName { virtual_name, rule })
}

pub(super) fn bad_request(message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "bad-request", message)
}

/// The control, for a change. A process that is ending takes none.
async fn for_change(control: &SharedControl) -> Result<MutexGuard<'_, Control>, Refusal> {
    let control = control.lock().await;
    if control.is_draining() {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "draining",
            "this Shunt is draining and accepts no changes",
        )
        .help("make the change in the process that replaces it; `shunt status` shows what is still open"));
    }
    Ok(control)
}

/// Continues with a change when the one who asked for it goes away, for a change is made as a whole or
/// not at all.
async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = T> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(change).await.map_err(|error| {
        tracing::error!(%error, "a change was aborted");
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "system",
            "the change was aborted; see the daemon's log",
        )
    })
}

#[cfg(test)]
mod tests;
