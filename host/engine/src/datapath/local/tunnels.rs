//! ICMP errors about packets in tunnels to members.
//!
//! The outer source of a tunnel is the host's or Shunt's, so errors about its packets come here. Mostly they
//! quote too little of the client's packet to pass the error on (RFC 792 promises eight bytes behind the outer
//! header). Their contents are remembered instead, and the client gets an ICMP error for its next packet (RFC 2003
//! section 5.1).

use std::hash::BuildHasher;

use shunt_wire::{Address, Family, icmp, ip};

use crate::datapath::Datapath;
use crate::datapath::model::reason::DropReason;
use crate::datapath::snapshot::Owned;
use crate::datapath::state::trace::Point;
use crate::member::{Trouble, TunnelPath};
use crate::packet::ErrorPacket;

/// How often the paths are looked at, in milliseconds: one learned by another worker is news, and so is one
/// that is not believed any more.
const LOOK_EVERY: u64 = 100;

/// What was last seen of the paths into tunnels.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::datapath) struct Watch {
    /// A hash of all path MTUs; 0 where none is known.
    seen: u64,
    due: u64,
}

impl Datapath {
    /// Applies an ICMP error about a packet in a tunnel to a member, if it is one.
    pub(in crate::datapath) fn tunnel_error(&mut self, now: u64, error: &ErrorPacket) -> Option<DropReason> {
        let (source, end) = (error.embedded.source(), error.embedded.destination());
        let tunnelled = match error.embedded.protocol() {
            ip::IPIP | ip::IPV6 | ip::GRE => true,
            ip::UDP => self.config.snapshot.virtuals().iter().any(|it| it.gue_port == end.port),
            _ => false,
        };
        if !tunnelled || !self.sends_tunnels_from(source.address) {
            return None;
        }
        let news = News::of(error)?;
        let members = self.config.snapshot.pools().iter().flat_map(|pool| &pool.members);
        let mut paths: Vec<&TunnelPath> = Vec::new();
        for path in members.filter(|it| it.endpoint.address == end.address).map(|it| it.state.tunnel()) {
            // A member has one way, however many virtuals look at it.
            if paths.iter().all(|known| !std::ptr::eq(*known, path)) {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            return None;
        }
        self.trace.note(Point::Shunt, || format!("an ICMP error about the tunnel to {}", end.address));
        if self.trace.listens() {
            return Some(news.reason());
        }
        for path in paths {
            match news {
                News::TooBig { mtu } => path.narrow(now, mtu, end.address.family()),
                News::Trouble(trouble) => path.trouble(now, trouble),
            }
        }
        self.look_at_tunnels(now);
        Some(news.reason())
    }

    /// Makes flows look at their way again where a path MTU is another one.
    pub(in crate::datapath) fn watch_tunnels(&mut self, now: u64) {
        if now >= self.tunnels.due {
            self.look_at_tunnels(now);
        }
    }

    fn look_at_tunnels(&mut self, now: u64) {
        let members = self.config.snapshot.pools().iter().flat_map(|pool| &pool.members);
        let known = members.filter_map(|it| Some((it.endpoint.address, it.state.tunnel().mtu(now)?)));
        let seen = known.fold(0, |all: u64, path| all.wrapping_add(self.config.options.key.hash_one(path)));
        let before =
            std::mem::replace(&mut self.tunnels, Watch { seen, due: now.saturating_add(LOOK_EVERY) });
        if before.seen != seen {
            self.config.next_epoch();
        }
    }

    /// Whether the outer header of a tunnel may have this source.
    fn sends_tunnels_from(&self, address: Address) -> bool {
        let own =
            || self.config.network.interfaces().any(|it| it.addresses.iter().any(|(own, _)| *own == address));
        matches!(self.config.snapshot.owned(address), Some(Owned::TunnelSource)) || own()
    }
}

/// The contents of an ICMP error.
#[derive(Clone, Copy)]
enum News {
    TooBig { mtu: u32 },
    Trouble(Trouble),
}

impl News {
    fn of(error: &ErrorPacket) -> Option<Self> {
        if let Some(mtu) = error.mtu {
            return Some(Self::TooBig { mtu });
        }
        let family = error.embedded.source().address.family();
        let trouble = match (family, error.icmp_type, error.icmp_code) {
            // Protocol and port unreachable (RFC 792); port unreachable, and a next header that is not known (RFC
            // 4443 sections 3.1 and 3.4).
            (Family::V4, icmp::V4_UNREACHABLE, 2 | 3)
            | (Family::V6, icmp::V6_UNREACHABLE, 4)
            | (Family::V6, icmp::V6_PARAMETER_PROBLEM, 1) => Trouble::Refused,
            (Family::V4, icmp::V4_UNREACHABLE | icmp::V4_TIME_EXCEEDED, _)
            | (Family::V6, icmp::V6_UNREACHABLE | icmp::V6_TIME_EXCEEDED, _) => Trouble::Unreachable,
            _ => return None,
        };
        Some(Self::Trouble(trouble))
    }

    const fn reason(self) -> DropReason {
        match self {
            Self::TooBig { .. } => DropReason::TunnelTooBig,
            Self::Trouble(Trouble::Refused) => DropReason::TunnelRefused,
            Self::Trouble(Trouble::Unreachable) => DropReason::TunnelUnreachable,
        }
    }
}
