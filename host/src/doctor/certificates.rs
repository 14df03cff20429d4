//! Certificates: whether they can be served, and for how long.

use super::{Facts, Finding};
use shunt_runtime::tls::rfc3339;

const DAY: i64 = 24 * 60 * 60;

/// Days before the end at which somebody should look: tools renew 30 days before it.
const SOON: i64 = 21;

pub(super) fn check(facts: &Facts, findings: &mut Vec<Finding>) {
    for (name, read) in &facts.certificates {
        match read {
            Ok(certificates) => findings.extend(certificates.iter().map(|it| {
                let about = format!("certificate {} of virtual {name}", it.file.display());
                let (left, at) = (it.not_after - facts.now, rfc3339(it.not_after));
                match left {
                    ..0 => Finding::failed(about, format!("expired at {at}"), RENEW),
                    _ if left < SOON * DAY => {
                        Finding::note(about, format!("expires at {at}, in {} days", left / DAY), RENEW)
                    }
                    _ => Finding::good(about, format!("is valid until {at}")),
                }
            })),
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

const RENEW: &str = "renew it; Shunt takes over the new file by itself";
