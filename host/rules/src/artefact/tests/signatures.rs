//! Who signed, and for which pack.

use base64ct::{Base64, Encoding as _};
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};

use super::super::*;
use super::{artefact, refused};

#[test]
fn signatures_are_of_one_pack_and_one_key() {
    let keys = [(); 3].map(|()| SecretKey::generate().unwrap());
    let public = keys.clone().map(|key| key.public().clone());
    let mut signed = artefact("t");
    assert!(
        signed
            .verify(&public, 1)
            .unwrap_err()
            .to_string()
            .contains("0 of 3 keys signed this pack, and 1 must")
    );
    assert!(signed.sign(&keys[0]).unwrap());
    let once = signed.to_bytes();
    assert!(!signed.sign(&keys[0]).unwrap(), "it is there");
    assert_eq!(signed.to_bytes(), once);
    assert!(signed.sign(&keys[1]).unwrap());
    let read = Artefact::read(&signed.to_bytes()).unwrap();
    assert_eq!(read.signatures().len(), 2);
    assert_eq!(read.verify(&public, 2).unwrap().len(), 2);
    let error = read.verify(&public, 3).unwrap_err().to_string();
    assert!(error.contains(&format!("key sha256:{} has not signed", public[2].id())), "{error}");
    // A key that is given twice is one key, and no threshold is none.
    assert!(read.verify(&[public[0].clone(), public[0].clone()], 2).is_err());
    assert!(read.verify(&public[2..], 0).is_err());
    assert!(read.verify(&[], 0).is_err());
    let known = read.signatures().iter().map(|signature| read.validity(signature, &public[..1]));
    assert_eq!(known.filter(|validity| *validity == Validity::UnknownKey).count(), 1);

    // The order of signing does not count.
    let mut other_way = artefact("t");
    other_way.sign(&keys[1]).unwrap();
    other_way.sign(&keys[0]).unwrap();
    assert_eq!(other_way.to_bytes(), signed.to_bytes());
}

#[test]
fn a_signature_that_was_moved_or_changed_is_no_signature() {
    let (key, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    let public = std::slice::from_ref(key.public());
    let mut signed = artefact("one");
    signed.sign(&key).unwrap();
    // As it is, into another pack: its manifest names the first.
    let mut moved = artefact("other");
    moved.signatures = signed.signatures.clone();
    refused(&moved.to_bytes(), "the manifest of a signature belongs to the manifest");
    // With a manifest that was written anew.
    let moved_to = |pack: &Artefact, document: &Blob| {
        let subject = pack.companion.descriptor(oci::MANIFEST);
        let manifest = Manifest::artefact(oci::SIGNATURE, vec![document.descriptor(oci::SIGNATURE)], subject);
        let mut signature = signed.signatures[0].clone();
        (signature.document, signature.manifest) = (document.clone(), Blob::json(&manifest));
        let mut pack = pack.clone();
        pack.signatures = vec![signature];
        pack.to_bytes()
    };
    let document = &signed.signatures[0].document;
    let read = Artefact::read(&moved_to(&artefact("other"), document)).unwrap();
    let error = read.verify(public, 1).unwrap_err().to_string();
    assert!(error.contains("its signature is not of this pack, or was changed"), "{error}");
    assert_eq!(read.validity(&read.signatures()[0], public), Validity::Invalid);
    // Another's signature under this key's name; signing anew puts the right one in its place.
    let mut by_other = artefact("one");
    by_other.sign(&other).unwrap();
    let text = String::from_utf8(by_other.signatures[0].document.bytes.clone()).unwrap();
    let text = text.replace(&other.public().id().to_string(), &key.public().id().to_string());
    let mut read = Artefact::read(&moved_to(&artefact("one"), &Blob::new(text.into_bytes()))).unwrap();
    assert!(read.verify(public, 1).is_err());
    assert!(read.sign(&key).unwrap());
    assert_eq!(read.to_bytes(), signed.to_bytes());
    // What is no signature at all.
    for (document, says) in [
        ("{}", "a signature cannot be read"),
        (r#"{"key":"x","signature":""}"#, "its key is not sha256:"),
        (&format!(r#"{{"key":"sha256:{}","signature":"AA=="}}"#, key.public().id()), "not 64 bytes"),
    ] {
        refused(&moved_to(&artefact("one"), &Blob::new(document.as_bytes().to_vec())), says);
    }
    let mut twice = signed.clone();
    twice.signatures.push(twice.signatures[0].clone());
    refused(&twice.to_bytes(), "has signed twice");
}

/// What `cosign sign --key` puts into a registry for something of this digest.
fn of_cosign(digest: Digest, key: &SigningKey, edit: impl Fn(&mut Value)) -> (Vec<u8>, Vec<u8>) {
    let payload = json!({
        "critical": {
            "identity": { "docker-reference": "registry.example/team/t" },
            "image": { "docker-manifest-digest": format!("sha256:{digest}") },
            "type": "cosign container image signature",
        },
        "optional": null,
    });
    let payload = serde_json::to_vec(&payload).unwrap();
    let signature: p256::ecdsa::Signature = key.sign(&payload);
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": oci::MANIFEST,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "size": 2,
            "digest": format!("sha256:{}", Digest::of(b"{}")) },
        "layers": [{
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "size": payload.len(),
            "digest": format!("sha256:{}", Digest::of(&payload)),
            "annotations": {
                "dev.cosignproject.cosign/signature": Base64::encode_string(signature.to_der().as_bytes()),
                "dev.sigstore.cosign/bundle": "{}",
            },
        }],
    });
    edit(&mut manifest);
    (serde_json::to_vec(&manifest).unwrap(), payload)
}

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_pem(&key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap()).unwrap()
}

