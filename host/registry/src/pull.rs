//! From a registry to a pack.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::header::{CONTENT_RANGE, RANGE};
use http::{Method, StatusCode};
use shunt_rules::Digest;
use shunt_rules::artefact::reference::highest;
use shunt_rules::artefact::{Artefact, Assembly, Checked, ManifestKind, Reference, Wanted, oci};

use crate::Client;
use crate::cache::{Cache, Partial};
use crate::client::{Which, good};
use crate::error::{Cause, RegistryError};
use crate::login::Access;
use crate::progress::Progress;
use crate::referrers::fallback_tag;
use crate::wire::{Answer, Request};

/// Blobs at a time.
const AT_ONCE: usize = 4;
/// How often a transfer that breaks goes on where it was, if each time something came.
const TRIES: usize = 5;
/// Tags that are looked at for the pack of a component.
const LOOKED_AT: usize = 50;
/// What takes longer is written as it comes: then the end of the process costs little as well.
const SOON: Duration = Duration::from_secs(1);

impl Client {
    /// Gets a pack with its signatures, and checks it as a pack file is checked. Whether they are of someone whom the
    /// operator trusts is for others to say.
    ///
    /// With a cache, blobs of the pack that it has are not asked for again, and a transfer that broke goes on where it
    /// was. The pack is not put there: it may yet be refused. Files are written as bytes come, so this is not for a
    /// thread that must not wait for a disk.
    ///
    /// # Errors
    /// See [`Cause`].
    pub async fn pull(
        &self,
        reference: &Reference,
        cache: Option<&Cache>,
        progress: &dyn Progress,
    ) -> Result<Artefact, RegistryError> {
        let at = &reference.clone().versioned()?;
        if let Some(range) = at.tag().filter(|_| at.is_range()) {
            let cause = self.in_range(at, range).await;
            return Err(RegistryError::new(at.registry(), Which::Tag(range).asked(at), cause));
        }
        let refused = |asked: String| move |cause: Cause| RegistryError::new(at.registry(), asked, cause);
        let whole = || {
            format!(
                "pack {}",
                at.tag()
                    .map_or_else(|| at.repository().to_owned(), |tag| format!("{}:{tag}", at.repository()))
            )
        };

        let (component, companion) = match at.digest() {
            Some(digest) => self.manifests_of(at, digest).await?,
            None => self.manifests_at(at, at.tag().unwrap_or_default()).await?,
        };
        let mut assembly =
            Assembly::new(component, companion).map_err(|error| refused(whole())(error.into()))?;
        let of_signatures = || format!("signatures of {}", whole());
        for kind in [oci::SIGNATURE, oci::COSIGN] {
            let signatures = self.referrers(at, assembly.digest(), kind).await;
            for digest in signatures.map_err(refused(of_signatures()))? {
                let manifest = self.needed(at, &Which::Digest(digest)).await?;
                assembly.add_signature(manifest).map_err(|error| refused(whole())(error.into()))?;
            }
        }
        let of_cosign = format!("{}.sig", fallback_tag(assembly.digest()));
        let signatures = self.manifest(at, &Which::Tag(&of_cosign)).await;
        if let Some(manifest) = signatures.map_err(refused(of_signatures()))? {
            assembly.add_cosign(&manifest).map_err(|error| refused(whole())(error.into()))?;
        }

        let kept = match cache {
            Some(cache) => {
                cache.get(assembly.digest()).map_err(|error| refused("cache".to_owned())(error.into()))?
            }
            None => None,
        };
        if let Some(kept) = &kept {
            assembly.put_those_of(kept);
        }
        let missing = assembly.missing();
        progress.more(missing.iter().map(|wanted| wanted.size).sum());
        let blobs = missing.iter().map(|wanted| async move {
            let asked = format!("blob sha256:{} of {}", wanted.digest, at.repository());
            self.blob(at, *wanted, cache, progress).await.map_err(refused(asked))
        });
        let blobs: Result<Vec<_>, _> = stream::iter(blobs).buffer_unordered(AT_ONCE).try_collect().await;
        let done = blobs.and_then(|blobs| {
            for bytes in blobs {
                assembly.put(bytes);
            }
            let artefact = assembly.finish().map_err(|error| refused(whole())(error.into()))?;
            let manifest = artefact.pack().manifest();
            if at.covers(&manifest.version) {
                return Ok(artefact);
            }
            let (name, version) = (manifest.name.clone(), manifest.version.to_string());
            Err(refused(whole())(Cause::MovedTag { name, version }))
        });
        let goes_on = done.as_ref().is_err_and(|error| error.cause.is_of_the_way());
        if let (Some(cache), false) = (cache, goes_on) {
            cache.forget(&missing);
        }
        done
    }

