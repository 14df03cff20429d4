//! What the tests of several modules need.

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
