//! Guests that break the calling convention of the component model, written by hand: called directly they are stopped
//! where a component would be, with the same words, and reach nothing.

use std::sync::Arc;

use shunt_rules::build::componentize;
use shunt_rules::{FaultKind, Pack, RequestVerdict, Rule, Runner, WayOfCalls};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::world::{World, exchange, host, options, root};

const MANIFEST: &str = "[pack]\nname = \"breach\"\nversion = \"1.0.0\"\nwit = \"0.1\"\n\
    [capabilities]\nlog = 64\nclock = true\nvars = true\n[capabilities.request]\nread = [\"x-*\"]\ntarget = true\n\
    [capabilities.response]\nanswer = true\n";

/// A verdict, or the kind and the text of a fault.
type Outcome = Result<RequestVerdict, (FaultKind, String)>;

/// Parts of a guest; what is empty is as it should be.
#[derive(Default)]
struct Guest<'a> {
    /// The body of `on-request`, which ends with the address of the verdict.
    body: &'a str,
    realloc: &'a str,
    post_return: &'a str,
}

/// Drops the handle and returns `next`, which is what fresh memory says.
const NEXT: &str = "(call $drop (local.get $request)) (i32.const 512)";

impl Guest<'_> {
    fn module(&self) -> String {
        let or = |own: &str, usual: &str| if own.is_empty() { usual.to_owned() } else { own.to_owned() };
        let realloc = or(
            self.realloc,
            "(local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
             (global.set $free (i32.add (local.get $at) (local.get 3)))
             (local.get $at)",
        );
        format!(
            r#"(module
                (import "shunt:rule/http@0.1.0" "[method]request.method" (func $method (param i32 i32)))
                (import "shunt:rule/http@0.1.0" "[method]request.version" (func $version (param i32) (result i32)))
                (import "shunt:rule/http@0.1.0" "[method]request.header" (func $header (param i32 i32 i32 i32)))
                (import "shunt:rule/http@0.1.0" "[method]request.headers" (func $headers (param i32 i32 i32 i32)))
                (import "shunt:rule/http@0.1.0" "[method]request.set-query" (func $query (param i32 i32 i32 i32 i32)))
                (import "shunt:rule/http@0.1.0" "[method]response.status" (func $status (param i32) (result i32)))
                (import "shunt:rule/http@0.1.0" "[resource-drop]request" (func $drop (param i32)))
                (import "shunt:rule/http@0.1.0" "[resource-drop]response" (func $drop-response (param i32)))
                (import "shunt:rule/log@0.1.0" "enabled" (func $enabled (param i32) (result i32)))
                (import "shunt:rule/log@0.1.0" "write" (func $write (param i32 i32 i32)))
                (import "shunt:rule/clock@0.1.0" "unix-ms" (func $now (result i64)))
                (import "shunt:rule/vars@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32)))
                (memory (export "memory") 1 4)
                (data (i32.const 16) "x-old")
                (data (i32.const 32) "\ff\fe")
                (global $free (mut i32) (i32.const 4096))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32) {realloc})
                (func (export "cabi_post_shunt:rule/on-request@0.1.0#on-request") (param i32) {post_return})
                (func (export "shunt:rule/on-request@0.1.0#on-request") (param $request i32) (result i32) {body}))"#,
            post_return = self.post_return,
            body = or(self.body, NEXT),
        )
    }

    fn rule(&self) -> Arc<Rule> {
        let mut resolve = Resolve::default();
        resolve.push_dir(root().join("wit")).unwrap();
        let world = "package test:breach; world rule { import shunt:rule/http@0.1.0; import shunt:rule/log@0.1.0; \
            import shunt:rule/clock@0.1.0; import shunt:rule/vars@0.1.0; export shunt:rule/on-request@0.1.0; }";
        let package = resolve.push_str("breach.wit", world).unwrap();
        let world = resolve.select_world(&[package], Some("rule")).unwrap();
        let mut module = wat::parse_str(self.module()).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        let pack = Pack::from_bytes(componentize(&module, MANIFEST, None).unwrap()).unwrap();
        let rule = host().compile(&pack).unwrap();
        assert!(rule.is_direct());
        rule
    }

    /// Calls it twice in one way: what came of it, and what became of the request.
    fn play(rule: &Arc<Rule>, way: WayOfCalls) -> (Vec<Outcome>, String) {
        let mut options = options(rule, &World::new());
        options.way = way;
        let mut runner = Runner::new(rule.attach(options).unwrap());
        let mut request = exchange("/a?b", &[("x-old", "value"), ("x-old", "another")]);
        let calls =
            (0..2).map(|_| runner.on_request(&mut request).map_err(|fault| (fault.kind, fault.message)));
        (calls.collect(), format!("{request:?}"))
    }
}

