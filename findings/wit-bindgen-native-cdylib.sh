#!/usr/bin/env bash
# Software:  wit-bindgen 0.61.1, rustc 1.95.0 for x86_64 Linux, with its rust-lld and with GNU ld.
# Behaviour: A guest (a cdylib) that exports an interface of a package builds for wasm32 and passes `cargo check`, but
#            `cargo build` for the machine itself fails in the linker. wit-bindgen names exports as components do
#            ("a:b/c@0.1.0#f") on every target; rustc writes these names without quotes into the version script of the
#            shared library, where ':' is a syntax error for both linkers.
# For Shunt: The macros of the SDK write exports for wasm32 alone, so that a crate with a rule can be built with the
#            rest of a workspace; a check would not have shown that this is needed.
# Seen:      check: passes
#            build for wasm32-unknown-unknown: passes
#            build for the machine, rust-lld: ; expected, but got :
#            build for the machine, GNU ld: syntax error in VERSION script
# Needs:     rustup with toolchain 1.95.0 and its target wasm32-unknown-unknown, gcc, GNU ld.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export RUSTUP_TOOLCHAIN=1.95.0
mkdir src
cat > Cargo.toml <<'EOF'
[package]
name = "guest"
version = "0.0.0"
edition = "2021"

[lib]
crate-type = ["cdylib"]

[dependencies]
wit-bindgen = { version = "=0.61.1", default-features = false, features = ["macros", "realloc"] }
EOF
cat > src/lib.rs <<'EOF'
wit_bindgen::generate!({
    inline: "
        package a:b@0.1.0;
        interface c { f: func() -> result<_, string>; }
        world w { export c; }
    ",
});

struct Guest;

impl exports::a::b::c::Guest for Guest {
    fn f() -> Result<(), String> {
        Err("no".to_owned())
    }
}

export!(Guest);
EOF
# What the linker says of the version script, or "passes".
try() {
    local name=$1 said reason
    shift
    if said=$("$@" 2>&1); then
        echo "$name: passes"
    else
        reason=$(grep -oE '; expected, but got :|syntax error in VERSION script' <<< "$said" || tail -1 <<< "$said")
        echo "$name: $reason"
    fi
}
rustc --version
ld --version | sed -n 1p
cargo tree --quiet --depth 1 --prefix none | grep '^wit-bindgen '
{
    try "check" cargo check
    try "build for wasm32-unknown-unknown" cargo build --target wasm32-unknown-unknown
    try "build for the machine, rust-lld" cargo build
    # Flags of the last crate alone, so that the others are not built again.
    try "build for the machine, GNU ld" cargo rustc -- -Clinker-features=-lld
} | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