/// The pack, with what cosign made beside it.
fn with_cosign(pack: &Artefact, made: &[(Vec<u8>, Vec<u8>)]) -> Artefact {
    let bytes = |part: Part<'_>| part.bytes.to_vec();
    let mut assembly = Assembly::new(bytes(pack.component_manifest()), bytes(pack.manifest())).unwrap();
    for signature in pack.signature_manifests() {
        assembly.add_signature(bytes(signature)).unwrap();
    }
    for (manifest, payload) in made {
        assembly.add_cosign(manifest).unwrap();
        assembly.put(Checked::new(payload.clone()));
    }
    pack.blobs().into_iter().for_each(|part| {
        assembly.put(Checked::new(bytes(part)));
    });
    assembly.finish().unwrap()
}

#[test]
fn signatures_of_cosign_are_valid_with_its_key_for_this_pack() {
    let (key, other) = ([7; 32], [8; 32]);
    let [key, other] = [key, other].map(|bytes| SigningKey::from_slice(&bytes).unwrap());
    let own = SecretKey::generate().unwrap();
    let mut good = artefact("t");
    good.sign(&own).unwrap();
    let signed = with_cosign(&good, &[of_cosign(good.digest(), &key, |_| {})]);
    assert_eq!(signed.digest(), good.digest());
    assert_eq!(signed.signatures().iter().map(|it| it.key().is_some()).collect::<Vec<_>>(), [true, false]);
    assert_eq!(signed.verify(&[public(&key), own.public().clone()], 2).unwrap().len(), 2);
    assert_eq!(signed.validity(&signed.signatures()[1], &[public(&key)]), Validity::Valid);
    assert_eq!(signed.validity(&signed.signatures()[1], &[public(&other)]), Validity::UnknownKey);
    let error = signed.verify(&[public(&other)], 1).unwrap_err().to_string();
    assert!(error.contains("has not signed"), "{error}");
    // It is kept in a pack file, and as it was after another signature.
    let mut read = Artefact::read(&signed.to_bytes()).unwrap();
    assert_eq!(read.verify(&[public(&key)], 1).unwrap(), [public(&key).id()]);
    assert!(!read.sign(&own).unwrap());
    read.sign(&SecretKey::generate().unwrap()).unwrap();
    assert_eq!(Artefact::read(&read.to_bytes()).unwrap().verify(&[public(&key)], 1).unwrap().len(), 1);
    assert_eq!(read.signatures().len(), 3);
}

#[test]
fn what_cosign_signed_otherwise_counts_for_nothing() {
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let pack = artefact("t");
    let invalid = |made: (Vec<u8>, Vec<u8>)| {
        let signed = with_cosign(&pack, &[made]);
        assert!(signed.verify(&[public(&key)], 1).is_err());
        signed.validity(&signed.signatures()[0], &[public(&key)])
    };
    // Of the component alone, which says nothing of what goes with it; of another pack; moved.
    assert_eq!(invalid(of_cosign(pack.component_digest(), &key, |_| {})), Validity::Invalid);
    assert_eq!(invalid(of_cosign(artefact("other").digest(), &key, |_| {})), Validity::Invalid);
    let changed = |manifest: &mut Value| {
        manifest["layers"][0]["annotations"]["dev.cosignproject.cosign/signature"] = json!("AAAA");
    };
    assert_eq!(invalid(of_cosign(pack.digest(), &key, changed)), Validity::UnknownKey);
    // Made with a certificate, of another kind, or none: passed over.
    let none = |edit: &dyn Fn(&mut Value)| with_cosign(&pack, &[of_cosign(pack.digest(), &key, edit)]);
    for edit in [
        &(|it: &mut Value| it["layers"][0]["annotations"]["dev.sigstore.cosign/certificate"] = json!("x"))
            as &dyn Fn(&mut Value),
        &|it| it["layers"][0]["mediaType"] = json!("application/x"),
        &|it| it["layers"][0]["annotations"] = json!({}),
        &|it| it["layers"] = json!([]),
    ] {
        assert_eq!(none(edit).to_bytes(), pack.to_bytes());
    }
    let bytes = |part: Part<'_>| part.bytes.to_vec();
    let mut assembly = Assembly::new(bytes(pack.component_manifest()), bytes(pack.manifest())).unwrap();
    assembly.add_cosign(b"<html>").unwrap();
    let large = |it: &mut Value| it["layers"][0]["size"] = json!(1 << 20);
    let error = assembly.add_cosign(&of_cosign(pack.digest(), &key, large).0).unwrap_err();
    assert!(matches!(error, ArtefactError::Limit { .. }), "{error}");
}
