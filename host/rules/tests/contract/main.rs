//! The contract as others get it: `wit/` becomes one WIT package in WebAssembly, as `wkg wit build` makes it, and is read
//! back as `wkg` and `wit-bindgen` read it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

use std::path::Path;

use shunt_rules::Hook;
use wit_component::{DecodedWasm, OutputToString, WitPrinter};
use wit_parser::{PackageId, Resolve};

/// As text, with its documentation.
fn printed(resolve: &Resolve, package: PackageId) -> String {
    let mut printer = WitPrinter::new(OutputToString::default());
    printer.print(resolve, package, &[]).unwrap();
    printer.output.to_string()
}

#[test]
fn the_contract_is_a_package_that_others_can_read() {
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let (package, _) = resolve.push_dir(wit).unwrap();
    let bytes = wit_component::encode(&resolve, package).unwrap();
    let (read, again) = match wit_component::decode(&bytes).unwrap() {
        DecodedWasm::WitPackage(read, package) => (read, package),
        DecodedWasm::Component(..) => panic!("it is read as a component"),
    };
    let name = &read.packages[again].name;
    assert_eq!((name.namespace.as_str(), name.name.as_str()), ("shunt", "rule"));
    assert!(name.version.is_some(), "{name}");
    assert_eq!(read.packages.len(), 1, "it needs no other package");
    for hook in Hook::ALL {
        assert!(read.packages[again].interfaces.contains_key(hook.name()), "{}", hook.name());
    }
    assert_eq!(printed(&read, again), printed(&resolve, package));
}
