//! Signatures that cosign keeps beside a pack. cosign itself is not asked: openssl signs, and curl puts it where the
//! specification of cosign says.

use shunt_tests::program;
use shunt_tests::registry::Registry;

use super::Team;

/// As `cosign sign --key KEY REGISTRY/REPOSITORY@DIGEST` leaves it.
const SIGN: &str = r#"
base="http://$1/v2/$2" digest="$3" key="$4"
blob() {
    to=$(curl -s -D - -o /dev/null -X POST "$base/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //Ip')
    curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$1" "$to&digest=sha256:$(sum "$1")"
}
sum() { sha256sum "$1" | cut -c1-64; }
printf '{"critical":{"identity":{"docker-reference":"x"},"image":{"docker-manifest-digest":"%s"},%s},"optional":null}' \
    "$digest" '"type":"cosign container image signature"' > payload
printf '{}' > config
signature=$(openssl dgst -sha256 -sign "$key" payload | base64 -w 0)
blob payload
blob config
cat > manifest <<END
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:$(sum config)"},
"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":$(wc -c < payload),
"digest":"sha256:$(sum payload)","annotations":{"dev.cosignproject.cosign/signature":"$signature"}}]}
END
curl -sf -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' --data-binary @manifest \
    "$base/manifests/$(echo "$5" | tr : -).sig"
"#;

#[test]
fn a_signature_of_cosign_is_one_more_signature() {
    let Some(registry) = Registry::start() else { return };
    let team = Team::new();
    let at = format!("{}/team/headers", registry.name());
    team.plain(&registry, &["push", team.file(), &at]).good();
    let sh = |script: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new("sh");
        command.args(["-euc", script, "sh"]).args(arguments).current_dir(team.path());
        program::ended(&mut command).good()
    };
    for name in ["cosign", "other"] {
        sh(
            "openssl ecparam -name prime256v1 -genkey -noout -out $1.key; openssl ec -in $1.key -pubout -out $1.pub 2>&1",
            &[name],
        );
    }
    let (digest, reference) = (team.digest(), format!("{at}:1.0.0"));
    let verify = |keys: &[&str]| {
        let keys: Vec<&str> = keys.iter().flat_map(|key| ["--key", key]).collect();
        team.plain(&registry, &[&["verify", &reference], &keys[..]].concat())
    };
    assert!(verify(&["cosign.pub"]).refused(1).contains("has not signed"));
    sh(SIGN, &[&registry.name(), "team/headers", &digest, "cosign.key", &digest]);
    verify(&["cosign.pub", "team.pub"]).good();
    assert!(verify(&["other.pub"]).refused(1).contains("has not signed"));
    let shown = team.plain(&registry, &["inspect", &reference, "--key", "cosign.pub", "-o", "json"]).json();
    let validity: Vec<_> =
        shown["signatures"].as_array().unwrap().iter().map(|it| it["validity"].clone()).collect();
    assert_eq!(validity, ["unknown-key", "valid"]);
    // It stays in the pack file, and goes with it to another registry.
    team.plain(&registry, &["pull", &reference, "--file", "out.tar"]).good();
    team.pack(&["verify", "out.tar", "--key", "cosign.pub"]).good();
    let other = format!("{at}-copy");
    team.plain(&registry, &["push", "out.tar", &other]).good();
    team.plain(&registry, &["verify", &format!("{other}:1.0.0"), "--key", "cosign.pub"]).good();
    // What was signed is another pack, moved to this one.
    sh(
        SIGN,
        &[&registry.name(), "team/headers", &format!("sha256:{}", "0".repeat(64)), "cosign.key", &digest],
    );
    assert!(verify(&["cosign.pub"]).refused(1).contains("its signature is not of this pack"));
}
