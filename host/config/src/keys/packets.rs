//! The keys of `[[virtual]]` that make it a packet virtual.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use shunt_engine::datapath::{self, ModeName, Translation, Transport};

use super::super::containers::{list, once, table as in_table};
use super::super::model::{PacketTimeouts, PacketVirtual, Persistence, RuleUse, Translator};
use super::super::report::{Cause, Refusal};
use super::super::shape::{OnlyTrue, addresses, integer, interface, one_of, own_address, snat_pool_name};
use super::super::suggest::quoted;
use super::super::text;
use super::super::walk::{Kind, Table};
use super::snat::expand;
use super::translation::translation;
use super::wildcards::{self, Asked, Leads};

/// The port that IANA gave to GUE.
const GUE_PORT: u16 = 6080;

/// What only packet virtuals have.
pub(super) struct PacketKeys {
    transport: Transport,
    interfaces: Option<Vec<String>>,
    client_interfaces: Option<Vec<String>>,
    forwards: Forwards,
    /// What was written of it is right.
    mode_is_known: bool,
    snat_pool: Option<String>,
    dscp: Option<u8>,
    gue_port: u16,
    tunnel_sources: Vec<IpAddr>,
    mss: Option<u16>,
    probe_from: Option<IpAddr>,
    probe_modes: Option<Vec<ModeName>>,
    probe_snat_pools: Option<Vec<String>>,
    return_to_sender: Option<()>,
    translation: Option<Arc<Translation>>,
}

/// What is forwarded, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forwards {
    Flows(ModeName),
    /// Every packet by itself: mode `siit`.
    Packets,
}

/// The modes of flows, and the one without.
const MODES: [(&str, Forwards); ModeName::ALL.len() + 1] = {
    let mut modes = [("siit", Forwards::Packets); ModeName::ALL.len() + 1];
    let mut place = 0;
    while place < ModeName::ALL.len() {
        let mode = ModeName::ALL[place];
        modes[place] = (mode.as_str(), Forwards::Flows(mode));
        place += 1;
    }
    modes
};

/// Those of flows alone.
const FLOW_MODES: [(&str, ModeName); ModeName::ALL.len()] = {
    let mut modes = [("", ModeName::Nat); ModeName::ALL.len()];
    let mut place = 0;
    while place < ModeName::ALL.len() {
        let mode = ModeName::ALL[place];
        modes[place] = (mode.as_str(), mode);
        place += 1;
    }
    modes
};

const TRANSPORTS: [(&str, Transport); Transport::ALL.len()] = {
    let mut transports = [("", Transport::Tcp); Transport::ALL.len()];
    let mut place = 0;
    while place < Transport::ALL.len() {
        transports[place] = (Transport::ALL[place].as_str(), Transport::ALL[place]);
        place += 1;
    }
    transports
};

/// What a packet virtual has in common with a proxy.
pub(super) struct Shared {
    pub(super) name: Option<String>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) pool: Option<String>,
    pub(super) persistence: Option<Persistence>,
    pub(super) timeouts: Option<PacketTimeouts>,
    pub(super) limits: Option<datapath::Limits>,
    pub(super) rules: Vec<RuleUse>,
}

impl PacketKeys {
    pub(super) fn transport(&self) -> Transport {
        self.transport
    }

    /// Is it of mode `siit`, which has no flows?
    pub(super) fn is_stateless(&self) -> bool {
        self.forwards == Forwards::Packets
    }

    /// The mode of flows that no rule decides about.
    const fn mode(&self) -> Option<ModeName> {
        match self.forwards {
            Forwards::Flows(mode) => Some(mode),
            Forwards::Packets => None,
        }
    }
}

