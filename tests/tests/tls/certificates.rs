//! Which certificate a client gets, and what comes with it.

use shunt_tests::address;
use shunt_tests::daemon::{Daemon, Folder};
use shunt_tests::origin::Origin;
use shunt_tests::program;
use shunt_tests::site::{self, Site};

use crate::pki::{Ca, curl, openssl, s_client};

/// A virtual with these keys in its table `tls`.
fn site(folder: Folder, tls: &str, origin: &Origin) -> Site {
    let address = address::free();
    let rest = site::pool("web", "", &[origin.address()]);
    folder.configure(&site::config(address, &format!("tls = {{ {tls} }}"), &rest));
    Site { daemon: Daemon::start_in(folder), address }
}

/// The certificate of a virtual for `a.example`.
const ONE: &str = "certificate = \"one.pem\", key = \"one.key\"";

#[test]
fn an_old_client_gets_the_certificate_that_it_can_verify() {
    let (folder, origin) = (Folder::new(), Origin::named("a"));
    let ca = Ca::new(&folder);
    ca.sign(&folder, "ec", &["both.test"], 1);
    ca.sign_rsa(&folder, "rsa", &["both.test"], 2);
    let tls = "certificates = [{ certificate = \"ec.pem\", key = \"ec.key\" }, { certificate = \"rsa.pem\", key = \"rsa.key\" }]";
    let site = site(folder, tls, &origin);
    for name in ["-servername both.test", "-noservername"] {
        for (suite, expected) in [("RSA", "rsa"), ("ECDSA", "ec")] {
            let arguments = format!("{name} -tls1_2 -cipher ECDHE-{suite}-AES128-GCM-SHA256");
            let said = s_client(site.daemon.folder(), site.address, &arguments);
            assert!(said.contains(&format!("subject=CN = {expected}\n")), "{arguments}\n{said}");
            assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
        }
    }
}

/// Chromium sends the dot at the end of a name that has one.
#[test]
fn a_name_with_the_dot_of_the_root_is_the_same_name() {
    let (folder, origin) = (Folder::new(), Origin::named("a"));
    let ca = Ca::new(&folder);
    for (serial, name, names) in [(1, "one", "a.test"), (2, "two", "b.test"), (3, "wild", "*.w.test")] {
        ca.sign(&folder, name, &[names], serial);
    }
    let of = |name: &str| format!("{{ certificate = \"{name}.pem\", key = \"{name}.key\" }}");
    let tls = format!("certificates = [{}, {}, {}]", of("one"), of("two"), of("wild"));
    let site = site(folder, &tls, &origin);
    for (name, expected) in [("b.test.", "two"), ("b.test", "two"), ("x.w.test.", "wild"), ("c.test.", "one")]
    {
        let said = s_client(site.daemon.folder(), site.address, &format!("-servername {name}"));
        assert!(said.contains(&format!("subject=CN = {expected}\n")), "{name}\n{said}");
    }
}

#[test]
fn versions_and_suites_are_as_configured() {
    let (folder, origin) = (Folder::new(), Origin::named("a"));
    Ca::new(&folder).sign(&folder, "one", &["a.example"], 1);
    let policy =
        "min-version = \"1.3\", ciphers = [\"TLS_CHACHA20_POLY1305_SHA256\"], groups = [\"secp384r1\"]";
    let site = site(folder, &format!("{ONE}, {policy}"), &origin);
    let said = s_client(site.daemon.folder(), site.address, "-tls1_2");
    // protocol_version (RFC 8446 section 6).
    assert!(said.contains("alert number 70"), "{said}");
    let said = s_client(site.daemon.folder(), site.address, "");
    assert!(said.contains("Cipher is TLS_CHACHA20_POLY1305_SHA256"), "{said}");
    assert!(said.contains("Server Temp Key: ECDH, secp384r1, 384 bits"), "{said}");
}

#[test]
fn an_ocsp_response_is_stapled() {
    let (folder, origin) = (Folder::new(), Origin::named("a"));
    Ca::new(&folder).sign(&folder, "one", &["a.example"], 0x1f);
    folder.write("index.txt", "V\t21200101000000Z\t\t1F\tunknown\t/CN=one\n");
    let asked = "ocsp -issuer ca.pem -cert one.pem -no_nonce -reqout request.der";
    assert_eq!(openssl(&folder, asked).code, Some(0));
    let answered = "ocsp -index index.txt -CA ca.pem -rsigner ca.pem -rkey ca.key -reqin request.der -ndays 7 -respout one.ocsp";
    assert_eq!(openssl(&folder, answered).code, Some(0));
    let site = site(folder, &format!("{ONE}, ocsp = \"one.ocsp\""), &origin);
    let folder = site.daemon.folder();
    let said = s_client(folder, site.address, "-status");
    assert!(
        said.contains("OCSP Response Status: successful") && said.contains("Cert Status: good"),
        "{said}"
    );
    let said = s_client(folder, site.address, "-status -tls1_2");
    assert!(said.contains("Cert Status: good"), "{said}");

    // It is now revoked: clients would not connect.
    folder.write("index.txt", "R\t21200101000000Z\t200101000000Z\t1F\tunknown\t/CN=one\n");
    assert_eq!(openssl(folder, answered).code, Some(0));
    let refused = site.daemon.shunt(&["reload"]).refused(1);
    assert!(refused.contains("one.ocsp: it says that the certificate is revoked"), "{refused}");
}

#[test]
fn secrets_are_logged_only_where_the_configuration_says_so() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, origin) = (Folder::new(), Origin::named("a"));
    Ca::new(&folder).sign(&folder, "one", &["a.example"], 1);
    let site = site(folder, &format!("{ONE}, key-log = \"secrets\""), &origin);
    let folder = site.daemon.folder();
    assert_eq!(curl(folder, site.address, &[]).good(), "a");
    let path = folder.path().join("secrets");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().any(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")), "{text}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let checked = program::run(&["check", &folder.config().display().to_string()]);
    assert_eq!(checked.code, Some(0));
    let told = checked.stdout + &checked.stderr;
    assert!(told.contains("can decrypt all traffic of virtual `web`"), "{told}");
}
