//! Who may ask, and over what.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use shunt_tests::address;
use shunt_tests::registry::{Registry, Setup};

use super::Team;

#[test]
fn a_private_ca_and_a_login_are_needed_and_enough() {
    let team = Team::new();
    let address = address::free();
    // A CA, and what it signed for this address.
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new([address.ip().to_string()]).unwrap().signed_by(&key, &ca).unwrap();
    let file = |name: &str, text: String| -> PathBuf { team.folder.write(name, text) };
    let (ca, certificate) = (file("ca.pem", ca.pem()), file("certificate.pem", certificate.pem()));
    let key = file("key.pem", key.serialize_pem());
    let setup = Setup { tls: Some((&certificate, &key)), login: true, ..Setup::default() };
    let Some(registry) = Registry::with(address, setup) else { return };

    let name = registry.name();
    let at = format!("{name}/team/headers");
    let push = |more: &[&str]| team.pack(&[&["push", team.file(), &at], more].concat());
    let ca = ["--ca", ca.to_str().unwrap()];
    let text = push(&[]).refused(1);
    assert!(
        text.contains(&format!("the certificate of {name} is not trusted")) && text.contains("--ca FILE"),
        "{text}"
    );
    let text = push(&["--ca", key.to_str().unwrap()]).refused(1);
    assert!(text.contains("has no certificate"), "{text}");
    // It says that it is without TLS where it is not: then nothing is sent that it understands.
    let text = push(&["--insecure-registry", &name]).refused(1);
    assert!(text.contains(&format!("{name} speaks TLS; ask it with TLS: leave out")), "{text}");

    let text = push(&ca).refused(1);
    assert!(
        text.contains(&format!(
            "a login is needed (UNAUTHORIZED: authentication required); run `docker login {name}`"
        )),
        "{text}"
    );
    std::fs::create_dir(team.path().join("docker")).unwrap();
    let login = |auth: &str| {
        let config = json!({ "auths": { &name: { "auth": auth } } });
        team.folder.write("docker/config.json", config.to_string());
    };
    // `team:wrong`, then `team:word`
    login("dGVhbTp3cm9uZw==");
    let text = push(&ca).refused(1);
    assert!(text.contains("the login of team is refused"), "{text}");
    login("dGVhbTp3b3Jk");
    push(&ca).good();
    team.pack(&[&["pull", &format!("{at}:1.0.0"), "--file", "out.tar"], &ca[..]].concat()).good();
    assert!(std::fs::read(team.path().join("out.tar")).unwrap() == std::fs::read(&team.file).unwrap());

    // The same from a program that keeps logins, found by PATH.
    let helper = team.folder.write(
        "docker-credential-shunttest",
        format!("#!/bin/sh\nread -r asked\n[ \"$1 $asked\" = 'get {name}' ] || exit 1\necho '{{\"ServerURL\":\"\",\"Username\":\"team\",\"Secret\":\"word\"}}'\n"),
    );
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    team.folder.write("docker/config.json", r#"{"credsStore":"shunttest"}"#);
    let path = std::env::var("PATH").unwrap();
    let mut command = shunt_tests::program::command();
    command
        .env("PATH", format!("{}:{path}", team.path().display()))
        .env("DOCKER_CONFIG", team.path().join("docker"));
    command.env("XDG_CACHE_HOME", team.path().join("cache")).args(["pack", "list", &at]).args(ca);
    assert!(shunt_tests::program::ended(&mut command).good().starts_with("1.0.0  sha256:"));
}
