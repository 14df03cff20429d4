//! One test per trap and per limit: each call faults by its name, and the next one is served.

use std::time::{Duration, Instant};

use shunt_rules::{Budget, Fault, FaultKind, Hook, Pack, RequestVerdict, Runner, Target, Vars};

use crate::world::{PATIENCE, World, attach, exchange, flow, host, options, pack, rule, runner};

/// Calls a hostile path, checks that a good one is served after it, and gives the fault.
fn fault(path: &str) -> Fault {
    fault_within(path, PATIENCE)
}

fn fault_within(path: &str, time: Duration) -> Fault {
    let (world, rule) = (World::new(), rule("hostile"));
    let mut options = options(&rule, &world);
    options.budget.time = time;
    let mut runner = Runner::new(rule.attach(options).unwrap());
    let mut request = exchange(path, &[("x-kept", "1")]);
    let fault = runner.on_request(&mut request).unwrap_err();
    assert_eq!(request.request.headers["x-kept"], "1", "the exchange comes back from a fault");
    assert_eq!(runner.on_request(&mut exchange("/ok", &[])), good(), "a fresh instance serves the next call");
    let reading = runner.attachment().stats().read();
    let on_request = reading.hook(fault.hook);
    assert_eq!((on_request.calls, on_request.faults(), on_request.fault(fault.kind)), (2, 1, 1));
    assert_eq!(reading.hook(Hook::OnLoad).calls, 3, "at attach, and for each instance");
    fault
}

fn good() -> Result<RequestVerdict, Fault> {
    Ok(RequestVerdict::To(Target { pool: Some(0), ..Target::default() }))
}

#[track_caller]
fn assert_fault(path: &str, kind: FaultKind, says: &str) {
    let fault = fault(path);
    assert_eq!(fault.kind, kind, "{fault}");
    assert!(fault.message.contains(says), "{fault}");
    assert_eq!(fault.hook, Hook::OnRequest);
}

#[test]
fn an_endless_loop_runs_out_of_time() {
    let fault = fault_within("/loop", Budget::default().time);
    assert_eq!((fault.kind, fault.hook), (FaultKind::Timeout, Hook::OnRequest), "{fault}");
    assert!(fault.message.contains("ran for longer than 10ms"), "{fault}");
}

/// The component has no names; the file beside it, which its build wrote, has.
#[test]
fn a_fault_names_the_functions_that_it_happened_in() {
    // Recursion is told once; what rustc has put into the exported function is not named: the hook is.
    let recursion = fault("/recursion").message;
    assert!(recursion.ends_with("recursed too deeply in hostile::recurse"), "{recursion}");
    let error = fault("/panic").message;
    assert!(!error.contains("core::") && !error.contains("shunt_sdk"), "{error}");

    // Without them there are numbers, which tools for WebAssembly show as well.
    let bare = Pack::from_bytes(pack("hostile").bytes().to_vec()).unwrap();
    let rule = host().compile(&bare).unwrap();
    let mut runner = Runner::new(rule.attach(options(&rule, &World::new())).unwrap());
    let fault = runner.on_request(&mut exchange("/recursion", &[])).unwrap_err();
    assert!(fault.message.contains("recursed too deeply in function "), "{fault}");
}

