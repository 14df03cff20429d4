//! The keys of a configuration: each declared once, by the call that reads it, with its type, range,
//! default and meaning. Order and words are those of the reference.

mod balances;
mod failures;
mod http2;
mod monitors;
mod packets;
pub(super) mod packs;
mod pages;
mod pools;
pub(super) mod resolver;
pub(super) mod rules;
mod snat;
mod sources;
mod tls;
mod translation;
mod udp;
pub(super) mod virtuals;
mod wildcards;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::containers::{table as in_table, tables};
use super::defaults::Defaults;
use super::model::{Admin, PackPolicy, Packs, Pool, Process, Resolver, SnatPool};
use super::shape::{duration, integer, size, socket};
use super::walk::Table;
use virtuals::AnyVirtual;

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

/// What one file says. Files of a folder are parts of one configuration.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) process: Option<Process>,
    pub(super) admin: Option<Admin>,
    pub(super) resolver: Option<Resolver>,
    pub(super) packs: Option<Packs>,
    pub(super) policies: Vec<PackPolicy>,
    pub(super) virtuals: Vec<AnyVirtual>,
    pub(super) pools: Vec<Pool>,
    pub(super) snat_pools: Vec<SnatPool>,
}

pub(super) fn file(table: &mut Table<'_>) -> Option<Part> {
    let part = Part {
        process: table.section_of_one_file("process", "The process as a whole.", process),
        admin: table.section_of_one_file(
            "admin",
            "The socket through which the CLI and tools reach the daemon.",
            admin,
        ),
        resolver: table.section_of_one_file(
            "resolver",
            "How Shunt finds the addresses of members that are written by name.",
            resolver::resolver,
        ),
        packs: table.section_of_one_file("packs", "Where rule packs are kept.", packs::packs),
        policies: table
            .optional(
                "pack-policy",
                "Which packs may run. The first that matches a pack decides; a pack that none matches is refused, and packs that \
                 come with Shunt need none. Without any policy, all packs of this host may run.",
                tables(packs::pack_policy),
            )
            .unwrap_or_default(),
        virtuals: {
            table.optional(
                "defaults",
                "Keys that the virtuals of this file have in common, by their protocol. A virtual's own key takes precedence; \
                 `timeouts`, `limits` and `pages` are merged key by key.",
                in_table(defaults),
            );
            table.optional(
                "virtual",
                "A virtual server: an address that clients connect to, and what Shunt does with their traffic. At least one.",
                tables(virtuals::virtual_server),
            )
            .unwrap_or_default()
        },
        pools: table
            .optional("pool", "A pool of members that serve the same thing.", tables(pools::pool))
            .unwrap_or_default(),
        snat_pools: table
            .optional(
                "snat-pool",
                "Source addresses and ports that members see in place of the client's, in mode `snat` of packet virtuals.",
                tables(snat::snat_pool),
            )
            .unwrap_or_default(),
    };
    Some(part)
}

fn defaults(table: &mut Table<'_>) -> Option<()> {
    let [http, tcp, udp, packet] = ["http", "tcp", "udp", "packet"].map(|protocol| Defaults { protocol });
    table.optional(
        "http",
        "Of proxies for HTTP: any keys but `name`, `listen`, `protocol` and `rule`.",
        http,
    );
    table.optional("tcp", "Of proxies for TCP: any keys but those four.", tcp);
    table.optional("udp", "Of proxies for UDP: any keys but those four.", udp);
    table.optional("packet", "Of packet virtuals: any keys but those four.", packet);
    Some(())
}

pub(super) fn process(table: &mut Table<'_>) -> Option<Process> {
    let workers = table.derived(
        "workers",
        "Worker threads. Each has its own listeners, rule instances and connections. Packet virtuals get as many \
         threads of their own, but no more than their interfaces have receive queues.",
        integer(1..=1024u32),
        "one per core",
    );
    let drain = table.or(
        "drain",
        "How long Shunt waits after SIGTERM for requests in flight.",
        duration(Duration::ZERO..=DAY),
        30 * SECOND,
    );
    let max_memory = table.derived(
        "max-memory",
        "How much memory the process may have (its resident set). Beyond it Shunt takes no new work: requests get 503 with \
         `Retry-After`, connections of proxies for TCP a reset, and new sessions of UDP nothing. What is in flight goes on.",
        size(MIB..=1024 * GIB),
        "no limit",
    );
    let workers = workers.and_then(|workers| NonZeroUsize::new(workers as usize));
    Some(Process { workers, drain, max_memory })
}

pub(super) fn admin(table: &mut Table<'_>) -> Option<Admin> {
    let socket = table.or(
        "socket",
        "The path of the socket. Only the user that Shunt runs as may connect. A relative path starts from the folder of the file.",
        socket(),
        PathBuf::from("/run/shunt/admin.sock"),
    );
    Some(Admin { socket })
}
