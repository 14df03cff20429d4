//! With compilers of others: `cargo xtask test members`.

use std::process::Command;

use shunt_tests::daemon::Folder;
use shunt_tests::{packs, program};

use super::{becomes_a_pack, run, source};

#[test]
#[ignore = "compiles a rule in C: cargo xtask test members"]
fn a_rule_in_c_is_compiled() {
    let tools = [
        program::other(&["wit-bindgen"], "`cargo install wit-bindgen-cli`"),
        program::other(&["clang", "clang-14"], "`apt-get install clang`"),
        program::other(&["wasm-ld", "wasm-ld-14"], "`apt-get install lld`"),
    ];
    if tools.contains(&None) {
        return;
    }
    let folder = Folder::new();
    let module = folder.path().join("rule.wasm");
    let mut build = Command::new(source().join("build"));
    program::ended(build.arg(packs::root().join("wit")).arg(&module)).good();
    becomes_a_pack(&module);
}

/// Does nothing, by componentize-py.
const PYTHON: &str = "\
from wit_world import exports
from wit_world.exports import on_request

class OnRequest(exports.OnRequest):
    def on_request(self, request):
        return on_request.Verdict_Next()
";

#[test]
#[ignore = "makes a component of Python: cargo xtask test members"]
fn python_is_refused_by_the_names_of_its_imports() {
    let Some(tool) = program::other(&["componentize-py"], "`pip install componentize-py`") else { return };
    let folder = Folder::new();
    folder.write("app.py", PYTHON);
    let script = "mkdir -p wit/deps; cp -r \"$1\" wit/deps/rule; rm -r wit/deps/rule/released; \
                  cp \"$2/wit/world.wit\" wit; cp \"$2/pack.toml\" .";
    let mut copy = Command::new("sh");
    copy.args(["-ec", script, "sh"]).arg(packs::root().join("wit")).arg(source());
    program::ended(copy.current_dir(folder.path())).good();
    let mut make = Command::new(tool);
    make.args(["-d", "wit", "-w", "steer", "componentize", "app", "-o", "app.wasm"]);
    program::ended(make.current_dir(folder.path())).good();
    let refused = run(folder.path(), &["pack", "build", "--component", "app.wasm"]).refused(1);
    for import in ["wasi:cli/environment@", "wasi:filesystem/types@", "wasi:sockets/tcp@"] {
        assert!(
            refused.contains("imports what Shunt does not offer: ") && refused.contains(import),
            "{refused}"
        );
    }
    assert!(!folder.path().join("dist").exists());
}
