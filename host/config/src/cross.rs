//! What shows only where the whole configuration is there: keys of different tables that do not fit
//! together.

mod balances;
mod on_empty;
mod on_path;
mod proxies;
mod translation;
mod wildcards;

use std::collections::BTreeMap;
use std::net::IpAddr;

use shunt_engine::datapath::ModeName;
use shunt_rules::OnFault;
use shunt_rules::trust::Source;

use super::model::{Config, PacketVirtual, Pool};
use super::report::{Cause, Refusal, join};
use super::source::Place;
use super::walk::Walk;

pub(super) fn check(config: &Config, walk: &mut Walk) {
    names_apart(walk);
    let owned = owned_addresses(config, walk);
    foreign_addresses_among(&owned, config, walk);
    for virtual_ in &config.packet_virtuals {
        members_fit(virtual_, config, walk);
        snat_fits(virtual_, config, walk);
        on_path::check(virtual_, config, walk);
        no_names(virtual_, config, walk);
    }
    on_path::targets(config, walk);
    numbers_tell_addresses(config, walk);
    wildcards::check(config, walk);
    balances::check(config, walk);
    proxies::check(config, walk);
    on_empty::check(config, walk);
    translation::check(config, walk);
    packs_are_kept(config, walk);
}

/// Packs of registries are kept, so that a registry that is away stops nothing.
fn packs_are_kept(config: &Config, walk: &mut Walk) {
    let of_registry = config.rules().find(|(_, rule)| matches!(rule.pack, Source::Registry(_)));
    let Some((owner, rule)) = of_registry.filter(|_| config.packs.cache.is_none()) else { return };
    let (place, key) =
        walk.spot(&owner.key(&rule.name, "pack").iter().fold(String::new(), |path, name| join(&path, name)));
    let refusal = Refusal::new(Cause::MissingKey, "packs of registries need a folder to be kept in")
        .label("comes from a registry")
        .help("add `[packs]` with `cache = \"/var/lib/shunt/packs\"`, a folder of Shunt's user alone");
    walk.refuse(&place, Some(&key), refusal);
}

/// A slot names either, so one name cannot be both.
fn names_apart(walk: &mut Walk) {
    let (pools, snat_pools) = (&walk.seen.pools.0, &walk.seen.snat_pools.0);
    let both: Vec<(String, Place, Place)> = snat_pools
        .iter()
        .filter_map(|(name, place)| Some((name.clone(), place.clone(), pools.get(name)?.clone())))
        .collect();
    for (name, place, first) in both {
        let (_, key) = walk.spot(&path(&["snat-pool", &name, "name"]));
        let refusal = Refusal::new(Cause::Duplicate, format!("there is already a pool `{name}`"))
            .label("a slot could mean either")
            .also(first, "first here")
            .help("give one of them another name");
        walk.refuse(&place, Some(&key), refusal);
    }
}

/// Addresses that Shunt alone owns: whose each is, in words, and where that is written.
type Owned = BTreeMap<IpAddr, (String, Place)>;

fn owned_addresses(config: &Config, walk: &mut Walk) -> Owned {
    let mut owned = Owned::new();
    for virtual_ in config.packet_virtuals.iter().filter(|virtual_| !virtual_.is_wildcard()) {
        let (place, _) = walk.spot(&path(&["virtual", &virtual_.name, "listen"]));
        // Virtuals of one address and different ports belong together.
        let whose = format!("packet virtual `{}`", virtual_.name);
        owned.entry(virtual_.listen.ip()).or_insert((whose, place));
    }
    on_path::owned_addresses(config, &mut owned, walk);
    for pool in &config.snat_pools {
        let here = path(&["snat-pool", &pool.name, "addresses"]);
        let whose = format!("SNAT pool `{}`", pool.name);
        own(&mut owned, &pool.addresses, (&here, &whose), "the SNAT pool", walk);
    }
    for virtual_ in &config.packet_virtuals {
        let here = path(&["virtual", &virtual_.name, "tunnel-sources"]);
        own(&mut owned, &virtual_.tunnel_sources, (&here, TUNNELS), "the tunnels", walk);
    }
    owned
}

/// Whose an address is at which tunnels start, which may be those of several virtuals.
const TUNNELS: &str = "`tunnel-sources`";

/// Adds addresses that nothing else may have.
fn own(owned: &mut Owned, addresses: &[IpAddr], (here, whose): (&str, &str), what: &str, walk: &mut Walk) {
    let (place, key) = walk.spot(here);
    for address in addresses {
        let before = owned.entry(*address).or_insert_with(|| (whose.to_owned(), place.clone()));
        if before.1 != place && !(whose == TUNNELS && before.0 == TUNNELS) {
            let (whose, first) = before.clone();
            let refusal = Refusal::new(Cause::Duplicate, format!("`{address}` is an address of {whose}"))
                .label("again here")
                .also(first, "first here")
                .help(format!("give {what} addresses that nothing else uses"));
            // One of them is enough to see.
            return walk.refuse(&place, Some(&key), refusal);
        }
    }
}

