//! A rule does the same called directly and as a component: the same verdicts, faults, counts, log lines, variables and
//! changes to the exchange, call after call.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use shunt_rules::{
    Budget, CertificateFacts, ClientCertificate, ConnectCause, ConnectFailure, Data, Direction, Exchange,
    FaultKind, Hook, Isolation, MemberFailure, Outcome, Pack, Probe, Rest, Rule, Runner, Scheme, Selection,
    SelectionReason, Summary, Vars, WayOfCalls, builtin,
};

use crate::world::{PATIENCE, World, example, exchange, flow, hello, host, options, pack, rule};

const GUESTS: [&str; 15] = [
    "calls", "data", "ends", "hello", "hostile", "lines", "misuses", "packets", "plain", "prefix", "probes",
    "rewrites", "selects", "steer", "surface",
];
const EXAMPLES: [&str; 19] = [
    "api-canary",
    "blue-green",
    "bulk-redirects",
    "canary",
    "deny-list",
    "fallback",
    "headers",
    "https-redirect",
    "jwt-gate",
    "maintenance",
    "penalty-box",
    "postgres-database",
    "radius-station",
    "rate-limit",
    "rdp-cookie",
    "redis-primary",
    "server-names",
    "sip-call-id",
    "switch",
];
/// What the guests and examples know.
const NAMES: [&str; 13] = [
    "to.example",
    "terms.example",
    "bare.example",
    "through.example",
    "reject.example",
    "alert.example",
    "slot.example",
    "panic.example",
    "raw.example",
    "h3.example",
    "staff.example",
    "Mail.example",
    "other.example",
];

fn compiled(pack: &Pack) -> Arc<Rule> {
    host().compile(pack).unwrap()
}

#[test]
fn what_cargo_and_this_host_build_is_called_directly() {
    for name in GUESTS {
        assert!(rule(name).is_direct(), "{name}");
    }
    for name in EXAMPLES {
        assert!(compiled(&example(name)).is_direct(), "{name}");
    }
    for name in builtin::names() {
        let pack = Pack::from_bytes(builtin::component(name).unwrap().to_vec()).unwrap();
        assert!(compiled(&pack).is_direct(), "{name}");
    }
}

/// One call, of any hook.
#[derive(Clone, Debug)]
enum Step {
    Flow { port: u16 },
    Hello { name: &'static str },
    Data { direction: Direction, text: String, offset: u64, rest: Rest, connected: bool },
    Request(Request),
    Body { request: Request, body: Vec<u8>, complete: bool },
    Selected { request: Option<Request>, reason: SelectionReason, pool: &'static str, active: u32 },
    ConnectFailed { request: Request, cause: ConnectCause, attempts: u32 },
    Response { request: Request, status: u16, fields: Vec<(String, String)> },
    ResponseBody { request: Request, status: u16, body: Vec<u8>, complete: bool },
    Done { outcome: Outcome, status: u16, of_request: bool, bytes: u64 },
    Probe { step: u32, text: String, rest: Rest },
}

#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    target: String,
    https: bool,
    fields: Vec<(String, String)>,
}

impl Request {
    fn exchange(&self) -> Box<Exchange> {
        let fields: Vec<(&str, &str)> =
            self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut exchange = exchange(&self.target, &fields);
        exchange.request.method = self.method.parse().unwrap();
        exchange.scheme = if self.https { Scheme::Https } else { Scheme::Http };
        if self.https {
            exchange.client_certificate = Some(Arc::new(Shown));
        }
        exchange
    }
}

/// A certificate that a client showed.
#[derive(Debug)]
struct Shown;

impl ClientCertificate for Shown {
    fn facts(&self) -> CertificateFacts {
        let names = vec!["DNS:a.example".to_owned(), "URI:spiffe://é".to_owned()];
        CertificateFacts {
            subject: "CN=a".to_owned(),
            not_after: 1 << 40,
            names,
            ..CertificateFacts::default()
        }
    }

