//! Why a probe on the service path failed, from what was found.

use std::net::IpAddr;

use shunt_engine::datapath::{DropReason, ModeName, Notice};
use shunt_engine::member::Trouble;

use super::on_path::ServicePath;
use super::probe::Failure;

/// What is known of a probe that failed.
pub(super) struct Finding<'a> {
    pub(super) path: &'a ServicePath,
    /// What its socket says.
    pub(super) failure: &'a Failure,
    pub(super) notices: &'a [Notice],
    /// What errors said of the tunnel to it, of late.
    pub(super) tunnel: Option<Trouble>,
    /// Whether the member answers a plain probe of its own address; `None`: it was not asked.
    pub(super) plainly: Option<Result<(), String>>,
    /// Whether the member answers on the service path when this host's own address asks.
    pub(super) from_here: Option<bool>,
}

/// Why Shunt did not forward it, if that is no trouble of the member's: to take members down for it would make a
/// small trouble a great one.
pub(super) fn not_forwarded(notices: &[Notice]) -> Option<String> {
    let refused = notices.iter().find_map(|notice| match notice {
        Notice::Refused(reason) => Some(*reason),
        _ => None,
    });
    match refused {
        Some(
            reason @ (DropReason::TableFull
            | DropReason::SnatExhausted
            | DropReason::SnatFamily
            | DropReason::HoldFull
            | DropReason::HandOverFull
            | DropReason::SendFull
            | DropReason::StrayProbe
            | DropReason::VirtualGone
            | DropReason::SnatGone),
        ) => Some(format!("Shunt did not forward the probe: {reason}")),
        Some(_) => None,
        None if notices.is_empty() => Some("the probe never reached the datapath".to_owned()),
        None => None,
    }
}

/// Why it failed, and where that is not known, what it can be.
pub(super) fn why(found: &Finding<'_>) -> String {
    let Finding { path, failure, notices, .. } = found;
    if let Some(seen) = seen(path, notices) {
        return seen;
    }
    if notices.contains(&Notice::Answered) {
        // The way is there and back; the rest is the service's.
        return failure.to_string();
    }
    match found.tunnel.filter(|_| is_tunnel(path.mode)) {
        Some(Trouble::Refused) => {
            return format!("the member refuses the tunnel: {} is not set up there", path.mode.as_str());
        }
        Some(Trouble::Unreachable) => {
            return "a router says that the tunnel does not reach the member".to_owned();
        }
        None => {}
    }
    let vip = path.to.ip();
    match (&found.plainly, found.from_here) {
        (Some(Err(plainly)), Some(false) | None) => {
            format!("{failure}; the member's own address does not reply either ({plainly})")
        }
        (_, Some(true)) => no_way_back(path, path.from),
        (None, _) => failure.to_string(),
        (Some(_), asked) => match path.mode {
            ModeName::Nat => format!(
                "no reply to {}, although the member replies to this host: its route to clients does not lead \
                 through Shunt",
                path.from
            ),
            ModeName::Route => format!(
                "no reply from {vip}, although the member replies to this host: it does not forward packets to \
                 {vip}, or replies do not come back through it"
            ),
            ModeName::Snat => no_way_back(path, seen_from(notices).unwrap_or(path.from)),
            ModeName::L2dsr | ModeName::L3dsrDscp => {
                maybe(path, asked, &format!("{vip} is missing on the member's loopback"))
            }
            ModeName::L3dsrIpip | ModeName::L3dsrGre | ModeName::L3dsrGue => maybe(
                path,
                asked,
                &format!(
                    "{vip} is missing on the member's loopback, or its tunnel is down or drops by rp_filter"
                ),
            ),
        },
    }
}

/// What the datapath saw for certain.
pub(super) fn seen(path: &ServicePath, notices: &[Notice]) -> Option<String> {
    notices.iter().find_map(|notice| of_notice(path, *notice))
}