/// The kernel sees nothing of what comes to such an address, so neither proxies nor members can have it.
fn foreign_addresses_among(owned: &Owned, config: &Config, walk: &mut Walk) {
    let mut refuse = |here: String, address: IpAddr, help: &str| {
        let Some((whose, first)) = owned.get(&address) else { return };
        let (place, key) = walk.spot(&here);
        let refusal = Refusal::new(Cause::Conflict, format!("`{address}` is an address of {whose}"))
            .label("packets to it never reach a socket")
            .also(first.clone(), "owned here")
            .help(help);
        walk.refuse(&place, Some(&key), refusal);
    };
    for virtual_ in &config.virtuals {
        let here = path(&["virtual", &virtual_.name, "listen"]);
        for address in &virtual_.listen {
            refuse(here.clone(), address.ip(), "let the proxy listen on an address of the host");
        }
    }
    for pool in &config.pools {
        for (index, member) in pool.members.iter().enumerate() {
            let here = member_path(pool, index);
            refuse(here, member.address.ip(), "write the address of the member itself");
        }
    }
}

/// Members of the pools that flows go to by configuration. What a rule chooses is looked at when it does.
fn members_fit(virtual_: &PacketVirtual, config: &Config, walk: &mut Walk) {
    let here = path(&["virtual", &virtual_.name]);
    let configured = virtual_.pool.iter().map(|pool| (pool, join(&here, "pool")));
    let fallbacks = virtual_.rules.iter().filter_map(|rule| match &rule.on_fault {
        OnFault::Pool(pool) => {
            Some((pool, path(&["virtual", &virtual_.name, "rule", &rule.name, "on-fault", "pool"])))
        }
        OnFault::Reject | OnFault::Continue => None,
    });
    let stand_ins = virtual_.stand_ins.iter().filter_map(|name| {
        let from = config.pools.iter().find(|pool| pool.on_empty.pool() == Some(name))?;
        Some((name, path(&["pool", &from.name, "on-empty"])))
    });
    for (name, key) in configured.chain(fallbacks).chain(stand_ins) {
        if let Some(pool) = config.pools.iter().find(|pool| pool.name == *name) {
            families_match(virtual_, pool, &key, walk);
            ports_match(virtual_, pool, &key, walk);
        }
    }
}

/// Leases of ports, routes and translations of packet virtuals are made for addresses of the file.
fn no_names(virtual_: &PacketVirtual, config: &Config, walk: &mut Walk) {
    for pool in config.pools.iter().filter(|pool| virtual_.reaches(&pool.name)) {
        let Some(named) = pool.names.first() else { continue };
        let message = format!(
            "packets of `{}` go to members of `{}`, and this one is written by name",
            virtual_.name, pool.name
        );
        let (place, key) = walk.spot(&written_path(pool, named.place));
        let (first, _) = walk.spot(&path(&["virtual", &virtual_.name]));
        let refusal = Refusal::new(Cause::Conflict, message)
            .also(first, "forwards packets")
            .help("write the addresses of its members, or give proxies a pool of their own");
        walk.refuse(&place, Some(&key), refusal);
    }
}

fn families_match(virtual_: &PacketVirtual, pool: &Pool, here: &str, walk: &mut Walk) {
    let is_v4 = virtual_.listen.is_ipv4();
    let other = pool.members.iter().position(|member| member.address.is_ipv4() != is_v4);
    let bridged = match virtual_.mode {
        ModeName::Nat => virtual_.translation.as_ref().is_some_and(|it| it.mapping.knows_any()),
        ModeName::Snat => true,
        mode => mode.is_tunnel(),
    };
    let Some(index) = other.filter(|_| !bridged) else { return };
    let (name, member) = (&pool.name, pool.members[index].address);
    let message = format!("`listen` is {}, and `{name}` has a member of {}", family(is_v4), family(!is_v4));
    let (place, key) = walk.spot(here);
    let (first, _) = walk.spot(&member_path(pool, index));
    let help = match virtual_.mode {
        ModeName::Nat => format!(
            "give the virtual a `translation` that maps clients to {} addresses, or use mode `snat`",
            family(!is_v4)
        ),
        mode => format!(
            "mode `{}` cannot forward between IPv4 and IPv6: use `snat`, `l3dsr-ipip`, `l3dsr-gre` or `l3dsr-gue`",
            mode.as_str()
        ),
    };
    let refusal = Refusal::new(Cause::Conflict, message)
        .also(first, format!("`{member}` is {}", family(!is_v4)))
        .help(help);
    walk.refuse(&place, Some(&key), refusal);
}