    fn pem(&self) -> String {
        "pem".repeat(500)
    }
}

/// What a rule can see of the host and the host of the rule, in one way of calls.
struct Way {
    world: Arc<World>,
    runner: Runner,
    flow_vars: Vars,
}

impl Way {
    fn new(rule: &Arc<Rule>, settings: &Value, isolation: Isolation, way: WayOfCalls, time: Duration) -> Way {
        let world = World::new();
        let mut options = options(rule, &world);
        (options.settings, options.isolation, options.way) = (settings.clone(), isolation, way);
        options.budget.time = time;
        let attachment = rule.attach(options).unwrap_or_else(|error| panic!("{error}"));
        Way { world, runner: Runner::new(attachment), flow_vars: Vars::default() }
    }

    /// Makes a call, and tells all that came of it.
    fn step(&mut self, step: &Step) -> String {
        // So that a breaker that opened lets the next call try.
        self.world.advance_ms(120_000);
        let mut told = String::new();
        let runner = &mut self.runner;
        match step {
            Step::Flow { port } => {
                let flow = flow(&format!("192.0.2.7:{port}"));
                write!(told, "{:?}", runner.on_flow(&flow, &mut self.flow_vars)).unwrap();
            }
            Step::Hello { name } => {
                let verdict =
                    runner.on_client_hello(&flow("192.0.2.7:5555"), &hello(name), &mut self.flow_vars);
                write!(told, "{verdict:?}").unwrap();
            }
            Step::Data { direction, text, offset, rest, connected } => {
                let (direction, offset, rest, connected) = (*direction, *offset, *rest, *connected);
                let data = Data { direction, bytes: text.as_bytes(), offset, rest, most: 4096, connected };
                let verdict = runner.on_data(&flow("192.0.2.7:5555"), &data, &mut self.flow_vars);
                write!(told, "{verdict:?}").unwrap();
            }
            Step::Probe { step, text, rest } => {
                let member = "[2001:db8::1]:6379".parse().unwrap();
                let probe = Probe { member, step: *step, bytes: text.as_bytes(), rest: *rest };
                write!(told, "{:?}", runner.on_probe(&probe, &mut self.flow_vars)).unwrap();
            }
            Step::Request(request) => {
                let mut exchange = request.exchange();
                write!(told, "{:?} {exchange:?}", runner.on_request(&mut exchange)).unwrap();
            }
            Step::Body { request, body, complete } => {
                let mut exchange = request.exchange();
                let verdict = runner.on_request_body(&mut exchange, body, *complete);
                write!(told, "{verdict:?} {exchange:?}").unwrap();
            }
            Step::Selected { request, reason, pool, active } => {
                let (reason, active) = (*reason, *active);
                let member = "[2001:db8::1]:443".parse().unwrap();
                let selection = Selection { member, pool, reason, weight: 7, active, vetoes: active % 4 };
                match request {
                    Some(request) => {
                        let mut exchange = request.exchange();
                        let verdict = runner.on_selected(&mut exchange, &selection);
                        write!(told, "{verdict:?} {exchange:?}").unwrap();
                    }
                    None => {
                        let (flow, vars) = (flow("192.0.2.7:5555"), &mut self.flow_vars);
                        write!(told, "{:?}", runner.on_selected_of_flow(&flow, vars, &selection)).unwrap();
                    }
                }
            }
            Step::ConnectFailed { request, cause, attempts } => {
                let mut exchange = request.exchange();
                let member = (*cause != ConnectCause::NoMember).then(|| "[2001:db8::1]:443".parse().unwrap());
                let tls = (*attempts % 2 == 0).then_some(MemberFailure::NotTrusted);
                let failure = ConnectFailure { member, cause: *cause, tls, attempts: *attempts };
                let verdict = runner.on_connect_failed(&mut exchange, &failure);
                write!(told, "{verdict:?} {exchange:?}").unwrap();
            }
            Step::Response { request, status, fields } => {
                let mut exchange = request.exchange();
                let mut response = http::Response::builder().status(*status);
                for (name, value) in fields {
                    response = response.header(name, value);
                }
                exchange.response = Some(response.body(()).unwrap().into_parts().0);
                exchange.member = Some("192.0.2.9:8080".parse().unwrap());
                exchange.pool = Some("pool-primary".into());
                write!(told, "{:?} {exchange:?}", runner.on_response(&mut exchange)).unwrap();
            }
            Step::ResponseBody { request, status, body, complete } => {
                let mut exchange = request.exchange();
                let response = http::Response::builder().status(*status).body(());
                exchange.response = Some(response.unwrap().into_parts().0);
                let verdict = runner.on_response_body(&mut exchange, body, *complete);
                write!(told, "{verdict:?} {exchange:?}").unwrap();
            }
            Step::Done { outcome, status, of_request, bytes } => {
                let summary = Summary {
                    flow: flow("192.0.2.7:5555"),
                    outcome: *outcome,
                    status: *status,
                    member: of_request.then(|| "192.0.2.9:8080".parse().unwrap()),
                    bytes_to_server: *bytes,
                    bytes_to_client: bytes / 2,
                    packets_to_server: 3,
                    packets_to_client: u64::MAX,
                    duration: Duration::from_micros(*bytes),
                    first_byte: of_request.then_some(Duration::from_micros(77)),
                };
                let mut vars = Vars::default();
                let done = runner.on_done(&summary, of_request.then_some(&mut vars), &mut self.flow_vars);
                write!(told, "{done:?} {vars:?}").unwrap();
            }
        }
        write!(told, " {:?} {:?}", self.flow_vars, std::mem::take(&mut *self.world.lines.lock().unwrap()))
            .unwrap();
        let reading = self.runner.attachment().stats().read();
        for hook in Hook::ALL {
            let counts = reading.hook(hook);
            let faults = FaultKind::ALL.map(|kind| counts.fault(kind));
            write!(told, " {} {faults:?} {}", counts.calls, counts.not_granted).unwrap();
        }
        let (denied, opened) = (self.runner.attachment().stats().denied(), self.world.opened.lock().unwrap());
        write!(told, " {denied:?} {opened:?}").unwrap();
        told
    }
}

/// Plays the steps in both ways and compares after each.
#[track_caller]
fn same(rule: &Arc<Rule>, settings: &Value, isolation: Isolation, steps: &[Step]) {
    same_within(PATIENCE, rule, settings, isolation, steps);
}

#[track_caller]
fn same_within(time: Duration, rule: &Arc<Rule>, settings: &Value, isolation: Isolation, steps: &[Step]) {
    assert!(rule.is_direct());
    let mut direct = Way::new(rule, settings, isolation, WayOfCalls::Quickest, time);
    let mut component = Way::new(rule, settings, isolation, WayOfCalls::Component, time);
    for step in steps {
        assert_eq!(direct.step(step), component.step(step), "{step:?}");
    }
}

/// The paths that the guests know, in their own sources: whatever stands between quotes and begins with a slash.
fn paths(guest: &str) -> Vec<String> {
    let source = std::fs::read_to_string(crate::world::folder(guest).join("src/lib.rs")).unwrap();
    let quoted = source
        .split('"')
        .filter(|text| text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()));
    quoted.map(str::to_owned).collect()
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "host",
            "cookie",
            "x-canary",
            "x-do",
            "x-a",
            "x-b",
            "accept",
            "user-agent",
            "server",
            "x-many",
            "date",
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,8}(-[a-z]{1,8})?",
    ];
    let value = prop_oneof![
        prop::sample::select(vec![
            "1", "retry", "veto", "select", "long", "panic", "read", "change", "replace", "to", "respond",
            "reject", "canary=1"
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,40}",
        "[a-z]{0,300}",
    ];
    prop::collection::vec((name, value), 0..6)
}

