//! Building, compiling, attaching: what is refused, and that nothing stays behind.

use std::fs;
use std::sync::Arc;

use serde_json::json;
use shunt_rules::build::{BuildError, build};
use shunt_rules::{
    AttachError, AttachProblem, Budget, FaultKind, Hook, HookSet, Pack, Rule, RuleError, RuleHost, Runner,
    SlotBinding,
};

use crate::world::{World, build_options, example, exchange, folder, host, options, pack, rule};

#[test]
fn hooks_are_found_from_the_exports() {
    assert_eq!(rule("plain").hooks().to_string(), "on-load, on-request");
    assert_eq!(rule("hostile").hooks().to_string(), "on-load, on-flow, on-request");
    assert_eq!(rule("surface").hooks(), HookSet::HTTP);
    assert!(rule("data").hooks().contains(Hook::OnData));
}

#[test]
fn a_built_pack_carries_its_manifest_and_schema_and_little_else() {
    let pack = pack("surface");
    assert_eq!(pack.manifest().version.to_string(), "1.0.0");
    let fields: Vec<_> = pack.schema().unwrap().fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(fields, ["flag", "number", "ratio", "text", "list", "labels"]);
    let size = crate::world::pack("plain").bytes().len();
    assert!(size <= 20 << 10, "the least rule is {size} bytes");
}

#[test]
fn a_rule_that_does_not_compile_says_why() {
    let copy = tempfile::tempdir_in(folder("")).unwrap();
    let name = copy.path().file_name().unwrap().to_str().unwrap().to_owned();
    fs::create_dir(copy.path().join("src")).unwrap();
    let manifest =
        "[package]\nname = \"broken\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[lib]\n[workspace]\n";
    fs::write(copy.path().join("Cargo.toml"), manifest).unwrap();
    fs::write(
        copy.path().join("pack.toml"),
        "[pack]\nname = \"broken\"\nversion = \"1.0.0\"\nwit = \"0.1\"\n",
    )
    .unwrap();
    fs::write(copy.path().join("src/lib.rs"), "pub fn broken() -> u8 { \"\" }").unwrap();
    match build(copy.path(), &build_options()) {
        Err(BuildError::Compile { messages }) => assert!(messages.contains("mismatched types"), "{messages}"),
        other => panic!("{name}: {other:?}"),
    }
    fs::write(copy.path().join("src/lib.rs"), "").unwrap();
    assert!(matches!(build(copy.path(), &build_options()), Err(BuildError::NoCdylib)));
    assert!(!copy.path().join("dist").exists());
}

/// A pack made of a component in the text format.
fn text_pack(component: &str) -> Pack {
    let manifest =
        "[pack]\nname = \\\"t\\\"\nversion = \\\"1.0.0\\\"\nwit = \\\"0.1\\\"\n[capabilities]\nclock = true\n".replace('\n', "\\n");
    let text =
        component.replacen("(component", &format!("(component (@custom \"shunt:pack\" \"{manifest}\")"), 1);
    Pack::from_bytes(wat::parse_str(&text).unwrap()).unwrap()
}

fn refusal(component: &str) -> RuleError {
    match host().compile(&text_pack(component)) {
        Err(error) => error,
        Ok(_) => panic!("{component} was compiled"),
    }
}

#[test]
fn components_of_another_world_are_refused_by_what_they_ask_for() {
    let error = refusal(
        r#"(component
            (import "wasi:cli/environment@0.2.3" (instance (export "initial-cwd" (func (result (option string))))))
            (import "shunt:rule/clock@0.1.0" (instance (export "unix-ms" (func (result u64)))))
        )"#,
    );
    let text = error.to_string();
    assert!(matches!(error, RuleError::Imports(names) if names == ["wasi:cli/environment@0.2.3"]), "{text}");
    assert!(text.contains("shunt rule build"), "{text}");

    let error = refusal(
        r#"(component (import "shunt:rule/clock@0.2.0" (instance (export "unix-ms" (func (result u64))))))"#,
    );
    assert!(matches!(&error, RuleError::Version(_)) && error.to_string().contains("0.2.0"), "{error}");

    let error = refusal("(component)");
    assert!(matches!(error, RuleError::NoHook), "{error}");
    assert!(error.to_string().contains("on-request"));

    let hook = |name: &str, result: &str| {
        format!(
            r#"(component
                (core module $m (func (export "f") (result i32) i32.const 0))
                (core instance $i (instantiate $m))
                (func $f (result {result}) (canon lift (core func $i "f")))
                (instance $h (export "{name}" (func $f)))
                (export "shunt:rule/{name}@0.1.0" (instance $h))
            )"#
        )
    };
    let error = refusal(&hook("on-timer", "u32"));
    assert!(
        matches!(&error, RuleError::UnknownHooks(_)) && error.to_string().contains("on-timer"),
        "{error}"
    );

    let error = refusal(
        r#"(component (import "shunt:rule/clock@0.1.0" (instance (export "unix-ms" (func (result string)))))
        (core module $m (memory (export "m") 1) (func (export "f") (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func $f (result u32) (canon lift (core func $i "f")))
        (instance $h (export "on-flow" (func $f)))
        (export "shunt:rule/on-flow@0.1.0" (instance $h)))"#,
    );
    assert!(matches!(&error, RuleError::Contract(text) if text.contains("unix-ms")), "{error}");

    // The right name with the wrong type.
    let rule = host().compile(&text_pack(&hook("on-flow", "u32"))).unwrap();
    let error = rule.attach(options(&rule, &World::new())).map(drop).unwrap_err();
    assert!(matches!(error.0[0], AttachProblem::Contract { hook: Hook::OnFlow, .. }), "{error}");
}

