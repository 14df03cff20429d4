//! A client of registries: requests with logins and redirections, and answers sorted.

use std::path::PathBuf;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use serde::Deserialize;
use shunt_rules::Digest;
use shunt_rules::artefact::{MAX_JSON_BYTES, Reference, oci};

use crate::error::{Cause, RegistryError};
use crate::login::{Access, Logins, docker_config};
use crate::progress::Progress;
use crate::wire::{Answer, Request, Url, Wire};

/// How often an answer may send us on: registries keep blobs elsewhere, one step away.
const MAX_HOPS: usize = 5;
/// Bytes of a refusal that are read for what it says.
const MAX_REFUSAL: u64 = 16 << 10;
/// Letters of it that are shown.
const MAX_SAID: usize = 200;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Registries that are asked without TLS, as references write them: `localhost:5000`.
    pub insecure: Vec<String>,
    /// Files of certificates in PEM, of CAs that are trusted beside those of the system.
    pub ca: Vec<PathBuf>,
    /// The folder with docker's `config.json`, for logins; see [`docker_config`]. `None`: no logins.
    pub docker_config: Option<PathBuf>,
    /// How long a registry may say nothing.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            insecure: Vec::new(),
            ca: Vec::new(),
            docker_config: docker_config(),
            patience: Duration::from_secs(30),
        }
    }
}

/// Speaks to registries. Connections and logins are kept as long as it is.
pub struct Client {
    pub(crate) wire: Wire,
    logins: Logins,
}

impl Client {
    /// # Errors
    /// A CA file cannot be used.
    pub fn new(settings: &Settings) -> Result<Client, RegistryError> {
        let wire = Wire::new(settings).map_err(|cause| RegistryError::new("registry", "settings", cause))?;
        Ok(Client { wire, logins: Logins::new(settings.docker_config.clone()) })
    }

    /// Of something in a repository: `manifests/1.2.0`.
    pub(crate) fn url(&self, at: &Reference, path: &str) -> Result<Url, Cause> {
        let origin = self.wire.origin(at.registry())?;
        Ok(Url::new(&origin, format!("/v2/{}/{path}", at.repository())))
    }

    /// Sends a request with what opens the repository, and goes where an answer sends it. What is returned is no
    /// refusal of who asks.
    pub(crate) async fn ask(
        &self,
        at: &Reference,
        access: Access,
        mut request: Request,
        progress: &dyn Progress,
    ) -> Result<Answer<'_>, Cause> {
        let home = request.url.origin.clone();
        let (registry, repository) = (at.registry(), at.repository());
        let mut refused = false;
        for _ in 0..=MAX_HOPS + 2 {
            // A login is for the registry, and for nobody to whom it sends us.
            let at_home = request.url.origin == home;
            request.headers.remove(AUTHORIZATION);
            if at_home && let Some(key) = self.logins.known(registry, repository, access) {
                request.headers.insert(AUTHORIZATION, key);
            }
            let answer = self.wire.send(&request, progress).await?;
            match answer.status {
                StatusCode::UNAUTHORIZED if at_home => {
                    let challenges = answer.headers.get_all(WWW_AUTHENTICATE).iter();
                    let challenges: Vec<String> =
                        challenges.filter_map(|it| it.to_str().ok().map(str::to_owned)).collect();
                    let said = said(answer).await;
                    let place = (registry, repository, access);
                    self.logins.answer(&self.wire, place, &challenges, said, refused).await?;
                    refused = true;
                }
                StatusCode::FORBIDDEN => {
                    let said = said(answer).await;
                    return Err(Cause::Forbidden { user: self.logins.user(registry).await, said });
                }
                StatusCode::TOO_MANY_REQUESTS => {
                    let after = answer.text(RETRY_AFTER).and_then(|text| text.parse().ok());
                    return Err(Cause::TooMany { after: after.map(Duration::from_secs) });
                }
                status
                    if status.is_redirection() && [Method::GET, Method::HEAD].contains(&request.method) =>
                {
                    let to = answer.text(LOCATION).unwrap_or_default();
                    request.url = request.url.join(to)?;
                }
                _ => return Ok(answer),
            }
        }
        Err(Cause::Redirects { most: MAX_HOPS })
    }

    /// A manifest, by its tag or digest. `None`: there is none.
    pub(crate) async fn manifest(&self, at: &Reference, which: &Which<'_>) -> Result<Option<Vec<u8>>, Cause> {
        let url = self.url(at, &format!("manifests/{which}"))?;
        let request = Request::new(Method::GET, url).header(ACCEPT, &accepted());
        let answer = self.ask(at, Access::Pull, request, &()).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        // Of what is no manifest any more, or never was: Debian's registry says no more.
        if let (Which::Digest(_), true) = (which, answer.status.is_server_error()) {
            return Err(Cause::NoManifest { said: said(answer).await });
        }
        let bytes = good(answer).await?.read(MAX_JSON_BYTES as u64).await?;
        match which {
            Which::Digest(digest) => same(*digest, &bytes)?,
            Which::Tag(_) => {}
        }
        Ok(Some(bytes))
    }
}

