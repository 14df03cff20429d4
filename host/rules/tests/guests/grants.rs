//! What a pack does not ask for: refused, counted and named.

use std::fs;

use shunt_rules::cases::run;
use shunt_rules::{BodyVerdict, FaultKind, FlowVerdict, Hook, Pack, PackError, RequestVerdict, Runner, Vars};
use wasm_encoder::{ComponentSection as _, CustomSection, RawSection};
use wasmparser::{Parser, Payload};

use crate::world::{World, exchange, flow, host, options, pack};

/// What the guest `surface` imports, and nothing besides; and bodies of responses, for which it has the hook.
const LEAST: &str = "log = 1\nclock = true\nrandom = true\nvars = true\ntable = true\npersist = true\nlb = true\nsets = true\nflags = true\ncrypto = true\nclient-certificate = true\n[capabilities.request]\nbody = true\n";

/// The guest `surface` with other capabilities.
fn asking(capabilities: &str) -> Result<Pack, PackError> {
    let surface = pack("surface");
    let manifest = String::from_utf8(surface.manifest_toml().to_vec()).unwrap();
    let (before, _) = manifest.split_once("[capabilities]").unwrap();
    let mut capabilities = capabilities.to_owned();
    if capabilities.starts_with(LEAST) {
        let (table, body) = ("[capabilities.response]\n", "body = true\n");
        match capabilities.find(table) {
            Some(at) => capabilities.insert_str(at + table.len(), body),
            None => capabilities += &(table.to_owned() + body),
        }
    }
    let manifest = format!("{before}[capabilities]\n{capabilities}");
    let bytes = surface.bytes();
    let (mut made, mut depth) = (bytes[..8].to_vec(), 0);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.unwrap();
        if let (0, Some((id, range))) = (depth, payload.as_section()) {
            let data = &bytes[range.start as usize..range.end as usize];
            match &payload {
                Payload::CustomSection(section) if section.name() == "shunt:pack" => {}
                _ => RawSection { id, data }.append_to_component(&mut made),
            }
        }
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) if depth > 0 => depth -= 1,
            _ => {}
        }
    }
    CustomSection { name: "shunt:pack".into(), data: manifest.as_bytes().into() }
        .append_to_component(&mut made);
    Pack::from_bytes(made)
}

fn runner(capabilities: &str) -> Runner {
    let rule = host().compile(&asking(capabilities).unwrap()).unwrap();
    Runner::new(rule.attach(options(&rule, &World::new())).unwrap())
}

