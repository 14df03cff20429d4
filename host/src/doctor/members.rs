//! What members have to be set up with. It cannot be seen from here, so it is said.

use std::net::IpAddr;

use shunt_engine::datapath::ModeName;
use shunt_engine::network::{NextHop, Via};

use super::reachability::is_on_link;
use super::{Facts, Finding};
use shunt_config::model::{Config, PacketVirtual};

pub(super) fn remind(config: &Config, facts: &Facts, findings: &mut Vec<Finding>) {
    for virtual_ in &config.packet_virtuals {
        let pool = virtual_.pool.as_ref();
        let pool = pool.and_then(|name| config.pools.iter().find(|pool| pool.name == *name));
        let Some(pool) = pool else { continue };
        let members = pool.members.iter().map(|member| member.address.ip());
        let vias: Vec<Via> = members.clone().filter_map(|address| via(address, facts)).collect();
        let Some(first) = members.clone().next() else { continue };
        findings.extend(match virtual_.mode {
            ModeName::Nat => nat(virtual_, first, facts),
            // A router forwards what it gets.
            ModeName::Route => None,
            ModeName::Snat => snat(virtual_, config, &vias, facts),
            ModeName::L2dsr => Some(l2dsr(virtual_)),
            ModeName::L3dsrDscp => Some(dscp(virtual_)),
            ModeName::L3dsrIpip | ModeName::L3dsrGre | ModeName::L3dsrGue => Some(tunnel(virtual_, first)),
        });
    }
}

fn via(address: IpAddr, facts: &Facts) -> Option<Via> {
    match facts.network.next_hop(address.into()) {
        NextHop::Known(via, _) | NextHop::NeedsSolicitation(via) => Some(via),
        NextHop::NoRoute => None,
    }
}

fn nat(virtual_: &PacketVirtual, member: IpAddr, facts: &Facts) -> Option<Finding> {
    let own = facts.network.own_address(via(member, facts)?.link, member.into())?;
    Some(Finding::note(
        about(virtual_),
        "nat: members must send replies through this host, also to clients of their own segment",
        format!(
            "on each member: `ip route replace default via {own}`; where that is impossible, use mode snat"
        ),
    ))
}

/// Members have a way to the leased addresses where these are of their segment: Shunt answers for them.
fn snat(virtual_: &PacketVirtual, config: &Config, vias: &[Via], facts: &Facts) -> Option<Finding> {
    let name = virtual_.snat_pool.as_ref()?;
    let pool = config.snat_pools.iter().find(|pool| pool.name == *name)?;
    let far = pool.addresses.iter().find(|address| !is_on_link(**address, vias, facts))?;
    let own = vias.first().and_then(|via| facts.network.own_address(via.link, (*far).into()));
    let own = own.map_or_else(|| "this host".to_owned(), |own| own.to_string());
    Some(Finding::note(
        about(virtual_),
        format!("snat: {far} of `{name}` is on no segment of the members"),
        format!("route `{name}`'s addresses to {own}, on the members or on their router"),
    ))
}

fn l2dsr(virtual_: &PacketVirtual) -> Finding {
    let vip = virtual_.listen.ip();
    let found = "l2dsr: members receive packets to the virtual's address, and must not reply to ARP or neighbour discovery for it";
    let remedy = match vip {
        IpAddr::V4(_) => format!(
            "on each member: `sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2`, then \
             `ip address add {vip}/32 dev lo`"
        ),
        IpAddr::V6(_) => format!("on each member: `ip address add {vip}/128 dev lo nodad`"),
    };
    Finding::note(about(virtual_), found, remedy)
}

fn dscp(virtual_: &PacketVirtual) -> Finding {
    let (vip, number) = (virtual_.listen.ip(), virtual_.dscp.unwrap_or_default());
    let (family, length) = family(vip);
    Finding::note(
        about(virtual_),
        format!("l3dsr-dscp: members recognise packets to {vip} by DSCP {number}"),
        format!(
            "on each member: `ip address add {vip}/{length} dev lo`, and before routing a stateless rewrite: \
             `nft add rule {family} raw prerouting {family} dscp {number} {family} daddr set {vip} notrack`"
        ),
    )
}

fn tunnel(virtual_: &PacketVirtual, member: IpAddr) -> Finding {
    let (vip, port) = (virtual_.listen.ip(), virtual_.gue_port);
    let (_, length) = family(vip);
    let device = match (virtual_.mode, member.is_ipv4()) {
        (ModeName::L3dsrGre, true) => "`ip link add shunt type gre local MEMBER`".to_owned(),
        (ModeName::L3dsrGre, false) => "`ip link add shunt type ip6gre local MEMBER`".to_owned(),
        (ModeName::L3dsrGue, _) => {
            format!(
                "`ip fou add port {port} gue`, `ip link add shunt type ipip local MEMBER encap gue encap-sport auto encap-dport {port}`"
            )
        }
        (_, true) => "`ip link add shunt type ipip local MEMBER mode any`".to_owned(),
        (_, false) => "`ip link add shunt type ip6tnl local MEMBER mode any`".to_owned(),
    };
    Finding::note(
        about(virtual_),
        format!("{}: members receive packets to {vip} in a tunnel", virtual_.mode.as_str()),
        format!(
            "on each member: {device}, `ip link set shunt up`, `sysctl -w net.ipv4.conf.shunt.rp_filter=0 \
             net.ipv4.conf.all.rp_filter=0`, `ip address add {vip}/{length} dev lo`"
        ),
    )
}

fn about(virtual_: &PacketVirtual) -> String {
    format!("virtual {}", virtual_.name)
}

/// What nftables calls the family, and the length of one address.
fn family(address: IpAddr) -> (&'static str, u8) {
    if address.is_ipv4() { ("ip", 32) } else { ("ip6", 128) }
}
