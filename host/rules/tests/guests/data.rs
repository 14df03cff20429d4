//! `on-data`: what a rule sees of the bytes of a connection, and what it may do to them.

use shunt_rules::{
    Data, DataVerdict, Direction, Fault, FaultKind, Part, PersistKey, Rest, Runner, Target, Vars,
};

use crate::world::{World, flow, host, pack, runner};

/// Bytes that a client sent first.
fn first(text: &str) -> Data<'_> {
    let (direction, rest) = (Direction::ToServer, Rest::Open);
    Data { direction, bytes: text.as_bytes(), offset: 0, rest, most: 64, connected: false }
}

fn show(runner: &mut Runner, data: &Data<'_>) -> Result<DataVerdict, Fault> {
    runner.on_data(&flow("192.0.2.7:5555"), data, &mut Vars::default())
}

fn on(data: Data<'_>) -> Result<DataVerdict, Fault> {
    show(&mut runner("data", &World::new()), &data)
}

#[track_caller]
fn refused(data: Data<'_>, says: &str) {
    let fault = on(data).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Verdict, "{fault}");
    assert!(fault.message.contains(says), "{says:?} is not in {:?}", fault.message);
}

#[test]
fn what_was_received_is_read() {
    let world = World::new();
    let mut runner = runner("data", &world);
    let late = Data { direction: Direction::ToClient, offset: 7, rest: Rest::Late, ..first("abc") };
    assert_eq!(show(&mut runner, &late), Ok(DataVerdict::Next));
    let line = "Direction::ToClient 3 7 Rest::Late 192.0.2.7:5555";
    assert!(world.logged(line), "{:?}", world.lines);
}

#[test]
fn verdicts_on_bytes() {
    let other = Target { pool: Some(0), ..Target::default() };
    assert_eq!(on(first("to\n")), Ok(DataVerdict::To(other)));
    let member = Some("192.0.2.9:8080".parse().unwrap());
    assert_eq!(
        on(first("member 192.0.2.9:8080\n")),
        Ok(DataVerdict::To(Target { member, ..Target::default() }))
    );
    let persist = Some(PersistKey { key: b"ann".to_vec(), timeout: None });
    assert_eq!(on(first("key ann\n")), Ok(DataVerdict::To(Target { persist, ..Target::default() })));
    assert_eq!(on(first("reject\n")), Ok(DataVerdict::Reject));
    assert_eq!(on(first("replace me\nrest")), Ok(DataVerdict::Replace("me".into())));
    assert_eq!(on(first("lines\nrest")), Ok(DataVerdict::Pass(Part { length: 6, replacement: None })));
    let replacement = Some("UPPER A\n".into());
    assert_eq!(on(first("upper a\n")), Ok(DataVerdict::Pass(Part { length: 8, replacement })));
    assert_eq!(on(first("no line")), Ok(DataVerdict::Need(1)));
    assert_eq!(on(first("need 57\n")).unwrap_err().kind, FaultKind::Verdict);
    assert_eq!(on(first("need 56\n")), Ok(DataVerdict::Need(56)));
    assert_eq!(on(first("other\n")), Ok(DataVerdict::Next));
}

#[test]
fn more_than_there_can_be_is_a_fault() {
    refused(
        first("need 4294967295\n"),
        "asked for more bytes, 4294967295 beyond 16; the virtual holds at most 64",
    );
    refused(first("need 0\n"), "asked for more bytes, none");
    for (rest, says) in [
        (Rest::Ended, "1, and the side has ended what it sends"),
        (Rest::Late, "did not come in time (timeouts.data)"),
        (Rest::Full, "the virtual holds at most 64 (limits.data)"),
    ] {
        refused(Data { rest, ..first("need 1\n") }, says);
    }
    refused(first("grow 65\n"), "replaced bytes by 65; the virtual allows at most 64");
    assert!(matches!(on(first("grow 64\n")), Ok(DataVerdict::Replace(bytes)) if bytes.len() == 64));
    refused(first("pass 0\n"), "passed on 0 of 7 bytes");
    refused(first("pass 8\n"), "passed on 8 of 7 bytes");
}

#[test]
fn a_connection_that_has_its_member_goes_to_no_other() {
    let connected = |text| Data { connected: true, ..first(text) };
    refused(connected("to\n"), "has its member already");
    refused(connected("member 192.0.2.9:80\n"), "has its member already");
    assert!(matches!(on(connected("key ann\n")), Ok(DataVerdict::To(target)) if target.persist.is_some()));
}

#[test]
fn a_rule_does_what_its_pack_asks_for() {
    let mut lines = runner("lines", &World::new());
    let fault = show(&mut lines, &first("to\n")).unwrap_err();
    assert!(fault.message.contains("add \"choose\" to `data` of [capabilities]"), "{fault}");
    assert_eq!(show(&mut lines, &first("replace x\n")), Ok(DataVerdict::Replace("x".into())));
    assert!(!lines.attachment().chooses_by_data() && lines.attachment().reads_data(Direction::ToClient));
}

#[test]
fn a_panic_is_a_fault_and_another_instance_serves() {
    let mut runner = runner("data", &World::new());
    assert_eq!(show(&mut runner, &first("panic\n")).unwrap_err().kind, FaultKind::Panic);
    assert_eq!(show(&mut runner, &first("reject\n")), Ok(DataVerdict::Reject));
}

#[test]
fn cases_show_pieces_and_say_what_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let cases = r#"
        [[case]]
        name = "a pool, when the line has come"
        data = [{ to-server = "to o" }, { to-server = "ther\nand more" }]
        expect = { pool = "other", verdict = "to", to-server = "to other\nand more" }

        [[case]]
        name = "line by line, both ways"
        data = [{ to-server = "upper a\nup" }, { to-client = "away x\nnext" }, { to-server = "per b\n" }, { to-client = "", then = "ended" }]
        expect = { to-server = "UPPER A\nUPPER B\n", to-client = "next" }

        [[case]]
        name = "too late"
        data = [{ to-server = { hex = "6b 65 79 FF" }, then = "late" }]
        expect = { verdict = "next", to-server = { hex = "6b6579ff" } }

        [[case]]
        name = "nothing at all"
        data = [{ to-server = "", then = "ended" }]
        expect = { verdict = "next", to-server = "" }

        [[case]]
        name = "too many"
        data = [{ to-server = "need 57\n", most = 64 }]
        expect = { fault = "limits.data" }

        [[case]]
        name = "wrong"
        data = [{ to-server = "replace this\n" }]
        expect = { to-server = "that" }
    "#;
    std::fs::write(folder.path().join("data.toml"), cases).unwrap();
    let report = shunt_rules::cases::run(host(), &pack("data"), folder.path()).unwrap();
    let differences: Vec<_> = report
        .cases
        .iter()
        .flat_map(|case| case.differences.iter().map(|it| (case.name.as_str(), it)))
        .collect();
    let [("wrong", difference)] = differences.as_slice() else { panic!("{differences:?}") };
    assert_eq!((difference.expected.as_str(), difference.found.as_str()), ("\"that\"", "\"this\""));
}
