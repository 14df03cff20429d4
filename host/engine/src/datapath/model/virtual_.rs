//! A virtual server whose flows Shunt forwards.

use std::sync::Arc;

use shunt_wire::{Address, Endpoint};

use super::conflict::Conflict;
use super::index::PoolIndex;
use super::mode::{Mode, ModeName, Modes};
use super::translation::Translation;
use super::tunnel_sources::TunnelSources;
use crate::balance::groups::Groups;
use crate::member::MemberState;
use crate::persistence::Source;

/// A virtual server whose packets Shunt forwards.
///
/// Its name, address and transport are its identity: flows outlive a reload that leaves these three as
/// they are.
#[derive(Clone, Debug)]
pub struct Virtual {
    pub name: Arc<str>,
    /// The unspecified address of a family is any address that is not local: neither Shunt's nor the
    /// host's. Port 0 is any port.
    pub listen: Endpoint,
    pub transport: Transport,
    /// The links that clients come in by, by the kernel's numbers; a VLAN has a number of its own.
    pub interfaces: Vec<u32>,
    /// Where flows go that no rule sent elsewhere. Without it such flows are refused; on any address, in the
    /// modes `route` and `snat`, they go to the destination itself.
    pub pool: Option<PoolIndex>,
    pub modes: Modes,
    /// The UDP port that members take GUE on.
    pub gue_port: u16,
    /// Where tunnels to members start. Of a family of which it has none: at the address of the interface.
    pub tunnel_sources: TunnelSources,
    /// What SYNs may announce at most, in bytes.
    pub mss: Option<u16>,
    /// Between IPv4 and IPv6, where client and member are of different families.
    pub translation: Option<Arc<Translation>>,
    pub persistence: Option<SourcePersistence>,
    /// Return traffic goes to the MAC and the link that the client's last packet came from, whatever the routes say.
    pub return_to_sender: bool,
    /// How long a flow may be silent, in milliseconds: of open TCP connections, and of flows of any
    /// other kind. `None`: [`DEFAULT_TCP_IDLE`](crate::datapath::DEFAULT_TCP_IDLE) and
    /// [`DEFAULT_IDLE`](crate::datapath::DEFAULT_IDLE).
    pub idle: Option<u64>,
    pub limits: Limits,
    pub hooks: Hooks,
    /// Members are probed on the way that its clients take; `None`: their health is that of the pool.
    pub on_path: Option<OnPath>,
}

/// How members are probed on the way that a virtual's clients take.
#[derive(Clone, Debug)]
pub struct OnPath {
    /// Where probes come from. Shunt owns it, and members must have a way back to it.
    pub from: Address,
    /// The probe interface: probes come in by it and replies leave by it, and nothing else comes in there.
    pub link: u32,
    /// The members' health as it was found on this way: for each pool in the virtual's own mode first, then in those that
    /// its rules choose. Pools without a monitor are not there.
    pub health: Vec<PathHealth>,
}

/// A pool as it was found in one mode.
#[derive(Clone, Debug)]
pub struct PathHealth {
    pub pool: PoolIndex,
    pub mode: Mode,
    /// In the order of the pool's members.
    pub members: Vec<Arc<MemberState>>,
    /// Which priority groups are in use by that.
    pub groups: Arc<Groups>,
}

/// The protocols that a virtual takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    Tcp,
    Udp,
    /// TCP and UDP on its port, and ICMP echo.
    Any,
    /// The same, and every other IP protocol.
    All,
}

/// A client address stays with its member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePersistence {
    pub source: Source,
    /// Keeps the keys apart from those of other virtuals, or of other groups of such.
    pub prefix: [u8; 8],
    /// After its last new flow, in milliseconds.
    pub timeout: u64,
    /// Clients whose member is down or disabled are refused, and stay bound to it.
    pub refuses_when_down: bool,
}

/// What one virtual may take, over all workers. `None`: as much as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Flows at once.
    pub flows: Option<u32>,
    /// New flows per second.
    pub flow_rate: Option<u32>,
    /// New TCP connections per second.
    pub syn_rate: Option<u32>,
}

/// What the rules of a virtual take part in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    pub on_flow: bool,
    pub on_done: bool,
}

impl Virtual {
    /// It takes packets to every address that is neither Shunt's nor the host's.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.listen.address == self.listen.address.family().unspecified()
    }

    /// Whether flows of a mode have a destination of their own, so that they need no member.
    pub(in crate::datapath) fn has_destinations(&self, mode: Mode) -> bool {
        self.is_wildcard() && matches!(mode, Mode::Route | Mode::Snat(_))
    }

    /// Can its flows be in a mode? A rule may choose any, but for `nat` in the place of `route` on any address:
    /// workers could not see from a reply to which flow it belongs.
    pub(in crate::datapath) fn may_use(&self, mode: ModeName) -> bool {
        let default = self.modes.default_mode().name();
        let kept = self.is_wildcard() && default == ModeName::Route && mode == ModeName::Nat;
        mode == default || self.hooks.on_flow && !kept
    }

    /// Whether flows of the one continue as flows of the other.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.listen == other.listen && self.transport == other.transport
    }

    /// A pool as this virtual's flows of a mode find it. In a mode in which nobody probes they find it as those of the
    /// virtual's own mode do; `None`: as it is found straight.
    #[must_use]
    pub fn found(&self, pool: PoolIndex, mode: Mode) -> Option<&PathHealth> {
        let of_pool = || self.on_path.iter().flat_map(|it| &it.health).filter(|it| it.pool == pool);
        of_pool().find(|it| it.mode == mode).or_else(|| of_pool().next())
    }

    pub(in crate::datapath) fn check(
        &self,
        before: &[Self],
        pools: usize,
        snat_pools: usize,
    ) -> Result<(), Conflict> {
        if before.iter().any(|other| other.name == self.name) {
            return Err(Conflict::Name(Arc::clone(&self.name)));
        }
        if self.pool.is_some_and(|pool| pool.0 >= pools) {
            return Err(Conflict::Pool(Arc::clone(&self.name)));
        }
        let default = match self.modes.default_mode() {
            Mode::Snat(pool) => Some(pool),
            _ => None,
        };
        if [default, self.modes.snat_pool()].into_iter().flatten().any(|pool| pool.0 >= snat_pools) {
            return Err(Conflict::SnatPool(Arc::clone(&self.name)));
        }
        Ok(())
    }
}

impl Transport {
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Udp, Self::Any, Self::All];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Any => "any",
            Self::All => "all",
        }
    }
}