fn request(paths: Vec<String>) -> impl Strategy<Value = Request> {
    let path = prop_oneof![
        4 => prop::sample::select(paths),
        1 => "/[a-z/]{0,20}",
    ];
    let query = prop_oneof![
        prop::sample::select(vec![
            "x-a",
            "x-many",
            "host",
            "/other",
            "a.example:80",
            "bad%20name",
            "content-length"
        ])
        .prop_map(|query| Some(query.to_owned())),
        Just(None),
        "[a-z0-9=&%-]{0,30}".prop_map(Some),
    ];
    (prop::sample::select(vec!["GET", "POST", "PURGE"]), path, query, any::<bool>(), fields()).prop_map(
        |(method, path, query, https, fields)| {
            let target = match query {
                Some(query) => format!("{path}?{query}"),
                None => path,
            };
            Request { method, target, https, fields }
        },
    )
}

fn step(paths: Vec<String>) -> impl Strategy<Value = Step> {
    let causes = vec![
        ConnectCause::NoMember,
        ConnectCause::Refused,
        ConnectCause::TimedOut,
        ConnectCause::Unreachable,
        ConnectCause::Other,
    ];
    let reasons = vec![SelectionReason::Rule, SelectionReason::Persistence, SelectionReason::Balance];
    let selection = (prop::sample::select(reasons), prop::sample::select(vec!["pool-primary", "elsewhere"]));
    let outcomes = vec![
        Outcome::Complete,
        Outcome::ClientGone,
        Outcome::MemberFailed,
        Outcome::Answered,
        Outcome::Refused,
    ];
    let body = prop::collection::vec(any::<u8>(), 0..400);
    prop_oneof![
        2 => (0_u16..9).prop_map(|port| Step::Flow { port }),
        2 => prop::sample::select(NAMES.to_vec()).prop_map(|name| Step::Hello { name }),
        2 => data(),
        2 => probe(),
        8 => request(paths.clone()).prop_map(Step::Request),
        2 => (request(paths.clone()), body.clone(), any::<bool>())
            .prop_map(|(request, body, complete)| Step::Body { request, body, complete }),
        2 => (prop::option::of(request(paths.clone())), selection, any::<u32>())
            .prop_map(|(request, (reason, pool), active)| Step::Selected { request, reason, pool, active }),
        2 => (request(paths.clone()), prop::sample::select(causes), any::<u32>())
            .prop_map(|(request, cause, attempts)| Step::ConnectFailed { request, cause, attempts }),
        2 => (request(paths.clone()), 200_u16..600, body, any::<bool>()).prop_map(
            |(request, status, body, complete)| Step::ResponseBody { request, status, body, complete }
        ),
        2 => (request(paths), 200_u16..600, fields())
            .prop_map(|(request, status, fields)| Step::Response { request, status, fields }),
        1 => (prop::sample::select(outcomes), 0_u16..600, any::<bool>(), 0_u64..1 << 40)
            .prop_map(|(outcome, status, of_request, bytes)| Step::Done { outcome, status, of_request, bytes }),
    ]
}