/// What one notice says for certain.
fn of_notice(path: &ServicePath, notice: Notice) -> Option<String> {
    let vip = path.to.ip();
    match notice {
        Notice::Forwarded { .. } | Notice::Answered => None,
        Notice::Refused(reason) => {
            Some(refused(reason).map_or_else(|| format!("not forwarded: {reason}"), str::to_owned))
        }
        Notice::AnsweredBy(other) => Some(match (path.mode, path.dscp) {
            (ModeName::L3dsrDscp, Some(number)) => format!(
                "the member replies from its own address {other} and not from {vip}: its rule for DSCP {number} is missing"
            ),
            _ => format!("{other} replies in place of {}", path.to),
        }),
        Notice::Detour { gateway } => Some(format!(
            "replies come back through {gateway}: the member's route to clients leads there, past Shunt"
        )),
        Notice::Returned => {
            Some(format!("the member forwards packets for {vip}: {vip} is missing on its loopback"))
        }
        Notice::Error { by, icmp_type, icmp_code } => {
            Some(format!("ICMP error from {by}: {}", error(by.to_ip(), icmp_type, icmp_code)))
        }
    }
}

const fn is_tunnel(mode: ModeName) -> bool {
    matches!(mode, ModeName::L3dsrIpip | ModeName::L3dsrGre | ModeName::L3dsrGue)
}

/// Whom the member saw.
fn seen_from(notices: &[Notice]) -> Option<IpAddr> {
    notices.iter().find_map(|notice| match notice {
        Notice::Forwarded { from } => Some(from.address.to_ip()),
        _ => None,
    })
}

fn no_way_back(path: &ServicePath, to: IpAddr) -> String {
    let what = if path.mode == ModeName::Snat { "the SNAT address " } else { "" };
    format!(
        "no reply to {what}{to}, although the member replies to this host's own address: there is no route back to {to}"
    )
}

/// A cause that is certain if the member did not answer this host either, and one of two if that could not be asked.
fn maybe(path: &ServicePath, asked: Option<bool>, cause: &str) -> String {
    let seen = "no reply, although the member's own address replies";
    match asked {
        Some(_) => format!("{seen}: {cause}"),
        None => format!("{seen}: {cause}, or there is no route back to {}", path.from),
    }
}

const fn refused(reason: DropReason) -> Option<&'static str> {
    match reason {
        DropReason::NoRoute => Some("this host has no route to the member"),
        DropReason::NextHopSilent => {
            Some("the member, or the gateway to it, does not answer ARP or neighbour discovery")
        }
        DropReason::NotOnLink => Some("the member is not on a segment of this host, as l2dsr needs it"),
        DropReason::NoTunnelSource => Some("this host has no address to send the tunnel from"),
        DropReason::OtherFamily => Some("the member is of the other IP family, which the mode cannot bridge"),
        _ => None,
    }
}

