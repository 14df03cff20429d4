//! The case runner and the scaffold, on real rules.

use std::fs;
use std::path::Path;

use shunt_rules::build::build;
use shunt_rules::cases::{CasesError, Report, run};
use shunt_rules::grants::Key;
use shunt_rules::scaffold::{SdkSource, new_pack};

use crate::world::{build_options, folder, host, pack, root};

fn play(guest: &str, cases: &str) -> Report {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cases.toml"), cases).unwrap();
    fs::write(folder.path().join("notes.txt"), "not a case").unwrap();
    run(host(), &pack(guest), folder.path()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn what_is_as_expected_passes() {
    let report = play(
        "surface",
        r#"
        [[case]]
        name = "a target with a key"
        request = { path = "/to" }
        expect = { pool = "other", verdict = "to", persist = "who" }

        [[case]]
        name = "an answer"
        request = { path = "/respond" }
        expect = { verdict = "respond", status = 418, headers = { X-A = ["1", "2"], Location = "/b", X-B = false }, body = "short and stout", body-contains = "stout" }

        [[case]]
        name = "a veto"
        request = { headers = { X-Do = "veto" } }
        selected = { slot = "primary", active = 9 }
        expect = { verdict = "veto", veto = "has 9", log = "10.0.2.1:80 Some(\"primary\") Reason::Balance 1 9 0" }

        [[case]]
        name = "a member for a connection"
        flow = { client = "192.0.2.7:9" }
        selected = { reason = "persistence", vetoes = 2 }
        expect = { verdict = "next", log = "None 192.0.2.7:9 10.0.1.1:80 None Reason::Persistence 1 0 2" }

        [[case]]
        name = "a changed path"
        request = { path = "/set-path?/b" }
        expect = { path = "/b" }

        [[case]]
        name = "a changed path with its query"
        request = { path = "/set-path?/b" }
        expect = { path = "/b?/b" }

        [[case]]
        name = "a changed host"
        request = { path = "/set-authority?b.example" }
        expect = { host = "b.example" }

        [[case]]
        name = "fields of the request"
        request = { path = "/remove-header?x-a", headers = { X-A = "1", X-B = "2" } }
        expect = { request-headers = { X-A = false, X-B = true } }

        [[case]]
        name = "fields of an answer that is to come"
        request = { path = "/set-response-header?x-c" }
        expect = { response-headers = { X-A = "1", X-C = "x", Server = false } }

        [[case]]
        name = "a response"
        request = { headers = { X-Do = "change" } }
        response = { headers = { Server = "origin", X-Many = ["1", "2"] } }
        expect = { verdict = "next", status = 299, headers = { X-Set = "1" }, response-headers = { Server = false, X-Many = ["1", "2", "3"] } }

        [[case]]
        name = "the slot and the member that made a response"
        request = { headers = { X-Do = "read" } }
        response = { slot = "primary" }
        expect = { verdict = "replace", body-contains = "Some(\"primary\") 10.0.2.1:80" }

        [[case]]
        name = "a body"
        request = { method = "POST", path = "/need-body", headers = { X-Do = "respond" }, body = "more than five" }
        expect = { verdict = "respond", body = "5 false" }

        [[case]]
        name = "no body"
        request = { path = "/need-body" }
        expect = { verdict = "need-body" }

        [[case]]
        name = "a failed connect"
        request = { headers = { X-Do = "respond" } }
        connect-failed = { cause = "refused", attempts = 3 }
        expect = { status = 503, body-contains = "Some(10.0.1.1:80)" }

        [[case]]
        name = "a pool without members"
        pools = { primary = { members = 3, usable = 0, active = 5 } }
        request = { path = "/pool" }
        expect = { body = "3 0 5" }

        [[case]]
        name = "its members"
        pools = { primary = { usable = 1, active = 3 } }
        request = { path = "/members" }
        expect = { body = "10.0.2.1:80 MemberState::Up 1 2|10.0.2.2:80 MemberState::Down 1 1" }

        [[case]]
        name = "a flow"
        flow = { client = "192.0.2.7:1" }
        expect = { verdict = "reject" }

        [[case]]
        name = "a flow and its request"
        flow = { client = "[2001:db8::7]:9" }
        request = { path = "/vars" }
        expect = { body-contains = "[2001:db8::7]:9" }

        [[case]]
        name = "settings and log"
        settings = { text = "loud" }
        request = { path = "/log" }
        expect = { verdict = "next", log = ["warn: w loud", "debug: d"] }

        [[case]]
        name = "the end"
        request = { path = "/else" }
        done = { status = 404, outcome = "client-gone" }
        expect = { log = "Some(404)" }

        [[case]]
        name = "refused settings"
        settings = { number = "many" }
        request = {}
        expect = { refused = "expected an integer, found a text" }
        "#,
    );
    let failed: Vec<String> = report.failed().map(ToString::to_string).collect();
    assert!(report.passed(), "{}", failed.join("\n"));
    assert_eq!(report.cases.len(), 21);
}

#[test]
fn what_differs_is_told_key_by_key() {
    let report = play(
        "surface",
        r#"
        [[case]]
        name = "all wrong"
        request = { path = "/respond" }
        expect = { verdict = "to", pool = "primary", status = 301, headers = { X-A = "1", Location = false }, body-contains = "tea", persist = "k", log = "x", response-headers = { Server = false, X-B = "1" } }

        [[case]]
        name = "refused"
        settings = { nubmer = 1 }
        request = {}
        expect = { verdict = "next" }

        [[case]]
        name = "not HTTP"
        request = { headers = { "a b" = "1" } }
        expect = { verdict = "next" }
        "#,
    );
    let texts: Vec<String> = report.failed().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3);
    for says in [
        "cases.toml:2: all wrong",
        "  verdict: expected to\n           found    respond",
        "  pool: expected primary\n        found    none",
        "  status: expected 301\n          found    418",
        "headers.X-A: expected \"1\"\n",
        "found    \"1\", \"2\"",
        "headers.Location: expected absent\n",
        "body-contains: expected text that contains \"tea\"",
        "log: expected a line that contains \"x\"\n       found    no line",
        "response-headers.X-B: expected \"1\"\n",
    ] {
        assert!(texts[0].contains(says), "{says:?} is not in\n{}", texts[0]);
    }
    assert!(texts[1].contains("did you mean \"number\"?"), "{}", texts[1]);
    assert!(texts[2].contains("header \"a b\""), "{}", texts[2]);
}

#[test]
fn a_fault_is_a_verdict_that_can_be_expected() {
    let report = play(
        "hostile",
        r#"
        [[case]]
        name = "expected"
        request = { path = "/panic" }
        expect = { verdict = "fault", fault = "the author was wrong" }

        [[case]]
        name = "unexpected"
        request = { path = "/slot" }
        expect = { pool = "web" }
        "#,
    );
    let texts: Vec<String> = report.failed().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 1);
    assert!(texts[0].contains("expected no fault\n"), "{}", texts[0]);
    assert!(
        texts[0].contains("found    fault: on-request: verdict: named the slot \"nowhere\""),
        "{}",
        texts[0]
    );
}

