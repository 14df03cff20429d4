//! Clients that others made. What is not installed is skipped.

mod members;

use std::process::Command;

use shunt_tests::origin::{Origin, ok};
use shunt_tests::site::Site;

use super::site;

/// What a command prints, where it is installed.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(output.status.success(), "{program}: {}{}", text(&output.stdout), text(&output.stderr));
            Some(text(&output.stdout))
        }
        Err(error) => {
            println!("skipped: {program} cannot be run: {error}");
            None
        }
    }
}

fn counting() -> Origin {
    Origin::start(|call| {
        loop {
            let request = call.request()?;
            call.send(ok(&format!("{} took {}", request.head.line, request.body.len())))?;
        }
    })
}

fn url(site: &Site, path: &str) -> String {
    format!("http://{}{path}", site.address)
}

#[test]
fn curl() {
    let origin = counting();
    let site = site("", &origin);
    let body = "x".repeat(3 << 20);
    let file = site.daemon.folder().write("body", &body);
    let file = format!("@{}", file.display());
    for (arguments, expected) in [
        (&[][..], "2 200 GET /a HTTP/1.1 took 0"),
        (&["--data-binary", &file], "2 200 POST /a HTTP/1.1 took 3145728"),
        (&["--data-binary", &file, "-H", "Expect: 100-continue"], "2 200 POST /a HTTP/1.1 took 3145728"),
        (&["-X", "PUT", "-d", ""], "2 200 PUT /a HTTP/1.1 took 0"),
    ] {
        let url = url(&site, "/a");
        let common = ["-sS", "--max-time", "30", "--http2-prior-knowledge", "-o", "-", "-w"];
        let arguments = [&common[..], &[" %{http_version} %{http_code}"], arguments, &[&url]].concat();
        let Some(said) = run("curl", &arguments) else { return };
        let (body, version) = said.split_at(said.find(" 2 ").unwrap_or(said.len()));
        assert_eq!(format!("{} {body}", version.trim()), expected);
    }
}

#[test]
fn nghttp() {
    let origin = counting();
    let site = site("", &origin);
    let (one, other) = (url(&site, "/a"), url(&site, "/b"));
    let Some(said) = run("nghttp", &["-m", "5", &one, &other]) else { return };
    for path in ["/a", "/b"] {
        let expected = format!("GET {path} HTTP/1.1 took 0");
        assert_eq!(said.matches(&expected).count(), 5, "{said}");
    }
}

#[test]
fn h2load() {
    let origin = counting();
    let site = site("", &origin);
    let Some(said) = run("h2load", &["-n", "500", "-c", "5", "-m", "20", &url(&site, "/")]) else { return };
    assert!(said.contains("500 succeeded, 0 failed, 0 errored"), "{said}");
    assert_eq!(site.daemon.status()["virtuals"][0]["requests"], 500);
}