fn problems(change: impl FnOnce(&mut shunt_rules::AttachOptions)) -> AttachError {
    let (world, rule) = (World::new(), rule("hostile"));
    let mut options = options(&rule, &world);
    change(&mut options);
    rule.attach(options).map(drop).unwrap_err()
}

#[test]
fn everything_that_is_wrong_at_attach_is_told_at_once() {
    let error = problems(|options| {
        options.slots = vec![SlotBinding { slot: "wbe".into(), pool: "p".into(), snat: false }];
        options.settings = json!({ "laod": "ok", "load": 5 });
        options.fires = [Hook::OnRequest].into_iter().collect();
        options.budget = Budget { memory: 1 << 30, ..Budget::default() };
    });
    let text = error.to_string();
    for says in [
        "the rule exports on-flow, which its virtual never calls",
        "the pack has no slot \"wbe\"; did you mean \"web\"?",
        "slot \"web\" (where good requests go) is not bound to a pool",
        "unknown setting \"laod\"; did you mean \"load\"?",
        "settings.load: expected a text, found an integer",
        "more than 256 MiB",
    ] {
        assert!(text.contains(says), "{says:?} is not in\n{text}");
    }
    assert_eq!(error.0.len(), 6);
    let twice = problems(|options| options.slots.push(options.slots[0].clone()));
    assert_eq!(twice.0, [AttachProblem::SlotTwice("web".into())]);
    let snat = problems(|options| options.slots[0].snat = true);
    let text = "slot \"web\" (where good requests go) stands for a pool, and \"pool-web\" is a SNAT pool; bind it to a pool";
    assert_eq!(snat.to_string(), text);
}

#[test]
fn a_rule_for_tls_and_clear_text_may_have_the_hook_of_one() {
    let without_tls = HookSet::HTTP.without([Hook::OnClientHello].into_iter().collect());
    let attach = |rule: &Arc<Rule>| {
        let mut options = options(rule, &World::new());
        options.fires = without_tls;
        rule.attach(options).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(attach(&rule("hello")), Ok(()), "its other hooks are called");
    let names = host().compile(&example("server-names")).unwrap();
    let refused = attach(&names).unwrap_err();
    assert!(refused.contains("the rule exports on-client-hello, which its virtual never calls"), "{refused}");
}

#[test]
fn on_load_may_refuse_and_may_not_misbehave() {
    let load = |what: &str| {
        problems(|options| {
            options.settings = json!({ "load": what });
            if what == "loop" {
                options.budget.time = Budget::default().time;
            }
        })
    };
    assert_eq!(load("refuse").0, [AttachProblem::Refused("no licence for this virtual".into())]);
    for (what, kind) in
        [("loop", FaultKind::Timeout), ("panic", FaultKind::Panic), ("memory", FaultKind::Memory)]
    {
        let error = load(what);
        match &error.0[..] {
            [AttachProblem::OnLoad(fault)] => assert_eq!((fault.kind, fault.hook), (kind, Hook::OnLoad)),
            other => panic!("{other:?}"),
        }
        assert!(error.to_string().starts_with("the rule fails to load: on-load: "), "{error}");
    }
    let error = problems(|options| options.budget.memory = 64 << 10);
    assert!(error.to_string().contains("its budget is 64 KiB"), "{error}");
}

#[test]
fn when_no_instance_is_free_the_new_is_refused_and_the_old_is_served() {
    // A host of its own: the other tests want instances too.
    let host = RuleHost::new().unwrap();
    let (world, rule) = (World::new(), host.compile(&pack("plain")).unwrap());
    let attachment = rule.attach(options(&rule, &world)).unwrap();
    let mut runners = Vec::new();
    let fault = loop {
        let mut runner = Runner::new(attachment.clone());
        match runner.warm() {
            Ok(()) => runners.push(runner),
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault.kind, FaultKind::Instance, "{fault}");
    assert!(fault.message.contains("no instance is free"), "{fault}");
    assert!(runners.len() >= 4000, "{}", runners.len());
    assert!(runners[0].on_request(&mut exchange("/", &[])).is_ok());
    for _ in 0..10 {
        assert!(Runner::new(attachment.clone()).on_request(&mut exchange("/", &[])).is_err());
    }
    assert!(!attachment.breaker_is_open(), "the rule is not to blame");
    runners.pop();
    assert!(Runner::new(attachment).on_request(&mut exchange("/", &[])).is_ok());
}
