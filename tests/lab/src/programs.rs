//! The programs that labs are built and used with.

use std::path::PathBuf;

use anyhow::{Result, bail};

/// Their names, and the packages that have them on Debian and on Fedora.
const NEEDED: [Needed; 5] = [
    ("ip", ["iproute2", "iproute"]),
    ("ethtool", ["ethtool", "ethtool"]),
    ("nft", ["nftables", "nftables"]),
    ("curl", ["curl", "curl"]),
    ("ping", ["iputils-ping", "iputils"]),
];

/// A program, and its packages.
pub(crate) type Needed = (&'static str, [&'static str; 2]);

/// Looks for every program that labs need, so that nothing is begun that would end in the middle.
///
/// # Errors
/// Some are missing: which ones, and how to install them.
pub fn check_programs() -> Result<()> {
    complain(&missing())
}

/// Those of the programs that labs need that are not in `PATH`.
pub(crate) fn missing() -> Vec<Needed> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let is_there = |program: &str| folders.iter().any(|folder| folder.join(program).is_file());
    NEEDED.into_iter().filter(|(program, _)| !is_there(program)).collect()
}

/// `ip, nft`
pub(crate) fn names(programs: &[Needed]) -> String {
    programs.iter().map(|(program, _)| *program).collect::<Vec<_>>().join(", ")
}

fn complain(missing: &[Needed]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let [debian, fedora] =
        [0, 1].map(|at| missing.iter().map(|(_, packages)| packages[at]).collect::<Vec<_>>().join(" "));
    bail!(
        "programs that labs need are missing: {}; install them: `apt-get install {debian}` or `dnf install {fedora}`",
        names(missing)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_packages() {
        assert!(complain(&[]).is_ok());
        let said = complain(&[NEEDED[0], NEEDED[4]]).unwrap_err().to_string();
        let expected = "programs that labs need are missing: ip, ping; \
                        install them: `apt-get install iproute2 iputils-ping` or `dnf install iproute iputils`";
        assert_eq!(said, expected);
    }
}
