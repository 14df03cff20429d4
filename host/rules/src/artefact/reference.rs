//! `registry.example/team/canary:1.2.0`: what a pack is called that is in a registry.
//!
//! The grammar is that of the OCI Distribution Specification 1.1 (`spec.md`, "Pulling manifests"), with a registry that
//! must be named: no host is better than another.

use std::fmt;
use std::str::FromStr;

use semver::Version;

use crate::Digest;

/// Bytes of the registry and the repository together, which clients and registries refuse beyond this (`spec.md`).
const MAX_NAME: usize = 255;
/// Bytes of a tag.
const MAX_TAG: usize = 128;

/// A pack, or all versions of it, in a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Host, and port where it is not that of https: `registry.example`, `localhost:5000`, `[::1]:5000`.
    registry: String,
    /// `team/canary`
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no reference. Each says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("{text:?} is a URL; write it without {scheme}: registry.example/team/canary:1.2.0")]
    Scheme { text: String, scheme: String },
    #[error(
        "{0:?} names no registry; write its host, a slash and the repository: registry.example/team/canary:1.2.0"
    )]
    NoRegistry(String),
    #[error(
        "{text:?}: {host:?} is no host; write a name or an address, and a port if it is not 443: registry.example:5000"
    )]
    Registry { text: String, host: String },
    #[error(
        "{text:?}: {repository:?} is no repository; use lower-case letters and digits, with `.`, `_` and `-` between \
         them, and `/` between parts"
    )]
    Repository { text: String, repository: String },
    #[error("{text:?} is longer than {MAX_NAME} bytes before its tag; use a shorter repository")]
    TooLong { text: String },
    #[error(
        "{text:?}: {tag:?} is no tag; use 1 to {MAX_TAG} letters, digits, `.`, `_` and `-`, beginning with a letter, a \
         digit or `_`"
    )]
    Tag { text: String, tag: String },
    #[error(
        "{text:?}: {digest:?} is no digest; write sha256: and 64 digits of 0-9 and a-f, as `shunt pack list` shows it"
    )]
    Digest { text: String, digest: String },
    #[error(
        "{0} names no version; add a tag, as in {0}:1.2.0, or a digest; `shunt pack list {0}` shows them"
    )]
    NoVersion(Reference),
}

