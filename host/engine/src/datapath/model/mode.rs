//! How a flow is forwarded, and what each way needs.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use super::index::SnatPoolIndex;

/// The name of a mode, as configuration and rules give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModeName {
    Nat,
    Snat,
    Route,
    L2dsr,
    L3dsrDscp,
    L3dsrIpip,
    L3dsrGre,
    L3dsrGue,
}

/// A mode with what it cannot be without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Destination rewritten; return traffic passes through Shunt.
    Nat,
    /// Both ends rewritten; the source is a leased port of this pool.
    Snat(SnatPoolIndex),
    /// As a router does it: addresses and ports stay. The next hop is the member, or where there is no pool the
    /// one that the routes name; return traffic passes through Shunt.
    Route,
    /// Destination MAC only; the member replies to the client directly. So in all that follow.
    L2dsr,
    /// Destination rewritten, the VIP's number in the DSCP field.
    L3dsrDscp(Dscp),
    L3dsrIpip,
    L3dsrGre,
    L3dsrGue,
}

/// The number that a VIP has in the DSCP field (RFC 2474 section 3): 1 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dscp(NonZeroU8);

/// The mode of a virtual, and what it has at hand for the modes that a rule may choose instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    default: Mode,
    snat_pool: Option<SnatPoolIndex>,
    dscp: Option<Dscp>,
}

/// What a mode lacks on a virtual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacks {
    SnatPool,
    Dscp,
}

impl ModeName {
    pub const ALL: [Self; 8] = [
        Self::Nat,
        Self::Snat,
        Self::Route,
        Self::L2dsr,
        Self::L3dsrDscp,
        Self::L3dsrIpip,
        Self::L3dsrGre,
        Self::L3dsrGue,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Snat => "snat",
            Self::Route => "route",
            Self::L2dsr => "l2dsr",
            Self::L3dsrDscp => "l3dsr-dscp",
            Self::L3dsrIpip => "l3dsr-ipip",
            Self::L3dsrGre => "l3dsr-gre",
            Self::L3dsrGue => "l3dsr-gue",
        }
    }

    /// Return traffic passes through Shunt, so it sees both halves of the connection.
    #[must_use]
    pub const fn is_two_way(self) -> bool {
        matches!(self, Self::Nat | Self::Snat | Self::Route)
    }

    /// The member gets packets on its own port. In the other modes it sees the virtual's.
    #[must_use]
    pub const fn rewrites_port(self) -> bool {
        matches!(self, Self::Nat | Self::Snat)
    }

    /// The packet travels whole behind an outer header.
    #[must_use]
    pub const fn is_tunnel(self) -> bool {
        matches!(self, Self::L3dsrIpip | Self::L3dsrGre | Self::L3dsrGue)
    }
}

impl Mode {
    #[must_use]
    pub const fn name(self) -> ModeName {
        match self {
            Self::Nat => ModeName::Nat,
            Self::Snat(_) => ModeName::Snat,
            Self::Route => ModeName::Route,
            Self::L2dsr => ModeName::L2dsr,
            Self::L3dsrDscp(_) => ModeName::L3dsrDscp,
            Self::L3dsrIpip => ModeName::L3dsrIpip,
            Self::L3dsrGre => ModeName::L3dsrGre,
            Self::L3dsrGue => ModeName::L3dsrGue,
        }
    }
}

impl Dscp {
    /// None outside of 1 to 63: 0 is what unmarked packets have.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(number) if number.get() <= 63 => Some(Self(number)),
            _ => None,
        }
    }

    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl Modes {
    /// `snat_pool` and `dscp` serve the default mode where it needs them, and rules that choose such a
    /// mode.
    ///
    /// # Errors
    /// What the default mode lacks.
    pub fn new(
        default: ModeName,
        snat_pool: Option<SnatPoolIndex>,
        dscp: Option<Dscp>,
    ) -> Result<Self, Lacks> {
        let default = complete(default, snat_pool, dscp)?;
        Ok(Self { default, snat_pool, dscp })
    }

    /// The mode of flows that no rule decides about.
    #[must_use]
    pub const fn default_mode(&self) -> Mode {
        self.default
    }

    /// The pool that the virtual leases ports of.
    #[must_use]
    pub const fn snat_pool(&self) -> Option<SnatPoolIndex> {
        self.snat_pool
    }

    /// The mode that a rule chose: `None` leaves it as configured. A rule that names a SNAT pool and
    /// no mode means `snat`.
    ///
    /// # Errors
    /// What the virtual has not got for that mode.
    pub fn choose(&self, name: Option<ModeName>, snat_pool: Option<SnatPoolIndex>) -> Result<Mode, Lacks> {
        match (name, snat_pool) {
            (None, None) => Ok(self.default),
            (None, Some(pool)) => Ok(Mode::Snat(pool)),
            (Some(name), pool) => complete(name, pool.or(self.snat_pool), self.dscp),
        }
    }
}

fn complete(name: ModeName, snat_pool: Option<SnatPoolIndex>, dscp: Option<Dscp>) -> Result<Mode, Lacks> {
    Ok(match name {
        ModeName::Nat => Mode::Nat,
        ModeName::Snat => Mode::Snat(snat_pool.ok_or(Lacks::SnatPool)?),
        ModeName::Route => Mode::Route,
        ModeName::L2dsr => Mode::L2dsr,
        ModeName::L3dsrDscp => Mode::L3dsrDscp(dscp.ok_or(Lacks::Dscp)?),
        ModeName::L3dsrIpip => Mode::L3dsrIpip,
        ModeName::L3dsrGre => Mode::L3dsrGre,
        ModeName::L3dsrGue => Mode::L3dsrGue,
    })
}

impl fmt::Display for ModeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ModeName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_comes_with_what_it_needs() {
        let pool = SnatPoolIndex(3);
        let dscp = Dscp::new(10);
        assert_eq!(Modes::new(ModeName::Snat, None, dscp), Err(Lacks::SnatPool));
        assert_eq!(Modes::new(ModeName::L3dsrDscp, Some(pool), None), Err(Lacks::Dscp));
        let modes = Modes::new(ModeName::Nat, Some(pool), None).unwrap();
        assert_eq!(modes.choose(None, None), Ok(Mode::Nat));
        assert_eq!(modes.choose(Some(ModeName::Snat), None), Ok(Mode::Snat(pool)));
        assert_eq!(modes.choose(None, Some(SnatPoolIndex(4))), Ok(Mode::Snat(SnatPoolIndex(4))));
        assert_eq!(modes.choose(Some(ModeName::L3dsrDscp), None), Err(Lacks::Dscp));
    }

    #[test]
    fn every_name_is_read_back() {
        for name in ModeName::ALL {
            assert_eq!(name.as_str().parse(), Ok(name));
        }
        assert_eq!("NAT".parse::<ModeName>(), Err(()));
    }

    #[test]
    fn a_dscp_of_a_vip_is_not_zero() {
        assert_eq!([0, 1, 63, 64].map(|number| Dscp::new(number).is_some()), [false, true, true, false]);
    }
}
