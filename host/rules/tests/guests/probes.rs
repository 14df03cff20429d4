//! `on-probe`: what a monitor's rule is shown of a member, and what it may do.

use std::net::SocketAddr;

use shunt_rules::{
    FaultKind, Hook, Probe, ProbeAction, ProbeDialogue, ProbeFailure, ProbeVerdict, Rest, Runner, Vars,
};

use crate::world::{World, host, pack, rule, runner};

fn member() -> SocketAddr {
    "192.0.2.9:6379".parse().unwrap()
}

fn asked() -> Runner {
    runner("probes", &World::new())
}

/// What the rule makes of what a member sent.
fn on(text: &str) -> Result<ProbeVerdict, shunt_rules::Fault> {
    let probe = Probe { member: member(), step: 1, bytes: text.as_bytes(), rest: Rest::Open };
    asked().on_probe(&probe, &mut Vars::default())
}

#[track_caller]
fn refused(text: &str, says: &str) {
    let fault = on(text).unwrap_err();
    assert_eq!((fault.kind, fault.hook), (FaultKind::Verdict, Hook::OnProbe), "{fault}");
    assert!(fault.message.contains(says), "{says:?} is not in {:?}", fault.message);
}

#[test]
fn verdicts_on_a_member() {
    assert_eq!(on("up fine\n"), Ok(ProbeVerdict::Up("fine".to_owned())));
    assert_eq!(on("up\r\n"), Ok(ProbeVerdict::Up(String::new())));
    assert_eq!(on("down it says so\n"), Ok(ProbeVerdict::Down("it says so".to_owned())));
    assert_eq!(on("send QUIT\n"), Ok(ProbeVerdict::Send("QUIT\n".into())));
    assert_eq!(on("need 7\n"), Ok(ProbeVerdict::Need(7)));
    assert_eq!(on("no line"), Ok(ProbeVerdict::Need(1)));
    assert_eq!(on("calls\n"), Ok(ProbeVerdict::Up("1 calls of 192.0.2.9:6379".to_owned())));
    refused("nothing\n", "sent nothing");
    refused("need 0\n", "asked for no more bytes");
    refused("need 65536\n", "a probe holds at most 65536");
    refused("long\n", "a reason of 257 bytes");
    assert_eq!(on("panic\n").unwrap_err().kind, FaultKind::Panic);
    let fault = on("error as said\n").unwrap_err();
    assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::Panic, "on_probe: as said"));
}

#[test]
fn a_rule_without_the_hook_has_no_verdict() {
    let probe = Probe { member: member(), step: 0, bytes: b"", rest: Rest::Open };
    let fault = runner("data", &World::new()).on_probe(&probe, &mut Vars::default()).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Instance);
    assert_eq!(rule("probes").hooks().to_string(), "on-load, on-probe");
}

/// Plays a member that sends these, and then closes or stays silent.
fn talk(
    runner: &mut Runner,
    answers: &[&str],
    end: Rest,
) -> (Vec<String>, Result<ProbeAction, ProbeFailure>) {
    let (mut dialogue, mut answers) = (ProbeDialogue::new(member()), answers.iter());
    let (mut rest, mut sent) = (Rest::Open, Vec::new());
    loop {
        match dialogue.advance(runner, rest) {
            Ok(ProbeAction::Send(bytes)) => sent.push(String::from_utf8_lossy(&bytes).into_owned()),
            Ok(ProbeAction::Receive) => match answers.next() {
                Some(answer) => dialogue.received().extend_from_slice(answer.as_bytes()),
                None => rest = end,
            },
            ended => return (sent, ended),
        }
    }
}

