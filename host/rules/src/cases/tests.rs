use super::file::parse;
use crate::Manifest;

fn manifest() -> Manifest {
    let text = "[pack]\nname = \"t\"\nversion = \"1.0.0\"\nwit = \"0.1\"\n[slots]\nprimary = \"a\"\ncanary = \"b\"\n[tables.clients]\npurpose = \"p\"\nkind = \"counters\"\nkey = \"address\"\n[sets]\ndeny = { kind = \"exact\", purpose = \"c\" }\n[flags]\nshare = { default = 5, purpose = \"d\" }\n";
    Manifest::parse(text).unwrap()
}

fn refusal(text: &str) -> String {
    match parse(text, &manifest()) {
        Err(message) => message,
        Ok(cases) => panic!("{} cases were read", cases.len()),
    }
}

#[test]
fn every_key_is_read() {
    let text = r#"
        [[case]]
        name = "all"
        settings = { percent = 5 }
        pools = { primary = { members = 3, usable = 1, active = 4, queued = 2, oldest-ms = 1500 } }
        tables.clients = { "192.0.2.7" = 5 }
        earlier = [{ times = 3, after = "1500ms", request = { path = "/b" }, response = { status = 500 } }, {}]
        after = "2s"
        sets = { deny = ["a 1", "b"] }
        flags = { share = 7 }
        flow = { client = "[2001:db8::1]:5", vip = "198.51.100.1:443", transport = "udp" }
        request = { method = "POST", path = "/a?x=1", host = "h", scheme = "https", client = "192.0.2.7", version = "2", headers = { A = "1", B = ["1", "2"] }, body = "b" }
        selected = { member = "10.0.0.1:80", slot = "canary", reason = "persistence", weight = 2, active = 3, vetoes = 1 }
        connect-failed = { cause = "timed-out", attempts = 2 }
        response = { status = 404, headers = { Server = "x" }, slot = "canary", body = "b" }
        done = { status = 404, outcome = "member-failed" }
        probe = { member = "10.0.0.1:6379", answers = ["+OK\r\n", { hex = "00" }], then = "ended" }
        expect = { pool = "canary", member = "10.0.0.1:80", veto = "v", verdict = "to", fault = "f", refused = "r", status = 301, headers = { L = "x" }, body = "b", body-contains = "b", request-headers = { A = false, B = true }, path = "/b", host = "h", response-headers = { P = ["1", "2"] }, sent = ["PING"], result = "r", persist = "k", log = ["l"], tables.clients = { "192.0.2.7" = 8, "192.0.2.8" = false } }

        [[case]]
        name = "least"
        request = {}
        expect = { verdict = "next" }
    "#;
    let cases = parse(text, &manifest()).unwrap_or_else(|message| panic!("{message}"));
    assert_eq!(
        cases.iter().map(|(line, case)| (*line, case.name.as_str())).collect::<Vec<_>>(),
        [(2, "all"), (20, "least")]
    );
}

#[test]
fn mistakes_are_told_with_their_line() {
    let case = |body: &str| format!("\n[[case]]\nname = \"n\"\n{body}\n");
    for (text, says) in [
        (case("request = {}\nexpect = {}"), &["line 2", "expects nothing"][..]),
        (case("request = {}"), &["missing field `expect`"]),
        (case("expect = { verdict = \"next\" }"), &["neither a request nor a flow"]),
        (case("flow = {}\nresponse = {}\nexpect = { verdict = \"next\" }"), &["belong to a request"]),
        (case("request = {}\nexpect = { verdict = \"nxet\" }"), &["did you mean \"next\"?"]),
        (
            case("request = {}\nexpect = { pool = \"primry\" }"),
            &["no slot \"primry\"; did you mean \"primary\"?"],
        ),
        (
            case("request = {}\nsets = { dney = [] }\nexpect = { verdict = \"next\" }"),
            &["no set \"dney\"; did you mean \"deny\"?"],
        ),
        (
            case("request = {}\nflags = { shar = 1 }\nexpect = { verdict = \"next\" }"),
            &["no flag \"shar\"; did you mean \"share\"?"],
        ),
        (
            case("request = {}\nflags = { share = true }\nexpect = { verdict = \"next\" }"),
            &["\"share\" is of the type integer, and true is not"],
        ),
        (case("request = {}\npools = { web = {} }\nexpect = { pool = \"primary\" }"), &["no slot \"web\""]),
        (
            case("reqeust = {}\nexpect = { verdict = \"next\" }"),
            &["line 4", "unknown field `reqeust`", "did you mean `request`?"],
        ),
        (
            case("request = { pth = \"/\" }\nexpect = { verdict = \"next\" }"),
            &["line 4", "did you mean `path`?"],
        ),
        (
            case("request = { client = \"here\" }\nexpect = { verdict = \"next\" }"),
            &["line 4", "not an address"],
        ),
        (
            case("request = {}\nconnect-failed = { cause = \"refusd\" }\nexpect = { verdict = \"next\" }"),
            &["did you mean `refused`?"],
        ),
        (
            case("request = {}\nexpect.tables.client = { a = 1 }"),
            &["the pack has no table \"client\"; did you mean \"clients\"?"],
        ),
        (
            case("request = {}\ntables.clients = { a = 1 }\nexpect = { verdict = \"next\" }"),
            &["table \"clients\": \"a\" is not an address"],
        ),
        (
            case("request = {}\nafter = \"soon\"\nexpect = { verdict = \"next\" }"),
            &["line 5", "a time, as in \"1500ms\""],
        ),
        (
            case("request = {}\nearlier = [{ times = 100001 }]\nexpect = { verdict = \"next\" }"),
            &["at most 100000 are allowed"],
        ),
        (
            case("flow = {}\nearlier = [{}]\nexpect = { verdict = \"next\" }"),
            &["earlier belongs to a request"],
        ),
        ("[[case".to_owned(), &["line 1"]),
    ] {
        let message = refusal(&text);
        for says in says {
            assert!(message.contains(says), "{says:?} is not in\n{message}");
        }
    }
}