/// What both ways come to.
#[track_caller]
fn both(guest: &Guest<'_>) -> Outcome {
    let rule = guest.rule();
    let direct = Guest::play(&rule, WayOfCalls::Quickest);
    let component = Guest::play(&rule, WayOfCalls::Component);
    assert_eq!(direct, component);
    let (calls, _) = direct;
    assert_eq!(calls[0], calls[1], "the next call finds the rule as it was");
    calls.into_iter().next().unwrap()
}

#[track_caller]
fn trap(guest: &Guest<'_>, says: &str) {
    let (kind, message) = both(guest).unwrap_err();
    assert_eq!(kind, FaultKind::Trap, "{message}");
    assert!(message.contains(says), "{message}");
}

/// The body of `on-request`, before it drops its handle and returns `next`.
fn body(before: &str) -> String {
    format!("{before} {NEXT}")
}

#[track_caller]
fn stopped(before: &str, says: &str) {
    trap(&Guest { body: &body(before), ..Guest::default() }, says);
}

#[test]
fn one_that_keeps_to_it_is_served() {
    assert_eq!(both(&Guest::default()), Ok(RequestVerdict::Next));
    let reads = body(
        "(call $header (local.get $request) (i32.const 16) (i32.const 5) (i32.const 64))
         (call $headers (local.get $request) (i32.const 16) (i32.const 5) (i32.const 96))
         (call $method (local.get $request) (i32.const 128))
         (if (i32.ne (i32.load8_u (i32.load (i32.const 72))) (i32.const 118)) (then unreachable))",
    );
    assert_eq!(both(&Guest { body: &reads, ..Guest::default() }), Ok(RequestVerdict::Next));
}

#[test]
fn handles_are_the_call_s_own() {
    stopped("(call $method (i32.const 0) (i32.const 64))", "unknown handle index 0");
    stopped("(call $method (i32.const 2) (i32.const 64))", "unknown handle index 2");
    stopped("(drop (call $version (i32.const 77)))", "unknown handle index 77");
    stopped("(drop (call $version (i32.const -1)))", "unknown handle index 4294967295");
    stopped(
        "(call $drop (local.get $request)) (call $method (local.get $request) (i32.const 64))",
        "unknown handle",
    );
    stopped("(call $drop (local.get $request))", "unknown handle index 1");
    stopped("(drop (call $status (local.get $request)))", "handle index 1 used with the wrong type");
    stopped("(call $drop-response (local.get $request))", "handle index 1 used with the wrong type");
    let kept = Guest { body: "(i32.const 512)", ..Guest::default() };
    trap(&kept, "borrow handles still remain at the end of the call");
}

