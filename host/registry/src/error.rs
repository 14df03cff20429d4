//! Why something did not come from a registry or go to it. Each text says what to do.

use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;
use shunt_rules::Digest;
use shunt_rules::artefact::reference::tag_of;
use shunt_rules::artefact::{ArtefactError, ReferenceError};

use crate::CacheError;

/// What failed: at which registry, what was asked of it, and why.
#[derive(Debug, thiserror::Error)]
#[error("{registry}: {asked}: {cause}")]
pub struct RegistryError {
    /// Host, and port where it was written.
    pub registry: String,
    /// `manifest 1.2.0 of team/canary`
    pub asked: String,
    #[source]
    pub cause: Box<Cause>,
}

impl RegistryError {
    pub(crate) fn new(registry: &str, asked: impl Into<String>, cause: impl Into<Cause>) -> RegistryError {
        RegistryError { registry: registry.to_owned(), asked: asked.into(), cause: Box::new(cause.into()) }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Cause {
    // Of the way to it.
    #[error("cannot connect to {address} ({source}); check its name and port, and that it runs")]
    Connect { address: String, source: std::io::Error },
    #[error("{address} does not speak TLS; where that is meant, allow it with {}", insecure(address))]
    NoTls { address: String },
    #[error("{address} speaks TLS; ask it with TLS: leave out {}", insecure(address))]
    SpeaksTls { address: String },
    #[error(
        "the certificate of {address} is not trusted ({reason}); where a CA of your own signed it, give that with {CA}"
    )]
    Certificate { address: String, reason: String },
    #[error("no TLS connection to {address} ({reason}); look at its certificate, and at what it speaks")]
    Tls { address: String, reason: String },
    #[error("the CA file {} {reason}; use a file of certificates in PEM", path.display())]
    Ca { path: PathBuf, reason: String },
    #[error(
        "{address} is without TLS, and is not one of those where that is allowed; allow it with {}",
        insecure(address)
    )]
    NotAllowed { address: String },
    #[error("{address} said nothing for {} s; try again, or look at the registry", waited.as_secs_f32())]
    Silent { address: String, waited: Duration },
    #[error("{address} sends less than {} KiB/s; try again, or look at the network", rate >> 10)]
    Slow { address: String, rate: u64 },
    #[error("the connection to {address} broke ({reason}); try again")]
    Broken { address: String, reason: String },
    #[error("the registry sends us from one address to the next, more than {most} times; look at it")]
    Redirects { most: usize },
    #[error("the registry sends us to {url:?}, which cannot be asked; look at it")]
    Location { url: String },

    // Of who asks.
    #[error("a login is needed ({said}); run `docker login {registry}`, or put one into {}", config(config_file.as_ref()))]
    Login { registry: String, said: String, config_file: Option<PathBuf> },
    #[error("the login of {user} is refused ({said}); run `docker login {registry}` again")]
    WrongLogin { registry: String, user: String, said: String },
    #[error("{user} may not do this ({said}); ask whoever runs the registry for the right to")]
    Forbidden { user: String, said: String },
    #[error(
        "the registry asks for a login of a kind that Shunt does not know ({challenge:?}); have it take Basic or Bearer"
    )]
    Challenge { challenge: String },
    #[error("{} cannot be used ({reason}); correct it, or run `docker login` again", path.display())]
    DockerConfig { path: PathBuf, reason: String },
    #[error("docker-credential-{helper} gave no login ({reason}); run it by hand, or `docker login` again")]
    Helper { helper: String, reason: String },

    // Of what is asked for.
    #[error("there is none; {}", known_tags(tags))]
    NoTag { tags: Vec<String> },
    #[error("there is none ({said}); check the reference")]
    NotFound { said: String },
    #[error(
        "the registry has it and cannot read it ({said}): what it stores was changed; push the pack again, and look at \
         the registry's log"
    )]
    NoManifest { said: String },
    #[error("`{range}` is a range, which `shunt pack lock` alone resolves; name a version: {}", within(range, highest.as_ref()))]
    Range { range: String, highest: Option<String> },
    #[error("the registry limits how often it is asked; try again{}", after.map(|after| format!(" in {} s", after.as_secs())).unwrap_or_default())]
    TooMany { after: Option<Duration> },
    #[error("the registry does not do this ({said}); it may be read-only: ask whoever runs it")]
    NotDone { said: String },
    #[error("the registry answers {} ({said}); look at its log", status.as_u16())]
    Status { status: StatusCode, said: String },
    #[error(
        "the registry sends more than the {most} bytes that there may be; this is no pack, or the registry is broken"
    )]
    TooLarge { most: u64 },
    #[error(
        "the registry sent bytes of the digest sha256:{found}: what it stores was changed; push the pack again"
    )]
    Changed { found: Digest },
    #[error("the answer cannot be read ({reason}); look at the registry")]
    Unreadable { reason: String },
    #[error("it is {found:?} and no pack; push packs with `shunt pack push`")]
    NoPack { found: String },
    #[error(
        "it is a component without a pack; push the pack with `shunt pack push`, which adds what goes with it"
    )]
    Alone,
    #[error(
        "this is the digest of a component; that of its pack names the component and all that goes with it: use {}",
        digests(packs)
    )]
    OfComponent { packs: Vec<Digest> },
    #[error(
        "this is the digest of a part of a pack, and not of a pack; use one that `shunt pack list {repository}` shows"
    )]
    OfPart { repository: String },
    #[error("the component belongs to more than one pack: use one of {}", digests(packs))]
    Several { packs: Vec<Digest> },
    #[error(
        "the tag stands for {name} {version}: it was pointed to another version than it says; ask the makers of the pack, \
         or use the tag {}",
        tag_of(version)
    )]
    MovedTag { name: String, version: String },
    #[error("the pack that the digest names is refused: {0}")]
    Refused(#[from] ArtefactError),

    // Of what is sent.
    #[error(
        "the tag is there and names the pack sha256:{pack}; raise the version in pack.toml, or replace it with --replace"
    )]
    Taken { pack: Digest },
    #[error(
        "the tag is there and names something else ({found}); choose another, or replace it with --replace"
    )]
    TakenByOther { found: String },
    #[error("the tag is a range, which stands for the highest version in it; push the version {version}")]
    RangeTag { version: String },
    #[error("the tag is a version, and the pack has version {version}; use that, or a word such as `latest`")]
    OtherVersion { version: String },
    #[error(
        "a pack cannot be pushed to a digest other than its own, which is sha256:{own}; remove the digest"
    )]
    OtherDigest { own: Digest },
    #[error(
        "the registry does not delete the pack sha256:{old}, which has the same component ({said}); raise the version in pack.toml"
    )]
    NotDeleted { old: Digest, said: String },

    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Cause {
    /// Whether the same may go well later, and what came before is still good.
    pub(crate) fn is_of_the_way(&self) -> bool {
        matches!(
            self,
            Cause::Connect { .. }
                | Cause::Silent { .. }
                | Cause::Slow { .. }
                | Cause::Broken { .. }
                | Cause::TooMany { .. }
                | Cause::Tls { .. }
        )
    }
}

