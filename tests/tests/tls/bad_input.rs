//! Files of TLS, and pages, that cannot be used: each is told with its place and what to do, by `check` and by a reload,
//! which changes nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use shunt_tests::address;
use shunt_tests::daemon::{Daemon, Folder};
use shunt_tests::origin::Origin;
use shunt_tests::{program, root, site};

use crate::load::{Talk, trusting};
use crate::pki::Ca;

const GOOD: &str = "certificate = \"good.pem\", key = \"good.key\"";

/// Certificates and other files, good and bad, by the names that the cases use.
fn files(folder: &Folder) {
    let ca = Ca::new(folder);
    ca.sign(folder, "good", &["a.example"], 1);
    ca.sign(folder, "other", &["a.example"], 2);
    ca.sign_in(folder, "old", &["a.example"], (2019, 2020));
    ca.sign_in(folder, "new", &["a.example"], (2119, 2120));
    let pem = std::fs::read_to_string(folder.path().join("ca.pem")).unwrap();
    folder.write(
        "cas.pem",
        format!("{pem}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{pem}"),
    );
    folder.write("empty.pem", "");
    folder.write("31", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ==\n");
    folder.write("large.html", "x".repeat((64 << 10) + 1));
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.path().join("fifo")).status().unwrap().success());
}

/// Keys of the virtual, keys of the pool, and what is said of them.
fn cases() -> Vec<(String, String, &'static str)> {
    let certificate =
        |name: &str, key: &str| format!("tls = {{ certificate = \"{name}\", key = \"{key}\" }}");
    let with = |more: &str| format!("tls = {{ {GOOD}, {more} }}");
    let clients = |files: &str| with(&format!("client-certificates = {{ {files} }}"));
    let mut cases = vec![
        ("tls = { certificate = \"good.pem\" }".to_owned(), String::new(), "this table needs `key`"),
        (certificate("good.pem", "other.key"), String::new(), "use the key that it was requested with"),
        (
            certificate("good.pem", "good.pem"),
            String::new(),
            "no private key, but CERTIFICATE: name the file that has one",
        ),
        (
            certificate("good.key", "good.key"),
            String::new(),
            "no certificate, but PRIVATE KEY: name the file that has one",
        ),
        (certificate("old.pem", "old.key"), String::new(), "expired at 2020-01-01T00:00:00Z: renew it"),
        (
            certificate("new.pem", "new.key"),
            String::new(),
            "not valid before 2119-01-01T00:00:00Z: wait until then",
        ),
        (certificate("empty.pem", "good.key"), String::new(), "no certificate: name the file that has one"),
        (clients("ca = \"cas.pem\""), String::new(), "cas.pem: line 11: the CA certificate that begins here"),
        (
            with("ticket-keys = \"31\""),
            String::new(),
            "31: line 1: a ticket key has 32 bytes, and this one has 31: write",
        ),
        (with("ticket-keys = \"empty.pem\""), String::new(), "write one with `openssl rand -base64 32`"),
        (with("key-log = \"fifo\""), String::new(), "it is not a plain file; name another"),
        (with("key-log = \"no/file\""), String::new(), "make it, or name another"),
        (
            certificate("good.pem", "good.key"),
            "tls = { ca = \"cas.pem\" }".to_owned(),
            "replace it or remove it",
        ),
        (
            format!("{}\npages = {{ 502 = \"large.html\" }}", certificate("good.pem", "good.key")),
            String::new(),
            "larger than 64 KiB",
        ),
        (
            format!("{}\npages = {{ 502 = \"empty.pem\" }}", certificate("good.pem", "good.key")),
            String::new(),
            "rename the file",
        ),
    ];
    for (file, what) in [
        ("fifo", "name a plain file"),
        ("folder", "name the file in it"),
        ("gone", "fix the path, or put the file there"),
    ] {
        cases.extend([
            (certificate(file, "good.key"), String::new(), what),
            (certificate("good.pem", file), String::new(), what),
            (clients(&format!("ca = \"{file}\"")), String::new(), what),
            (clients(&format!("ca = \"ca.pem\", crl = \"{file}\"")), String::new(), what),
            (with(&format!("ticket-keys = \"{file}\"")), String::new(), what),
            (certificate("good.pem", "good.key"), format!("tls = {{ ca = \"{file}\" }}"), what),
            (format!("tls = {{ certificates = [{{ {GOOD}, ocsp = \"{file}\" }}] }}"), String::new(), what),
            (
                format!("{}\npages = {{ sorry = \"{file}\" }}", certificate("good.pem", "good.key")),
                String::new(),
                what,
            ),
        ]);
    }
    cases
}

#[test]
fn what_cannot_be_used_is_told_and_changes_nothing() {
    let (folder, origin, address) = (Folder::new(), Origin::named("a"), address::free());
    files(&folder);
    let config = |keys: &str, of_pool: &str| {
        site::config(address, keys, &site::pool("web", of_pool, &[origin.address()]))
    };
    folder.configure(&config(&format!("tls = {{ {GOOD} }}"), ""));
    let daemon = Daemon::start_in(folder);
    let folder = daemon.folder();
    let client = trusting(folder);
    let before = daemon.status()["epoch"].clone();
    for (keys, of_pool, told) in cases() {
        folder.configure(&config(&keys, &of_pool));
        let checked = program::run(&["check", folder.config().to_str().unwrap()]).refused(1);
        let reloaded = daemon.shunt(&["reload"]).refused(1);
        for said in [checked, reloaded] {
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(said.contains("shunt.toml:") && said.contains(told), "{keys}\n{of_pool}\n{told}\n{said}");
        }
        assert_eq!(daemon.status()["epoch"], before, "{keys}");
        let mut talk = Talk::begin(address, Some(&client), true).unwrap();
        assert!(talk.ask().unwrap(), "{keys}");
    }
}

#[test]
fn files_that_may_not_be_read_are_told() {
    if !shunt_lab::needs::root("to be another user") {
        return;
    }
    let folder = Folder::new();
    files(&folder);
    let mode = |name: &str, mode| {
        let path = folder.path().join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(".", 0o755);
    mode("good.key", 0o600);
    folder.configure(&site::config(
        "127.0.0.1:8443".parse().unwrap(),
        &format!("tls = {{ {GOOD} }}"),
        &site::pool("web", "", &["127.0.0.1:9001".parse().unwrap()]),
    ));
    let mut command = root::as_nobody(folder.path());
    let said = program::ended(command.arg("check").arg(folder.config())).refused(1);
    assert!(said.contains("good.key") && said.contains("shunt.toml:"), "{said}");
}
