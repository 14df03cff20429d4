//! The versions of the contract that this host speaks.
//!
//! Each released version is a row of [`CONTRACTS`]. A row has what its version does otherwise than the newest: imports
//! of another shape are defined over the newest's by `adapt`, and a hook of another shape is a variant of its `Typed`
//! in `hooks`, with the conversion of what it is given and returns. Everything else of an older version is the
//! newest's.

use semver::{Comparator, Version, VersionReq};
use wasmtime::component::Linker;

use super::PACKAGE;
use crate::state::State;

/// The newest: what the SDK of this version of Shunt is made for.
pub(crate) const VERSION: &str = "0.1.0";
/// What a new pack says in `wit = "…"`.
pub(crate) const WIT: &str = "0.1";

/// A version of the contract that packs may be made for.
pub(crate) struct Contract {
    pub(crate) version: &'static str,
    /// Defines in a linker what this version has in another shape than the newest.
    pub(crate) adapt: fn(&mut Linker<State>) -> wasmtime::Result<()>,
}

/// Every version, the newest first.
pub(crate) static CONTRACTS: &[Contract] = &[
    Contract { version: VERSION, adapt: |_| Ok(()) },
    #[cfg(test)]
    super::v0_0_9::CONTRACT,
];

/// The newest of them.
pub(crate) fn newest() -> &'static Contract {
    &CONTRACTS[0]
}

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

impl Contract {
    /// `shunt:rule/log@0.1.0`
    pub(crate) fn interface(&self, name: &str) -> String {
        format!("{PACKAGE}/{name}@{}", self.version)
    }

    /// The one that a component means which names this version: before 1.0 those of one minor version are alike, and
    /// before 0.1 each stands alone, as semantic versioning has it.
    fn of(version: &str) -> Option<&'static Contract> {
        let version = Version::parse(version).ok()?;
        CONTRACTS.iter().find(|contract| line(&parsed(contract.version)) == line(&version))
    }
}

/// Versions of one line are compatible.
fn line(version: &Version) -> (u64, u64, u64) {
    match (version.major, version.minor) {
        (0, 0) => (0, 0, version.patch),
        (0, minor) => (0, minor, 0),
        (major, _) => (major, 0, 0),
    }
}

/// The interface that `shunt:rule/<interface>@<version>` names, and its contract if this host speaks it; `None`: it is
/// no name of the contract.
pub(crate) fn read_name(name: &str) -> Option<(&str, Option<&'static Contract>)> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@')?;
    Some((interface, Contract::of(version)))
}

/// `0.1.0, 0.0.9`
pub(crate) fn spoken() -> String {
    CONTRACTS.iter().map(|contract| contract.version).collect::<Vec<_>>().join(", ")
}

/// Checks what `wit` says: a version that this host speaks must be in it.
pub(crate) fn check_written(wit: &str) -> Result<(), ContractError> {
    let range = VersionReq::parse(wit).ok().filter(|range| !range.comparators.is_empty());
    let Some(range) = range else { return Err(ContractError::Form(wit.to_owned())) };
    if CONTRACTS.iter().any(|contract| range.matches(&parsed(contract.version))) {
        return Ok(());
    }
    let wit = wit.to_owned();
    if range.comparators.iter().map(least).any(|least| least >= parsed(VERSION)) {
        return Err(ContractError::Newer { wit, newest: VERSION });
    }
    Err(ContractError::Older { wit, oldest: CONTRACTS[CONTRACTS.len() - 1].version })
}

/// One of our own constants.
fn parsed(version: &str) -> Version {
    Version::parse(version).unwrap_or_else(|_| Version::new(0, 0, 0))
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
        for wit in ["0.1", "0.1.0", "=0.1.0", ">=0.1, <0.3", "^0.1", "<0.2", "0.0.9"] {
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

    #[test]
    fn versions_are_in_order_and_each_is_one() {
        let versions: Vec<Version> = CONTRACTS.iter().map(|it| Version::parse(it.version).unwrap()).collect();
        assert!(versions.is_sorted_by(|newer, older| newer > older && line(newer) != line(older)));
    }

    #[test]
    fn names_of_the_contract_have_their_version() {
        fn read(name: &str) -> Option<(&str, Option<&str>)> {
            read_name(name).map(|(interface, contract)| (interface, contract.map(|it| it.version)))
        }
        assert_eq!(read("shunt:rule/log@0.1.0"), Some(("log", Some("0.1.0"))));
        assert_eq!(read("shunt:rule/log@0.1.9"), Some(("log", Some("0.1.0"))));
        assert_eq!(read("shunt:rule/log@0.0.9"), Some(("log", Some("0.0.9"))));
        for other in ["0.2.0", "0.0.8", "1.0.1.0", "1.1.0"] {
            let name = format!("shunt:rule/log@{other}");
            assert_eq!(read(&name), Some(("log", None)), "{other}");
        }
        assert_eq!(read("wasi:cli/environment@0.2.3"), None);
        assert_eq!(read("shunt:rules/log@0.1.0"), None);
    }
}
