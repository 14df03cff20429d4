//! What is pushed, and what is not.

use serde_json::{Value, json};
use shunt_rules::artefact::{SecretKey, oci};

use super::fake::{Fake, Reply};
use super::{at, client, pack, signed};
use crate::{Tag, Version};

#[tokio::test]
async fn what_is_there_is_not_sent_again_and_the_tag_comes_last() {
    let good = signed(pack("1.2.0-rc.1+b", 5000));
    let fake = Fake::start().await;
    let pushed = client(&fake).push(&good, &at(&fake, ""), Tag::Keep, &()).await.unwrap();
    let expected = at(&fake, &format!(":1.2.0-rc.1_b@sha256:{}", good.digest()));
    assert_eq!(pushed.reference, expected);
    assert_eq!(pushed.sent, good.blobs().iter().map(|part| part.bytes.len() as u64).sum::<u64>());
    fake.edit(|store| assert_eq!(store.seen.last().unwrap(), "PUT /v2/team/t/manifests/1.2.0-rc.1_b"));
    let again = client(&fake).push(&good, &pushed.reference, Tag::Keep, &()).await.unwrap();
    assert_eq!((again.reference, again.sent), (pushed.reference, 0));
    let versions =
        client(&fake).versions(&at(&fake, ""), &["1.2.0-rc.1_b".to_owned(), "none".to_owned()]).await;
    let found = Version {
        tag: "1.2.0-rc.1_b".to_owned(),
        version: Some("1.2.0-rc.1+b".to_owned()),
        digest: Some(good.digest()),
    };
    let none = Version { tag: "none".to_owned(), version: None, digest: None };
    assert_eq!(versions.unwrap(), [found, none]);
    assert_eq!(client(&fake).tags(&at(&fake, "")).await.unwrap(), ["1.2.0-rc.1_b"], "and no tag of a list");
}

#[tokio::test]
async fn a_version_is_one_pack_unless_it_is_replaced() {
    for subjects in [false, true] {
        let fake = Fake::start().await;
        fake.edit(|store| store.subjects = subjects);
        // The same component, with another file beside it; and another component.
        let (old, new, other) = (pack("1.0.0", 10), pack("1.0.0", 11), pack("2.0.0", 10));
        assert_eq!(old.component_digest(), new.component_digest());
        let push = async |artefact, rest, tag| {
            let pushed = client(&fake).push(artefact, &at(&fake, rest), tag, &()).await;
            pushed.map_err(|error| error.to_string())
        };
        push(&old, "", Tag::Keep).await.unwrap();
        let before = fake.edit(|store| (store.blobs.len(), store.manifests.len()));
        let error = push(&new, "", Tag::Keep).await.unwrap_err();
        assert!(
            error.contains(&format!("names the pack sha256:{}; raise the version", old.digest())),
            "{error}"
        );
        assert_eq!(fake.edit(|store| (store.blobs.len(), store.manifests.len())), before, "nothing was sent");
        push(&new, "", Tag::Replace).await.unwrap();
        let pulled = client(&fake).pull(&at(&fake, ":1.0.0"), None, &()).await.unwrap();
        assert_eq!(pulled.to_bytes(), new.to_bytes());

        push(&new, ":latest", Tag::Keep).await.unwrap();
        let error = push(&other, ":latest", Tag::Keep).await.unwrap_err();
        assert!(error.contains("replace it with --replace"), "{error}");
        push(&other, ":latest", Tag::Replace).await.unwrap();
        let pulled = client(&fake).pull(&at(&fake, ":latest"), None, &()).await.unwrap();
        assert_eq!(pulled.digest(), other.digest());
        fake.edit(|store| store.manifests.insert("image".to_owned(), br#"{"mediaType":"x"}"#.to_vec()));
        let error = push(&other, ":image", Tag::Keep).await.unwrap_err();
        assert!(error.contains("names something else (x)"), "{error}");
        for (rest, says) in [
            (":2.0", "stands for the highest version in it; push the version 2.0.0"),
            (":3.0.0", "the pack has version 2.0.0"),
            (&format!("@sha256:{}", old.digest()), "other than its own"),
        ] {
            let error = push(&other, rest, Tag::Replace).await.unwrap_err();
            assert!(error.contains(says), "{rest}: {error}");
        }
    }
}

#[tokio::test]
async fn signatures_of_others_stay() {
    for subjects in [false, true] {
        let fake = Fake::start().await;
        fake.edit(|store| store.subjects = subjects);
        let keys = [(); 2].map(|()| SecretKey::generate().unwrap());
        for key in &keys {
            let mut signed = pack("1.0.0", 10);
            signed.sign(key).unwrap();
            client(&fake).push(&signed, &at(&fake, ""), Tag::Keep, &()).await.unwrap();
        }
        let pulled = client(&fake).pull(&at(&fake, ":1.0.0"), None, &()).await.unwrap();
        let public = keys.map(|key| key.public().clone());
        assert_eq!(pulled.verify(&public, 2).unwrap().len(), 2, "{subjects}");
    }
}

#[tokio::test]
async fn what_others_list_beside_a_pack_stays() {
    let fake = Fake::start().await;
    let good = pack("1.0.0", 10);
    let list = format!("sha256-{}", good.component_digest());
    let foreign = json!({ "mediaType": oci::MANIFEST, "digest": "sha256:00", "size": 7, "artifactType": "sbom", "x": 1 });
    let index = json!({ "schemaVersion": 2, "mediaType": oci::INDEX, "manifests": [foreign] });
    fake.edit(|store| store.manifests.insert(list.clone(), index.to_string().into_bytes()));
    client(&fake).push(&good, &at(&fake, ""), Tag::Keep, &()).await.unwrap();
    let kept: Value = fake.edit(|store| serde_json::from_slice(&store.manifests[&list]).unwrap());
    assert_eq!(kept["manifests"][0], foreign);
    assert_eq!(kept["manifests"][1]["digest"], format!("sha256:{}", good.digest()));
}

#[tokio::test]
async fn what_the_registry_does_not_take_is_told() {
    let readonly = r#"{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}"#;
    let fake = Fake::with(move |asked, _| {
        ["POST", "PUT"].contains(&asked.method.as_str()).then(|| Reply::new(405, readonly))
    })
    .await;
    let pushed = client(&fake).push(&pack("1.0.0", 10), &at(&fake, ""), Tag::Keep, &()).await;
    let error = pushed.unwrap_err().to_string();
    assert!(error.contains("does not do this (UNSUPPORTED: The operation is unsupported.)"), "{error}");
    // A registry that deletes nothing cannot replace a pack whose component stays.
    let fake =
        Fake::with(move |asked, _| (asked.method == "DELETE").then(|| Reply::new(405, readonly))).await;
    fake.edit(|store| store.subjects = true);
    client(&fake).push(&pack("1.0.0", 10), &at(&fake, ""), Tag::Keep, &()).await.unwrap();
    let pushed = client(&fake).push(&pack("1.0.0", 11), &at(&fake, ""), Tag::Replace, &()).await;
    let error = pushed.unwrap_err().to_string();
    assert!(error.contains("the registry does not delete the pack"), "{error}");
}
