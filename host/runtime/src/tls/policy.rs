//! Versions, cipher suites and groups.

use rustls::crypto::aws_lc_rs;
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{ALL_VERSIONS, SupportedCipherSuite, SupportedProtocolVersion, version};
use shunt_config::tls::{CIPHER_SUITES, CipherSuite, Group, Policy, Version};

/// aws-lc-rs with the suites and groups that are wanted, the preferred first.
pub(super) fn provider(policy: &Policy) -> CryptoProvider {
    let all = || CIPHER_SUITES.iter().map(|(_, suite)| suite).filter_map(suite).collect();
    let suites =
        if policy.ciphers.is_empty() { all() } else { policy.ciphers.iter().filter_map(suite).collect() };
    let groups = if policy.groups.is_empty() { Group::DEFAULT } else { &policy.groups };
    CryptoProvider {
        cipher_suites: suites,
        kx_groups: groups.iter().filter_map(group).collect(),
        ..aws_lc_rs::default_provider()
    }
}

pub(super) fn versions(least: Version) -> &'static [&'static SupportedProtocolVersion] {
    static ONLY_TLS13: &[&SupportedProtocolVersion] = &[&version::TLS13];
    match least {
        Version::Tls12 => ALL_VERSIONS,
        Version::Tls13 => ONLY_TLS13,
    }
}

fn suite(wanted: &CipherSuite) -> Option<SupportedCipherSuite> {
    aws_lc_rs::ALL_CIPHER_SUITES.iter().find(|it| u16::from(it.suite()) == wanted.0).copied()
}

fn group(wanted: &Group) -> Option<&'static dyn SupportedKxGroup> {
    aws_lc_rs::ALL_KX_GROUPS.iter().find(|it| u16::from(it.name()) == wanted.0).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shunt_config::tls::GROUPS;

    #[test]
    fn each_name_stands_for_something_and_nothing_is_without_a_name() {
        for (name, number) in CIPHER_SUITES {
            let found = format!("{:?}", suite(number).unwrap().suite());
            assert_eq!(found.replace("TLS13_", "TLS_"), *name);
            assert_eq!(suite(number).unwrap().tls13().is_some(), number.is_tls13(), "{name}");
        }
        assert_eq!(CIPHER_SUITES.len(), aws_lc_rs::ALL_CIPHER_SUITES.len());
        for (name, number) in GROUPS {
            let group = group(number).unwrap();
            assert!(format!("{:?}", group.name()).eq_ignore_ascii_case(name), "{:?} {name}", group.name());
            assert_eq!(
                group.usable_for_version(rustls::ProtocolVersion::TLSv1_2),
                number.is_in_tls12(),
                "{name}"
            );
        }
        assert_eq!(GROUPS.len(), aws_lc_rs::ALL_KX_GROUPS.len());
    }

    #[test]
    fn hybrids_come_first() {
        let names: Vec<_> =
            provider(&Policy::default()).kx_groups.iter().map(|it| u16::from(it.name())).collect();
        assert_eq!(names, [0x11ec, 0x11eb, 0x1d, 0x17, 0x18]);
    }
}
