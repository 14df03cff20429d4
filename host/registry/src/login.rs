//! Who asks: logins of the docker config, and what registries make of them.
//!
//! A registry refuses the first request with a challenge (RFC 7235, section 4.1). `Basic` is answered with the login itself
//! (RFC 7617), `Bearer` with a token that an address of the registry's choice gives for it (Docker Registry v2
//! authentication, "Token Authentication Specification").

mod challenge;
mod docker;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use base64ct::{Base64, Encoding as _};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use serde::Deserialize;

use crate::error::Cause;
use crate::wire::{Request, Url, Wire, encode};
use challenge::Challenge;
use docker::Login;
pub use docker::docker_config;

/// Bytes of the answer with a token: those of a few groups have some 10,000.
const MAX_TOKEN: u64 = 256 << 10;
/// What asks for a token on behalf of a refresh token.
const CLIENT: &str = "shunt";

/// What a token is for. Those who may pull need not be those who may push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    Pull,
    Push,
}

/// Registry, repository and access, to the header that opens them.
type Keys = HashMap<(String, String, Access), HeaderValue>;

pub(crate) struct Logins {
    /// The folder with the `config.json` of docker.
    folder: Option<PathBuf>,
    keys: Mutex<Keys>,
}

/// Whom an error calls who asks.
pub(crate) const NOBODY: &str = "who is not logged in";

impl Logins {
    pub(crate) fn new(folder: Option<PathBuf>) -> Logins {
        Logins { folder, keys: Mutex::default() }
    }

    /// What was opened before.
    pub(crate) fn known(&self, registry: &str, repository: &str, access: Access) -> Option<HeaderValue> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(&(registry.to_owned(), repository.to_owned(), access)).cloned()
    }

    fn remember(&self, registry: &str, repository: &str, access: Access, key: HeaderValue) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert((registry.to_owned(), repository.to_owned(), access), key);
    }

    /// Whose login there is, for an error.
    pub(crate) async fn user(&self, registry: &str) -> String {
        match self.find(registry).await {
            Ok(Some(login)) => login.user().to_owned(),
            _ => NOBODY.to_owned(),
        }
    }

    async fn find(&self, registry: &str) -> Result<Option<Login>, Cause> {
        match &self.folder {
            Some(folder) => docker::find(folder, registry).await,
            None => Ok(None),
        }
    }

    /// Answers the challenges of a refusal with what to send instead. `again` says that it was answered before.
    pub(crate) async fn answer(
        &self,
        wire: &Wire,
        at: (&str, &str, Access),
        challenges: &[String],
        said: String,
        again: bool,
    ) -> Result<HeaderValue, Cause> {
        let (registry, repository, access) = at;
        let login = self.find(registry).await?;
        let needed = |login: Option<&Login>, said: String| match login {
            Some(login) => {
                Cause::WrongLogin { registry: registry.to_owned(), user: login.user().to_owned(), said }
            }
            None => Cause::Login {
                registry: registry.to_owned(),
                said,
                config_file: self.folder.as_ref().map(|folder| folder.join(docker::FILE)),
            },
        };
        if again {
            return Err(needed(login.as_ref(), said));
        }
        let read = challenges.iter().filter_map(|challenge| Challenge::parse(challenge));
        let mut known: Vec<Challenge> = read.collect();
        // A token opens less than a login does.
        known.sort_by_key(|challenge| matches!(challenge, Challenge::Basic));
        let key = match (known.into_iter().next(), login) {
            (Some(Challenge::Basic), Some(Login::Password { user, secret })) => basic(&user, &secret),
            (Some(Challenge::Basic), login) => return Err(needed(login.as_ref(), said)),
            (Some(Challenge::Bearer { realm, service, scope }), login) => {
                if let Some(Login::Bearer { token }) = login {
                    bearer(&token)
                } else {
                    let request = token_request(&realm, &service, &scope, login.as_ref())?;
                    let answer = wire.send(&request, &()).await?;
                    let status = answer.status;
                    let body = answer.read(MAX_TOKEN).await?;
                    if !status.is_success() {
                        let said = crate::client::told(status, &body);
                        return Err(needed(login.as_ref(), said));
                    }
                    let token: Token = serde_json::from_slice(&body)
                        .map_err(|error| Cause::Unreadable { reason: format!("of {realm}: {error}") })?;
                    bearer(&token.token.or(token.access_token).unwrap_or_default())
                }
            }
            (None, _) => return Err(Cause::Challenge { challenge: challenges.join(", ") }),
        };
        let mut key = HeaderValue::try_from(key)
            .map_err(|_| Cause::Unreadable { reason: "the token is no text".to_owned() })?;
        key.set_sensitive(true);
        self.remember(registry, repository, access, key.clone());
        Ok(key)
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

fn token_request(
    realm: &str,
    service: &Option<String>,
    scope: &Option<String>,
    login: Option<&Login>,
) -> Result<Request, Cause> {
    let mut url = Url::parse(realm)?;
    if let Some(Login::Refresh { token }) = login {
        // OAuth 2.0, RFC 6749, section 6.
        let mut form = format!("grant_type=refresh_token&client_id={CLIENT}&refresh_token={}", encode(token));
        for (name, value) in [("service", service), ("scope", scope)] {
            if let Some(value) = value {
                form.push_str(&format!("&{name}={}", encode(value)));
            }
        }
        let request =
            Request::new(Method::POST, url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        return Ok(request.body(form));
    }
    for (name, value) in [("service", service), ("scope", scope)] {
        if let Some(value) = value {
            url = url.with(name, value);
        }
    }
    let request = Request::new(Method::GET, url);
    Ok(match login {
        Some(Login::Password { user, secret }) => request.header(AUTHORIZATION, &basic(user, secret)),
        _ => request,
    })
}

fn basic(user: &str, secret: &str) -> String {
    format!("Basic {}", Base64::encode_string(format!("{user}:{secret}").as_bytes()))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}
