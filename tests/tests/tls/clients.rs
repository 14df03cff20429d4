//! Clients that show certificates.

use std::time::{Duration, SystemTime};

use shunt_tests::address;
use shunt_tests::daemon::{Daemon, Folder};
use shunt_tests::origin::Origin;
use shunt_tests::site::{self, Site};

use crate::pki::{Ca, curl};

const HEADERS: &str = "headers = [\"subject\", \"issuer\", \"serial\", \"sha256\", \"not-before\", \"not-after\", \"san\", \"pem\", \"der\"]";

/// A virtual for `a.example` that asks for certificates, and clients `good` and `bad`.
fn site(keys: &str, origin: &Origin) -> (Site, Ca) {
    let (folder, address) = (Folder::new(), address::free());
    let ca = Ca::new(&folder);
    ca.sign(&folder, "server", &["a.example"], 1);
    ca.sign(&folder, "good", &["good.client"], 2);
    ca.sign(&folder, "bad", &["bad.client"], 3);
    ca.revoke(&folder, &[]);
    let tls = format!(
        "tls = {{ certificate = \"server.pem\", key = \"server.key\", client-certificates = {{ ca = \"ca.pem\", {keys} }} }}"
    );
    folder.configure(&site::config(address, &tls, &site::pool("web", "", &[origin.address()])));
    (Site { daemon: Daemon::start_in(folder), address }, ca)
}

const GOOD: [&str; 4] = ["--cert", "good.pem", "--key", "good.key"];
const BAD: [&str; 4] = ["--cert", "bad.pem", "--key", "bad.key"];
/// What a client may claim, in letters that members may read alike.
const FORGED: [&str; 10] = [
    "-H",
    "X-Client-Cert-Subject: CN=admin",
    "-H",
    "X_Client_Cert_Serial: 1",
    "-H",
    "Client-Cert: :AAAA:",
    "-H",
    "Client-Cert-Chain: :AAAA:",
    "-H",
    "X-Client-Cert-Verify: SUCCESS",
];

#[test]
fn members_are_told_of_a_certificate_and_clients_cannot_tell_them() {
    let origin = Origin::named("a");
    let (site, _) = site(&format!("verify = \"optional\", {HEADERS}"), &origin);
    let folder = site.daemon.folder();
    assert_eq!(curl(folder, site.address, &[&GOOD[..], &FORGED].concat()).good(), "a");
    let seen = origin.request();
    for (name, value) in [
        ("x-client-cert-subject", "CN=good"),
        ("x-client-cert-issuer", "CN=test CA"),
        ("x-client-cert-serial", "02"),
        ("x-client-cert-not-before", "2020-01-01T00:00:00Z"),
        ("x-client-cert-not-after", "2120-01-01T00:00:00Z"),
        ("x-client-cert-san", "DNS:good.client"),
    ] {
        assert_eq!(seen.get(name), Some(value), "{name}");
    }
    assert_eq!(seen.get("x-client-cert-sha256").unwrap().len(), 64);
    assert!(seen.get("x-client-cert-pem").unwrap().starts_with("-----BEGIN%20CERTIFICATE-----%0A"));
    assert!(seen.get("client-cert").unwrap().starts_with(":MI"));
    for name in ["client-cert-chain", "x_client_cert_serial", "x-client-cert-verify"] {
        assert_eq!(seen.get(name), None, "{name}");
    }

    assert_eq!(curl(folder, site.address, &FORGED).good(), "a");
    let seen = origin.requests().pop().unwrap();
    let told = seen.head.fields.iter().map(|(name, _)| name.to_ascii_lowercase().replace('_', "-"));
    assert_eq!(told.filter(|name| name.contains("client-cert")).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_virtual_without_tls_passes_no_claims_on_either() {
    let origin = Origin::named("a");
    let site = Site::with("forwarded = \"off\"", &[&origin]);
    let request = "GET / HTTP/1.1\r\nHost: h\r\nX-Client-Cert-Subject: CN=admin\r\nclient_cert: x\r\nClient-Certificate: mine\r\n\r\n";
    assert_eq!(site.client().ask(request).status(), 200);
    let seen = origin.request();
    assert_eq!((seen.get("x-client-cert-subject"), seen.get("client_cert")), (None, None));
    assert_eq!(seen.get("client-certificate"), Some("mine"), "no name of these");
}

/// A start takes it all the same: otherwise one list would keep all virtuals down.
#[test]
fn a_list_that_expires_is_told_and_refuses_clients() {
    let (folder, origin, address) = (Folder::new(), Origin::named("a"), address::free());
    let ca = Ca::new(&folder);
    ca.sign(&folder, "server", &["a.example"], 1);
    ca.sign(&folder, "good", &["good.client"], 2);
    ca.revoke_until(&folder, &[], SystemTime::now() + Duration::from_secs(2));
    let tls = "tls = { certificate = \"server.pem\", key = \"server.key\", \
               client-certificates = { ca = \"ca.pem\", crl = \"crl.pem\" } }";
    folder.configure(&site::config(address, tls, &site::pool("web", "", &[origin.address()])));
    let daemon = Daemon::start_in(folder);
    let folder = daemon.folder();
    daemon.wait_log("event=\"crl-expired\" of=\"virtual web\"");
    assert_ne!(curl(folder, address, &GOOD).code, Some(0));
    let listed = daemon.status()["virtuals"][0]["revocation"].clone();
    assert_eq!(listed[0]["kind"], "crl");
    let metrics = daemon.ask("GET", "/v1/metrics", "text/plain", b"").text();
    let next = listed[0]["next-update-seconds"].as_u64().unwrap();
    let line = metrics.lines().find(|line| line.starts_with("shunt_revocation_next_update_seconds{"));
    assert!(line.is_some_and(|line| line.ends_with(&format!("}} {next}.0"))), "{line:?}");
    assert!(daemon.shunt(&["status"]).good().contains("crl.pem"));

    ca.revoke(folder, &[]);
    daemon.wait_log("event=\"tls-files-taken\"");
    assert_eq!(curl(folder, address, &GOOD).code, Some(0));
}

#[test]
fn who_shows_none_or_a_wrong_one_is_refused() {
    let origin = Origin::named("a");
    let (site, ca) = site("crl = \"crl.pem\"", &origin);
    let folder = site.daemon.folder();
    let elsewhere = Folder::new();
    Ca::new(&elsewhere).sign(&elsewhere, "untrusted", &["untrusted.client"], 2);
    let untrusted =
        ["pem", "key"].map(|it| elsewhere.path().join(format!("untrusted.{it}")).display().to_string());
    for version in ["--tls-max=1.2", "--tlsv1.3"] {
        let version = version.split('=').collect::<Vec<_>>();
        let ask = |shows: &[&str]| curl(folder, site.address, &[&version[..], shows].concat()).code;
        assert_eq!(ask(&GOOD), Some(0));
        assert_eq!(ask(&BAD), Some(0));
        assert_ne!(ask(&[]), Some(0));
        assert_ne!(ask(&["--cert", &untrusted[0], "--key", &untrusted[1]]), Some(0));
    }
    ca.revoke(folder, &[3]);
    site.daemon.shunt(&["reload"]).good();
    assert_eq!(curl(folder, site.address, &GOOD).code, Some(0));
    assert_ne!(curl(folder, site.address, &BAD).code, Some(0));
    assert_eq!(origin.count(), 5);
}
