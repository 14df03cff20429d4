//! What is done to every packet of one direction of a flow: decided once, replayed for each.

mod dscp;
mod embedded;
mod family_translation;
mod header;
mod translate;
mod tunnel;

pub use dscp::Dscp;
pub use family_translation::FamilyTranslation;
pub use translate::Translate;
pub use tunnel::{Outer, Tunnel};

use crate::translation::Fit;
use crate::{Frame, Hop, Layout, Mac, RewriteError, ethernet, tcp};

/// A compiled decision. A copy of one fills at most two cache lines and needs nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Rewrite {
    /// The snapshot that it was compiled from. Who replays it compares; nothing here does.
    pub epoch: u32,
    /// The index of the interface that the frame leaves by.
    pub interface: u32,
    pub destination_mac: Mac,
    pub source_mac: Mac,
    /// The longest IP datagram that the way out carries, with all headers that are put in front.
    pub mtu: u16,
    /// The largest TCP maximum segment size that a SYN may announce; 0 leaves it.
    pub mss: u16,
    pub hop: Hop,
    pub change: Change,
}

const _: () = assert!(size_of::<Rewrite>() <= 128);

/// What changes behind the Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, u8)]
pub enum Change {
    /// Nothing: `l2dsr`.
    None,
    /// Addresses and ports: `nat` and `snat`.
    Translate(Translate),
    /// The IP header, for one of the other family, addresses and ports: `nat` and `snat` between IPv4 and IPv6.
    TranslateFamily(FamilyTranslation),
    /// The destination address and the DSCP field: `l3dsr-dscp`.
    Dscp(Dscp),
    /// A header in front: `l3dsr-ipip`, `l3dsr-gre`, `l3dsr-gue`.
    Encapsulate(Outer),
}

impl Rewrite {
    /// Rewrites one packet of the flow.
    ///
    /// # Errors
    ///
    /// Why it cannot be; the frame is then as it was.
    #[inline]
    pub fn apply(&self, frame: &mut Frame<'_>, layout: &Layout) -> Result<(), RewriteError> {
        if let Change::TranslateFamily(cross) = &self.change {
            return self.translate_family(cross, frame, layout);
        }
        self.check(frame, layout)?;
        let bytes = frame.bytes_mut();
        if self.mss != 0 {
            tcp::clamp_mss(bytes, layout, self.mss);
        }
        self.change_packet(frame, layout).ok_or(RewriteError::Mismatch)?;
        self.readdress(frame)
    }

    /// Rewrites a packet that [`apply`](Self::apply) refused with [`RewriteError::MustFragment`]. What comes of it is too
    /// long for the way out, and fit to be [`cut`](crate::fragment::cut) into datagrams of the length that is
    /// returned.
    ///
    /// # Errors
    ///
    /// Why it cannot be; the frame is then as it was.
    pub fn apply_to_cut(&self, frame: &mut Frame<'_>, layout: &Layout) -> Result<u16, RewriteError> {
        let Change::TranslateFamily(cross) = &self.change else { return Err(RewriteError::Mismatch) };
        let longest = cross.apply(self, frame, layout, Fit::Cut)?;
        self.readdress(frame)?;
        Ok(longest)
    }

    /// Rewrites an ICMP error that travels in the direction of the flow, about a packet (`embedded`) that
    /// travelled in the other one: the packet in it becomes what its sender had sent.
    ///
    /// Modes whose answers do not come back through Shunt leave what is embedded alone.
    ///
    /// # Errors
    ///
    /// Why it cannot be; the frame is then as it was.
    pub fn apply_to_error(
        &self,
        frame: &mut Frame<'_>,
        layout: &Layout,
        embedded: &Layout,
    ) -> Result<(), RewriteError> {
        if matches!(self.change, Change::TranslateFamily(_)) {
            // What is quoted is read again, as its options and extension headers matter.
            return self.apply(frame, layout);
        }
        self.check(frame, layout)?;
        match &self.change {
            Change::Translate(translate) => {
                if !embedded::fits(layout, embedded) {
                    return Err(RewriteError::Mismatch);
                }
                translate.apply_to_error(frame.bytes_mut(), layout, embedded, self.hop)
            }
            Change::None | Change::TranslateFamily(_) | Change::Dscp(_) | Change::Encapsulate(_) => {
                self.change_packet(frame, layout)
            }
        }
        .ok_or(RewriteError::Mismatch)?;
        self.readdress(frame)
    }

