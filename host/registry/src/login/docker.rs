//! The docker config (`config.json`), and programs that keep logins: what `docker login` writes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use serde::Deserialize;
use shunt_rules::plain_file;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use crate::error::Cause;

pub(super) const FILE: &str = "config.json";
/// Bytes of the config, and of what a program says.
const MAX_BYTES: u64 = 1 << 20;
/// How long a program may take: some ask the person before the screen.
const HELPER_PATIENCE: Duration = Duration::from_secs(60);
/// What it says where it has none (docker-credential-helpers, `credentials/error.go`).
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The user name with which it gives an identity token in place of a password.
const TOKEN_USER: &str = "<token>";

/// The folder of docker's config: `DOCKER_CONFIG`, else `.docker` in the user's home.
#[must_use]
pub fn docker_config() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("DOCKER_CONFIG").or_else(|| named("HOME").map(|home| home.join(".docker")))
}

pub(super) enum Login {
    Password {
        user: String,
        secret: String,
    },
    /// Gets tokens: what docker calls an identity token.
    Refresh {
        token: String,
    },
    /// Is the token.
    Bearer {
        token: String,
    },
}

impl Login {
    pub(super) fn user(&self) -> &str {
        match self {
            Login::Password { user, .. } => user,
            Login::Refresh { .. } | Login::Bearer { .. } => "who has the token",
        }
    }

    fn password(user: String, secret: String) -> Login {
        if user == TOKEN_USER { Login::Refresh { token: secret } } else { Login::Password { user, secret } }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: HashMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// The login of a registry, if there is one.
pub(super) async fn find(folder: &Path, registry: &str) -> Result<Option<Login>, Cause> {
    let path = folder.join(FILE);
    let wrong = |reason: String| Cause::DockerConfig { path: path.clone(), reason };
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let config: Config = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    let helper = config.cred_helpers.get(registry).or(config.creds_store.as_ref());
    if let Some(helper) = helper.filter(|helper| !helper.is_empty())
        && let Some(login) = ask(helper, registry).await?
    {
        return Ok(Some(login));
    }
    let exact = config.auths.get(registry);
    let entry =
        exact.or_else(|| config.auths.iter().find(|(key, _)| host(key) == registry).map(|(_, it)| it));
    match entry {
        Some(entry) => login(entry).map_err(wrong),
        None => Ok(None),
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut text = Vec::new();
    plain_file::open(path)?.take(MAX_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

/// Older versions of docker wrote `https://registry.example/v1/`.
fn host(key: &str) -> &str {
    let key = key.trim_start_matches("https://").trim_start_matches("http://");
    key.split('/').next().unwrap_or_default()
}

fn login(entry: &Entry) -> Result<Option<Login>, String> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(token) = given(&entry.registrytoken) {
        return Ok(Some(Login::Bearer { token }));
    }
    if let Some(token) = given(&entry.identitytoken) {
        return Ok(Some(Login::Refresh { token }));
    }
    if let Some(auth) = given(&entry.auth) {
        let text = Base64::decode_vec(&auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let parts = text.as_deref().and_then(|text| text.split_once(':'));
        let (user, secret) = parts.ok_or("an `auth` in it is not a name and a password in base64")?;
        // Docker pads what it writes.
        return Ok(Some(Login::password(user.to_owned(), secret.trim_matches('\0').to_owned())));
    }
    match (given(&entry.username), given(&entry.password)) {
        (Some(user), Some(secret)) => Ok(Some(Login::password(user, secret))),
        _ => Ok(None),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks the program that keeps logins: it reads the registry and writes JSON (docker-credential-helpers, `README.md`).
async fn ask(helper: &str, registry: &str) -> Result<Option<Login>, Cause> {
    let wrong = |reason: String| Cause::Helper { helper: helper.to_owned(), reason };
    // It becomes part of the name of a program.
    if !helper.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return Err(wrong("this cannot be its name".to_owned()));
    }
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| wrong(error.to_string()))?;
    let talk = async {
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read it says why in its answer.
            let _ = stdin.write_all(registry.as_bytes()).await;
        }
        let mut said = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(MAX_BYTES).read_to_end(&mut said).await?;
        }
        child.wait().await.map(|status| (status, said))
    };
    let (status, said) = match timeout(HELPER_PATIENCE, talk).await {
        Ok(done) => done.map_err(|error| wrong(error.to_string()))?,
        Err(_) => return Err(wrong(format!("it took more than {} s", HELPER_PATIENCE.as_secs()))),
    };
    if !status.success() {
        let text = String::from_utf8_lossy(&said).trim().to_owned();
        if text == NOT_FOUND {
            return Ok(None);
        }
        let text = if text.is_empty() { status.to_string() } else { text };
        return Err(wrong(text.chars().filter(|letter| !letter.is_control()).take(200).collect()));
    }
    // What it said may be a secret: the error does not show it.
    let answer: Answer = serde_json::from_slice(&said)
        .map_err(|_| wrong("it did not answer with Username and Secret".to_owned()))?;
    Ok(Some(Login::password(answer.username, answer.secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(config: &str, registry: &str) -> Result<Option<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), config).unwrap();
        let login = find(folder.path(), registry).await.map_err(|cause| cause.to_string())?;
        Ok(login.map(|login| match login {
            Login::Password { user, secret } => (user, secret),
            Login::Refresh { token } => ("refresh".to_owned(), token),
            Login::Bearer { token } => ("bearer".to_owned(), token),
        }))
    }

    #[tokio::test]
    async fn logins_of_docker_are_found() {
        // `team:word`
        let config = r#"{
            "auths": {
                "registry.example:5000": {"auth": "dGVhbTp3b3Jk"},
                "https://old.example/v1/": {"username": "team", "password": "word"},
                "token.example": {"auth": "dGVhbTo=", "identitytoken": "x"},
                "bearer.example": {"registrytoken": "y"},
                "empty.example": {},
                "broken.example": {"auth": "!"}
            },
            "HttpHeaders": {"X": "y"}
        }"#;
        for (registry, expected) in [
            ("registry.example:5000", Some(("team", "word"))),
            ("old.example", Some(("team", "word"))),
            ("token.example", Some(("refresh", "x"))),
            ("bearer.example", Some(("bearer", "y"))),
            ("empty.example", None),
            ("registry.example", None),
        ] {
            let expected = expected.map(|(user, secret)| (user.to_owned(), secret.to_owned()));
            assert_eq!(found(config, registry).await.unwrap(), expected, "{registry}");
        }
        assert!(found(config, "broken.example").await.unwrap_err().contains("not a name and a password"));
        assert!(found("{", "a.example").await.unwrap_err().contains("config.json cannot be used"));
        let folder = tempfile::tempdir().unwrap();
        assert!(find(folder.path(), "a.example").await.unwrap().is_none(), "no config, no login");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let config = r#"{"credHelpers": {"a.example": "shunt-test-none", "b.example": "../x"}}"#;
        let error = found(config, "a.example").await.unwrap_err();
        assert!(error.contains("docker-credential-shunt-test-none gave no login"), "{error}");
        let error = found(config, "b.example").await.unwrap_err();
        assert!(error.contains("this cannot be its name"), "{error}");
    }
}