pub(super) fn packet_keys(table: &mut Table<'_>) -> PacketKeys {
    table.walk.seen.interfaces.clear();
    table.walk.seen.client_interfaces.clear();
    let transport = table.or(
        "transport",
        "Packet virtuals: what to forward. `any` is TCP and UDP on the port of `listen`, and ICMP echo; `all` is also every \
         other IP protocol.",
        one_of(&TRANSPORTS),
        Transport::Tcp,
    );
    let interfaces = table.derived(
        "interfaces",
        "Packet virtuals: the interfaces that receive packets of clients, and replies of members through Shunt.",
        list(once(interface(), |walk| &mut walk.seen.interfaces, "this virtual already has")),
        "a packet virtual needs it",
    );
    let client_interfaces = table.derived(
        "client-interfaces",
        "Packet virtuals: those of `interfaces` on which flows begin. The others receive replies only.",
        list(once(interface(), |walk| &mut walk.seen.client_interfaces, "this virtual already has")),
        "all of `interfaces`",
    );
    let before_mode = table.walk.findings.len();
    let forwards = table.or(
        "mode",
        "Packet virtuals: how Shunt forwards packets to the member where no rule says otherwise. In `nat`, `snat` and `route` \
         replies go through Shunt; in the others the member sends them directly to the client. `route` rewrites nothing: \
         members are routers, and without a pool the routes of this host decide. `siit` has neither pool nor flows: Shunt \
         translates every packet that its `interfaces` receive between IPv4 and IPv6, and routes it.",
        one_of(&MODES),
        Forwards::Flows(ModeName::Nat),
    );
    let keys = PacketKeys {
        transport,
        interfaces,
        client_interfaces,
        forwards,
        mode_is_known: table.walk.findings.len() == before_mode,
        snat_pool: table.optional(
            "snat-pool",
            "Packet virtuals, mode `snat`: the SNAT pool whose addresses members see.",
            snat_pool_name(),
        ),
        dscp: table.optional(
            "dscp",
            "Packet virtuals, mode `l3dsr-dscp`: the DSCP by which members recognise the address of `listen`.",
            integer(1..=63u8),
        ),
        gue_port: table.or(
            "gue-port",
            "Packet virtuals, mode `l3dsr-gue`: the UDP port on which members receive GUE.",
            integer(1..=u16::MAX),
            GUE_PORT,
        ),
        tunnel_sources: tunnel_sources(table),
        mss: table.derived(
            "mss",
            "Packet virtuals: the largest TCP segment that a SYN may announce, in bytes.",
            // RFC 9293 section 3.7.1: 536 is what IPv4 takes without being asked.
            integer(536..=u16::MAX),
            "as the two ends announce",
        ),
        return_to_sender: table.optional(
            "return-to-sender",
            "Packet virtuals, modes `nat`, `snat` and `route`: replies go to the MAC and the interface from which the \
             client's packets came, whatever the routes say.",
            OnlyTrue,
        ),
        probe_from: table.derived(
            "probe-from",
            "Packet virtuals: the source address of probes on the service path. \
             It belongs to Shunt alone, and members need a route to it as to any client.",
            own_address(),
            "monitors connect to the address of the member, and do not test the service path",
        ),
        probe_modes: table.optional(
            "probe-modes",
            "Packet virtuals with rules: modes that the rules choose. Monitors probe in each of them too, and flows in such a \
             mode go by what they find there.",
            list(one_of(&FLOW_MODES)),
        ),
        probe_snat_pools: table.optional(
            "probe-snat-pools",
            "Packet virtuals with rules: SNAT pools that the rules choose, as `probe-modes`.",
            list(snat_pool_name()),
        ),
        translation: table.optional(
            "translation",
            "Packet virtuals, modes `nat`, `snat` and `siit`: translation between IPv4 and IPv6.",
            in_table(translation),
        ),
    };
    let kernel = "the kernel sends and receives the packets of a proxy";
    let packet_keys = [
        "transport",
        "interfaces",
        "client-interfaces",
        "mode",
        "snat-pool",
        "dscp",
        "gue-port",
        "tunnel-sources",
        "mss",
        "probe-from",
        "probe-modes",
        "probe-snat-pools",
        "return-to-sender",
        "translation",
    ];
    table.useless_at(Kind::Proxy, &packet_keys.map(|name| (name, kernel)));
    keys
}

/// Where tunnels start.
fn tunnel_sources(table: &mut Table<'_>) -> Vec<IpAddr> {
    let ranges = table.derived(
        "tunnel-sources",
        "Packet virtuals, modes `l3dsr-ipip`, `l3dsr-gre` and `l3dsr-gue`: outer source addresses, one for each flow: \
         `[\"10.0.0.32-10.0.0.47\"]`. Members that choose a receive queue by addresses spread flows over their queues by \
         them. They belong to Shunt alone: no host has them, and routers toward the members have a route to Shunt for them.",
        list(addresses()),
        "the address of the interface toward the member",
    );
    let enough = "use fewer: a few for each receive queue of a member suffice";
    ranges.and_then(|ranges| expand(table, "tunnel-sources", &ranges, enough)).unwrap_or_default()
}