fn ports_match(virtual_: &PacketVirtual, pool: &Pool, here: &str, walk: &mut Walk) {
    let port = virtual_.listen.port();
    let other = pool.members.iter().position(|member| ![0, port].contains(&member.address.port()));
    // To a router ports mean nothing.
    let keeps = !virtual_.mode.rewrites_port() && virtual_.mode != ModeName::Route;
    let Some(index) = other.filter(|_| keeps) else { return };
    let (mode, member) = (virtual_.mode.as_str(), pool.members[index].address);
    let ports = if port == 0 { "every port".to_owned() } else { format!("port {port}") };
    let message =
        format!("mode `{mode}` does not rewrite {ports}, and `{}` has a member with another", pool.name);
    let (place, key) = walk.spot(here);
    let (first, _) = walk.spot(&member_path(pool, index));
    let refusal = Refusal::new(Cause::Conflict, message)
        .also(first, format!("gets packets for {ports}"))
        .help(format!(
            "write `{}`, or choose mode `nat` or `snat`",
            std::net::SocketAddr::new(member.ip(), port)
        ));
    walk.refuse(&place, Some(&key), refusal);
}

/// Members see an address of the SNAT pool, which must be of their family; whatever the client's is.
fn snat_fits(virtual_: &PacketVirtual, config: &Config, walk: &mut Walk) {
    let snat = virtual_.snat_pool.as_ref().filter(|_| virtual_.mode == ModeName::Snat);
    let snat = snat.and_then(|name| config.snat_pools.iter().find(|pool| pool.name == *name));
    let pool = virtual_.pool.as_ref();
    let pool = pool.and_then(|name| config.pools.iter().find(|pool| pool.name == *name));
    let (Some(snat), Some(pool)) = (snat, pool) else { return };
    let Some(is_v4) = snat.addresses.first().map(IpAddr::is_ipv4) else { return };
    let Some(index) = pool.members.iter().position(|member| member.address.is_ipv4() != is_v4) else {
        return;
    };
    let (place, key) = walk.spot(&path(&["virtual", &virtual_.name, "snat-pool"]));
    let (first, _) = walk.spot(&member_path(pool, index));
    let message = format!(
        "`{}` has {} addresses, and `{}` has a member of {}",
        snat.name,
        family(is_v4),
        pool.name,
        family(!is_v4)
    );
    let refusal = Refusal::new(Cause::Conflict, message)
        .also(first, format!("`{}` is {}", pool.members[index].address, family(!is_v4)))
        .help(format!("name a SNAT pool of {} addresses", family(!is_v4)));
    walk.refuse(&place, Some(&key), refusal);
}

/// A member finds the virtual's address by the DSCP alone, so each number is one address to it.
fn numbers_tell_addresses(config: &Config, walk: &mut Walk) {
    let mut known: BTreeMap<(IpAddr, u8), &PacketVirtual> = BTreeMap::new();
    for virtual_ in &config.packet_virtuals {
        let Some(dscp) = virtual_.dscp else { continue };
        let clash = members_of(virtual_, config).into_iter().find_map(|member| {
            let first = *known.entry((member, dscp)).or_insert(virtual_);
            (first.listen.ip() != virtual_.listen.ip()).then_some((member, first))
        });
        let Some((member, first)) = clash else { continue };
        let (place, key) = walk.spot(&path(&["virtual", &virtual_.name, "dscp"]));
        let (before, _) = walk.spot(&path(&["virtual", &first.name, "dscp"]));
        let (this, that) = (virtual_.listen.ip(), first.listen.ip());
        let message = format!("member `{member}` cannot tell `{this}` from `{that}` by DSCP {dscp}");
        let refusal = Refusal::new(Cause::Duplicate, message)
            .label("again here")
            .also(before, format!("`{that}` has it"))
            .help("give each address of `listen` a `dscp` of its own");
        walk.refuse(&place, Some(&key), refusal);
    }
}

/// Addresses of members that flows of a virtual can reach in mode `l3dsr-dscp`.
fn members_of(virtual_: &PacketVirtual, config: &Config) -> Vec<IpAddr> {
    let configured =
        virtual_.pool.iter().filter(|_| virtual_.mode == ModeName::L3dsrDscp || !virtual_.rules.is_empty());
    let slots = virtual_.rules.iter().flat_map(|rule| rule.slots.iter().map(|(_, pool)| pool));
    let names: Vec<&String> = configured.chain(slots).collect();
    let pools = config.pools.iter().filter(|pool| names.contains(&&pool.name));
    pools.flat_map(|pool| pool.members.iter().map(|member| member.address.ip())).collect()
}

fn family(is_v4: bool) -> &'static str {
    if is_v4 { "IPv4" } else { "IPv6" }
}

fn path(names: &[&str]) -> String {
    names.iter().fold(String::new(), |path, name| join(&path, name))
}

/// Where the address of one of `members` is written: the file has those by name among them.
fn member_path(pool: &Pool, index: usize) -> String {
    let written = pool.names.iter().fold(index, |at, named| at + usize::from(named.place <= at));
    written_path(pool, written)
}

/// Where the address of a member is written, by its place in the file.
fn written_path(pool: &Pool, place: usize) -> String {
    format!("{}[{place}].address", path(&["pool", &pool.name, "members"]))
}
