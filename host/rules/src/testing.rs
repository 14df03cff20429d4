//! What the tests of several modules need.

use std::process::Command;

use wasm_encoder::{CustomSection, Encode as _, Section as _};

/// A component in the text format, with custom sections added at its end.
pub(crate) fn component(text: &str, sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = wat::parse_str(text).unwrap();
    for (name, data) in sections {
        let section = CustomSection { name: (*name).into(), data: (*data).into() };
        bytes.push(section.id());
        section.encode(&mut bytes);
    }
    bytes
}

/// 200 MiB of zeros, which gzip makes some 200 KiB of.
pub(crate) fn bomb() -> Vec<u8> {
    let made = Command::new("sh").args(["-ec", "head -c 200M /dev/zero | gzip"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}
