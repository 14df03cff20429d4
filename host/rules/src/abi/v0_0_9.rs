//! An older version of the contract, which was never released: it shows that a pack of an older version runs.
//!
//! It has no grants: `request.header` returns an option. Its `on-request` has no verdict `need-body`, and all that stand
//! behind it have other numbers.

use wasmtime::component::{ComponentType, Lift};

use super::contract::Contract;
use super::types::{Answer, Target};
use crate::capabilities;

pub(crate) const CONTRACT: Contract = Contract { version: "0.0.9", adapt: capabilities::v0_0_9::define };

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum RequestVerdict {
    #[component(name = "next")]
    Next,
    #[component(name = "to")]
    To(Target),
    #[component(name = "respond")]
    Respond(Answer),
    #[component(name = "reject")]
    Reject,
}

mod tests {
    use wit_component::{StringEncoding, embed_component_metadata};
    use wit_parser::Resolve;

    use crate::build::componentize;
    use crate::cases::{Report, run};
    use crate::{Pack, RuleHost};

    /// What 0.0.9 has of `http` and of `on-request`; its `types` are those of today.
    const WIT: &str = r#"
        interface http {
            record answer { status: u16, headers: list<tuple<string, list<u8>>>, body: list<u8> }
            resource request { header: func(name: string) -> option<list<u8>>; }
        }
        interface on-request {
            use types.{target};
            use http.{request, answer};
            variant verdict { next, to(target), respond(answer), reject }
            on-request: func(request: borrow<request>) -> verdict;
        }
        world rule { import http; export on-request; }
    "#;

    /// Rejects a request that has the field `x-old`.
    const GUEST: &str = r#"(module
        (import "shunt:rule/http@0.0.9" "[method]request.header" (func $header (param i32 i32 i32 i32)))
        (import "shunt:rule/http@0.0.9" "[resource-drop]request" (func $drop (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 16) "x-old")
        (global $free (mut i32) (i32.const 1024))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
            (global.set $free (i32.add (local.get $at) (local.get 3)))
            (local.get $at))
        (func (export "shunt:rule/on-request@0.0.9#on-request") (param $request i32) (result i32)
            ;; The option at 32, the verdict at 64: its number is its first byte.
            (call $header (local.get $request) (i32.const 16) (i32.const 5) (i32.const 32))
            (call $drop (local.get $request))
            (i32.store8 (i32.const 64)
                (select (i32.const 3) (i32.const 0) (i32.load8_u (i32.const 32))))
            (i32.const 64))
    )"#;

    const MANIFEST: &str = "[pack]\nname = \"old\"\nversion = \"1.0.0\"\nwit = \"0.0.9\"\n[capabilities.request]\nread = [\"x-old\"]\n";

    fn guest(manifest: &str) -> Pack {
        let text = format!("package shunt:rule@0.0.9;\n{}{WIT}", include_str!("../../../../wit/types.wit"));
        let mut resolve = Resolve::default();
        let package = resolve.push_str("old.wit", &text).unwrap();
        let world = resolve.select_world(&[package], Some("rule")).unwrap();
        let mut module = wat::parse_str(GUEST).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        Pack::from_bytes(componentize(&module, manifest, None).unwrap()).unwrap()
    }

    fn play(pack: &Pack) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let cases = "
            [[case]]
            name = \"with the field\"
            request = { headers = { X-Old = \"1\" } }
            expect = { verdict = \"reject\" }

            [[case]]
            name = \"without\"
            request = { headers = { X-New = \"1\" } }
            expect = { verdict = \"next\" }
        ";
        std::fs::write(folder.path().join("a.toml"), cases).unwrap();
        run(&RuleHost::new().unwrap(), pack, folder.path()).unwrap()
    }

    #[test]
    fn a_pack_of_an_older_version_runs() {
        let pack = guest(MANIFEST);
        assert_eq!(pack.imports(), ["shunt:rule/http@0.0.9", "shunt:rule/types@0.0.9"]);
        let report = play(&pack);
        let failed: Vec<String> = report.failed().map(ToString::to_string).collect();
        assert!(report.passed() && report.cases.len() == 2, "{}", failed.join("\n"));
    }

    #[test]
    fn what_it_was_not_granted_is_not_there_and_is_told() {
        let report = play(&guest(&MANIFEST.replace("x-old", "x-other")));
        let failed: Vec<String> = report.failed().map(ToString::to_string).collect();
        assert!(failed[0].contains("does not ask to read the field x-old"), "{failed:?}");
    }
}