#[test]
fn what_a_guest_names_is_in_its_memory() {
    let out = "string pointer/length out of bounds of memory";
    for (at, len) in
        [("65536", "1"), ("65535", "2"), ("-1", "1"), ("-1", "-1"), ("0", "-1"), ("2147483647", "2147483647")]
    {
        stopped(
            &format!("(call $header (local.get $request) (i32.const {at}) (i32.const {len}) (i32.const 64))"),
            out,
        );
        stopped(&format!("(call $write (i32.const 2) (i32.const {at}) (i32.const {len}))"), out);
        stopped(
            &format!(
                "(call $query (local.get $request) (i32.const 1) (i32.const {at}) (i32.const {len}) (i32.const 64))"
            ),
            out,
        );
        stopped(
            &format!(
                "(call $set (i32.const 0) (i32.const 16) (i32.const 5) (i32.const {at}) (i32.const {len}))"
            ),
            "list pointer/length out of bounds of memory",
        );
    }
    for at in ["65536", "65529", "-4", "2147483644"] {
        stopped(&format!("(call $method (local.get $request) (i32.const {at}))"), "pointer");
    }
    stopped("(call $method (local.get $request) (i32.const 65))", "pointer not aligned");
    stopped(
        "(call $header (local.get $request) (i32.const 16) (i32.const 5) (i32.const 66))",
        "pointer not aligned",
    );
    stopped(
        "(call $header (local.get $request) (i32.const 32) (i32.const 2) (i32.const 64))",
        "invalid utf-8 sequence of 1 bytes from index 0",
    );
    // The last octets of the memory are its own.
    let edge = body(
        "(call $header (local.get $request) (i32.const 65535) (i32.const 1) (i32.const 65520))
         (call $method (local.get $request) (i32.const 65528))",
    );
    assert_eq!(both(&Guest { body: &edge, ..Guest::default() }), Ok(RequestVerdict::Next));
}

#[test]
fn numbers_of_cases_are_in_the_contract() {
    stopped("(drop (call $enabled (i32.const 4)))", "unexpected discriminant: 4");
    stopped("(drop (call $enabled (i32.const -1)))", "unexpected discriminant: 4294967295");
    stopped("(call $write (i32.const 256) (i32.const 16) (i32.const 5))", "unexpected discriminant: 256");
    stopped(
        "(call $set (i32.const 2) (i32.const 16) (i32.const 5) (i32.const 16) (i32.const 5))",
        "unexpected discriminant: 2",
    );
    stopped(
        "(call $query (local.get $request) (i32.const 2) (i32.const 16) (i32.const 5) (i32.const 64))",
        "invalid option discriminant",
    );
}

/// A verdict at 512, by what is stored there.
fn returns(stores: &str, at: &str) -> String {
    format!("(call $drop (local.get $request)) {stores} (i32.const {at})")
}

#[test]
fn verdicts_are_read_with_care() {
    let verdict = |stores: &str, at: &str, says: &str| {
        trap(&Guest { body: &returns(stores, at), ..Guest::default() }, says);
    };
    verdict("", "516", "return pointer not aligned");
    verdict("", "65536", "pointer out of bounds of memory");
    verdict("", "65480", "pointer out of bounds of memory");
    verdict("", "-8", "pointer out of bounds of memory");
    verdict("(i32.store8 (i32.const 512) (i32.const 5))", "512", "unexpected discriminant: 5");
    let to = "(i32.store8 (i32.const 512) (i32.const 1))";
    let field = |at: u32, value: &str| format!("(i32.store (i32.const {at}) (i32.const {value}))");
    // The pool, the member, the mode and the key of a target.
    verdict(&format!("{to} {}", field(520, "2")), "512", "invalid option discriminant");
    let far = format!("{to} {} {} {}", field(520, "1"), field(524, "65535"), field(528, "2"));
    verdict(&far, "512", "string pointer/length out of bounds of memory");
    let not_text = format!("{to} {} {} {}", field(520, "1"), field(524, "32"), field(528, "2"));
    verdict(&not_text, "512", "invalid utf-8");
    verdict(&format!("{to} {}", field(536, "3")), "512", "invalid option discriminant");
    verdict(&format!("{to} {}", field(568, &(1 + 8 * 256).to_string())), "512", "unexpected discriminant: 8");
    let key = format!("{to} {} {} {}", field(584, "1"), field(588, "65535"), field(592, "2"));
    verdict(&key, "512", "list pointer/length out of bounds of memory");
    // An answer, whose list of fields is not where a list can be, or is in itself.
    let respond = "(i32.store8 (i32.const 512) (i32.const 2)) (i32.store (i32.const 520) (i32.const 200))";
    let list = |at: &str, len: &str| format!("{respond} {} {}", field(524, at), field(528, len));
    verdict(&list("65535", "1"), "512", "list pointer/length out of bounds of memory");
    verdict(&list("-1", "-1"), "512", "list pointer/length out of bounds of memory");
    verdict(&list("16", "268435455"), "512", "list pointer/length out of bounds of memory");
    verdict(&list("1026", "1"), "512", "list pointer is not aligned");
}

