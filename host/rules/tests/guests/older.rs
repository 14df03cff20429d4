//! Packs that were built by an older SDK of a version of the contract that this host has.

use std::path::Path;

use shunt_rules::Pack;
use shunt_rules::cases::run;

use crate::world::{host, root};

/// `rules-examples/https-redirect` as the SDK built it before the contract had `on-client-hello`.
#[test]
fn a_pack_of_an_older_sdk_runs() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/older-sdk.wasm");
    let pack = Pack::read(&file).unwrap_or_else(|error| panic!("{error}"));
    let cases = root().join("rules-examples/https-redirect/cases");
    let report = run(host(), &pack, &cases).unwrap_or_else(|error| panic!("{error}"));
    let failed: Vec<String> = report.failed().map(ToString::to_string).collect();
    assert!(report.passed() && !report.cases.is_empty(), "{}", failed.join("\n"));
}