    /// The manifests of the component and of the pack that a digest names.
    async fn manifests_of(
        &self,
        at: &Reference,
        digest: Digest,
    ) -> Result<(Vec<u8>, Vec<u8>), RegistryError> {
        let which = Which::Digest(digest);
        let refused = |cause| Err(RegistryError::new(at.registry(), which.asked(at), cause));
        let manifest = match self.needed(at, &which).await {
            Ok(manifest) => manifest,
            Err(error) => return Err(self.of_part(at, digest, error).await),
        };
        match ManifestKind::of(&manifest) {
            ManifestKind::Pack { component } => {
                Ok((self.needed(at, &Which::Digest(component)).await?, manifest))
            }
            ManifestKind::Component { .. } => {
                // It names less than what is trusted by it.
                let packs = self.referrers(at, digest, oci::PACK).await.unwrap_or_default();
                refused(if packs.is_empty() { Cause::Alone } else { Cause::OfComponent { packs } })
            }
            ManifestKind::Signature => refused(Cause::NoPack { found: oci::SIGNATURE.to_owned() }),
            ManifestKind::Cosign => refused(Cause::NoPack { found: oci::COSIGN.to_owned() }),
            ManifestKind::Other(found) => refused(Cause::NoPack { found }),
        }
    }

    /// What is wrong with a digest that names no manifest. One of a blob is not of a pack: that of the component is what
    /// people try.
    async fn of_part(&self, at: &Reference, digest: Digest, error: RegistryError) -> RegistryError {
        if !matches!(*error.cause, Cause::NotFound { .. } | Cause::NoManifest { .. }) {
            return error;
        }
        let there = async {
            let url = self.url(at, &format!("blobs/sha256:{digest}"))?;
            self.ask(at, Access::Pull, Request::new(Method::HEAD, url), &()).await
        };
        if !there.await.is_ok_and(|answer| answer.status.is_success()) {
            return error;
        }
        let packs = self.packs_with(at, digest).await.unwrap_or_default();
        let cause = match packs.is_empty() {
            true => Cause::OfPart { repository: at.name() },
            false => Cause::OfComponent { packs },
        };
        RegistryError { cause: Box::new(cause), ..error }
    }

    /// The packs whose component is this blob, among those that tags name.
    async fn packs_with(&self, at: &Reference, code: Digest) -> Result<Vec<Digest>, Cause> {
        let mut packs = Vec::new();
        for tag in self.all_tags(at).await?.iter().take(LOOKED_AT) {
            let Some(manifest) = self.manifest(at, &Which::Tag(tag)).await? else { continue };
            match ManifestKind::of(&manifest) {
                ManifestKind::Component { code: Some(own), .. } if own == code => {}
                _ => continue,
            }
            let found = self.referrers(at, Digest::of(&manifest), oci::PACK).await?;
            packs.extend(found.into_iter().filter(|pack| !packs.contains(pack)).collect::<Vec<_>>());
        }
        Ok(packs)
    }

    /// That a tag is a range, with the version that it stands for.
    async fn in_range(&self, at: &Reference, range: &str) -> Cause {
        match self.all_tags(at).await {
            Ok(tags) => {
                let highest = highest(range, tags.iter().map(String::as_str)).map(str::to_owned);
                Cause::Range { range: range.to_owned(), highest }
            }
            Err(other) => other,
        }
    }