#[test]
fn a_probe_goes_step_by_step() {
    let said = |text: &str| Ok(ProbeAction::Up(text.to_owned()));
    let (sent, ended) = talk(&mut asked(), &["send a\n", "se", "nd b\n", "calls\n"], Rest::Late);
    assert_eq!(sent, ["a\n", "b\n"]);
    assert_eq!(ended, said("5 calls of 192.0.2.9:6379"), "at first, for each line, and for half of one");
    let (_, ended) = talk(&mut asked(), &["need 9\nup", " fine\n"], Rest::Late);
    assert_eq!(ended, Err(ProbeFailure::Late), "the first line is still there");
    let (_, ended) = talk(&mut asked(), &["send a\n"], Rest::Ended);
    assert_eq!(ended, Err(ProbeFailure::Closed));
    let much = "x".repeat(40_000);
    let (_, ended) = talk(&mut asked(), &[&much, &much], Rest::Late);
    assert_eq!(ended, Err(ProbeFailure::TooLong));
    let drops = ["x"; 300];
    let (_, ended) = talk(&mut asked(), &drops, Rest::Late);
    assert_eq!(ended, Err(ProbeFailure::Undecided));
}

#[test]
fn a_fault_ends_a_probe_and_the_next_finds_a_fresh_instance() {
    let mut runner = asked();
    let (_, ended) = talk(&mut runner, &["panic\n"], Rest::Late);
    let Err(ProbeFailure::Fault(fault)) = ended else { panic!("{ended:?}") };
    assert_eq!(fault.kind, FaultKind::Panic);
    assert_eq!(talk(&mut runner, &["up again\n"], Rest::Late).1, Ok(ProbeAction::Up("again".to_owned())));
}

#[test]
fn faults_behind_steps_that_go_well_open_the_breaker() {
    let world = World::new();
    let mut runner = runner("probes", &world);
    let opens = |runner: &mut Runner| talk(runner, &["send a\n", "panic\n"], Rest::Late).1;
    for _ in 0..5 {
        assert!(
            matches!(opens(&mut runner), Err(ProbeFailure::Fault(fault)) if fault.kind == FaultKind::Panic)
        );
    }
    assert_eq!(world.opened.lock().unwrap().len(), 1);
    assert!(
        matches!(opens(&mut runner), Err(ProbeFailure::Fault(fault)) if fault.kind == FaultKind::BreakerOpen)
    );
    world.advance_ms(1_001);
    let (sent, ended) = talk(&mut runner, &["send a\n", "up\n"], Rest::Late);
    assert_eq!((sent.len(), ended), (1, Ok(ProbeAction::Up(String::new()))), "it is let through whole");
    assert!(!runner.attachment().breaker_is_open());
}

#[test]
fn cases_play_a_member() {
    let folder = tempfile::tempdir().unwrap();
    let cases = r#"
        [[case]]
        name = "up"
        settings = { hello = "PING\n" }
        probe = { answers = ["up", " fine\n"] }
        expect = { verdict = "up", result = "fine", sent = ["PING\n"] }

        [[case]]
        name = "silent"
        probe = {}
        expect = { verdict = "failed", result = "in time", log = "0 0 Rest::Late" }

        [[case]]
        name = "closes"
        probe = { then = "ended" }
        expect = { verdict = "failed", result = "closed" }

        [[case]]
        name = "fault"
        probe = { answers = ["nothing\n"] }
        expect = { fault = "sent nothing" }

        [[case]]
        name = "wrong"
        probe = { answers = [{ hex = "73656e6420 61 0a" }, "down\n"] }
        expect = { sent = ["b\n"] }
    "#;
    std::fs::write(folder.path().join("probe.toml"), cases).unwrap();
    let report = shunt_rules::cases::run(host(), &pack("probes"), folder.path()).unwrap();
    let differences: Vec<_> = report
        .cases
        .iter()
        .flat_map(|case| case.differences.iter().map(|it| (case.name.as_str(), it)))
        .collect();
    let [("wrong", difference)] = differences.as_slice() else { panic!("{differences:?}") };
    assert_eq!((difference.expected.as_str(), difference.found.as_str()), ("\"b\\n\"", "\"a\\n\""));
}
