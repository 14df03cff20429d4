#!/usr/bin/env bash
# Software:  wit-bindgen 0.61.1, wit-component 0.258.3, rustc 1.95.0 for wasm32-unknown-unknown.
# Behaviour: The same sources in six folders give modules whose "component-type" sections (one for each
#            `wit_bindgen::generate!`) stand in different orders, although paths are remapped. The folder comes in by a
#            path dependency outside of the workspace: cargo hashes its absolute path into the names of its symbols.
#            Where all is in one crate, the order is the same. wit-component makes different components of one module
#            with its sections in different orders.
# For Shunt: `shunt rule build` puts these sections in the order of their names before wit-component sees them, so that
#            a pack is the same, byte for byte, wherever its sources stand.
# Seen:      a path dependency, 6 folders: more than one order
#            all in one crate, 6 folders: one order
#            one module, its sections in two orders: two components
# Needs:     rustup with toolchain 1.95.0 and its target wasm32-unknown-unknown, a C compiler.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export RUSTUP_TOOLCHAIN=1.95.0 CARGO_TARGET_DIR=$folder/target

mkdir -p template/{sdk,split,whole,sections}/src
cat > template/sdk/Cargo.toml <<'EOF'
[package]
name = "sdk"
version = "0.0.0"
edition = "2021"

[dependencies]
wit-bindgen = { version = "=0.61.1", default-features = false, features = ["macros", "realloc"] }
EOF
for world in one two three; do
    cat <<EOF
pub mod $world {
    wit_bindgen::generate!({
        inline: "package x:$world@0.1.0; interface c { f: func() -> string; } world $world { import c; }",
    });
    pub use x::$world::c::f;
}
EOF
done > template/sdk/src/lib.rs
cat > guest.rs <<'EOF'
wit_bindgen::generate!({ inline: "package x:guest@0.1.0; world guest { export run: func() -> string; }" });

struct Run;

impl Guest for Run {
    fn run() -> String {
        sdk::one::f() + &sdk::two::f() + &sdk::three::f()
    }
}

export!(Run);
EOF
cp guest.rs template/split/src/lib.rs
cp template/sdk/src/lib.rs template/whole/src/sdk.rs
{ echo "mod sdk;"; cat guest.rs; } > template/whole/src/lib.rs
for kind in split whole; do
    sed "s/\"sdk\"/\"$kind\"/" template/sdk/Cargo.toml > template/$kind/Cargo.toml
    [ $kind = whole ] || echo 'sdk = { path = "../sdk" }' >> template/$kind/Cargo.toml
    printf '\n[lib]\ncrate-type = ["cdylib"]\n' >> template/$kind/Cargo.toml
done

cat > template/sections/Cargo.toml <<'EOF'
[package]
name = "sections"
version = "0.0.0"
edition = "2021"

[dependencies]
wit-component = "=0.258.3"
EOF
cat > template/sections/src/main.rs <<'EOF'
//! `sections MODULE...`: whether the modules have their sections in one order, and what the order does to the first.
use std::collections::BTreeSet;
use std::ops::Range;

fn number(bytes: &[u8], at: &mut usize) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}

/// Names and places of the "component-type" sections.
fn sections(module: &[u8]) -> Vec<(String, Range<usize>)> {
    let (mut found, mut at) = (Vec::new(), 8);
    while at < module.len() {
        let start = at;
        at += 1;
        let size = number(module, &mut at);
        let end = at + size;
        if module[start] == 0 {
            let length = number(module, &mut at);
            let name = String::from_utf8_lossy(&module[at..at + length]).into_owned();
            if name.starts_with("component-type:") {
                found.push((name, start..end));
            }
        }
        at = end;
    }
    assert!(!found.is_empty());
    found
}

fn component(module: &[u8]) -> Vec<u8> {
    wit_component::ComponentEncoder::default().module(module).unwrap().encode().unwrap()
}

fn main() {
    let modules: Vec<Vec<u8>> = std::env::args().skip(1).map(|path| std::fs::read(path).unwrap()).collect();
    let orders: BTreeSet<Vec<String>> =
        modules.iter().map(|module| sections(module).into_iter().map(|(name, _)| name).collect()).collect();
    println!("{} folders: {}", modules.len(), if orders.len() == 1 { "one order" } else { "more than one order" });

    let found = sections(&modules[0]);
    let mut rest = Vec::new();
    let mut at = 0;
    for (_, place) in &found {
        rest.extend_from_slice(&modules[0][at..place.start]);
        at = place.end;
    }
    rest.extend_from_slice(&modules[0][at..]);
    let mut sorted = found.clone();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let components: BTreeSet<Vec<u8>> = [sorted.clone(), sorted.into_iter().rev().collect()]
        .iter()
        .map(|order| {
            let mut module = rest.clone();
            order.iter().for_each(|(_, place)| module.extend_from_slice(&modules[0][place.clone()]));
            component(&module)
        })
        .collect();
    println!("sections in two orders: {}", if components.len() == 1 { "one component" } else { "two components" });
}
EOF
rustc --version
(cd template/sections && cargo build --quiet && cargo tree --quiet --depth 1 --prefix none | grep '^wit-component ')
(cd template/sdk && cargo tree --quiet --depth 1 --prefix none | grep '^wit-bindgen ')
for place in 1 2 3 4 5 6; do
    cp -r template $place
    for kind in split whole; do
        (
            cd $place/$kind
            export RUSTFLAGS="--remap-path-prefix=$folder/$place=/src"
            cargo build --quiet --target wasm32-unknown-unknown
        )
        cp target/wasm32-unknown-unknown/debug/$kind.wasm $place-$kind.wasm
    done
done
{
    target/debug/sections ?-split.wasm | sed -n 's/^6/a path dependency, 6/p'
    target/debug/sections ?-whole.wasm | sed -n 's/^6/all in one crate, 6/p; s/^sections/one module, its sections/p'
} | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
