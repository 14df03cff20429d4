//! `shunt check`: everything that is wrong, at once, without privileges and without touching anything.

use std::net::TcpListener;

use serde_json::Value;
use shunt_tests::daemon::Folder;
use shunt_tests::program::{self, Ended};
use shunt_tests::{address, packs, stored};

fn check(folder: &Folder, more: &[&str]) -> Ended {
    program::ended(program::command().arg("check").arg(folder.config()).args(more))
}

/// The words of a refusal, without the folder of this run.
fn compare(name: &str, folder: &Folder, ended: Ended) {
    let path = folder.path().display().to_string();
    stored::compare(name, &ended.refused(1), &[(&path, "FOLDER")]);
}

/// The least that is right.
pub(super) const RIGHT: &str = "\
[[virtual]]
name = \"shop\"
listen = \"127.0.0.1:8080\"
protocol = \"http\"
pool = \"web\"

[[pool]]
name = \"web\"
members = [{ address = \"10.0.0.1:80\" }]
";

#[test]
fn five_mistakes_are_told_at_once() {
    let folder = Folder::new();
    folder.write(
        "shunt.toml",
        "# The five that an operator makes on a bad day.\n\
         [[virtual]]\nname = \"shop\"\nlisen = \"0.0.0.0:8443\"\nlisten = \"0.0.0.0:8443\"\nprotocol = \"http\"\n\
         pool = \"wbe\"\ntimeouts = { idle = 60 }\n\n\
         [[virtual]]\nname = \"shop\"\nlisten = \"0.0.0.0:8444\"\nprotocol = \"http\"\n\n\
         [[pool]]\nname = \"web\"\nmembers = [{ address = \"10.0.0.1\" }]\n",
    );
    let json: Value = serde_json::from_str(&check(&folder, &["-o", "json"]).refused(1)).unwrap();
    let problems = json["error"]["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 5, "{json:#}");
    assert!(problems.iter().all(|it| it["line"].is_u64() && it["column"].is_u64() && it["key"].is_string()));
    compare("five-mistakes.txt", &folder, check(&folder, &[]));
}

#[test]
fn what_is_right_is_said_to_be() {
    let folder = Folder::new();
    folder.configure(RIGHT);
    let path = folder.config();
    assert_eq!(
        check(&folder, &[]).good(),
        format!(
            "pool web: no `monitor`: a member that is down gets its share of clients\n\
             {} is right: 1 virtual, 1 pool, 0 rules\n",
            path.display()
        )
    );
    let json = check(&folder, &["-o", "json"]).json();
    let misses = "no `monitor`: a member that is down gets its share of clients";
    let monitors = serde_json::json!([{ "pool": "web", "down-within-ms": null, "misses": misses }]);
    assert_eq!(
        json,
        serde_json::json!({ "virtuals": 1, "pools": 1, "rules": 0, "monitors": monitors, "warnings": [] })
    );
    assert!(!folder.socket().exists());
}

#[test]
fn nothing_is_bound() {
    let listen = address::free();
    let holder = TcpListener::bind(listen).unwrap();
    let folder = Folder::new();
    folder.configure(&RIGHT.replace("127.0.0.1:8080", &listen.to_string()));
    check(&folder, &[]).good();
    drop(holder);
}

#[test]
fn files_that_it_names_are_opened() {
    let folder = Folder::new();
    folder.configure(&format!(
        "{RIGHT}\n[[virtual]]\nname = \"tls\"\nlisten = \"127.0.0.1:8443\"\nprotocol = \"http\"\npool = \"web\"\n\
         tls = {{ certificate = \"gone.pem\", key = \"gone.key\" }}\n\n\
         [[virtual.rule]]\nname = \"r\"\npack = \"gone\"\n"
    ));
    compare("files-missing.txt", &folder, check(&folder, &[]));
}

#[test]
fn certificates_are_read() {
    let folder = Folder::new();
    folder.write("a.pem", "no certificate\n");
    folder.write("a.key", "no key\n");
    folder.configure(
        &RIGHT.replace(
            "pool = \"web\"\n",
            "pool = \"web\"\ntls = { certificate = \"a.pem\", key = \"a.key\" }\n",
        ),
    );
    let refused = check(&folder, &[]).refused(1);
    assert!(refused.contains("a.pem") && refused.contains("shunt.toml:6"), "{refused}");

    let made = |name: &str| {
        let signed = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        (signed.cert.pem(), signed.signing_key.serialize_pem())
    };
    let ((certificate, key), (_, other)) = (made("shop.example"), made("other.example"));
    folder.write("a.pem", certificate);
    folder.write("a.key", other);
    let refused = check(&folder, &[]).refused(1);
    assert!(refused.contains("does not belong to the certificate"), "{refused}");
    folder.write("a.key", key);
    check(&folder, &[]).good();
}

#[test]
fn rules_are_compiled_and_asked() {
    let folder = Folder::new();
    let rule = |pack: &std::path::Path, rest: &str| {
        folder.configure(&format!(
            "{}\n{}",
            RIGHT.replace(
                "\n[[pool]]",
                &format!(
                    "\n[[virtual.rule]]\nname = \"r\"\npack = \"{}\"\n{rest}\n\n[[pool]]",
                    pack.display()
                )
            ),
            ""
        ));
        check(&folder, &[])
    };
    let hostile = packs::guest("hostile");
    assert!(rule(&hostile, "slots = { web = \"web\" }").good().contains("1 rule"));
    let refused = rule(&hostile, "slots = { web = \"web\" }\nsettings = { load = \"refuse\" }").refused(1);
    assert!(refused.contains("no licence for this virtual"), "{refused}");
    let refused = rule(&hostile, "slots = { wbe = \"web\" }").refused(1);
    assert!(refused.contains("no slot \"wbe\"") && refused.contains("slot \"web\""), "{refused}");
    let refused = rule(&folder.write("x.wasm", "no wasm"), "").refused(1);
    assert!(refused.contains("not WebAssembly"), "{refused}");
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let folder = Folder::new();
    compare("no-configuration.txt", &folder, check(&folder, &[]));
    // And the daemon says the same.
    let run = program::ended(program::command().args(["run", "-c"]).arg(folder.config())).refused(1);
    assert!(run.contains("shunt.toml") && run.contains("Shunt does not start"), "{run}");
}

#[test]
fn anyone_may_check() {
    if !shunt_lab::needs::root("to be another user") {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.configure(&RIGHT.replace(":8080", ":80"));
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = shunt_tests::root::as_nobody(folder.path());
    program::ended(command.arg("check").arg(folder.config())).good();
}

/// Files of certificates and keys that other programs take half of.
#[test]
fn files_of_certificates_are_read_line_by_line() {
    let folder = Folder::new();
    let made = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    folder.write("shop.key", &key);
    let refused = |file: &str, key: &str| {
        folder.write("shop.crt", file);
        let tls = format!("pool = \"web\"\ntls = {{ certificate = \"shop.crt\", key = \"{key}\" }}");
        folder.configure(&RIGHT.replacen("pool = \"web\"", &tls, 1));
        check(&folder, &[]).refused(1)
    };
    let line = certificate.trim_end().lines().count();
    let glued = format!("{}{certificate}", certificate.trim_end());
    let text = refused(&glued, "shop.key");
    let says = format!("shop.crt: line {line}: `-----END CERTIFICATE-----` is not on a line of its own");
    assert!(text.contains(&says), "{text}");
    let glued = format!("{}{key}", certificate.trim_end());
    assert!(refused(&glued, "shop.key").contains(&says));

    folder.write("locked.key", key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"));
    let text = refused(&certificate, "locked.key");
    assert!(text.contains("locked.key: line 1: the private key is encrypted"), "{text}");
    assert!(text.contains("openssl pkey -in FILE -out NEW"), "{text}");
    assert!(
        refused(&certificate, "shop.crt").contains("shop.crt: the file has no private key, but CERTIFICATE")
    );

    // What is right: several with line breaks between them, and a key beside a certificate.
    folder.write("shop.crt", format!("{certificate}\n{key}{certificate}"));
    check(&folder, &[]).good();
}
