//! The registry of Debian's package `docker-registry`, on loopback. A test that needs it is skipped where it is not
//! installed.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use shunt_lab::needs;

use crate::address;
use crate::daemon::{Folder, until};
use crate::raw::{Client, Message};

const PROGRAM: &str = "/usr/bin/docker-registry";

/// User `team`, password `word`, by bcrypt.
const LOGIN: &str = "team:$2y$05$2T/D1tyqGwhYqjQ4/569PO3wETTR.wBMgH.UmV3QVW19fy.hbE/N.\n";

/// How it is set up, beyond a folder of its own and an address on loopback.
#[derive(Clone, Copy, Default)]
pub struct Setup<'a> {
    /// Files of a certificate and its key, in PEM.
    pub tls: Option<(&'a Path, &'a Path)>,
    /// Whether only `team` with the password `word` may ask.
    pub login: bool,
    pub read_only: bool,
}

/// A registry that runs. It is ended when this is dropped.
pub struct Registry {
    child: Child,
    pub address: SocketAddr,
    folder: Folder,
}

impl Registry {
    /// Without TLS and without logins.
    #[must_use]
    pub fn start() -> Option<Registry> {
        Registry::with(address::free(), Setup::default())
    }

    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn with(address: SocketAddr, setup: Setup<'_>) -> Option<Registry> {
        if !needs::program(Path::new(PROGRAM), "to push packs to a registry") {
            return None;
        }
        let folder = Folder::new();
        let child = spawn(&folder, address, setup);
        let registry = Registry { child, address, folder };
        registry.wait();
        Some(registry)
    }

    fn wait(&self) {
        until("the registry accepts connections", || TcpStream::connect(self.address).is_ok());
    }

    /// As references write it.
    #[must_use]
    pub fn name(&self) -> String {
        self.address.to_string()
    }

    /// The same data, with another setup.
    ///
    /// # Panics
    /// It does not start.
    pub fn restart(&mut self, setup: Setup<'_>) {
        self.stop();
        self.child = spawn(&self.folder, self.address, setup);
        self.wait();
    }

    /// Ends it, and keeps what it has.
    pub fn stop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("a registry does not end: {error}");
        }
    }

    /// Stores a blob, as any program may; its digest.
    ///
    /// # Panics
    /// It does not take it.
    #[must_use]
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let begun = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), "", b"");
        let place = begun.get("location").expect("a place for a blob");
        let path = place.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        let path = path.unwrap_or(place);
        let mark = if path.contains('?') { '&' } else { '?' };
        self.send("PUT", &format!("{path}{mark}digest={digest}"), "application/octet-stream", bytes);
        digest
    }

    /// Stores a manifest under a tag, or its digest if there is none; its digest.
    ///
    /// # Panics
    /// It does not take it.
    pub fn put_manifest(&self, repository: &str, tag: Option<&str>, manifest: &serde_json::Value) -> String {
        let (bytes, digest) = (manifest.to_string(), digest(manifest.to_string().as_bytes()));
        let path = format!("/v2/{repository}/manifests/{}", tag.unwrap_or(&digest));
        let kind = manifest["mediaType"].as_str().expect("a manifest says what it is");
        self.send("PUT", &path, kind, bytes.as_bytes());
        digest
    }

    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Message {
        let mut client = Client::connect(self.address);
        client.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        ));
        let answer = client.ask(body);
        assert!(
            (200..300).contains(&answer.status()),
            "{method} {path}: {} {}",
            answer.status(),
            answer.text()
        );
        answer
    }

    /// Where it keeps a blob or a manifest, which are the same to it.
    #[must_use]
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        self.root().join(format!("blobs/sha256/{}/{hex}/data", &hex[..2]))
    }

    /// All that it keeps as blobs.
    ///
    /// # Panics
    /// It keeps none.
    #[must_use]
    pub fn blobs(&self) -> Vec<PathBuf> {
        let list = |folder: PathBuf| -> Vec<PathBuf> {
            let entries = std::fs::read_dir(folder).expect("a folder of the registry");
            entries.map(|entry| entry.expect("an entry").path()).collect()
        };
        let mut blobs: Vec<PathBuf> = list(self.root().join("blobs/sha256"))
            .into_iter()
            .flat_map(list)
            .map(|folder| folder.join("data"))
            .collect();
        blobs.sort();
        blobs
    }

    /// The file that says what a tag points to.
    #[must_use]
    pub fn tag(&self, repository: &str, tag: &str) -> PathBuf {
        self.root().join(format!("repositories/{repository}/_manifests/tags/{tag}/current/link"))
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("data/docker/registry/v2")
    }
}

/// As OCI writes it.
///
/// # Panics
/// There is no `sha256sum`.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let mut command = Command::new("sha256sum");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sha256sum");
    child.stdin.take().expect("its input").write_all(bytes).expect("it reads");
    let told = child.wait_with_output().expect("it ends").stdout;
    format!("sha256:{}", String::from_utf8_lossy(&told[..64]))
}

fn spawn(folder: &Folder, address: SocketAddr, setup: Setup<'_>) -> Child {
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut config = format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {}\n  \
         maintenance:\n    readonly:\n      enabled: {}\nhttp:\n  addr: {address}\n  secret: of-a-test\n",
        path("data"),
        setup.read_only
    );
    if let Some((certificate, key)) = setup.tls {
        let (certificate, key) = (certificate.display(), key.display());
        config.push_str(&format!("  tls:\n    certificate: {certificate}\n    key: {key}\n"));
    }
    if setup.login {
        folder.write("htpasswd", LOGIN);
        config.push_str(&format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path("htpasswd")));
    }
    let config = folder.write("config.yml", config);
    let mut command = Command::new(PROGRAM);
    command.arg("serve").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("a registry that starts")
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}
