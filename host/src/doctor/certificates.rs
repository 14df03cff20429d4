//! Certificates: whether they can be served, and for how long. CRLs and OCSP responses: for how long.

use super::facts::Expiring;
use super::{Facts, Finding};
use shunt_runtime::tls::{Revocation, RevocationKind, rfc3339};

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

/// Days before the end at which somebody should look: tools renew 30 days before it.
const SOON: i64 = 21;

pub(super) fn check(facts: &Facts, findings: &mut Vec<Finding>) {
    for (name, read) in &facts.certificates {
        match read {
            Ok(Expiring { certificates, revocation }) => {
                findings.extend(certificates.iter().map(|it| {
                    let about = format!("certificate {} of virtual {name}", it.file.display());
                    let (left, at) = (it.not_after - facts.now, rfc3339(it.not_after));
                    match left {
                        ..0 => Finding::failed(about, format!("expired at {at}"), RENEW),
                        _ if left < SOON * DAY => {
                            Finding::note(about, format!("expires at {at}, in {} days", left / DAY), RENEW)
                        }
                        _ => Finding::good(about, format!("is valid until {at}")),
                    }
                }));
                findings.extend(revocation.iter().map(|it| found(it, name, facts.now)));
            }
            Err(problems) => findings.extend(problems.iter().map(|problem| {
                Finding::failed(
                    format!("virtual {name}"),
                    problem,
                    "`shunt check` shows the key of the configuration",
                )
            })),
        }
    }
}

/// A day is what CAs leave between two CRLs at least.
fn found(it: &Revocation, name: &str, now: i64) -> Finding {
    let (kind, without) = match it.kind {
        RevocationKind::Crl => ("CRL", "clients of its CA are refused"),
        RevocationKind::Ocsp => ("OCSP response", "it is not stapled"),
    };
    let about = format!("{kind} {} of virtual {name}", it.file.display());
    let at = rfc3339(it.next_update);
    match it.next_update - now {
        ..0 => Finding::failed(about, format!("expired at {at}: {without}"), FETCH),
        left @ 0..DAY => Finding::note(about, format!("expires at {at}, in {} hours", left / HOUR), FETCH),
        _ => Finding::good(about, format!("is valid until {at}")),
    }
}

const FETCH: &str = "fetch it anew, before it expires; Shunt takes over the new file by itself";
const RENEW: &str = "renew it; Shunt takes over the new file by itself";
