//! What proxies for UDP need: room for what comes at once, and a port for each session.

use shunt_config::model::{Config, ConnectFrom, Pool, Protocol, Virtual};
use shunt_sys::listen::RECEIVE_BUFFER;

use super::files::most_connections;
use super::{Facts, Finding};

/// Who has it gets more room than the kernel's limit (socket(7): `SO_RCVBUFFORCE`).
const CAP_NET_ADMIN: u64 = 1 << 12;

pub(super) fn check(config: &Config, facts: &Facts, findings: &mut Vec<Finding>) {
    let virtuals: Vec<&Virtual> = config.virtuals.iter().filter(|it| it.protocol == Protocol::Udp).collect();
    if virtuals.is_empty() {
        return;
    }
    findings.extend(room(facts));
    findings.extend(virtuals.iter().filter_map(|virtual_| ports(virtual_, config, facts)));
}

fn room(facts: &Facts) -> Option<Finding> {
    let most: usize = facts.sysctl("net/core/rmem_max")?.parse().ok()?;
    let about = "UDP buffers";
    if facts.capabilities & CAP_NET_ADMIN != 0 || most >= RECEIVE_BUFFER {
        return Some(Finding::good(about, format!("{RECEIVE_BUFFER} bytes for each worker's socket")));
    }
    Some(Finding::note(
        about,
        format!(
            "the kernel holds {most} bytes for a socket at most, of {RECEIVE_BUFFER} that Shunt asks for: bursts lose more"
        ),
        format!("`sysctl -w net.core.rmem_max={RECEIVE_BUFFER}`, or CAP_NET_ADMIN for `shunt run`"),
    ))
}

/// Sessions have a port each, of those that the kernel chooses from, for each source address (ip(7)).
fn ports(virtual_: &Virtual, config: &Config, facts: &Facts) -> Option<Finding> {
    let range = facts.sysctl("net/ipv4/ip_local_port_range")?;
    let (first, last) = range.split_once(char::is_whitespace)?;
    let ports = last.trim().parse::<u64>().ok()?.checked_sub(first.parse().ok()?)? + 1;
    let of_virtual = |pool: &&Pool| Some(&pool.name) == virtual_.pool.as_ref();
    let sources = match config.pools.iter().find(of_virtual).map(|pool| &pool.source) {
        Some(ConnectFrom::Addresses(addresses)) => addresses.len().max(1) as u64,
        // Each client has its own.
        Some(ConnectFrom::Client) => return None,
        Some(ConnectFrom::Routed) | None => 1,
    };
    let sessions = most_connections(virtual_, config);
    let by_default = virtual_.limits.connections.is_none();
    (!by_default && sessions > ports * sources).then(|| {
        let each = if sources == 1 { String::new() } else { format!(" from each of {sources} addresses") };
        Finding::note(
            format!("virtual {}", virtual_.name),
            format!("may have {sessions} sessions, each with a port of its own, of {ports}{each}"),
            "give its pool more addresses in `source`, widen net.ipv4.ip_local_port_range, or lower `limits.connections`",
        )
    })
}