    /// Those of what a tag points to.
    async fn manifests_at(&self, at: &Reference, tag: &str) -> Result<(Vec<u8>, Vec<u8>), RegistryError> {
        let which = Which::Tag(tag);
        let refused = |cause| RegistryError::new(at.registry(), which.asked(at), cause);
        let component = match self.manifest(at, &which).await.map_err(refused)? {
            Some(manifest) => manifest,
            None => return Err(refused(self.no_tag(at).await)),
        };
        match ManifestKind::of(&component) {
            ManifestKind::Component { .. } => {}
            ManifestKind::Other(found) => return Err(refused(Cause::NoPack { found })),
            ManifestKind::Pack { .. } => return Err(refused(Cause::NoPack { found: oci::PACK.to_owned() })),
            ManifestKind::Signature => {
                return Err(refused(Cause::NoPack { found: oci::SIGNATURE.to_owned() }));
            }
            ManifestKind::Cosign => return Err(refused(Cause::NoPack { found: oci::COSIGN.to_owned() })),
        }
        let packs = self.referrers(at, Digest::of(&component), oci::PACK).await.map_err(refused)?;
        match packs[..] {
            [pack] => Ok((component, self.needed(at, &Which::Digest(pack)).await?)),
            [] => Err(refused(Cause::Alone)),
            _ => Err(refused(Cause::Several { packs })),
        }
    }

    /// A manifest that must be there.
    async fn needed(&self, at: &Reference, which: &Which<'_>) -> Result<Vec<u8>, RegistryError> {
        let absent = || Cause::NotFound { said: "the registry does not have it".to_owned() };
        let found = self.manifest(at, which).await.and_then(|found| found.ok_or_else(absent));
        found.map_err(|cause| RegistryError::new(at.registry(), which.asked(at), cause))
    }

    /// A blob, from where an earlier transfer of it broke.
    async fn blob(
        &self,
        at: &Reference,
        wanted: Wanted,
        cache: Option<&Cache>,
        progress: &dyn Progress,
    ) -> Result<Checked, Cause> {
        let mut partial = cache.and_then(|cache| cache.partial(wanted));
        let mut bytes = partial.as_mut().map(Partial::take).unwrap_or_default();
        let mut began_with_kept = !bytes.is_empty();
        progress.moved(bytes.len() as u64);
        let begun = Instant::now();
        let mut left = TRIES;
        loop {
            let before = bytes.len();
            left -= 1;
            match self.rest_of_blob(at, wanted, &mut bytes, (partial.as_mut(), begun), progress).await {
                Ok(()) => {}
                Err(Cause::Broken { .. }) if left > 0 && bytes.len() > before => continue,
                Err(cause) => {
                    partial.iter_mut().for_each(|partial| partial.keep(&bytes));
                    return Err(cause);
                }
            }
            let blob = Checked::new(std::mem::take(&mut bytes));
            match blob.digest() == wanted.digest {
                true => return Ok(blob),
                // What was kept may be what is wrong.
                false if began_with_kept => {
                    began_with_kept = false;
                    partial.iter_mut().for_each(Partial::clear);
                }
                false => return Err(Cause::Changed { found: blob.digest() }),
            }
        }
    }

    async fn rest_of_blob(
        &self,
        at: &Reference,
        wanted: Wanted,
        bytes: &mut Vec<u8>,
        (mut partial, begun): (Option<&mut Partial>, Instant),
        progress: &dyn Progress,
    ) -> Result<(), Cause> {
        let has = bytes.len() as u64;
        // Nothing is asked for an empty blob: not every registry has it.
        if has == wanted.size {
            return Ok(());
        }
        let url = self.url(at, &format!("blobs/sha256:{}", wanted.digest))?;
        let mut request = Request::new(Method::GET, url);
        if has > 0 {
            request = request.header(RANGE, &format!("bytes={has}-"));
        }
        let answer = self.ask(at, Access::Pull, request, &()).await?;
        let answer = match answer.status {
            StatusCode::PARTIAL_CONTENT if begins(&answer) == Some(has) => answer,
            // One that cannot go on sends all of it, or says so.
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT => {
                return Err(Cause::Unreadable { reason: "it is not the part that was asked for".to_owned() });
            }
            _ => {
                let answer = good(answer).await?;
                bytes.clear();
                if let Some(partial) = partial.as_deref_mut() {
                    partial.clear();
                }
                answer
            }
        };
        let most = wanted.size - bytes.len() as u64;
        bytes.reserve(most as usize);
        answer
            .each(most, |piece| {
                bytes.extend_from_slice(piece);
                if let Some(partial) = partial.as_deref_mut().filter(|_| begun.elapsed() > SOON) {
                    partial.keep(bytes);
                }
                progress.moved(piece.len() as u64);
                Ok(())
            })
            .await
    }
}

/// Where a part begins: `bytes 100-199/200`.
fn begins(answer: &Answer<'_>) -> Option<u64> {
    answer.text(CONTENT_RANGE)?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
