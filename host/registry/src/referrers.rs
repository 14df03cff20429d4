//! Which manifests have another as their subject (OCI Distribution Specification 1.1, "Listing Referrers").
//!
//! A registry that knows subjects says so when a manifest with one is pushed, and lists them. For others there is a tag
//! `sha256-DIGEST`, which names an index of them that clients keep ("Referrers Tag Schema").

use http::header::ACCEPT;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use shunt_rules::Digest;
use shunt_rules::artefact::{MAX_JSON_BYTES, Part, Reference, oci};

use crate::Client;
use crate::client::{Which, good};
use crate::error::Cause;
use crate::login::Access;
use crate::wire::Request;

/// Bytes of a list of referrers, and how many pages of it are read.
const MAX_LIST: u64 = 1 << 20;

/// The tag of the index of those whose subject has this digest.
pub(crate) fn fallback_tag(subject: Digest) -> String {
    format!("sha256-{subject}")
}

/// Whether a tag is of the tag scheme, or one of cosign's: `sha256-DIGEST.sig`.
pub(crate) fn is_fallback(tag: &str) -> bool {
    let digest = tag.strip_prefix("sha256-").map(|rest| rest.split('.').next().unwrap_or_default());
    digest.and_then(Digest::from_hex).is_some()
}

impl Client {
    /// The digests of those of a kind, in the order of the registry.
    pub(crate) async fn referrers(
        &self,
        at: &Reference,
        subject: Digest,
        kind: &str,
    ) -> Result<Vec<Digest>, Cause> {
        let url = self.url(at, &format!("referrers/sha256:{subject}"))?.with("artifactType", kind);
        let request = Request::new(Method::GET, url).header(ACCEPT, oci::INDEX);
        let answer = self.ask(at, Access::Pull, request, &()).await?;
        let index = match answer.status {
            // One that does not know subjects says this to the whole address.
            StatusCode::NOT_FOUND => {
                drop(answer);
                self.manifest(at, &Which::Tag(&fallback_tag(subject))).await?
            }
            _ => Some(good(answer).await?.read(MAX_LIST).await?),
        };
        let Some(index) = index else { return Ok(Vec::new()) };
        let list = manifests(&index)?;
        let mut found: Vec<Digest> = list.iter().filter(|it| is_of(it, kind)).filter_map(digest).collect();
        let mut seen = Vec::new();
        // Registries that keep a list by hand may name one twice.
        found.retain(|digest| {
            !seen.contains(digest) && {
                seen.push(*digest);
                true
            }
        });
        Ok(found)
    }

    /// Adds manifests to the list of those whose subject has this digest, where the registry does not keep it itself.
    /// Others of the kind that are not in `keep` go.
    pub(crate) async fn list_referrers(
        &self,
        at: &Reference,
        subject: Digest,
        kind: &str,
        add: &[Part<'_>],
        keep: &[Digest],
    ) -> Result<(), Cause> {
        let tag = fallback_tag(subject);
        let old = self.manifest(at, &Which::Tag(&tag)).await?;
        let mut list = old.as_deref().map(manifests).transpose()?.unwrap_or_default();
        let before = list.clone();
        list.retain(|it| !is_of(it, kind) || digest(it).is_some_and(|digest| keep.contains(&digest)));
        for part in add {
            if !list.iter().any(|it| digest(it) == Some(part.digest)) {
                list.push(json!({
                    "mediaType": oci::MANIFEST, "digest": format!("sha256:{}", part.digest),
                    "size": part.bytes.len(), "artifactType": kind,
                }));
            }
        }
        if list == before {
            return Ok(());
        }
        let index = json!({ "schemaVersion": 2, "mediaType": oci::INDEX, "manifests": list }).to_string();
        if index.len() > MAX_JSON_BYTES {
            return Err(Cause::TooLarge { most: MAX_JSON_BYTES as u64 });
        }
        self.put_manifest(at, &Which::Tag(&tag), oci::INDEX, index.into_bytes()).await.map(drop)
    }
}

/// What others keep in it stays as it is.
fn manifests(index: &[u8]) -> Result<Vec<Value>, Cause> {
    let mut index: Value =
        serde_json::from_slice(index).map_err(|error| Cause::Unreadable { reason: error.to_string() })?;
    match index.get_mut("manifests").map(Value::take) {
        Some(Value::Array(list)) => Ok(list),
        _ => Err(Cause::Unreadable { reason: "it has no list of manifests".to_owned() }),
    }
}

fn is_of(descriptor: &Value, kind: &str) -> bool {
    descriptor.get("artifactType").and_then(Value::as_str) == Some(kind)
}

fn digest(descriptor: &Value) -> Option<Digest> {
    Digest::from_hex(descriptor.get("digest")?.as_str()?.strip_prefix("sha256:")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_the_scheme_are_known() {
        let subject = Digest::of(b"x");
        assert!(
            is_fallback(&fallback_tag(subject)) && is_fallback(&format!("{}.sig", fallback_tag(subject)))
        );
        for tag in ["sha256-", "sha256-00", "1.2.0", "latest"] {
            assert!(!is_fallback(tag), "{tag}");
        }
    }

    #[test]
    fn lists_of_others_are_read_and_kept() {
        let own = format!("sha256:{}", Digest::of(b"x"));
        let index = json!({ "manifests": [
            { "digest": "sha512:00", "artifactType": oci::PACK, "x": 1 },
            { "digest": own, "artifactType": "application/x" },
            { "digest": own, "artifactType": oci::PACK },
            7,
        ]});
        let list = manifests(index.to_string().as_bytes()).unwrap();
        assert_eq!(list.len(), 4);
        let found: Vec<_> = list.iter().filter(|it| is_of(it, oci::PACK)).filter_map(digest).collect();
        assert_eq!(found, [Digest::of(b"x")]);
        for text in ["{}", "[]", "", r#"{"manifests":{}}"#] {
            assert!(manifests(text.as_bytes()).is_err(), "{text}");
        }
    }
}