    /// Does the packet leave under other addresses than those that it came under?
    #[must_use]
    pub const fn changes_addresses(&self) -> bool {
        match &self.change {
            Change::Translate(_) | Change::TranslateFamily(_) | Change::Dscp(_) => true,
            Change::None | Change::Encapsulate(_) => false,
        }
    }

    /// By how many bytes the rewrite makes a datagram longer; negative where it gets shorter. Between IPv4 and
    /// IPv6 that is so for packets without options, extension headers and fragment headers.
    #[must_use]
    pub const fn overhead(&self) -> i16 {
        match &self.change {
            Change::TranslateFamily(cross) => cross.growth(),
            Change::None | Change::Translate(_) | Change::Dscp(_) | Change::Encapsulate(_) => {
                self.front() as i16
            }
        }
    }

    /// How many bytes are put in front of a datagram.
    const fn front(&self) -> u16 {
        match &self.change {
            Change::Encapsulate(outer) => outer.len(),
            Change::None | Change::Translate(_) | Change::TranslateFamily(_) | Change::Dscp(_) => 0,
        }
    }

    /// Everything that may refuse, before anything is written.
    #[inline]
    fn check(&self, frame: &Frame<'_>, layout: &Layout) -> Result<(), RewriteError> {
        let bytes = frame.bytes();
        let ends_inside = usize::from(layout.end) <= bytes.len() && layout.holds_headers();
        let family = match &self.change {
            Change::Translate(translate) => translate.destination().address.family(),
            Change::Dscp(dscp) => dscp.destination().family(),
            Change::None | Change::TranslateFamily(_) | Change::Encapsulate(_) => layout.family,
        };
        if !ends_inside || family != layout.family {
            return Err(RewriteError::Mismatch);
        }
        // RFC 1812 section 5.3.1, RFC 4443 section 3.3: what would leave with zero does not leave.
        if self.hop == Hop::Decrement && header::hop_limit(bytes, layout).is_none_or(|limit| limit <= 1) {
            return Err(RewriteError::HopLimit);
        }
        let overhead = self.front();
        let room = self.mtu.saturating_sub(overhead);
        if layout.datagram_len() > room {
            return Err(RewriteError::TooBig { mtu: room });
        }
        if frame.headroom() < usize::from(overhead) {
            return Err(RewriteError::NoRoom);
        }
        Ok(())
    }

    /// By itself, so that what stays in its family is rewritten where it is called.
    #[inline(never)]
    fn translate_family(
        &self,
        cross: &FamilyTranslation,
        frame: &mut Frame<'_>,
        layout: &Layout,
    ) -> Result<(), RewriteError> {
        cross.apply(self, frame, layout, Fit::Whole)?;
        self.readdress(frame)
    }

    #[inline]
    fn change_packet(&self, frame: &mut Frame<'_>, layout: &Layout) -> Option<()> {
        match &self.change {
            Change::None => header::pass_on(frame.bytes_mut(), layout, self.hop),
            Change::Translate(translate) => translate.apply(frame.bytes_mut(), layout, self.hop),
            // Has its own way, as it is the packet that says how much shorter or longer it gets.
            Change::TranslateFamily(_) => None,
            Change::Dscp(dscp) => dscp.apply(frame.bytes_mut(), layout, self.hop),
            Change::Encapsulate(outer) => outer.apply(frame, layout, self.hop),
        }
    }

    #[inline]
    fn readdress(&self, frame: &mut Frame<'_>) -> Result<(), RewriteError> {
        ethernet::readdress(frame.bytes_mut(), self.destination_mac, self.source_mac)
            .ok_or(RewriteError::Mismatch)
    }
}