/// A packet virtual of its keys, or what is wrong with them.
pub(super) fn packet_virtual(
    table: &mut Table<'_>,
    shared: Shared,
    keys: PacketKeys,
) -> Option<PacketVirtual> {
    if let Some(address) = shared.listen
        && !address.ip().is_unspecified()
        && let Err(refusal) = text::owned(address.ip())
    {
        table.refuse("listen", refusal);
    }
    needs_interfaces(table);
    of_modes(table, &keys, !shared.rules.is_empty());
    of_translation(table, &keys, !shared.rules.is_empty());
    of_transport(table, &keys, shared.limits.as_ref());
    of_clients(table, &keys);
    of_probes(table, &keys, !shared.rules.is_empty());
    let mode = keys.mode();
    if let (Some(listen), Some(mode), true) = (shared.listen, mode, keys.mode_is_known) {
        let what = Asked { listen, transport: keys.transport, mode };
        let leads = Leads { pool: table.wrote("pool"), rules: !shared.rules.is_empty() };
        wildcards::check(table, &what, &leads);
    }
    Some(PacketVirtual {
        name: shared.name?,
        listen: shared.listen?,
        transport: keys.transport,
        client_interfaces: keys.client_interfaces.or_else(|| keys.interfaces.clone())?,
        interfaces: keys.interfaces?,
        pool: shared.pool,
        stand_ins: Vec::new(),
        mode: mode?,
        snat_pool: keys.snat_pool,
        dscp: keys.dscp,
        gue_port: keys.gue_port,
        tunnel_sources: keys.tunnel_sources,
        mss: keys.mss,
        probe_from: keys.probe_from,
        probe_modes: keys.probe_modes.unwrap_or_default(),
        probe_snat_pools: keys.probe_snat_pools.unwrap_or_default(),
        return_to_sender: keys.return_to_sender.is_some(),
        translation: keys.translation,
        persistence: shared.persistence,
        timeouts: shared.timeouts?,
        limits: shared.limits?,
        rules: shared.rules,
    })
}

/// Probes in modes that rules choose.
fn of_probes(table: &mut Table<'_>, keys: &PacketKeys, has_rules: bool) {
    table.only_with(&["probe-modes", "probe-snat-pools"], "probe-from");
    for key in ["probe-modes", "probe-snat-pools"] {
        if table.wrote(key) && !has_rules {
            let message = format!("`{key}` means nothing: no rule of this virtual chooses a mode");
            let help = "remove it: monitors probe in the virtual's own mode";
            table.refuse(key, Refusal::new(Cause::Conflict, message).help(help));
        }
    }
    let modes = keys.probe_modes.iter().flatten();
    for mode in modes {
        let lacks = match mode {
            ModeName::Snat if keys.snat_pool.is_none() => "snat-pool",
            ModeName::L3dsrDscp if keys.dscp.is_none() => "dscp",
            _ => continue,
        };
        let refusal = Refusal::new(Cause::Conflict, format!("mode `{mode}` needs `{lacks}`"))
            .help(format!("add `{lacks}` to the virtual, or remove `{mode}`"));
        table.refuse("probe-modes", refusal);
    }
}

/// A virtual of mode `siit` of its keys, or what is wrong with them.
pub(super) fn translator(
    table: &mut Table<'_>,
    name: Option<String>,
    keys: PacketKeys,
) -> Option<Translator> {
    needs_interfaces(table);
    let whole = "mode `siit` translates every packet";
    let stateless = "mode `siit` has no flows";
    let useless = [
        ("listen", whole),
        ("transport", whole),
        ("pool", "mode `siit` routes packets by their destination"),
        ("snat-pool", stateless),
        ("dscp", stateless),
        ("gue-port", stateless),
        ("mss", stateless),
        ("persistence", stateless),
        ("timeouts", stateless),
        ("limits", stateless),
        ("rule", stateless),
    ];
    for (name, why) in useless {
        if table.wrote(name) {
            let message = format!("`{name}` means nothing in mode `siit`");
            table.refuse(name, Refusal::new(Cause::Conflict, message).label(why).help("remove it"));
        }
    }
    // What was wrong with the table itself has been told.
    let lacks = match &keys.translation {
        Some(translation) => !translation.mapping.knows_any(),
        None => !table.wrote("translation"),
    };
    if lacks {
        let refusal =
            Refusal::new(Cause::MissingKey, "mode `siit` needs `translation` with `prefix` or `map`")
                .help("add the mapping of addresses: `translation = { prefix = \"2001:db8:64::/96\" }`");
        table.refuse("translation", refusal);
    }
    Some(Translator { name: name?, interfaces: keys.interfaces?, translation: keys.translation? })
}

fn needs_interfaces(table: &mut Table<'_>) {
    if !table.wrote("interfaces") {
        let refusal = Refusal::new(Cause::MissingKey, "`interfaces` is missing")
            .label("a packet virtual needs `interfaces`")
            .help("name the interfaces that receive its packets: `interfaces = [\"eth0\"]`");
        table.refuse("interfaces", refusal);
    }
}

