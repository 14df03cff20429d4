//! From a pack to a registry.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderName, Method, StatusCode};
use shunt_rules::Digest;
use shunt_rules::artefact::reference::{tag_of, version_of};
use shunt_rules::artefact::{Artefact, ManifestKind, Part, Reference, oci};

use crate::Client;
use crate::client::{Which, good, said};
use crate::error::{Cause, RegistryError};
use crate::login::Access;
use crate::progress::Progress;
use crate::wire::Request;

/// Blobs at a time.
const AT_ONCE: usize = 4;
/// What a registry that knows subjects answers to a manifest with one ("Pushing Manifests with Subject").
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// What becomes of a tag that names another pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// It stays, and nothing is pushed: a version is one pack.
    Keep,
    /// It names this one from now on.
    Replace,
}

/// What was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// With its tag and the digest of the pack.
    pub reference: Reference,
    /// Bytes that were sent; what the registry had is not among them.
    pub sent: u64,
}

impl Client {
    /// Sends a pack with its signatures. Without a tag in the reference, that is the version of the pack. The tag comes last,
    /// so that it never names a pack that is not whole. Signatures that the registry has stay.
    ///
    /// # Errors
    /// See [`Cause`].
    pub async fn push(
        &self,
        artefact: &Artefact,
        reference: &Reference,
        tag: Tag,
        progress: &dyn Progress,
    ) -> Result<Pushed, RegistryError> {
        let failed =
            |asked: String| move |cause: Cause| RegistryError::new(reference.registry(), asked, cause);
        let at = tagged(artefact, reference).map_err(failed(format!("pack {}", reference.repository())))?;
        let name = at.tag().unwrap_or_default();
        let asked = Which::Tag(name).asked(&at);
        let keep = self.may_tag(artefact, &at, name, tag).await.map_err(failed(asked.clone()))?;

        let blobs = artefact.blobs();
        progress.more(blobs.iter().map(|part| part.bytes.len() as u64).sum());
        let sending = blobs.into_iter().map(|part| {
            let at = &at;
            async move {
                let asked = format!("blob sha256:{} of {}", part.digest, at.repository());
                self.send_blob(at, part, progress).await.map_err(failed(asked))
            }
        });
        let sent: Vec<u64> = stream::iter(sending).buffer_unordered(AT_ONCE).try_collect().await?;

        self.send_manifests(artefact, &at, &keep).await?;
        let component = artefact.component_manifest();
        let which = Which::Tag(name);
        let put = self.put_manifest(&at, &which, oci::MANIFEST, component.bytes.to_vec()).await;
        put.map_err(failed(asked))?;
        Ok(Pushed { reference: at.with_digest(artefact.digest()), sent: sent.iter().sum() })
    }

    /// Whether the tag may name this pack. Gives the packs with the same component that stay, which is none but this.
    async fn may_tag(
        &self,
        artefact: &Artefact,
        at: &Reference,
        name: &str,
        tag: Tag,
    ) -> Result<Vec<Digest>, Cause> {
        let (component, own) = (artefact.component_digest(), artefact.digest());
        if tag == Tag::Keep
            && let Some(old) = self.manifest(at, &Which::Tag(name)).await?
            && Digest::of(&old) != component
        {
            return Err(match ManifestKind::of(&old) {
                ManifestKind::Component { .. } => {
                    match self.referrers(at, Digest::of(&old), oci::PACK).await?.first() {
                        Some(pack) => Cause::Taken { pack: *pack },
                        None => Cause::TakenByOther { found: "a component without a pack".to_owned() },
                    }
                }
                ManifestKind::Other(found) => Cause::TakenByOther { found },
                ManifestKind::Pack { .. } => Cause::TakenByOther { found: oci::PACK.to_owned() },
                ManifestKind::Signature => Cause::TakenByOther { found: oci::SIGNATURE.to_owned() },
                ManifestKind::Cosign => Cause::TakenByOther { found: oci::COSIGN.to_owned() },
            });
        }
        // A tag names a component. With two packs of one component, it would name neither.
        let packs = self.referrers(at, component, oci::PACK).await?;
        match (packs.into_iter().find(|pack| *pack != own), tag) {
            (Some(pack), Tag::Keep) => Err(Cause::Taken { pack }),
            _ => Ok(vec![own]),
        }
    }

