//! The floors of the proxy plane: what accepts connections stands below the protocols that are served on them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;

/// Files beside the folders of the protocols that know HTTP all the same: the worker puts listeners and protocols
/// together, and a worker's view of a member holds the connections that are kept to it.
const WITH_HTTP: [&str; 3] = ["lib.rs", "view.rs", "worker.rs"];

#[test]
fn listeners_know_no_http() {
    let mut with_http = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && names_http(&fs::read_to_string(&path).unwrap()) {
            with_http.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    with_http.sort();
    assert_eq!(with_http, WITH_HTTP, "files in src/ whose code names the module `http`");
}

#[test]
fn http_is_found_however_it_is_named() {
    for text in [
        "use crate::http::h1;",
        "use crate::{\n    client,\n    http,\n};",
        "mod http;",
        "fn f(it: crate::http::X)",
    ] {
        assert!(names_http(text), "{text}");
    }
    for text in ["//! HTTP: see http", "    // http::h1", "use crate::client::http_like;", "fn f() {}"] {
        assert!(!names_http(text), "{text}");
    }
}

/// Whether code, other than comments, holds the name of the module.
fn names_http(text: &str) -> bool {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let is_of_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.flat_map(|line| line.split(|letter| !is_of_name(letter))).any(|name| name == "http")
}
