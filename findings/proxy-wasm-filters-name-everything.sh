#!/usr/bin/env bash
# Software:  proxy-wasm 0.2.4 (the SDK of proxy-wasm for Rust), rustc 1.95.0, with fat LTO.
# Behaviour: The imports and exports of a WebAssembly module are to tell a host what it needs and which callbacks it has.
#            Those of a filter of this SDK tell nothing: one that sets a field of requests and does nothing else imports gRPC
#            calls, shared queues, shared data, HTTP calls and foreign functions, and exports callbacks for bodies, trailers,
#            TCP data, ticks and queues: what the traits of the SDK offer is reached through trait objects, and stays linked.
#            A host that refuses by the imports what it does not have refuses every such filter, and one that buffers bodies
#            where there is a callback for them buffers all.
# For Shunt: A layer for such filters has to have every import, to refuse by name where one is called, and to be told by the
#            pack whether a filter wants bodies. Packs of Shunt's own contract are judged by their imports (decision 0002),
#            for its SDK links what is called.
# Seen:      32 imports, of which grpc 5, queue 4, shared_data 2, http_call 1, foreign_function 1, set_tick 1
#            28 exports, of which grpc 4, queue 1, body 2, trailers 2, stream_data 2, http_call 1, tick 1
# Needs:     rustup with toolchain 1.95.0 and its target wasm32-unknown-unknown, crates.io, python3.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export RUSTUP_TOOLCHAIN=1.95.0
mkdir src
cat > Cargo.toml <<'EOF'
[package]
name = "filter"
version = "0.0.0"
edition = "2021"

[lib]
crate-type = ["cdylib"]

[dependencies]
proxy-wasm = "=0.2.4"

[profile.release]
lto = "fat"
opt-level = "s"
strip = true
EOF
cat > src/lib.rs <<'EOF'
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_http_context(|_, _| Box::new(Filter));
}}

/// Sets a field of the request, and does nothing else.
struct Filter;

impl Context for Filter {}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_request_header("x-filter", Some("yes"));
        Action::Continue
    }
}
EOF
cargo build --quiet --release --target wasm32-unknown-unknown
cat > names.py <<'EOF'
def number(octets, at):
    """LEB128, and where it ends."""
    value = shift = 0
    while True:
        value |= (octets[at] & 127) << shift
        shift += 7
        at += 1
        if octets[at - 1] < 128:
            return value, at


def text(octets, at):
    length, at = number(octets, at)
    return octets[at:at + length].decode(), at + length


with open("target/wasm32-unknown-unknown/release/filter.wasm", "rb") as file:
    octets = file.read()
imports, exports, at = [], [], 8
while at < len(octets):
    section = octets[at]
    length, at = number(octets, at + 1)
    end, inside = at + length, at
    if section in (2, 7):
        count, inside = number(octets, inside)
        for _ in range(count):
            if section == 2:
                module, inside = text(octets, inside)
                name, inside = text(octets, inside)
                assert octets[inside] == 0, "functions alone"
                _, inside = number(octets, inside + 1)
                imports.append(name)
            else:
                name, inside = text(octets, inside)
                kind = octets[inside]
                _, inside = number(octets, inside + 1)
                if kind == 0:
                    exports.append(name)
    at = end
for what, names, words in (
    ("imports", imports, ["grpc", "queue", "shared_data", "http_call", "foreign_function", "set_tick"]),
    ("exports", exports, ["grpc", "queue", "body", "trailers", "stream_data", "http_call", "tick"]),
):
    counts = (f"{word} {sum(word in name for name in names)}" for word in words)
    print(f"{len(names)} {what}, of which {', '.join(counts)}")
EOF
python3 names.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