/// What names a manifest.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which<'a> {
    Tag(&'a str),
    Digest(Digest),
}

impl std::fmt::Display for Which<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Which::Tag(tag) => f.write_str(tag),
            Which::Digest(digest) => write!(f, "sha256:{digest}"),
        }
    }
}

impl Which<'_> {
    /// For an error.
    pub(crate) fn asked(&self, at: &Reference) -> String {
        format!("manifest {self} of {}", at.repository())
    }
}

/// Some registries say that there is no manifest if it is not of a type that was asked for. The last two are of images,
/// so that an error can say what they are.
fn accepted() -> String {
    [
        oci::MANIFEST,
        oci::INDEX,
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ]
    .join(", ")
}

fn same(digest: Digest, bytes: &[u8]) -> Result<(), Cause> {
    let found = Digest::of(bytes);
    if found == digest { Ok(()) } else { Err(Cause::Changed { found }) }
}

/// An answer that says that it was done.
pub(crate) async fn good(answer: Answer<'_>) -> Result<Answer<'_>, Cause> {
    match answer.status {
        status if status.is_success() => Ok(answer),
        StatusCode::BAD_REQUEST => {
            let (status, plain) = (answer.status, answer.plain_address());
            let body = answer.read(MAX_REFUSAL).await.unwrap_or_default();
            // What servers with TLS answer to who speaks without: there is no status of its own.
            let speaks_tls = body.windows(5).any(|part| part == b"HTTPS");
            match plain.filter(|_| speaks_tls) {
                Some(address) => Err(Cause::SpeaksTls { address }),
                None => Err(Cause::Status { status, said: told(status, &body) }),
            }
        }
        StatusCode::NOT_FOUND => Err(Cause::NotFound { said: said(answer).await }),
        StatusCode::METHOD_NOT_ALLOWED => Err(Cause::NotDone { said: said(answer).await }),
        status => Err(Cause::Status { status, said: said(answer).await }),
    }
}

pub(crate) async fn said(answer: Answer<'_>) -> String {
    let status = answer.status;
    let body = answer.read(MAX_REFUSAL).await.unwrap_or_default();
    told(status, &body)
}

/// What a refusal says: `MANIFEST_UNKNOWN: manifest unknown`. It is shown on terminals.
pub(crate) fn told(status: StatusCode, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        code: Option<String>,
        message: Option<String>,
    }
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    let texts = refusal.into_iter().flat_map(|it| it.errors).map(|one| {
        let parts = [one.code, one.message].into_iter().flatten().filter(|text| !text.is_empty());
        parts.collect::<Vec<_>>().join(": ")
    });
    let text = texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        return status.to_string();
    }
    text.chars().filter(|letter| !letter.is_control()).take(MAX_SAID).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_says_is_shown_as_it_can_be() {
        let told = |body: &str| told(StatusCode::NOT_FOUND, body.as_bytes());
        let one =
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"1"}}]}"#;
        assert_eq!(told(one), "MANIFEST_UNKNOWN: manifest unknown");
        assert_eq!(told(r#"{"errors":[{"code":"A"},{"message":"b\u001b[31m"}]}"#), "A, b[31m");
        for odd in ["", "<html>", "{}", r#"{"errors":[]}"#, r#"{"errors":[{}]}"#] {
            assert_eq!(told(odd), "404 Not Found", "{odd}");
        }
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(10_000));
        assert_eq!(told(&long).len(), MAX_SAID);
    }
}
