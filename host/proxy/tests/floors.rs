//! The floors of the proxy plane: what accepts connections stands below the protocols that are served on them.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::fs;
use std::path::Path;

/// Files beside the folders of the protocols in which one line names HTTP: `lib.rs` has it as a module, `protocol.rs`
/// gives connections to it, a member has a field for what is kept of it, a connection one for that and one for what
/// requests say of the client, and a trace shows fields.
const WITH_HTTP: [&str; 6] =
    ["connection.rs", "connection.rs", "lib.rs", "member.rs", "protocol.rs", "trace.rs"];

#[test]
fn listeners_know_no_http() {
    let mut with_http = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let lines = lines_with_http(&fs::read_to_string(&path).unwrap());
            with_http.extend(std::iter::repeat_n(name, lines));
        }
    }
    with_http.sort();
    assert_eq!(with_http, WITH_HTTP, "files in src/ whose code names the module `http`, once for each line");
}

#[test]
fn http_is_found_however_it_is_named() {
    for text in [
        "use crate::http::h1;",
        "use crate::{\n    client,\n    http,\n};",
        "mod http;",
        "fn f(it: crate::http::X)",
    ] {
        assert_eq!(lines_with_http(text), 1, "{text}");
    }
    for text in [
        "//! HTTP: see http",
        "    // http::h1",
        "use crate::client::http_like;",
        "f(\"http/1.1\", b\"http\", \"\\\"http\\\"\")",
        "fn f() {}",
    ] {
        assert_eq!(lines_with_http(text), 0, "{text}");
    }
}

/// How many lines of code, other than comments and what is in quotes, hold the name of the module.
fn lines_with_http(text: &str) -> usize {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let is_of_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let names_http = |code: &str| code.split(|letter| !is_of_name(letter)).any(|name| name == "http");
    code.filter(|line| line.replace("\\\"", "").split('"').step_by(2).any(names_http)).count()
}