/// A line that the guest knows, or any text.
fn data() -> impl Strategy<Value = Step> {
    let words = vec![
        "to", "key", "member", "reject", "replace", "lines", "upper", "away", "need", "pass", "grow",
        "panic", "count", "",
    ];
    let argument = prop_oneof![
        prop::sample::select(vec!["0", "1", "7", "5000", "4294967295", "192.0.2.9:80", "é"])
            .prop_map(str::to_owned),
        "[ -~]{0,20}",
        "[a-z]{0,300}",
    ];
    let line = (prop::sample::select(words), argument, "[\n -~]{0,20}")
        .prop_map(|(word, argument, behind)| format!("{word} {argument}\n{behind}"));
    let text = prop_oneof![4 => line, 1 => "[ -~]{0,400}"];
    let directions = vec![Direction::ToServer, Direction::ToClient];
    let rests = vec![Rest::Open, Rest::Ended, Rest::Late, Rest::Full];
    let (directions, rests) = (prop::sample::select(directions), prop::sample::select(rests));
    (directions, text, any::<u64>(), rests, any::<bool>()).prop_map(
        |(direction, text, offset, rest, connected)| Step::Data { direction, text, offset, rest, connected },
    )
}

/// A line that the guest knows, the answer of a Redis server, or any text.
fn probe() -> impl Strategy<Value = Step> {
    let words = vec!["up", "down", "send", "nothing", "need", "long", "calls", "panic", "error"];
    let argument = prop_oneof![
        prop::sample::select(vec!["0", "1", "65536", "4294967295", "é"]).prop_map(str::to_owned),
        "[ -~]{0,20}",
        "[a-z]{0,300}",
    ];
    let line =
        (prop::sample::select(words), argument).prop_map(|(word, argument)| format!("{word} {argument}\n"));
    let bulk = (0_usize..40, "(role:(master|slave)\r\n){0,2}")
        .prop_map(|(length, text)| format!("${length}\r\n{text}\r\n"));
    let text = prop_oneof![4 => line, 2 => bulk, 1 => "[\n -~]{0,400}"];
    let rest = prop::sample::select(vec![Rest::Open, Rest::Ended, Rest::Late, Rest::Full]);
    (0_u32..4, text, rest).prop_map(|(step, text, rest)| Step::Probe { step, text, rest })
}

fn steps(paths: Vec<String>) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(paths), 1..25)
}

