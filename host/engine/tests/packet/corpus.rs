//! What was fuzzed once is run again, each input as an ordinary test.

use std::fs;
use std::path::Path;

use crate::targets::TARGETS;

#[test]
fn every_stored_input() {
    let corpus = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus"));
    for (name, target) in TARGETS {
        let mut count = 0;
        for entry in fs::read_dir(corpus.join(name)).unwrap() {
            target(&fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{name} has no inputs");
    }
}
