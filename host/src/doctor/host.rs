//! Privileges and the kernel.

use super::{Facts, Finding};

/// The numbers of linux/capability.h.
const NEEDED: [(u32, &str); 4] =
    [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];

/// Attaching by a link, which leaves with the process, is from this version.
const OLDEST_KERNEL: (u32, u32) = (5, 9);

pub(super) fn check(facts: &Facts, findings: &mut Vec<Finding>) {
    let lacking = NEEDED.iter().filter(|(bit, _)| facts.capabilities & (1 << bit) == 0);
    let lacking: Vec<&str> = lacking.map(|(_, name)| *name).collect();
    findings.push(if lacking.is_empty() {
        Finding::good("privileges", "this user may load XDP programs and open their sockets")
    } else {
        // The daemon may run as somebody else.
        Finding::note(
            "privileges",
            format!("this user has no {}", lacking.join(", ")),
            "run `shunt run` as root, or with these capabilities (systemd: AmbientCapabilities=)",
        )
    });
    let kernel = &facts.kernel;
    findings.push(match version(kernel) {
        Some(version) if version < OLDEST_KERNEL => {
            let (major, minor) = OLDEST_KERNEL;
            let found = format!("Linux {kernel} is older than {major}.{minor}");
            Finding::failed("kernel", found, format!("run Linux {major}.{minor} or later"))
        }
        _ => Finding::good("kernel", format!("Linux {kernel}")),
    });
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|letter: char| !letter.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
