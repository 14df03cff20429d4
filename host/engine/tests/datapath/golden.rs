//! Every golden case, and for every drop reason one.

use std::path::PathBuf;

use shunt_engine::datapath::DropReason;

use crate::{case, partial, script};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

#[test]
fn every_case_goes_as_it_says() {
    let mut failed = Vec::new();
    let cases = case::all(&folder()).unwrap();
    for (name, case) in &cases {
        if let Err(error) = script::run(case) {
            failed.push(format!("{name}: {error}"));
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} cases failed:\n\n{}",
        failed.len(),
        cases.len(),
        failed.join("\n\n")
    );
}

/// Every packet of TCP and UDP comes in as from a host that leaves checksums to its device, and nothing else is
/// different: what goes out is what goes out of packets with whole checksums.
#[test]
fn every_case_goes_so_with_partial_checksums() {
    let cases = case::all(&folder()).unwrap();
    let mut made = 0;
    let run = |(name, case): &(String, case::Case)| {
        let (case, changed) = partial::case(case);
        made += changed;
        script::run(&case).err().map(|error| format!("{name}: {error}"))
    };
    let failed: Vec<String> = cases.iter().filter_map(run).collect();
    assert!(failed.is_empty(), "{} cases failed:\n\n{}", failed.len(), failed.join("\n\n"));
    assert!(made > 300, "only {made} packets had a checksum to be left out");
}

/// What is explained is what happens, and only that: in every case, of every frame.
#[test]
fn every_case_goes_as_it_is_explained() {
    let cases = case::all(&folder()).unwrap();
    let run = |(name, case): &(String, case::Case)| {
        script::run_explained(case).err().map(|error| format!("{name}: {error}"))
    };
    let failed: Vec<String> = cases.iter().filter_map(run).collect();
    assert!(failed.is_empty(), "{} cases failed:\n\n{}", failed.len(), failed.join("\n\n"));
}

/// `golden/drops/NAME.txt` is a case in which packets are dropped for that reason.
#[test]
fn every_drop_reason_has_a_case() {
    let cases = case::all(&folder()).unwrap();
    for reason in DropReason::ALL {
        let name = format!("drops/{reason}");
        let (_, case) =
            cases.iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("no {name}.txt"));
        let dropped = script::run(case).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(dropped.contains(&reason), "{name} dropped for {dropped:?}");
    }
}
