//! The programs that labs are built and used with.

use std::path::PathBuf;

use anyhow::{Result, bail};

/// Their names, and the packages that have them on Debian and on Fedora.
const NEEDED: [(&str, [&str; 2]); 5] = [
    ("ip", ["iproute2", "iproute"]),
    ("ethtool", ["ethtool", "ethtool"]),
    ("nft", ["nftables", "nftables"]),
    ("curl", ["curl", "curl"]),
    ("ping", ["iputils-ping", "iputils"]),
];

/// Looks for every program that labs need, so that nothing is begun that would end in the middle.
///
/// # Errors
/// Some are missing: which ones, and how to install them.
pub fn check_programs() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    check(|program| folders.iter().any(|folder| folder.join(program).is_file()))
}

fn check(is_there: impl Fn(&str) -> bool) -> Result<()> {
    let missing: Vec<_> = NEEDED.iter().filter(|(program, _)| !is_there(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    let [debian, fedora] =
        [0, 1].map(|at| missing.iter().map(|(_, packages)| packages[at]).collect::<Vec<_>>().join(" "));
    bail!(
        "programs that labs need are missing: {}; install them: `apt-get install {debian}` or `dnf install {fedora}`",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_packages() {
        assert!(check(|_| true).is_ok());
        let said = check(|program| !["ip", "ping"].contains(&program)).unwrap_err().to_string();
        let expected = "programs that labs need are missing: ip, ping; \
                        install them: `apt-get install iproute2 iputils-ping` or `dnf install iproute iputils`";
        assert_eq!(said, expected);
    }
}