#[test]
fn a_folder_without_cases_is_an_error_and_so_is_a_broken_file() {
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(run(host(), &pack("plain"), empty.path()), Err(CasesError::None(_))));
    assert!(matches!(run(host(), &pack("plain"), &empty.path().join("cases")), Err(CasesError::None(_))));
    fs::write(empty.path().join("a.toml"), "[[case]]\nnmae = \"x\"\n").unwrap();
    let error = run(host(), &pack("plain"), empty.path()).unwrap_err().to_string();
    assert!(
        error.contains("a.toml") && error.contains("line 2") && error.contains("did you mean `name`?"),
        "{error}"
    );
}

#[test]
fn a_new_pack_builds_and_passes_its_own_cases() {
    // Beside the guests, whose lock file names the versions that are at hand.
    let place = tempfile::tempdir_in(folder("")).unwrap();
    let pack_folder = place.path().join("canary-split");
    new_pack(&pack_folder, "canary-split", &SdkSource::Path(root().join("sdk"))).unwrap();
    copy_lock(&pack_folder);
    let output = build(&pack_folder, &build_options()).unwrap_or_else(|error| panic!("{error}"));
    assert!(output.file.ends_with("dist/canary-split.wasm"));
    let pack = shunt_rules::Pack::read(&pack_folder).unwrap();
    assert_eq!(pack.digest(), output.digest);
    let report = run(host(), &pack, &pack_folder.join("cases")).unwrap();
    let failed: Vec<String> = report.failed().map(ToString::to_string).collect();
    assert!(report.passed() && report.cases.len() == 3, "{}", failed.join("\n"));
    assert!(output.idle.is_empty());

    // What the rule does and does not ask for, and the reverse.
    let file = pack_folder.join("pack.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[capabilities.request]\nread = [\"x-canary\"]", "")).unwrap();
    let error = build(&pack_folder, &build_options()).unwrap_err().to_string();
    assert_eq!(
        error,
        "the rule does what pack.toml does not ask for:\n  \
         read fields of requests: add `read = [\"…\"]` to [capabilities.request]"
    );
    fs::write(&file, text + "[capabilities]\nclock = true\n").unwrap();
    assert_eq!(build(&pack_folder, &build_options()).unwrap().idle, [Key::Clock]);
}

/// Keeps the test off the network: cargo takes from a lock file what it can use.
fn copy_lock(to: &Path) {
    fs::copy(folder("").join("Cargo.lock"), to.join("Cargo.lock")).unwrap();
}
