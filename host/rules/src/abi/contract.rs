//! The versions of the contract that this host speaks.

use semver::{Comparator, Version, VersionReq};

/// The newest: what the SDK of this version of Shunt is made for.
pub(crate) const VERSION: &str = "0.1.0";
/// What a new pack says in `wit = "…"`.
pub(crate) const WIT: &str = "0.1";

/// Every version that packs may be made for, the newest first.
const SPOKEN: [&str; 1] = [VERSION];

/// Why a pack is for another version of the contract. The text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    #[error(
        "pack.toml: wit = {0:?}: write the version of the rule contract, as in {WIT:?}, or a range of them, as in \
         \">=0.1, <0.3\""
    )]
    Form(String),
    #[error(
        "pack.toml: wit = {wit:?}: the pack is for a newer version of the rule contract than {newest}, the newest that \
         this Shunt has; use a newer Shunt, or an older version of the pack"
    )]
    Newer { wit: String, newest: &'static str },
    #[error(
        "pack.toml: wit = {wit:?}: the pack is for an older version of the rule contract than {oldest}, the oldest that \
         this Shunt has; build it again with the shunt-sdk of this version of Shunt"
    )]
    Older { wit: String, oldest: &'static str },
}

/// Checks what `wit` says: a version that this host speaks must be in it.
pub(crate) fn check_written(wit: &str) -> Result<(), ContractError> {
    let range = VersionReq::parse(wit).ok().filter(|range| !range.comparators.is_empty());
    let Some(range) = range else { return Err(ContractError::Form(wit.to_owned())) };
    if SPOKEN.iter().any(|spoken| range.matches(&version(spoken))) {
        return Ok(());
    }
    let wit = wit.to_owned();
    // Every comparator was met or not; one that asks for more than there is decides.
    if range.comparators.iter().map(least).any(|least| least > version(VERSION)) {
        return Err(ContractError::Newer { wit, newest: VERSION });
    }
    Err(ContractError::Older { wit, oldest: SPOKEN[SPOKEN.len() - 1] })
}

/// One of our own constants.
fn version(text: &str) -> Version {
    Version::parse(text).unwrap_or_else(|_| Version::new(0, 0, 0))
}

/// The version that a comparator names.
fn least(comparator: &Comparator) -> Version {
    Version::new(comparator.major, comparator.minor.unwrap_or(0), comparator.patch.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_a_version_that_is_spoken_or_names_the_side() {
        for wit in ["0.1", "0.1.0", "=0.1.0", ">=0.1, <0.3", "^0.1", "<0.2"] {
            assert_eq!(check_written(wit), Ok(()), "{wit}");
        }
        for wit in ["0.2", "1", ">=0.2", "0.1.1", ">0.1.0, <0.2"] {
            let error = check_written(wit).unwrap_err();
            assert!(matches!(error, ContractError::Newer { .. }), "{wit}: {error}");
            assert!(error.to_string().contains(wit) && error.to_string().contains("0.1.0"), "{error}");
        }
        assert!(matches!(check_written("0.0.3"), Err(ContractError::Older { .. })));
        for wit in ["", "one", "0.1.0.0", "*x"] {
            assert!(matches!(check_written(wit), Err(ContractError::Form(_))), "{wit}");
        }
    }
}