/// Keys of `translation` that mean nothing where no flow can be in a mode that needs them.
fn of_translation(table: &mut Table<'_>, keys: &PacketKeys, has_rules: bool) {
    let Some(translation) = &keys.translation else { return };
    let mut refuse = |message: String, label: &str| {
        table.refuse("translation", Refusal::new(Cause::Conflict, message).label(label).help("remove it"));
    };
    if !translation.mapping.routers().is_empty() {
        let why = "Shunt sends errors of routers to clients from the address of the virtual";
        refuse("`routers` means nothing without mode `siit`".to_string(), why);
    }
    // A rule may choose another mode for a flow.
    if has_rules || !keys.mode_is_known {
        return;
    }
    let mapping = &translation.mapping;
    match keys.mode() {
        Some(ModeName::Nat) | None => {}
        Some(ModeName::Snat) if !mapping.knows_any() => {}
        Some(ModeName::Snat) => {
            let message = "`prefix` and `map` mean nothing in mode `snat`".to_string();
            refuse(message, "members see addresses of the SNAT pool instead of the client's");
        }
        Some(mode) => {
            let message = format!("`translation` means nothing in mode `{}`", mode.as_str());
            refuse(message, "only `nat`, `snat` and `siit` translate");
        }
    }
}

/// Keys that one mode needs and that mean nothing where no flow can be in it.
fn of_modes(table: &mut Table<'_>, keys: &PacketKeys, has_rules: bool) {
    if !keys.mode_is_known {
        return;
    }
    let needs = [
        (ModeName::Snat, "snat-pool", "name the `[[snat-pool]]` whose addresses members see"),
        (
            ModeName::L3dsrDscp,
            "dscp",
            "add the DSCP by which members know the address of `listen`: `dscp = 1`",
        ),
    ];
    for (mode, name, help) in needs {
        let word = mode.as_str();
        if keys.mode() == Some(mode) && !table.wrote(name) {
            let refusal = Refusal::new(Cause::MissingKey, format!("mode `{word}` needs `{name}`")).help(help);
            table.refuse("mode", refusal);
        }
    }
    // A rule may choose another mode for a flow.
    if has_rules {
        return;
    }
    let of = [(ModeName::Snat, "snat-pool"), (ModeName::L3dsrDscp, "dscp"), (ModeName::L3dsrGue, "gue-port")];
    for (mode, name) in of {
        if keys.mode() != Some(mode) && table.wrote(name) {
            let word = mode.as_str();
            let message = format!("`{name}` means nothing without mode `{word}`");
            let refusal = Refusal::new(Cause::Conflict, message)
                .label(format!("the virtual has no rule that could choose `{word}`"))
                .help(format!("write `mode = \"{word}\"`, or remove `{name}`"));
            table.refuse(name, refusal);
        }
    }
    if !keys.mode().is_some_and(ModeName::is_tunnel) && table.wrote("tunnel-sources") {
        let refusal = Refusal::new(Cause::Conflict, "`tunnel-sources` means nothing without a tunnel")
            .label("the virtual has no rule that could choose one")
            .help("write `mode = \"l3dsr-ipip\"`, `-gre` or `-gue`, or remove `tunnel-sources`");
        table.refuse("tunnel-sources", refusal);
    }
}

/// Flows begin where packets come in, and answers return where there are any.
fn of_clients(table: &mut Table<'_>, keys: &PacketKeys) {
    let interfaces = keys.interfaces.as_deref().unwrap_or_default();
    let clients = keys.client_interfaces.as_deref().unwrap_or_default();
    if let Some(other) = clients.iter().find(|name| !interfaces.contains(name)) {
        let message = format!("{} is not one of `interfaces`", quoted(other));
        let refusal =
            Refusal::new(Cause::Conflict, message).help("add it to `interfaces`, or remove it here");
        table.refuse("client-interfaces", refusal);
    }
}

/// What only TCP has.
fn of_transport(table: &mut Table<'_>, keys: &PacketKeys, limits: Option<&datapath::Limits>) {
    if keys.transport != Transport::Udp {
        return;
    }
    let only_tcp = |what: &str| {
        Refusal::new(Cause::Conflict, format!("{what}, and UDP has none"))
            .label("`transport` is `udp`")
            .help("remove it")
    };
    if keys.mss.is_some() {
        table.refuse("mss", only_tcp("`mss` limits TCP segments"));
    }
    if limits.is_some_and(|limits| limits.syn_rate.is_some()) {
        table.refuse("limits", only_tcp("`syn-rate` limits SYNs"));
    }
}