impl From<ReferenceError> for RegistryError {
    fn from(error: ReferenceError) -> RegistryError {
        RegistryError::new("registry", "reference", error)
    }
}

const CA: &str = "`--ca FILE`, or `ca` in `[packs]`";

fn insecure(address: &str) -> String {
    format!("`--insecure-registry {address}`, or `insecure-registries` in `[packs]`")
}

fn config(file: Option<&PathBuf>) -> String {
    file.map_or_else(|| "the config.json of docker".to_owned(), |file| file.display().to_string())
}

fn digests(digests: &[Digest]) -> String {
    digests.iter().map(|digest| format!("@sha256:{digest}")).collect::<Vec<_>>().join(", ")
}

fn within(range: &str, highest: Option<&String>) -> String {
    highest.map_or_else(
        || format!("there is none within {range}"),
        |highest| format!("{highest} is the highest within it"),
    )
}

/// How many tags an error names.
const FEW: usize = 8;

fn known_tags(tags: &[String]) -> String {
    let few = tags.iter().take(FEW).map(String::as_str).collect::<Vec<_>>().join(", ");
    match tags.len() {
        0 => "the repository has no tags: check its name".to_owned(),
        1..=FEW => format!("there are {few}"),
        many => format!("there are {few} and {} more", many - FEW),
    }
}
