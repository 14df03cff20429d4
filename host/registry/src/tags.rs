//! Tags of a repository, and what they point to.

use futures_util::{StreamExt as _, stream};
use http::header::LINK;
use http::{Method, StatusCode};
use serde::Deserialize;
use shunt_rules::Digest;
use shunt_rules::artefact::{ManifestKind, Reference, oci};

use crate::Client;
use crate::client::{Which, good};
use crate::error::{Cause, RegistryError};
use crate::login::Access;
use crate::referrers::is_fallback;
use crate::wire::Request;

/// Tags that are asked for at once; a registry may give fewer, or all that it has.
const PAGE: usize = 1000;
/// Bytes of a page: 10,000 of the longest tags.
const MAX_PAGE: u64 = 4 << 20;
/// Tags of a repository. One that is built each minute for two months has them.
const MAX_TAGS: usize = 100_000;
/// Requests at a time.
const AT_ONCE: usize = 4;

/// What a tag points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub tag: String,
    /// What the manifest of the component says.
    pub version: Option<String>,
    /// Of the pack as a whole. `None`: it is no pack, or more than one has this component.
    pub digest: Option<Digest>,
}

#[derive(Deserialize)]
struct Page {
    /// Some registries give nothing for none.
    tags: Option<Vec<String>>,
}

impl Client {
    /// The tags of a repository, in the order of the registry. Tags that stand for referrers are left out.
    ///
    /// # Errors
    /// There is no such repository, or the registry cannot be asked.
    pub async fn tags(&self, at: &Reference) -> Result<Vec<String>, RegistryError> {
        self.all_tags(at)
            .await
            .map_err(|cause| RegistryError::new(at.registry(), format!("tags of {}", at.repository()), cause))
    }

    pub(crate) async fn all_tags(&self, at: &Reference) -> Result<Vec<String>, Cause> {
        let mut tags = Vec::new();
        let mut next = Some(self.url(at, "tags/list")?.with("n", &PAGE.to_string()));
        while let Some(url) = next.take() {
            let answer = self.ask(at, Access::Pull, Request::new(Method::GET, url.clone()), &()).await?;
            let answer = good(answer).await?;
            let link = answer.text(LINK).and_then(next_page).map(|link| url.join(&link)).transpose()?;
            let page = answer.read(MAX_PAGE).await?;
            let page: Page = serde_json::from_slice(&page)
                .map_err(|error| Cause::Unreadable { reason: error.to_string() })?;
            let page = page.tags.unwrap_or_default();
            // A page of none leads nowhere, whatever it says.
            next = link.filter(|_| !page.is_empty());
            tags.extend(page.into_iter().filter(|tag| !is_fallback(tag)));
            if tags.len() > MAX_TAGS {
                return Err(Cause::Unreadable { reason: format!("it has more than {MAX_TAGS} tags") });
            }
        }
        Ok(tags)
    }

    /// What some tags point to, in their order.
    ///
    /// # Errors
    /// The registry cannot be asked.
    pub async fn versions(&self, at: &Reference, tags: &[String]) -> Result<Vec<Version>, RegistryError> {
        let asked = tags.iter().map(|tag| async move {
            let version = self.version(at, tag).await;
            version.map_err(|cause| RegistryError::new(at.registry(), Which::Tag(tag).asked(at), cause))
        });
        let answers: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        answers.into_iter().collect()
    }

    async fn version(&self, at: &Reference, tag: &str) -> Result<Version, Cause> {
        let mut found = Version { tag: tag.to_owned(), version: None, digest: None };
        // One that went since the list was made is no pack either.
        let Some(manifest) = self.manifest(at, &Which::Tag(tag)).await? else { return Ok(found) };
        if let ManifestKind::Component { version, .. } = ManifestKind::of(&manifest) {
            found.version = version;
            if let [pack] = self.referrers(at, Digest::of(&manifest), oci::PACK).await?[..] {
                found.digest = Some(pack);
            }
        }
        Ok(found)
    }

    /// That there is no such tag, with those that there are.
    pub(crate) async fn no_tag(&self, at: &Reference) -> Cause {
        match self.all_tags(at).await {
            Ok(mut tags) => {
                tags.sort_by_key(|tag| std::cmp::Reverse(shunt_rules::artefact::reference::version_of(tag)));
                Cause::NoTag { tags }
            }
            Err(Cause::NotFound { .. }) => Cause::NoTag { tags: Vec::new() },
            Err(Cause::Status { status: StatusCode::NOT_FOUND, .. }) => Cause::NoTag { tags: Vec::new() },
            Err(other) => other,
        }
    }
}

/// `</v2/a/tags/list?last=x&n=2>; rel="next"` (RFC 8288)
fn next_page(link: &str) -> Option<String> {
    link.split(',').find_map(|link| {
        let (url, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.split(';').any(|it| matches!(it.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then(|| url.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found() {
        let next = "</v2/a/tags/list?last=x&n=2>; rel=\"next\"";
        assert_eq!(next_page(next).as_deref(), Some("/v2/a/tags/list?last=x&n=2"));
        assert_eq!(
            next_page(&format!("<x>; rel=prev, {next}")).as_deref(),
            Some("/v2/a/tags/list?last=x&n=2")
        );
        for link in ["", "<x>", "x; rel=\"next\"", "<x>; rel=\"prev\""] {
            assert_eq!(next_page(link), None, "{link}");
        }
    }
}