fn text(runner: &mut Runner, target: &str) -> String {
    let mut exchange =
        exchange(target, &[("x-asked", "1"), ("x-other", "2"), ("cookie", "a=b"), ("x-api-key", "k")]);
    match runner.on_request(&mut exchange) {
        Ok(RequestVerdict::Respond(answer)) => String::from_utf8(answer.body.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Everything that was refused, as `shunt rule list` tells it.
fn denied(runner: &Runner) -> Vec<String> {
    runner.attachment().stats().denied().iter().map(ToString::to_string).collect()
}

#[test]
fn fields_that_were_not_asked_for_are_not_there() {
    let mut runner =
        runner(&format!("{LEAST}read = [\"X-Asked\"]\n[capabilities.response]\nanswer = true\n"));
    assert_eq!(text(&mut runner, "/header?x-asked"), "Some(\"1\")");
    assert_eq!(text(&mut runner, "/header-names"), "x-asked");
    assert!(denied(&runner).is_empty(), "a list of names asks for nothing");
    assert_eq!(text(&mut runner, "/header?X-Other"), "None");
    assert_eq!(text(&mut runner, "/headers?cookie"), "");
    assert_eq!(text(&mut runner, "/header?X-Other"), "None");
    assert_eq!(
        denied(&runner),
        ["read the field x-other of requests", "read the field cookie of requests"],
        "each once"
    );
    let reading = runner.attachment().stats().read();
    let on_request = reading.hook(Hook::OnRequest);
    assert_eq!((on_request.calls, on_request.not_granted, on_request.faults()), (5, 3, 0));
}

#[test]
fn a_prefix_has_no_credentials() {
    let mut with_prefix = runner(&format!("{LEAST}read = [\"*\"]\n[capabilities.response]\nanswer = true\n"));
    assert_eq!(text(&mut with_prefix, "/header?x-other"), "Some(\"2\")");
    assert_eq!(text(&mut with_prefix, "/header?cookie"), "None");
    assert_eq!(text(&mut with_prefix, "/header-names"), "x-asked x-other");
    let mut with_name =
        runner(&format!("{LEAST}read = [\"cookie\", \"x-*\"]\n[capabilities.response]\nanswer = true\n"));
    assert_eq!(text(&mut with_name, "/header?cookie"), "Some(\"a=b\")");
    assert_eq!(text(&mut with_name, "/header?x-api-key"), "None");
}

#[test]
fn changes_that_were_not_asked_for_are_refused_and_change_nothing() {
    let mut runner = runner(&format!(
        "{LEAST}write = [\"x-asked\"]\n[capabilities.response]\nwrite = [\"server\"]\nanswer = true\n"
    ));
    assert_eq!(text(&mut runner, "/set-header?x-asked"), "ok");
    for (target, told) in [
        ("/set-header?x-other", "change the field x-other of requests"),
        ("/add-header?x-new", "change the field x-new of requests"),
        ("/remove-header?cookie", "change the field cookie of requests"),
        ("/set-path?/b", "change path, query and authority of requests"),
        ("/set-query?b", "change path, query and authority of requests"),
        ("/set-authority?b.example", "change path, query and authority of requests"),
        ("/set-response-header?x-b", "change the field x-b of responses"),
    ] {
        let mut exchange = exchange(target, &[("x-other", "2"), ("cookie", "a=b")]);
        let (headers, uri) = (exchange.request.headers.clone(), exchange.request.uri.clone());
        let Ok(RequestVerdict::Respond(answer)) = runner.on_request(&mut exchange) else {
            panic!("{target}")
        };
        assert_eq!(answer.body, "not-granted", "{target}");
        assert_eq!((&exchange.request.headers, &exchange.request.uri), (&headers, &uri), "{target}");
        assert!(denied(&runner).iter().any(|denied| denied == told), "{target}: {:?}", denied(&runner));
    }
}

#[test]
fn a_response_is_read_and_changed_as_far_as_was_asked() {
    let mut runner = runner(&format!(
        "{LEAST}read = [\"x-do\"]\n[capabilities.response]\nread = [\"server\"]\nwrite = [\"x-many\", \"x-results\"]\n"
    ));
    let response = http::Response::builder().status(201).header("server", "origin").header("x-many", "1");
    let mut exchange = exchange("/", &[("x-do", "change")]);
    exchange.response = Some(response.body(()).unwrap().into_parts().0);
    exchange.member = Some("192.0.2.1:80".parse().unwrap());
    runner.on_response(&mut exchange).unwrap();
    let response = exchange.response.unwrap();
    assert_eq!((response.status.as_u16(), response.headers.len()), (201, 3), "{response:?}");
    let shunt_rules::HeaderEdit::Set(_, results) = &exchange.response_edits[0] else { panic!() };
    // Status twice, set x-set, add x-many, remove server, a field that only Shunt writes, a bad name.
    assert_eq!(results, "not-granted not-granted not-granted ok not-granted forbidden invalid");
    assert_eq!(
        denied(&runner),
        [
            "change the status of responses",
            "change the field x-set of responses",
            "change the field server of responses"
        ]
    );
}

#[test]
fn verdicts_that_were_not_asked_for_are_faults() {
    let mut runner = runner(LEAST);
    let fault = runner.on_request(&mut exchange("/respond", &[])).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Verdict);
    assert_eq!(
        fault.message,
        "responded itself, for which pack.toml does not ask; add `answer = true` to [capabilities.response]"
    );
    let fault = runner.on_flow(&flow("192.0.2.7:4"), &mut Vars::default()).unwrap_err();
    assert_eq!(
        fault.message,
        "chose the mode l3dsr-ipip, for which pack.toml does not ask; add \"l3dsr-ipip\" to `modes` of [capabilities]"
    );
    assert_eq!(runner.on_flow(&flow("192.0.2.7:1"), &mut Vars::default()), Ok(FlowVerdict::Reject));
    let body = runner.on_request_body(&mut exchange("/", &[]), b"x", true);
    assert_eq!(body, Ok(BodyVerdict::Next));
}

/// Such as `surface`, which is for both kinds of virtuals.
#[test]
fn a_proxy_virtual_ignores_slots_of_snat_pools() {
    let rule = host().compile(&pack("surface")).unwrap();
    let mut options = options(&rule, &World::new());
    options.slots.retain(|binding| !binding.snat);
    let mut runner = Runner::new(rule.attach(options).unwrap());
    let FlowVerdict::To(target) = runner.on_flow(&flow("192.0.2.7:4"), &mut Vars::default()).unwrap() else {
        panic!()
    };
    assert_eq!((target.pool, target.snat_pool), (Some(0), None));
}

#[test]
fn a_line_of_the_log_more_than_was_asked_for_is_a_fault() {
    let fault = runner(LEAST).on_request(&mut exchange("/log", &[])).unwrap_err();
    assert_eq!(fault.kind, FaultKind::HostCalls);
    assert!(fault.message.contains("more than 1 line"), "{fault}");
}

#[test]
fn what_is_imported_and_not_asked_for_is_refused_before_it_is_compiled() {
    let error = asking("log = 1\nclock = true\nlb = true\n").unwrap_err().to_string();
    assert_eq!(
        error,
        "the rule can do what its pack.toml does not ask for:\n  \
         get random numbers: add `random = true` to [capabilities]\n  \
         keep variables of a request or flow: add `vars = true` to [capabilities]\n  \
         remember what it sees in the tables that it declares: add `table = true` to [capabilities]\n  \
         read and change bindings in the pools that its slots are bound to: add `persist = true` to [capabilities]\n  \
         look up the sets that it declares: add `sets = true` to [capabilities]\n  \
         read the flags that it declares: add `flags = true` to [capabilities]\n  \
         use hashes, and the keys that it declares without seeing them: add `crypto = true` to [capabilities]\n  \
         read the certificates of clients: add `client-certificate = true` to [capabilities]\n  \
         read and replace bodies of requests: add `body = true` to [capabilities.request]\n  \
         read and replace bodies of responses: add `body = true` to [capabilities.response]"
    );
}

#[test]
fn a_case_in_which_something_was_refused_fails() {
    let folder = tempfile::tempdir().unwrap();
    let case = "[[case]]\nname = \"a field\"\nrequest = { path = \"/header?accept\" }\nexpect = { verdict = \"respond\" }\n";
    fs::write(folder.path().join("a.toml"), case).unwrap();
    let pack = asking(&format!("{LEAST}[capabilities.response]\nanswer = true\n")).unwrap();
    let report = run(host(), &pack, folder.path()).unwrap();
    let text = report.failed().next().unwrap().to_string();
    assert!(
        text.contains(
            "pack.toml does not ask to read the field accept of requests; add \"accept\" to `read` of [capabilities.request]"
        ),
        "{text}"
    );
}
