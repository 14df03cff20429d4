//! What someone changed in the registry.

use serde_json::json;
use shunt_tests::packs;
use shunt_tests::registry::{Registry, digest};

use super::Team;

#[test]
fn one_changed_byte_of_anything_that_is_stored_is_found() {
    let Some(registry) = Registry::start() else { return };
    let team = Team::new();
    let at = format!("{}/team/headers", registry.name());
    team.plain(&registry, &["push", team.file(), &at]).good();
    let pinned = format!("{at}@{}", team.digest());
    let blobs = registry.blobs();
    assert!(blobs.len() > 8, "{blobs:?}");
    let mut refused = 0;
    for blob in blobs {
        let good = std::fs::read(&blob).unwrap();
        let is_list = String::from_utf8_lossy(&good).contains("\"manifests\"");
        // Lists are not pinned, and what they name is; the empty configuration is known.
        if is_list || good == b"{}" {
            continue;
        }
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        std::fs::write(&blob, bad).unwrap();
        let text = team.plain(&registry, &["pull", &pinned, "--file", "out.tar"]).refused(1);
        // The registry itself looks at manifests.
        let found = text.contains("what it stores was changed");
        assert!(found || text.contains("does not have it"), "{}: {text}", blob.display());
        assert!(!text.contains(" 500"), "{}: {text}", blob.display());
        assert!(!team.path().join("out.tar").exists() && team.left().is_empty());
        std::fs::write(&blob, good).unwrap();
        refused += 1;
    }
    assert!(refused > 6, "{refused}");
    team.plain(&registry, &["pull", &pinned]).good();
}

#[test]
fn a_tag_that_was_moved_is_another_pack_and_a_digest_is_not() {
    let Some(registry) = Registry::start() else { return };
    let (team, other) = (Team::new(), Team::with_a_large_pack());
    let at = format!("{}/team/headers", registry.name());
    team.plain(&registry, &["push", team.file(), &at]).good();
    other.plain(&registry, &["push", other.file(), &at]).good();
    let link = |tag: &str| registry.tag("team/headers", tag);
    std::fs::copy(link("0.1.0"), link("1.0.0")).unwrap();
    std::fs::create_dir_all(link("latest").parent().unwrap()).unwrap();
    std::fs::copy(link("0.1.0"), link("latest")).unwrap();
    // A version is that of the pack.
    let reference = format!("{at}:1.0.0");
    for command in ["verify", "inspect"] {
        let text = team.plain(&registry, &[command, &reference, "--key", "team.pub"]).refused(1);
        assert!(text.contains(" 0.1.0: it was pointed to another version than it says"), "{text}");
    }
    // Nobody signed it, and whoever verifies sees that.
    let text = team.plain(&registry, &["verify", &format!("{at}:latest"), "--key", "team.pub"]).refused(1);
    assert!(text.contains("0 of 1 key"), "{text}");
    let pinned = format!("{reference}@{}", team.digest());
    let shown = team.plain(&registry, &["inspect", &pinned, "-o", "json"]).json();
    assert_eq!(shown["digest"], json!(team.digest()));
    // And a version is not overwritten by who pushes.
    let text = team.plain(&registry, &["push", team.file(), &at]).refused(1);
    assert!(text.contains(&format!("names the pack {}; raise the version", other.digest())), "{text}");
    team.plain(&registry, &["push", team.file(), &at, "--replace"]).good();
    team.plain(&registry, &["verify", &reference, "--key", "team.pub"]).good();
}

/// A component that another program compressed: 200 MiB in some 200 KiB. Where its type says so it is not even asked for.
#[test]
fn a_component_that_is_compressed_is_not_unpacked() {
    let Some(registry) = Registry::start() else { return };
    let team = Team::new();
    let bomb = std::fs::read(packs::bomb(&team.folder)).unwrap();
    let empty =
        json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2 });
    for (repository, media_type, says) in [
        ("team/told", "application/wasm+gzip", "\"application/wasm+gzip\", and packs are not compressed"),
        ("team/untold", "application/wasm", "compressed by gzip, and packs are not compressed"),
    ] {
        let code = registry.put_blob(repository, &bomb);
        let config = json!({
            "created": "1970-01-01T00:00:00Z", "architecture": "wasm", "os": "wasip2", "layerDigests": [code],
            "component": { "exports": [], "imports": [] },
        });
        let config = config.to_string();
        let configured = registry.put_blob(repository, config.as_bytes());
        let _ = registry.put_blob(repository, b"{}");
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let component = json!({
            "schemaVersion": 2, "mediaType": kind,
            "config": {
                "mediaType": "application/vnd.wasm.config.v0+json", "digest": configured, "size": config.len(),
            },
            "layers": [{ "mediaType": media_type, "digest": code, "size": bomb.len() }],
        });
        let subject = registry.put_manifest(repository, Some("1.0.0"), &component);
        let described =
            |digest: &str, size: usize| json!({ "mediaType": kind, "digest": digest, "size": size });
        let pack = json!({
            "schemaVersion": 2, "mediaType": kind, "artifactType": "application/vnd.shunt.pack.v1+json",
            "config": empty, "layers": [], "subject": described(&subject, component.to_string().len()),
        });
        let mut referrer = described(&registry.put_manifest(repository, None, &pack), pack.to_string().len());
        referrer["artifactType"] = pack["artifactType"].clone();
        let index = "application/vnd.oci.image.index.v1+json";
        let referrers = json!({ "schemaVersion": 2, "mediaType": index, "manifests": [referrer] });
        registry.put_manifest(repository, Some(&subject.replace(':', "-")), &referrers);

        let reference = format!("{}/{repository}:1.0.0", registry.name());
        for command in [&["pull", &reference, "--file", "out.tar"][..], &["inspect", &reference]] {
            let text = team.plain(&registry, command).refused(1);
            assert!(text.contains(says), "{media_type}: {text}");
        }
        assert!(!team.path().join("out.tar").exists() && team.left().is_empty(), "{:?}", team.left());
    }
}