/// Runs the property for one rule.
fn property(rule: &Arc<Rule>, settings: &Value, paths: Vec<String>, cases: u32) {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let isolation = prop_oneof![4 => Just(Isolation::Worker), 1 => Just(Isolation::Call)];
    let property = |(steps, isolation): (Vec<Step>, Isolation)| {
        same(rule, settings, isolation, &steps);
        Ok(())
    };
    runner.run(&(steps(paths), isolation), property).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn guests_do_the_same_in_both_ways() {
    property(&rule("hello"), &json!({}), vec!["/".to_owned()], 30);
    property(&rule("data"), &json!({}), vec!["/".to_owned()], 100);
    for settings in [json!({}), json!({ "hello": "hi\n" })] {
        property(&rule("probes"), &settings, vec!["/".to_owned()], 50);
    }
    for settings in [json!({}), json!({ "veto": ["[2001:db8::1]:443"] })] {
        property(&rule("selects"), &settings, vec!["/".to_owned()], 10);
    }
    for name in ["calls", "plain", "steer"] {
        property(&rule(name), &json!({}), paths(name), 30);
    }
    let settings = json!({
        "flag": true, "number": 9, "ratio": 0.25, "text": "é", "list": ["a", "b"], "labels": {"a": "1", "b": "2"}
    });
    property(&rule("surface"), &settings, paths("surface"), 100);
    let clients = |how: &[&str]| json!({ "clients": [{ "from": "192.0.2.0/24", "how": how[0] }] });
    for how in ["nat", "snat", "l2dsr", "l3dsr-gue", "other", "bare-snat", "reject", "drop", "panic"] {
        property(&rule("packets"), &clients(&[how]), vec!["/".to_owned()], 4);
    }
}

#[test]
fn hostile_guests_fault_the_same_in_both_ways() {
    // What ends only with its time, its memory or its number of calls takes long.
    let slow = ["/loop", "/memory", "/host-calls"];
    let quick = paths("hostile").into_iter().filter(|path| !slow.contains(&path.as_str()));
    property(&rule("hostile"), &json!({}), quick.collect(), 40);
    property(&rule("misuses"), &json!({}), paths("misuses"), 20);
    for path in ["/loop", "/memory", "/host-calls", "/leak"] {
        let request = Request { method: "GET", target: path.to_owned(), https: false, fields: Vec::new() };
        let time = if path == "/loop" { Budget::default().time } else { PATIENCE };
        let steps = vec![Step::Request(request); 3];
        same_within(time, &rule("hostile"), &json!({}), Isolation::Worker, &steps);
    }
}

#[test]
fn examples_do_the_same_in_both_ways() {
    let paths = ["/", "/api/items", "/static/a.png", "/health", "/admin"].map(str::to_owned).to_vec();
    for name in EXAMPLES {
        let settings = match name {
            "rate-limit" => json!({ "limit": 3, "tell": true }),
            "canary" => json!({ "percent": 50 }),
            "jwt-gate" => json!({ "issuer": "https://id.example" }),
            "server-names" => {
                json!({ "through": ["mail.example"], "staff": ["*.example"], "strict": true })
            }
            "switch" => {
                json!({ "routes": [{ "prefix": "/api/", "slot": "api" }, { "suffix": "/", "slot": "web" }] })
            }
            _ => json!({}),
        };
        property(&compiled(&example(name)), &settings, paths.clone(), 15);
    }
}

#[test]
fn a_rule_that_is_refused_is_refused_the_same() {
    for load in ["refuse", "panic", "loop", "memory"] {
        let refused = |way| {
            let rule = rule("hostile");
            let mut options = options(&rule, &World::new());
            (options.settings, options.way) = (json!({ "load": load }), way);
            if load == "loop" {
                options.budget.time = Budget::default().time;
            }
            rule.attach(options).err().unwrap().to_string()
        };
        assert_eq!(refused(WayOfCalls::Quickest), refused(WayOfCalls::Component), "{load}");
    }
    let bare = Pack::from_bytes(pack("hostile").bytes().to_vec()).unwrap();
    same(
        &compiled(&bare),
        &json!({}),
        Isolation::Worker,
        &[Step::Request(Request {
            method: "GET",
            target: "/recursion".to_owned(),
            https: false,
            fields: Vec::new(),
        })],
    );
}