/// An ICMP error in words (RFC 792, RFC 4443).
fn error(by: IpAddr, icmp_type: u8, icmp_code: u8) -> String {
    let known = match (by.is_ipv4(), icmp_type, icmp_code) {
        (true, 3, 0) | (false, 1, 0) => "network unreachable",
        (true, 3, 1) | (false, 1, 3) => "host unreachable",
        (true, 3, 2) | (false, 4, 1) => "protocol unreachable",
        (true, 3, 3) | (false, 1, 4) => "port unreachable",
        (true, 3, 4) | (false, 2, _) => "packet too big",
        (true, 3, 9 | 10 | 13) | (false, 1, 1) => "prohibited by a filter",
        (true, 11, _) | (false, 3, _) => "hop limit exceeded",
        _ => return format!("ICMP type {icmp_type}, code {icmp_code}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FROM: &str = "198.51.100.77";

    fn path(mode: ModeName) -> ServicePath {
        ServicePath {
            virtual_: "web".to_owned(),
            pool: "web".to_owned(),
            member: "10.0.0.1:80".parse().unwrap(),
            mode,
            snat_pool: None,
            dscp: (mode == ModeName::L3dsrDscp).then_some(10),
            from: FROM.parse().unwrap(),
            to: "203.0.113.1:80".parse().unwrap(),
        }
    }

    fn forwarded() -> Notice {
        Notice::Forwarded { from: "10.9.0.1:1024".parse::<std::net::SocketAddr>().unwrap().into() }
    }

    fn told(mode: ModeName, more: &[Notice], plainly: Result<(), &str>, from_here: Option<bool>) -> String {
        let notices: Vec<Notice> = [forwarded()].iter().chain(more).copied().collect();
        let failure = Failure::TimedOut(Duration::from_secs(2));
        let plainly = Some(plainly.map_err(str::to_owned));
        let path = path(mode);
        why(&Finding { path: &path, failure: &failure, notices: &notices, tunnel: None, plainly, from_here })
    }

    #[test]
    fn what_was_seen_tells_why() {
        let own = "10.0.0.1:80".parse::<std::net::SocketAddr>().unwrap().into();
        let gateway = "198.51.100.1".parse::<IpAddr>().unwrap().into();
        let table = [
            (ModeName::L2dsr, vec![], Some(false), "203.0.113.1 is missing on the member's loopback"),
            (ModeName::L2dsr, vec![], Some(true), "there is no route back to 198.51.100.77"),
            (ModeName::L2dsr, vec![], None, "or there is no route back to 198.51.100.77"),
            (ModeName::L2dsr, vec![Notice::Returned], Some(false), "forwards packets for 203.0.113.1"),
            (ModeName::L3dsrIpip, vec![], Some(false), "its tunnel is down"),
            (
                ModeName::L3dsrDscp,
                vec![Notice::AnsweredBy(own)],
                Some(false),
                "its rule for DSCP 10 is missing",
            ),
            (ModeName::Snat, vec![], None, "no reply to the SNAT address 10.9.0.1"),
            (ModeName::Nat, vec![], None, "does not lead through Shunt"),
            (ModeName::Nat, vec![Notice::Detour { gateway }], None, "past Shunt"),
            (ModeName::Nat, vec![Notice::Refused(DropReason::NoRoute)], None, "no route to the member"),
            (ModeName::Nat, vec![Notice::Refused(DropReason::TooBig)], None, "not forwarded: too-big"),
            (
                ModeName::L3dsrGue,
                vec![Notice::Error { by: gateway, icmp_type: 3, icmp_code: 1 }],
                Some(false),
                "ICMP error from 198.51.100.1: host unreachable",
            ),
        ];
        for (mode, more, from_here, expected) in table {
            let text = told(mode, &more, Ok(()), from_here);
            assert!(text.contains(expected), "{}: {text}", mode.as_str());
        }
    }

    #[test]
    fn errors_about_the_tunnel_tell_why() {
        let failure = Failure::TimedOut(Duration::from_secs(2));
        let notices = [forwarded()];
        let told = |mode, trouble| {
            let path = path(mode);
            let tunnel = Some(trouble);
            let plainly = Some(Ok(()));
            why(&Finding {
                path: &path,
                failure: &failure,
                notices: &notices,
                tunnel,
                plainly,
                from_here: None,
            })
        };
        let refused = "the member refuses the tunnel: l3dsr-gre is not set up there";
        assert_eq!(told(ModeName::L3dsrGre, Trouble::Refused), refused);
        assert!(told(ModeName::L3dsrGre, Trouble::Unreachable).contains("does not reach the member"));
        assert!(!told(ModeName::L2dsr, Trouble::Refused).contains("tunnel"), "that of another virtual");
    }

    #[test]
    fn who_does_not_answer_at_all_is_not_said_to_be_badly_configured() {
        let text = told(ModeName::L2dsr, &[], Err("connection refused"), Some(false));
        assert_eq!(
            text,
            "timed out after 2s; the member's own address does not reply either (connection refused)"
        );
    }

    #[test]
    fn what_came_back_is_the_services_own() {
        let text = told(ModeName::Nat, &[Notice::Answered], Ok(()), None);
        assert_eq!(text, "timed out after 2s");
    }

    #[test]
    fn a_trouble_of_shunts_own_is_no_members() {
        assert_eq!(not_forwarded(&[]).as_deref(), Some("the probe never reached the datapath"));
        let full = [Notice::Refused(DropReason::TableFull)];
        assert_eq!(not_forwarded(&full).as_deref(), Some("Shunt did not forward the probe: table-full"));
        assert_eq!(not_forwarded(&[forwarded(), Notice::Refused(DropReason::NoRoute)]), None);
        assert_eq!(not_forwarded(&[forwarded()]), None);
    }
}
