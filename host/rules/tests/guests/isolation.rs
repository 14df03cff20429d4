//! How far instances are shared, and when they are replaced.

use shunt_rules::{Hook, Isolation, RequestVerdict, Runner};

use crate::world::{World, exchange, options, rule};

/// Calls a rule `calls` times over `runners` runners; how often an instance was made.
fn instances(isolation: Isolation, runners: usize, calls: usize) -> u64 {
    let (world, rule) = (World::new(), rule("hostile"));
    let mut options = options(&rule, &world);
    options.isolation = isolation;
    let attachment = rule.attach(options).unwrap();
    for _ in 0..runners {
        let mut runner = Runner::new(attachment.clone());
        for _ in 0..calls {
            runner.on_request(&mut exchange("/ok", &[])).unwrap();
        }
    }
    // One was made to attach it.
    attachment.stats().read().hook(Hook::OnLoad).calls - 1
}

#[test]
fn a_worker_keeps_its_instance() {
    assert_eq!(instances(Isolation::Worker, 2, 10), 2);
}

#[test]
fn a_flow_has_its_own() {
    assert_eq!(instances(Isolation::Flow, 5, 3), 5);
}

#[test]
fn a_call_has_its_own() {
    assert_eq!(instances(Isolation::Call, 2, 10), 20);
}

#[test]
fn a_warmed_runner_has_its_instance_before_the_first_call() {
    let (world, rule) = (World::new(), rule("hostile"));
    let attachment = rule.attach(options(&rule, &world)).unwrap();
    let mut runner = Runner::new(attachment.clone());
    runner.warm().unwrap();
    runner.warm().unwrap();
    assert_eq!(attachment.stats().read().hook(Hook::OnLoad).calls, 2);
    runner.on_request(&mut exchange("/ok", &[])).unwrap();
    assert_eq!(attachment.stats().read().hook(Hook::OnLoad).calls, 2);
}

#[test]
fn a_rule_that_leaks_is_renewed_before_it_faults() {
    let (world, rule) = (World::new(), rule("hostile"));
    let attachment = rule.attach(options(&rule, &world)).unwrap();
    let mut runner = Runner::new(attachment.clone());
    for _ in 0..100 {
        // 1 MiB each, of 16.
        assert_eq!(runner.on_request(&mut exchange("/leak", &[])), Ok(RequestVerdict::Next));
    }
    let made = attachment.stats().read().hook(Hook::OnLoad).calls - 1;
    assert!((7..=12).contains(&made), "{made}");
}

#[test]
fn hooks_that_are_not_exported_cost_no_call() {
    let (world, rule) = (World::new(), rule("plain"));
    let attachment = rule.attach(options(&rule, &world)).unwrap();
    let mut runner = Runner::new(attachment.clone());
    let mut exchange = exchange("/", &[]);
    runner.on_flow(&exchange.flow.clone(), &mut exchange.flow_vars).unwrap();
    runner.on_response(&mut exchange).unwrap();
    runner.on_request_body(&mut exchange, b"", true).unwrap();
    assert_eq!(attachment.stats().read().calls(), 1, "on-load, at attach");
}