impl Reference {
    /// Reads a reference. A tag and a digest may be left out: see [`Reference::versioned`].
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
        let owned = || text.to_owned();
        if let Some(end) = text.find("://") {
            return Err(ReferenceError::Scheme { text: owned(), scheme: text[..end + 3].to_owned() });
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let read = digest.strip_prefix("sha256:").and_then(Digest::from_hex);
                let wrong = || ReferenceError::Digest { text: owned(), digest: digest.to_owned() };
                (name, Some(read.ok_or_else(wrong)?))
            }
            None => (text, None),
        };
        let (registry, rest) = name.split_once('/').ok_or_else(|| ReferenceError::NoRegistry(owned()))?;
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if !names_registry(registry) {
            return Err(ReferenceError::NoRegistry(owned()));
        }
        if !is_host(registry) {
            return Err(ReferenceError::Registry { text: owned(), host: registry.to_owned() });
        }
        if !repository.split('/').all(is_repository_part) {
            return Err(ReferenceError::Repository { text: owned(), repository: repository.to_owned() });
        }
        if registry.len() + 1 + repository.len() > MAX_NAME {
            return Err(ReferenceError::TooLong { text: owned() });
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag { text: owned(), tag: tag.to_owned() });
        }
        Ok(Reference {
            // Names of hosts have no case (RFC 4343).
            registry: registry.to_ascii_lowercase(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// The same, if it names a version: by a tag, a digest or both.
    ///
    /// # Errors
    /// It names none.
    pub fn versioned(self) -> Result<Reference, ReferenceError> {
        if self.tag.is_some() || self.digest.is_some() {
            Ok(self)
        } else {
            Err(ReferenceError::NoVersion(self))
        }
    }

    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Of the pack as a whole: see [`Artefact::digest`](super::Artefact::digest). Beside a tag, it decides.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// `registry.example/team/canary`: without tag and digest, what a policy matches.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Another version of it.
    ///
    /// # Errors
    /// The text is no tag.
    pub fn with_tag(&self, tag: &str) -> Result<Reference, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag { text: self.to_string(), tag: tag.to_owned() });
        }
        Ok(Reference { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same, pinned: a tag stays, for people.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference { digest: Some(digest), ..self.clone() }
    }

    /// Whether the tag stands for the highest of many versions: `1` or `1.2`. A digest leaves nothing to choose.
    #[must_use]
    pub fn is_range(&self) -> bool {
        self.digest.is_none() && self.tag.as_deref().is_some_and(|tag| range(tag).is_some())
    }

    /// Whether a pack of this version may be what the reference stands for: a tag that is a version is that of the pack, and
    /// a range has it. Whoever can write to a registry can point a tag to an older pack, whose signatures are good.
    #[must_use]
    pub fn covers(&self, version: &Version) -> bool {
        let Some(tag) = &self.tag else { return true };
        match range(tag) {
            Some(range) => is_within(version, range),
            None => version_of(tag).is_none() || *tag == tag_of(&version.to_string()),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        Reference::parse(text)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match self.digest {
            Some(digest) => write!(f, "@sha256:{digest}"),
            None => Ok(()),
        }
    }
}

/// Whether a text names a pack in a registry, where a path may stand as well.
///
/// The text alone decides, so that it means the same on every machine: a reference begins with a registry, which has a dot
/// or a port or is `localhost`, then a slash; and it has a tag or a digest, or the registry has a port. A path that looks
/// like one is written with `./` before it.
#[must_use]
pub fn is_reference(text: &str) -> bool {
    let Some((registry, rest)) = text.split_once('/') else { return false };
    let last = rest.rsplit('/').next().unwrap_or_default();
    names_registry(registry) && (registry.contains(':') || last.contains([':', '@']))
}

/// The tag of a version. Tags have no `+`, which becomes `_` as other tools have it.
#[must_use]
pub fn tag_of(version: &str) -> String {
    version.replace('+', "_")
}

/// The version of a tag; `None`: it is none, as `latest`.
#[must_use]
pub fn version_of(tag: &str) -> Option<Version> {
    Version::parse(&tag.replacen('_', "+", 1)).ok()
}

/// Of these tags, the one of the highest version within a range of `1.2` or `1`. Versions before a release, as
/// `1.2.0-rc.1`, are in no range.
#[must_use]
pub fn highest<'a>(range_text: &str, tags: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let range = range(range_text)?;
    let versions = tags.into_iter().filter_map(|tag| Some((version_of(tag)?, tag)));
    versions.filter(|(version, _)| is_within(version, range)).max().map(|(_, tag)| tag)
}

fn is_within(version: &Version, (major, minor): (u64, Option<u64>)) -> bool {
    version.pre.is_empty() && version.major == major && minor.is_none_or(|minor| version.minor == minor)
}

/// `1.2` and `1`.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let number = |text: &str| {
        let plain = text == "0" || !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse().ok()).flatten()
    };
    match text.split_once('.') {
        Some((major, minor)) => Some((number(major)?, Some(number(minor)?))),
        None => Some((number(text)?, None)),
    }
}

/// Whether the first part of a text is a registry and no folder.
fn names_registry(part: &str) -> bool {
    !part.starts_with('.') && (part.contains(['.', ':']) || part == "localhost")
}

/// A name of DNS or an address, of version 6 in brackets, and a port behind it.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => (None, port),
        Some(_) => return false,
        None => match text.find(':') {
            Some(at) => (Some(&text[..at]), &text[at..]),
            None => (Some(text), ""),
        },
    };
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let port_is_good = match port.strip_prefix(':') {
        Some(port) => {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
        }
        None => port.is_empty(),
    };
    port_is_good && host.is_none_or(|host| host.split('.').all(is_label))
}

