#!/usr/bin/env bash
# Software:  rustls 0.23.46, provider ring.
# Behaviour: A client of TLS 1.3 brings early data with a ticket of another server. The server cannot read these records
#            and must skip them, up to max_early_data_size (RFC 8446 section 4.2.10). rustls does, but leaves skipped
#            records in its buffer, and decrypts and counts them again whenever more bytes come. So half of what is
#            allowed, or less, ends the connection with bad_record_mac, and whether it does depends on how the same
#            bytes are cut into reads. Beyond about 18 KiB the buffer is full, whatever the limit is.
# For Shunt: Shunt takes no early data, yet sets max_early_data_size to 1 MiB, so that nothing but the buffer limits
#            what it can skip.
# Seen:      limit 16384, 24 records of 256 bytes, one read: skipped
#            limit 16384, 24 records of 256 bytes, reads of 4096: first flight skipped, then DecryptError
#            limit 16384, 32 records of 256 bytes, one read: first flight skipped, then DecryptError
#            limit 1048576, 64 records of 256 bytes, reads of 4096: skipped
#            limit 1048576, 80 records of 256 bytes, reads of 4096: message buffer full
# Needs:     cargo, a C compiler, openssl. No sockets: both ends are in one process.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'EOF'
[package]
name = "counted-again"
version = "0.0.0"
edition = "2021"

[dependencies]
rustls = { version = "=0.23.46", default-features = false, features = ["ring", "std"] }
EOF
cat > certificate.cnf <<'EOF'
[req]
prompt = no
distinguished_name = name
x509_extensions = leaf
[name]
commonName = a.example
[leaf]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:a.example
EOF
openssl req -x509 -config certificate.cnf -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
    -keyout key.pem -outform DER -out certificate.der 2>/dev/null
openssl pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der
cat > src/main.rs <<'EOF'
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use std::io::Write;
use std::sync::Arc;

static CERTIFICATE: &[u8] = include_bytes!("../certificate.der");
static KEY: &[u8] = include_bytes!("../key.der");

/// A server with a ticket store of its own.
fn server(allowed: u32) -> ServerConnection {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(CERTIFICATE)],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY)),
        )
        .unwrap();
    config.max_early_data_size = allowed;
    ServerConnection::new(Arc::new(config)).unwrap()
}

fn client(config: &Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(Arc::clone(config), ServerName::try_from("a.example").unwrap()).unwrap()
}

/// Gives what the client sends to the server as reads of `size` bytes, and the answer to the client.
fn exchange(client: &mut ClientConnection, server: &mut ServerConnection, size: usize) -> Result<(), String> {
    let mut sent = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut sent).unwrap();
    }
    for mut read in sent.chunks(size) {
        while !read.is_empty() {
            server.read_tls(&mut read).map_err(|error| error.to_string())?;
        }
        server.process_new_packets().map_err(|error| format!("{error:?}"))?;
    }
    let mut answer = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut answer).unwrap();
    }
    let mut answer = &answer[..];
    while !answer.is_empty() {
        client.read_tls(&mut answer).unwrap();
        client.process_new_packets().unwrap();
    }
    Ok(())
}

/// Early data for a server that does not know the ticket.
fn early(allowed: u32, records: usize, size: usize) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(CERTIFICATE)).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_early_data = true;
    let config = Arc::new(config);
    let (mut first, mut other) = (client(&config), server(allowed));
    for _ in 0..3 {
        exchange(&mut first, &mut other, usize::MAX).unwrap();
    }

    let (mut client, mut server) = (client(&config), server(allowed));
    for _ in 0..records {
        client.early_data().expect("a ticket that allows early data").write_all(&[b'x'; 256]).unwrap();
    }
    if let Err(error) = exchange(&mut client, &mut server, size) {
        return error;
    }
    // The client's Finished, which finds the skipped records in front of it.
    if let Err(error) = exchange(&mut client, &mut server, size) {
        return format!("first flight skipped, then {error}");
    }
    assert!(!client.is_early_data_accepted() && !server.is_handshaking());
    "skipped".to_owned()
}

fn main() {
    let whole = usize::MAX;
    for (limit, records, size) in
        [(16_384, 24, whole), (16_384, 24, 4_096), (16_384, 32, whole), (1 << 20, 64, 4_096), (1 << 20, 80, 4_096)]
    {
        let reads = if size == whole { "one read".to_owned() } else { format!("reads of {size}") };
        println!("limit {limit}, {records} records of 256 bytes, {reads}: {}", early(limit, records, size));
    }
}
EOF
cargo build --quiet
cargo tree --quiet --depth 1 --prefix none | grep '^rustls '
target/debug/counted-again | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
