//! The names of a component's functions, kept in a file beside it: a component that is shipped has none.
//!
//! The file is a core module of two custom sections: the names, as WebAssembly writes them, and the digest of the
//! component that they belong to. It holds no code.

use std::collections::BTreeMap;

use wasm_encoder::{CustomSection, Module, NameMap, NameSection};
use wasmparser::{KnownCustom, Name, Parser, Payload};
use wasmtime::WasmBacktrace;

use crate::Digest;

/// Custom section that says which component the names are of.
const COMPONENT_SECTION: &str = "shunt:component";
/// Names that are kept of one file, and bytes of each: a component of 8 MiB has some 20,000 functions.
const MAX_NAMES: usize = 1 << 16;
const MAX_NAME: usize = 200;
/// Bytes of a name before it is demangled; rustc_demangle bounds what it makes of them.
const MAX_SYMBOL: usize = 4096;
/// Functions that a fault names, from the one that it happened in.
const FRAMES: usize = 4;

/// What no author wrote: they are in the call, and say nothing about it.
const NOT_OF_THE_AUTHOR: [&str; 9] =
    ["core::", "alloc::", "std::", "shunt_sdk::", "wit_bindgen", "talc::", "rust_", "__", "abort"];

/// By the index of the function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names(BTreeMap<u32, Box<str>>);

impl Names {
    /// Reads such a file; `None`: it is something else, or belongs to another component.
    pub(crate) fn read(file: &[u8], component: Digest) -> Option<Names> {
        let (mut names, mut of) = (None, None);
        for payload in Parser::new(0).parse_all(file) {
            if let Payload::CustomSection(section) = payload.ok()? {
                match section.as_known() {
                    KnownCustom::Name(reader) => names = Some(function_names(reader)),
                    _ if section.name() == COMPONENT_SECTION => of = Some(section.data()),
                    _ => {}
                }
            }
        }
        if of == Some(component.as_bytes()) { names } else { None }
    }

    /// Where a call was: ` in parse, called by on_request`; nothing where no code of the author was in it.
    pub(crate) fn place(names: Option<&Names>, trace: &WasmBacktrace) -> String {
        let mut places: Vec<String> = Vec::new();
        for frame in trace.frames() {
            // The rule has the memory; other modules of its component only pass calls on.
            if frame.module().get_export("memory").is_none() {
                continue;
            }
            let known = names.and_then(|Names(names)| names.get(&frame.func_index()).cloned());
            // What another tool compiled may have names in it; exports have theirs.
            let place = match known.or_else(|| frame.func_name().map(plain)) {
                Some(name) if is_of_the_author(&name) => name.into_string(),
                Some(_) => continue,
                None => format!("function {}", frame.func_index()),
            };
            // Recursion is told once.
            if places.last() != Some(&place) && places.len() < FRAMES {
                places.push(place);
            }
        }
        if places.is_empty() { String::new() } else { format!(" in {}", places.join(", called by ")) }
    }
}

/// The file of the names of a core module; `None`: it has none.
pub(crate) fn file(module: &[u8], component: Digest) -> Option<Vec<u8>> {
    let names = Parser::new(0).parse_all(module).find_map(|payload| match payload.ok()? {
        Payload::CustomSection(section) => match section.as_known() {
            KnownCustom::Name(reader) => Some(function_names(reader)),
            _ => None,
        },
        _ => None,
    })?;
    let mut functions = NameMap::new();
    names.0.iter().for_each(|(index, name)| functions.append(*index, name));
    let mut section = NameSection::new();
    section.functions(&functions);
    let mut file = Module::new();
    file.section(&section);
    file.section(&CustomSection {
        name: COMPONENT_SECTION.into(),
        data: component.as_bytes().as_slice().into(),
    });
    Some(file.finish())
}

/// What can be read of them. They help, and are not needed.
fn function_names(reader: wasmparser::NameSectionReader<'_>) -> Names {
    let functions = reader.into_iter().filter_map(|part| match part.ok()? {
        Name::Function(functions) => Some(functions),
        _ => None,
    });
    let names = functions.flat_map(|functions| functions.into_iter().map_while(Result::ok));
    Names(names.take(MAX_NAMES).map(|naming| (naming.index, plain(naming.name))).collect())
}

/// A name that can stand in a line of a log. In Rust's own words, and without the hashes in it, which are others wherever the
/// sources stand.
fn plain(name: &str) -> Box<str> {
    // What is longer than any name is not demangled: it may be written to become longer still.
    let name = &name[..name.floor_char_boundary(MAX_SYMBOL)];
    let name = format!("{:#}", rustc_demangle::demangle(name));
    let name = &name[..name.floor_char_boundary(MAX_NAME)];
    name.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect::<String>().into()
}

fn is_of_the_author(name: &str) -> bool {
    // `<core::fmt::Formatter as …>::…` is no more of the author than `core::fmt::…`; exports are called as the hook is.
    let name = name.trim_start_matches(['<', '&']);
    !NOT_OF_THE_AUTHOR.iter().any(|prefix| name.starts_with(prefix)) && !name.contains('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = r#"(module
        (func $_ZN4core9panicking5panic17h0123456789abcdefE)
        (func $_RNvCsfLfy6EI15iL_5steer5parse)
        (func $steer::on_request))"#;

    #[test]
    fn names_are_kept_for_their_component() {
        let component = Digest::of(b"component");
        let file = file(&wat::parse_str(MODULE).unwrap(), component).unwrap();
        let names = Names::read(&file, component).unwrap();
        let names: Vec<&str> = names.0.values().map(|name| &**name).collect();
        assert_eq!(names, ["core::panicking::panic", "steer::parse", "steer::on_request"]);
        assert_eq!(Names::read(&file, Digest::of(b"another")), None);
        assert_eq!(Names::read(b"\0asm\x01\0\0\0", component), None);
        assert_eq!(Names::read(b"text", component), None);
    }

    #[test]
    fn a_name_is_one_line() {
        assert_eq!(&*plain("a\nb\u{1b}[31m"), "a?b?[31m");
        assert_eq!(plain(&"ü".repeat(500)).len(), MAX_NAME);
        assert_eq!(&*plain("a::h0123"), "a::h0123");
        assert!(plain(&format!("_ZN{}E", "1a".repeat(10_000))).len() <= MAX_NAME);
    }

    #[test]
    fn what_the_author_wrote_is_told_from_what_is_linked_to_it() {
        for (name, of_the_author) in [
            ("steer::parse", true),
            ("<steer::Rule as core::fmt::Display>::fmt", true),
            ("core::panicking::panic", false),
            ("<alloc::vec::Vec<T> as core::clone::Clone>::clone", false),
            ("shunt:rule/on-request@0.1.0#on-request", false),
            ("__rust_alloc", false),
        ] {
            assert_eq!(is_of_the_author(name), of_the_author, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_names_or_none(bytes: Vec<u8>) {
            let module = [&b"\0asm\x01\0\0\0\0"[..], &[bytes.len().min(127) as u8], &bytes].concat();
            let _ = Names::read(&module, Digest::of(b""));
        }
    }
}