/// Letters and digits, with one `.`, one or two `_`, or any number of `-` between them.
fn is_repository_part(part: &str) -> bool {
    let between = |byte: u8| b"._-".contains(&byte);
    let runs = part.split(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit());
    part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || between(byte))
        && !part.is_empty()
        && !part.starts_with(['.', '_', '-'])
        && !part.ends_with(['.', '_', '-'])
        && runs
            .into_iter()
            .all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-'))
}

fn is_tag(tag: &str) -> bool {
    (1..=MAX_TAG).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn what_is_read_is_written() {
        let digest = format!("registry.example/team/canary:1.2.0@sha256:{HEX}");
        let pinned = format!("[::1]:5000/canary@sha256:{HEX}");
        for text in [
            "registry.example/canary",
            "registry.example/team/canary:1.2.0",
            "localhost/canary:latest",
            "localhost:5000/a/b/c-d__e.f:_1",
            "192.0.2.1:5000/canary:1.2.0-rc.1_build",
            &digest,
            &pinned,
        ] {
            let read = Reference::parse(text).unwrap();
            assert_eq!(read.to_string(), text);
            assert_eq!(text.parse(), Ok(read));
        }
        let read = Reference::parse(&digest).unwrap();
        assert_eq!((read.registry(), read.repository()), ("registry.example", "team/canary"));
        assert_eq!((read.tag(), read.digest()), (Some("1.2.0"), Digest::from_hex(HEX)));
        assert_eq!(read.name(), "registry.example/team/canary");
        let other = read.with_tag("2.0.0").unwrap();
        assert_eq!(
            other.to_string(),
            "registry.example/team/canary:2.0.0",
            "another version has another digest"
        );
        assert_eq!(other.with_digest(read.digest().unwrap()).digest(), read.digest());
        let upper = Reference::parse("Registry.Example/canary:V1").unwrap();
        assert_eq!(upper.to_string(), "registry.example/canary:V1");
    }

    #[test]
    fn each_mistake_says_what_to_write() {
        let long = format!("registry.example/{}:1", "a".repeat(MAX_NAME));
        let long_tag = format!("registry.example/a:{}", "1".repeat(MAX_TAG + 1));
        let upper = format!("registry.example/a@sha256:{}", HEX.to_uppercase());
        for (text, says) in [
            ("", "names no registry"),
            ("canary:1.2.0", "names no registry"),
            ("team/canary:1.2.0", "names no registry"),
            ("./canary:1.2.0", "names no registry"),
            ("https://registry.example/canary", "is a URL; write it without https://"),
            ("oci://registry.example/canary:1.2.0", "is a URL; write it without oci://"),
            ("registry..example/canary", "is no host"),
            ("-registry.example/canary", "is no host"),
            ("registry.example:/canary", "is no host"),
            ("registry.example:65536/canary", "is no host"),
            ("registry.example:0/canary", "is no host"),
            ("registry.example:+5/canary", "is no host"),
            ("user:word@registry.example/canary", "is no digest"),
            ("[::1/canary", "is no host"),
            ("[::g]:1/canary", "is no host"),
            ("registry.example/", "is no repository"),
            ("registry.example//canary", "is no repository"),
            ("registry.example/Canary", "is no repository"),
            ("registry.example/a..b", "is no repository"),
            ("registry.example/../b", "is no repository"),
            ("registry.example/a___b", "is no repository"),
            ("registry.example/a-", "is no repository"),
            ("registry.example/ä", "is no repository"),
            ("registry.example/canary:", "is no tag"),
            ("registry.example/canary:-1", "is no tag"),
            ("registry.example/canary:1+2", "is no tag"),
            ("registry.example/canary:1:2", "is no tag"),
            ("registry.example/canary:1/2", "is no tag"),
            ("registry.example/canary@", "is no digest"),
            ("registry.example/canary@sha512:00", "is no digest"),
            (&upper, "is no digest"),
            (&long, "longer than 255 bytes"),
            (&long_tag, "is no tag"),
        ] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
        let bare = Reference::parse("registry.example/canary").unwrap();
        assert!(
            bare.versioned()
                .unwrap_err()
                .to_string()
                .contains("add a tag, as in registry.example/canary:1.2.0")
        );
    }

    #[test]
    fn the_text_alone_tells_a_reference_from_a_path() {
        for text in [
            "registry.example/canary:1.2.0",
            "registry.example/team/canary@sha256:00",
            "localhost/canary:1",
            "localhost:5000/canary",
            "[::1]:5000/canary:1",
        ] {
            assert!(is_reference(text), "{text}");
        }
        for text in [
            "canary",
            "rules/canary",
            "builtin:headers",
            "./registry.example/canary:1.2.0",
            "../registry.example/canary:1.2.0",
            "/registry.example/canary:1.2.0",
            ".hidden/canary:1",
            "rules.d/canary",
            "dist.old/canary-1.2.0.pack.tar",
            "canary-1.2.0.pack.tar",
            "registry.example",
            "",
        ] {
            assert!(!is_reference(text), "{text}");
        }
    }

    #[test]
    fn a_range_is_the_highest_release_in_it() {
        let tags =
            ["1.2.0", "1.2.10", "1.2.9", "1.3.0-rc.1", "1.2.11-rc.1", "2.0.0", "latest", "1.2", "1.10.0_b"];
        assert_eq!(highest("1.2", tags), Some("1.2.10"));
        assert_eq!(highest("1", tags), Some("1.10.0_b"));
        assert_eq!(highest("2", tags), Some("2.0.0"));
        assert_eq!(highest("1.3", tags), None, "what comes before a release is not in a range");
        for exact in ["1.2.0", "latest", "v1", "01", "1.", ".1", "1.02", "", "99999999999999999999"] {
            assert_eq!(highest(exact, tags), None, "{exact}");
        }
        let is_range = |text: &str| Reference::parse(text).unwrap().is_range();
        assert!(is_range("registry.example/a:1") && is_range("registry.example/a:1.2"));
        assert!(!is_range("registry.example/a:1.2.0") && !is_range("registry.example/a"));
        assert!(!is_range(&format!("registry.example/a:1.2@sha256:{HEX}")));
    }

    #[test]
    fn versions_are_tags_and_back() {
        assert_eq!(tag_of("1.2.0-rc.1+build.5"), "1.2.0-rc.1_build.5");
        assert_eq!(version_of("1.2.0-rc.1_build.5").unwrap().to_string(), "1.2.0-rc.1+build.5");
        assert_eq!(version_of("latest"), None);
    }

    #[test]
    fn a_tag_that_is_a_version_covers_that_version_alone() {
        let covers = |tag: &str, version: &str| {
            let reference: Reference = format!("r.example/team/canary{tag}").parse().unwrap();
            reference.covers(&Version::parse(version).unwrap())
        };
        for (tag, version) in [
            ("", "1.2.0"),
            (":latest", "1.2.0"),
            (":1.2.0", "1.2.0"),
            (":1.2.0-rc.1_build.5", "1.2.0-rc.1+build.5"),
            (":1.2", "1.2.9"),
            (":1", "1.9.0"),
        ] {
            assert!(covers(tag, version), "{tag} {version}");
        }
        for (tag, version) in [
            (":1.2.1", "1.2.0"),
            (":1.2.0", "1.2.0-rc.1"),
            (":1.2", "1.3.0"),
            (":1", "2.0.0"),
            (":1", "1.0.0-rc.1"),
        ] {
            assert!(!covers(tag, version), "{tag} {version}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_reference_or_an_error(text: String) {
            if let Ok(read) = Reference::parse(&text) {
                proptest::prop_assert_eq!(read.to_string().to_lowercase(), text.to_lowercase());
            }
        }

        #[test]
        fn a_good_name_is_read(text in "[a-z]{1,5}\\.[a-z]{2}(:[1-9][0-9]{0,3})?/[a-z0-9]{1,4}(/[a-z]{1,3}(__|\\.|-+)[0-9])?(:[A-Za-z0-9_][A-Za-z0-9._-]{0,9})?") {
            proptest::prop_assert_eq!(Reference::parse(&text).unwrap().to_string(), text);
        }
    }
}
