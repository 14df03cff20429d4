//! Files that are written while clients come and go: no request fails.

use shunt_tests::address;
use shunt_tests::daemon::{Daemon, Folder, Signal, until};
use shunt_tests::origin::Origin;
use shunt_tests::site;

use crate::load::Load;
use crate::pki::{Ca, openssl, s_client};

const KEYS: [&str; 3] = [
    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n",
    "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n",
    "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n",
];

#[test]
fn certificates_and_keys_change_and_no_request_fails() {
    let (folder, origin, address) = (Folder::new(), Origin::named("a"), address::free());
    let ca = Ca::new(&folder);
    ca.sign(&folder, "one", &["a.example"], 1);
    folder.write("tickets", KEYS[0]);
    let tls = "tls = { certificate = \"one.pem\", key = \"one.key\", ticket-keys = \"tickets\" }";
    let config = site::config(address, tls, &site::pool("web", "", &[origin.address()]));
    folder.configure(&config.replace("workers = 1", "workers = 2"));
    let mut daemon = Daemon::start_in(folder);
    let serial = |serial: u8| {
        let said = s_client(daemon.folder(), address, "-servername a.example");
        std::fs::write(daemon.folder().path().join("seen.pem"), said).unwrap();
        let read = openssl(daemon.folder(), "x509 -in seen.pem -noout -serial");
        read.stdout.trim() == format!("serial={serial:02X}")
    };
    assert!(serial(1));
    let load = Load::start(daemon.folder(), None, Some(address));
    load.go_on(20);

    // In the file at once, as a tool does that renames.
    ca.sign(daemon.folder(), "new", &["a.example"], 2);
    let path = |name: &str| daemon.folder().path().join(name);
    std::fs::rename(path("new.key"), path("one.key")).unwrap();
    std::fs::rename(path("new.pem"), path("one.pem")).unwrap();
    until("the new certificate is there", || serial(2));
    daemon.wait_log("event=\"tls-files-taken\"");
    load.go_on(20);

    for keys in [[KEYS[1], KEYS[0]].concat(), KEYS[1].to_owned(), [KEYS[2], KEYS[1]].concat()] {
        let epoch = || daemon.status()["epoch"].as_u64().unwrap();
        let before = epoch();
        daemon.folder().write("tickets", keys);
        until("the keys are there", || epoch() > before);
        load.go_on(20);
    }
    let changed = daemon.status()["differences"].clone();
    assert_eq!(changed, serde_json::json!([]), "what is in force is what a start would take");

    load.may_be_refused();
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
    load.end();
}

#[test]
fn a_bad_file_is_refused_and_the_old_one_stays() {
    let (folder, origin, address) = (Folder::new(), Origin::named("a"), address::free());
    let ca = Ca::new(&folder);
    ca.sign(&folder, "one", &["a.example"], 1);
    ca.sign(&folder, "two", &["a.example"], 2);
    let tls = "tls = { certificate = \"one.pem\", key = \"one.key\" }";
    folder.configure(&site::config(address, tls, &site::pool("web", "", &[origin.address()])));
    let daemon = Daemon::start_in(folder);
    let folder = daemon.folder();
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let certificates = &daemon.status()["virtuals"][0]["certificates"];
    assert_eq!(certificates[0]["names"], serde_json::json!(["a.example"]));
    assert_eq!(certificates[0]["not-after"], "2120-01-01T00:00:00Z");

    folder.write("one.pem", &read("two.pem")[..300]);
    daemon.wait_log("event=\"tls-files-refused\" of=\"virtual web\"");
    daemon.wait_log("has no `-----END CERTIFICATE-----`: copy the whole file; what was before is served on");
    let said = s_client(folder, address, "-servername a.example");
    assert!(said.contains("subject=CN = one\n"), "{said}");
    let changed = daemon.status()["differences"].to_string();
    assert!(changed.contains("one.pem"), "a start would not get so far: {changed}");

    folder.write("one.key", read("two.key"));
    folder.write("one.pem", read("two.pem"));
    daemon.wait_log("event=\"tls-files-taken\"");
    let said = s_client(folder, address, "-servername a.example");
    assert!(said.contains("subject=CN = two\n"), "{said}");
}
