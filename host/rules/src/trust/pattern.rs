//! Which packs a policy is for.

use std::path::{Component, Path, PathBuf};

use super::Source;
use crate::artefact::{Reference, ReferenceError};

/// `registry.example/team/*`, `./packs/*`, or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    written: String,
    of: Of,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Of {
    All,
    /// A repository of a registry, or everything below this.
    Registry {
        name: String,
        below: bool,
    },
    /// A folder or file of this host, or everything below this.
    Path {
        path: PathBuf,
        below: bool,
    },
}

/// Why a text is no pattern. Says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("write `*` alone, or at the end after a `/`, as in `registry.example/team/*`")]
    Star,
    #[error(
        "begin with a registry, as in `registry.example/team/*`, or with `./` or `/` for packs of this host"
    )]
    Neither,
    #[error("name a repository, or write `/*` behind the registry for all of its repositories")]
    RegistryAlone,
    #[error("leave out the tag and the digest: a policy is for a repository")]
    Tag,
    #[error("write the path without `..` but at its beginning: paths are compared as they are written")]
    Dots,
    /// No pack can come from there.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

impl Pattern {
    /// `folder`: where relative paths start from.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn parse(text: &str, folder: &Path) -> Result<Pattern, PatternError> {
        let written = text.to_owned();
        if text == "*" {
            return Ok(Pattern { written, of: Of::All });
        }
        let (name, below) = match text.strip_suffix("/*") {
            Some(name) => (name, true),
            None => (text, false),
        };
        if name.contains('*') {
            return Err(PatternError::Star);
        }
        if ["/", "./", "../"].iter().any(|start| text.starts_with(start)) {
            let leads_back = |part: &Component<'_>| *part == Component::ParentDir;
            if Path::new(name).components().skip_while(leads_back).any(|part| leads_back(&part)) {
                return Err(PatternError::Dots);
            }
            return Ok(Pattern {
                written,
                of: Of::Path { path: plain(&folder.join(format!("{name}/"))), below },
            });
        }
        let (host, repository) = match name.split_once('/') {
            Some((host, repository)) => (host, Some(repository)),
            None => (name, None),
        };
        if !(host.contains(['.', ':']) || host == "localhost") || name.split('/').any(str::is_empty) {
            return Err(PatternError::Neither);
        }
        match repository {
            None if !below => return Err(PatternError::RegistryAlone),
            Some(repository) if repository.contains([':', '@']) => return Err(PatternError::Tag),
            Some(_) => drop(Reference::parse(name)?),
            // Any repository of it.
            None => drop(Reference::parse(&format!("{host}/a"))?),
        }
        Ok(Pattern { written, of: Of::Registry { name: lower_host(name), below } })
    }

    /// Whether a policy of this pattern is for a pack from there.
    #[must_use]
    pub fn matches(&self, source: &Source) -> bool {
        match (&self.of, source) {
            (Of::All, _) => true,
            (Of::Registry { name, below }, Source::Registry(of)) => is_named(name, *below, &of.name()),
            (Of::Path { path, below }, Source::Path(of)) => {
                let of = plain(of);
                if *below { of != *path && of.starts_with(path) } else { of == *path }
            }
            _ => false,
        }
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

/// Names of hosts have no case (RFC 4343), those of repositories have.
fn lower_host(name: &str) -> String {
    match name.split_once('/') {
        Some((host, repository)) => format!("{}/{repository}", host.to_ascii_lowercase()),
        None => name.to_ascii_lowercase(),
    }
}

/// Whether a repository is the one that is named, or below it.
fn is_named(name: &str, below: bool, repository: &str) -> bool {
    match repository.strip_prefix(name) {
        Some("") => !below,
        Some(rest) => below && rest.starts_with('/'),
        None => false,
    }
}

/// The path without `.` and `..`, as it is written: what a link points to does not matter.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text, Path::new("/etc/shunt")).unwrap()
    }

    fn path(text: &str) -> Source {
        Source::Path(PathBuf::from(text))
    }

    #[test]
    fn paths_match_as_they_are_written() {
        for (text, matching, others) in [
            ("*", &["/a", "/etc/shunt/packs/a.pack.tar"][..], &[][..]),
            (
                "./packs/*",
                &["/etc/shunt/packs/a", "/etc/shunt/x/../packs/a/b", "/etc/shunt/./packs/a"],
                &["/etc/shunt/packs", "/etc/shunt/packs-b/a", "/etc/shunt/packs/../a", "packs/a"],
            ),
            ("/opt/a.pack.tar", &["/opt/a.pack.tar"], &["/opt/a.pack.tar/b", "/opt/a"]),
            ("../a", &["/etc/a"], &["/etc/shunt/a"]),
            ("/*", &["/a", "/a/b"], &["/"]),
        ] {
            let pattern = pattern(text);
            for source in matching {
                assert!(pattern.matches(&path(source)), "{text} is for {source}");
            }
            for source in others {
                assert!(!pattern.matches(&path(source)), "{text} is not for {source}");
            }
        }
        let registry = |text: &str| Source::Registry(text.parse().unwrap());
        assert!(pattern("R.example/team/*").matches(&registry("r.example/team/canary:1.0.0")));
        assert!(!pattern("r.example/team/*").matches(&registry("other.example/team/canary:1.0.0")));
        assert!(!pattern("/*").matches(&registry("r.example/a:1")));
        assert!(pattern("*").matches(&registry("r.example/a:1")));
        assert!(pattern("*").matches(&Source::Sent));
        assert!(!pattern("/*").matches(&Source::Sent));
    }

    #[test]
    fn a_repository_is_named_whole_or_is_below() {
        for (name, below, repository, matches) in [
            ("r.example/team", true, "r.example/team/canary", true),
            ("r.example/team", true, "r.example/team/a/b", true),
            ("r.example/team", true, "r.example/team", false),
            ("r.example/team", true, "r.example/teams/a", false),
            ("r.example/team", false, "r.example/team", true),
            ("r.example/team", false, "r.example/team/a", false),
            ("r.example", true, "r.example.evil.example/team", false),
            ("r.example", true, "r.example:5000/team", false),
        ] {
            assert_eq!(is_named(name, below, repository), matches, "{name} {below} {repository}");
        }
    }

    #[test]
    fn what_is_no_pattern_says_what_to_write() {
        for (text, error) in [
            ("r.example/*/canary", PatternError::Star),
            ("r.example/te*", PatternError::Star),
            ("**", PatternError::Star),
            ("packs/*", PatternError::Neither),
            ("", PatternError::Neither),
            ("r.example//a", PatternError::Neither),
            ("r.example", PatternError::RegistryAlone),
            ("localhost", PatternError::RegistryAlone),
            ("r.example/team:1", PatternError::Tag),
            ("r.example/team@sha256:0", PatternError::Tag),
            ("./packs/../*", PatternError::Dots),
            ("../a/../b", PatternError::Dots),
            ("/opt/..", PatternError::Dots),
        ] {
            assert_eq!(Pattern::parse(text, Path::new("/")), Err(error), "{text}");
        }
        for text in
            ["r.example/../b", "r.example/team/../*", "r.example/Team/*", "-r.example/*", "r.example/team-"]
        {
            let error = Pattern::parse(text, Path::new("/")).unwrap_err();
            assert!(matches!(error, PatternError::Reference(_)), "{text}: {error}");
        }
        for text in ["r.example/*", "localhost/*", "r:5000/a", "./*", "/*", "*"] {
            assert_eq!(pattern(text).as_str(), text);
        }
    }
}
