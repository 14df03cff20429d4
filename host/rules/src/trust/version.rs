//! Which of two versions of a pack is the older one.

use std::cmp::Ordering;

use semver::Version;

/// Whether a version comes before another by semantic versioning (2.0.0, section 11): a pre-release before its release,
/// and builds of one version are alike. What is no such version comes before nothing.
#[must_use]
pub fn is_older(version: &str, than: &str) -> bool {
    let (Ok(version), Ok(than)) = (Version::parse(version), Version::parse(than)) else { return false };
    version.cmp_precedence(&than) == Ordering::Less
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_semantic_versioning_has_them() {
        // The example of section 11, and numbers that are no texts.
        let rising = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.9",
            "1.0.10",
            "1.2.0",
            "2.0.0",
        ];
        for (at, old) in rising.iter().enumerate() {
            for new in &rising[at + 1..] {
                assert!(is_older(old, new) && !is_older(new, old), "{old} {new}");
            }
            assert!(!is_older(old, old));
        }
        assert!(!is_older("1.0.0+1", "1.0.0+2") && !is_older("1.0.0+2", "1.0.0"));
        assert!(!is_older("1.0", "2.0.0"));
    }
}
