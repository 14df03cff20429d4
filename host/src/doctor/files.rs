//! How many files and sockets may be open.

use super::{Facts, Finding};
use shunt_config::model::{Config, Limits, Virtual};

/// What to do about it.
pub const RAISE_FILES: &str =
    "raise the hard limit (systemd: LimitNOFILE=, a shell: ulimit -Hn), or lower `limits.connections`";

/// Of a client, and of the member that it is served by.
const PER_CONNECTION: u64 = 2;

/// Where nobody asked for more connections than the default, a process may do with this.
const ENOUGH: u64 = 16_384;

pub(super) fn check(config: &Config, facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(limit) = facts.open_files else { return };
    findings.push(match too_few_files(config, limit) {
        // The daemon may run with another.
        Some(why) => Finding::note("open files", why, RAISE_FILES),
        None => Finding::good("open files", format!("the limit of this user is {limit}")),
    });
}

/// Connections, or sessions of UDP, that a virtual may have at once.
pub(super) fn most_connections(virtual_: &Virtual, config: &Config) -> u64 {
    let by_default = || Limits::PER_WORKER as u64 * workers(config);
    virtual_.limits.connections.map_or_else(by_default, u64::from)
}

/// Why that many open files are too few for a configuration; `None`: they are enough.
pub fn too_few_files(config: &Config, limit: u64) -> Option<String> {
    let virtual_ = config.virtuals.iter().max_by_key(|it| most_connections(it, config))?;
    let connections = most_connections(virtual_, config);
    let by_default = virtual_.limits.connections.is_none();
    let needed = connections * PER_CONNECTION;
    let few = limit < needed && !(by_default && limit >= ENOUGH);
    few.then(|| {
        format!(
            "the limit of open files is {limit}, and virtual {} alone may have {connections} connections, each with one to a member",
            virtual_.name
        )
    })
}

/// How many workers the daemon has.
fn workers(config: &Config) -> u64 {
    let workers = config.process.workers.map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        std::num::NonZeroUsize::get,
    );
    workers as u64
}