    /// Sends a blob that is not there. Gives the bytes that were sent.
    async fn send_blob(&self, at: &Reference, part: Part<'_>, progress: &dyn Progress) -> Result<u64, Cause> {
        let size = part.bytes.len() as u64;
        let url = self.url(at, &format!("blobs/sha256:{}", part.digest))?;
        let there = self.ask(at, Access::Push, Request::new(Method::HEAD, url), &()).await?;
        if there.status.is_success() {
            there.read(0).await?;
            progress.moved(size);
            return Ok(0);
        }
        drop(there);
        let begin = Request::new(Method::POST, self.url(at, "blobs/uploads/")?);
        let url = begin.url.clone();
        let begun = good(self.ask(at, Access::Push, begin, &()).await?).await?;
        let to = begun.text(LOCATION).unwrap_or_default().to_owned();
        begun.read(1 << 10).await?;
        // In one piece: what breaks is sent again, and all blobs before it are there.
        let put =
            Request::new(Method::PUT, url.join(&to)?.with("digest", &format!("sha256:{}", part.digest)))
                .header(CONTENT_TYPE, "application/octet-stream")
                .body(part.bytes.to_vec());
        let done = good(self.ask(at, Access::Push, put, progress).await?).await?;
        done.read(1 << 10).await?;
        Ok(size)
    }

    /// Sends the manifests by their digests, those first that others name.
    async fn send_manifests(
        &self,
        artefact: &Artefact,
        at: &Reference,
        keep: &[Digest],
    ) -> Result<(), RegistryError> {
        let put = |part: Part<'_>| {
            let (which, bytes) = (Which::Digest(part.digest), part.bytes.to_vec());
            async move {
                let put = self.put_manifest(at, &which, oci::MANIFEST, bytes).await;
                put.map_err(|cause| RegistryError::new(at.registry(), which.asked(at), cause))
            }
        };
        let list = |asked: &'static str| move |cause| RegistryError::new(at.registry(), asked, cause);
        let (component, manifest) = (artefact.component_manifest(), artefact.manifest());
        put(component).await?;
        if put(manifest).await? {
            self.delete_others(at, component.digest, keep).await?;
        } else {
            let listed = self.list_referrers(at, component.digest, oci::PACK, &[manifest], keep).await;
            listed.map_err(list("list of packs"))?;
        }
        let signatures = artefact.signature_manifests();
        let mut known = true;
        for signature in &signatures {
            known &= put(*signature).await?;
        }
        for kind in [oci::SIGNATURE, oci::COSIGN] {
            let is_one = |part: &&Part<'_>| {
                (ManifestKind::of(part.bytes) == ManifestKind::Cosign) == (kind == oci::COSIGN)
            };
            let own: Vec<Part<'_>> = signatures.iter().filter(is_one).copied().collect();
            if known || own.is_empty() {
                continue;
            }
            let there =
                self.referrers(at, manifest.digest, kind).await.map_err(list("list of signatures"))?;
            let listed = self.list_referrers(at, manifest.digest, kind, &own, &there).await;
            listed.map_err(list("list of signatures"))?;
        }
        Ok(())
    }

    /// Deletes packs with the same component, which a tag could stand for as well.
    async fn delete_others(
        &self,
        at: &Reference,
        component: Digest,
        keep: &[Digest],
    ) -> Result<(), RegistryError> {
        let failed = |asked: String| move |cause| RegistryError::new(at.registry(), asked, cause);
        let packs =
            self.referrers(at, component, oci::PACK).await.map_err(failed("list of packs".to_owned()))?;
        for old in packs.into_iter().filter(|pack| !keep.contains(pack)) {
            let which = Which::Digest(old);
            let delete = async {
                let request = Request::new(Method::DELETE, self.url(at, &format!("manifests/{which}"))?);
                let answer = self.ask(at, Access::Push, request, &()).await?;
                match answer.status {
                    status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
                    _ => Err(Cause::NotDeleted { old, said: said(answer).await }),
                }
            };
            delete.await.map_err(failed(which.asked(at)))?;
        }
        Ok(())
    }

    /// Whether the registry knows subjects, where the manifest has one.
    pub(crate) async fn put_manifest(
        &self,
        at: &Reference,
        which: &Which<'_>,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Result<bool, Cause> {
        let url = self.url(at, &format!("manifests/{which}"))?;
        let request = Request::new(Method::PUT, url).header(CONTENT_TYPE, media_type).body(bytes);
        let answer = good(self.ask(at, Access::Push, request, &()).await?).await?;
        let knows = answer.headers.contains_key(SUBJECT);
        answer.read(1 << 10).await?;
        Ok(knows)
    }
}

/// The reference with the tag that the pack will have.
fn tagged(artefact: &Artefact, reference: &Reference) -> Result<Reference, Cause> {
    let own = artefact.digest();
    if reference.digest().is_some_and(|digest| digest != own) {
        return Err(Cause::OtherDigest { own });
    }
    let version = artefact.pack().manifest().version.to_string();
    let Some(tag) = reference.tag() else {
        return Ok(reference.with_tag(&tag_of(&version))?);
    };
    let plain = reference.with_tag(tag)?;
    match version_of(tag) {
        _ if plain.is_range() => Err(Cause::RangeTag { version }),
        // Who looks for a version takes the tag at its word.
        Some(_) if tag != tag_of(&version) => Err(Cause::OtherVersion { version }),
        _ => Ok(plain),
    }
}