/// A list of a few fields, each of which is the whole memory, would make the host copy far more than the guest has.
#[test]
fn what_a_verdict_makes_the_host_copy_is_bounded() {
    let fields = "(local $at i32) (local.set $at (i32.const 1024))
        (loop $next
            (i32.store (i32.add (local.get $at) (i32.const 12)) (i32.const 65536))
            (local.set $at (i32.add (local.get $at) (i32.const 16)))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 60000))))
        (i32.store8 (i32.const 512) (i32.const 2)) (i32.store (i32.const 520) (i32.const 200))
        (i32.store (i32.const 524) (i32.const 1024)) (i32.store (i32.const 528) (i32.const 3686))
        (call $drop (local.get $request)) (i32.const 512)";
    trap(&Guest { body: fields, ..Guest::default() }, "fuel allocated for hostcalls has been exhausted");
}

#[test]
fn what_a_guest_allocates_for_the_host_is_in_its_memory() {
    let asks = body("(call $method (local.get $request) (i32.const 64))");
    let allocates = |realloc: &str, says: &str| {
        trap(&Guest { body: &asks, realloc, ..Guest::default() }, says);
    };
    allocates("(i32.const 65536)", "realloc return: beyond end of memory");
    allocates("(i32.const 65534)", "realloc return: beyond end of memory");
    allocates("(i32.const -1)", "realloc return: beyond end of memory");
    allocates("(drop (call $now)) (i32.const 4096)", "cannot leave component instance");
    let lists = body("(call $headers (local.get $request) (i32.const 16) (i32.const 5) (i32.const 64))");
    trap(
        &Guest { body: &lists, realloc: "(i32.const 4098)", ..Guest::default() },
        "realloc return: result not aligned",
    );
    // Memory that grows while the host asks for it is not where it was.
    let grows = "(drop (memory.grow (i32.const 1))) (i32.const 65600)";
    let once = Guest { body: &asks, realloc: grows, ..Guest::default() };
    assert_eq!(both(&once), Ok(RequestVerdict::Next));
    let (kind, _) = both(&Guest { body: &asks, realloc: "unreachable", ..Guest::default() }).unwrap_err();
    assert_eq!(kind, FaultKind::Panic);
}

#[test]
fn a_guest_that_takes_back_what_it_returned_cannot_call_the_host() {
    for call in [
        "(drop (call $now))",
        "(call $drop (i32.const 1))",
        "(call $write (i32.const 2) (i32.const 16) (i32.const 5))",
    ] {
        trap(&Guest { post_return: call, ..Guest::default() }, "cannot leave component instance");
    }
    let (kind, _) = both(&Guest { post_return: "unreachable", ..Guest::default() }).unwrap_err();
    assert_eq!(kind, FaultKind::Panic);
    let counts = "(if (i32.ne (local.get 0) (i32.const 512)) (then unreachable))";
    assert_eq!(both(&Guest { post_return: counts, ..Guest::default() }), Ok(RequestVerdict::Next));
}