#[test]
fn a_time_budget_is_kept_even_when_the_clock_slept() {
    let (world, rule) = (World::new(), rule("hostile"));
    let mut options = options(&rule, &world);
    options.budget = Budget { time: Duration::from_millis(30), ..Budget::default() };
    let mut runner = Runner::new(rule.attach(options).unwrap());
    let started = Instant::now();
    let fault = runner.on_flow(&flow("192.0.2.7:666"), &mut Vars::default()).unwrap_err();
    assert_eq!((fault.kind, fault.hook), (FaultKind::Timeout, Hook::OnFlow));
    assert!(started.elapsed() >= Duration::from_millis(25), "{:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn a_memory_bomb_is_stopped_at_its_budget() {
    assert_fault("/memory", FaultKind::Memory, "its budget is 16384 KiB");
}

#[test]
fn deep_recursion_is_stopped() {
    assert_fault("/recursion", FaultKind::Stack, "recursed too deeply");
}

#[test]
fn a_panic_is_told_in_its_own_words() {
    assert_fault("/panic", FaultKind::Panic, "the author was wrong about /panic");
    assert_fault("/panic", FaultKind::Panic, "src/lib.rs:");
    assert_fault("/error", FaultKind::Panic, "not a number");
    assert_fault("/abort", FaultKind::Panic, "executed the instruction `unreachable`");
}

#[test]
fn floods_of_host_calls_are_stopped() {
    assert_fault("/log-flood", FaultKind::HostCalls, "more than 64 lines");
    assert_fault("/random-flood", FaultKind::HostCalls, "4097 random bytes");
    assert_fault("/random-much", FaultKind::HostCalls, "random bytes");
    assert_fault(
        "/table-none",
        FaultKind::HostCalls,
        "named the table \"none\", which the pack does not declare",
    );
    assert_fault(
        "/table-kind",
        FaultKind::HostCalls,
        "used the table \"counts\" as one of values, and the pack declares it as one of counters",
    );
    assert_fault("/table-key", FaultKind::HostCalls, "used a key of 257 bytes in the table \"counts\"");
    assert_fault("/table-value", FaultKind::HostCalls, "put a value of 4097 bytes into the table \"counts\"");
    assert_fault("/table-item", FaultKind::HostCalls, "put a value of 4097 bytes into the table \"counts\"");
    assert_fault("/table-keep", FaultKind::HostCalls, "whose entries end by themselves");
    assert_fault("/persist-key", FaultKind::HostCalls, "used a persistence key of 257 bytes");
    assert_fault("/persist-slot", FaultKind::HostCalls, "\"nowhere\"");
    assert_fault("/vars-many", FaultKind::HostCalls, "more than 64 variables");
    assert_fault("/vars-long", FaultKind::HostCalls, "longer than 4096 bytes");
    assert_fault("/vars-name", FaultKind::HostCalls, "longer than 256 bytes");
    assert_fault("/pool", FaultKind::HostCalls, "\"nowhere\"");
}

#[test]
fn misuse_of_what_operators_set_is_stopped() {
    let misused = |path: &str, says: &str| {
        let fault = runner("misuses", &World::new()).on_request(&mut exchange(path, &[])).unwrap_err();
        assert_eq!(fault.kind, FaultKind::HostCalls, "{fault}");
        assert!(fault.to_string().contains(says), "{fault}");
    };
    misused("/flag-unknown", "the flag \"nowhere\", which the pack does not declare");
    misused("/flag-type", "the flag \"on\", which is no integer");
    misused("/set-unknown", "\"nowhere\", which the pack does not declare");
    misused("/set-kind", "the set \"words\", which is of the kind exact");
    misused("/set-long", "65537 bytes in the set \"words\"; at most 65536");
    misused("/key-unknown", "the key \"nowhere\", which the pack does not declare");
    misused("/key-public", "the operator bound the key \"issuer\" to public keys");
    misused("/hash-much", "gave 1048577 bytes; at most 1048576");
}

#[test]
fn a_flood_of_cheap_host_calls_ends_by_number_or_by_time() {
    let fault = fault_within("/host-calls", Budget::default().time);
    assert!(matches!(fault.kind, FaultKind::HostCalls | FaultKind::Timeout), "{fault}");
    assert_fault("/host-calls", FaultKind::HostCalls, "made more than 100000 host calls");
}

#[test]
fn verdicts_that_mean_nothing_are_faults() {
    assert_fault("/slot", FaultKind::Verdict, "the slot \"nowhere\"");
    assert_fault("/snat-slot", FaultKind::Verdict, "the slot \"nowhere\"");
    assert_fault("/persist", FaultKind::Verdict, "257 bytes");
    assert_fault("/need-body", FaultKind::Verdict, "no on-request-body");
    assert_fault("/status", FaultKind::Verdict, "status 99");
    assert_fault("/framing", FaultKind::Verdict, "content-length");
    assert_fault("/bad-name", FaultKind::Verdict, "\"no spaces\"");
    assert_fault("/bad-value", FaultKind::Verdict, "a value of x");
    assert_fault("/long-head", FaultKind::Verdict, "more than 65536 bytes");
}

#[test]
fn variables_survive_a_fault() {
    let world = World::new();
    let mut request = exchange("/vars", &[]);
    runner("surface", &world).on_request(&mut request).unwrap();
    request.request.uri = "/panic".parse().unwrap();
    assert!(runner("hostile", &world).on_request(&mut request).is_err());
    request.request.uri = "/vars".parse().unwrap();
    let Ok(RequestVerdict::Respond(answer)) = runner("surface", &world).on_request(&mut request) else {
        panic!()
    };
    assert!(answer.body.starts_with(b"(Some(\"r\")"));
}

#[test]
fn a_caller_that_refuses_a_verdict_makes_it_a_fault() {
    let mut runner = runner("hostile", &World::new());
    assert_eq!(runner.on_request(&mut exchange("/ok", &[])), good());
    let fault = runner.refuse_verdict(Hook::OnRequest, "the pool has no such member");
    assert_eq!(fault.to_string(), "on-request: verdict: the pool has no such member");
    assert_eq!(runner.attachment().stats().read().hook(Hook::OnRequest).fault(FaultKind::Verdict), 1);
}

#[test]
fn the_breaker_opens_probes_and_closes() {
    let world = World::new();
    let attachment = attach("hostile", &world);
    let (mut a, mut b) = (Runner::new(attachment.clone()), Runner::new(attachment.clone()));
    for _ in 0..4 {
        assert!(a.on_request(&mut exchange("/panic", &[])).is_err());
    }
    assert!(world.opened.lock().unwrap().is_empty());
    assert!(b.on_request(&mut exchange("/panic", &[])).is_err());
    assert_eq!(*world.opened.lock().unwrap(), ["shop/test"]);
    assert!(attachment.breaker_is_open());

    let refused = a.on_request(&mut exchange("/ok", &[])).unwrap_err();
    assert_eq!((refused.kind, refused.message.as_str()), (FaultKind::BreakerOpen, ""));
    world.advance_ms(1000);
    assert_eq!(
        a.on_request(&mut exchange("/panic", &[])).unwrap_err().kind,
        FaultKind::Panic,
        "the probe runs"
    );
    world.advance_ms(1999);
    assert_eq!(b.on_request(&mut exchange("/ok", &[])).unwrap_err().kind, FaultKind::BreakerOpen);
    world.advance_ms(1);
    assert_eq!(b.on_request(&mut exchange("/ok", &[])), good());
    assert_eq!(a.on_request(&mut exchange("/ok", &[])), good());
    assert_eq!(world.opened.lock().unwrap().len(), 1, "a failed probe does not open it again");

    let reading = attachment.stats().read();
    let on_request = reading.hook(Hook::OnRequest);
    assert_eq!((on_request.calls, on_request.faults(), on_request.fault(FaultKind::BreakerOpen)), (8, 6, 2));
}
