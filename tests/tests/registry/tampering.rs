//! What someone changed in the registry.

use serde_json::json;
use shunt_tests::registry::Registry;

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
        assert!(!text.contains("500"), "{}: {text}", blob.display());
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
