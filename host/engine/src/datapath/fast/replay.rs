//! What was decided for a flow, done to one of its packets.

use shunt_wire::{Frame, Rewrite, RewriteError, fragment, vlan};

use super::renumber::Renumbered;
use crate::datapath::compile::plan::Path;
use crate::datapath::context::Context;
use crate::datapath::driver::Driver;
use crate::datapath::model::arrival::Arrival;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::verdict::Verdict;

/// Rewrites a packet, and sends all of it but the last part.
#[inline]
pub(super) fn replay(path: &Path, cx: &mut Context<'_, '_, impl Driver>) -> Result<Verdict, RewriteError> {
    // Read where it lies: a copy would cost more than all of it.
    let (rewrite, vlan, interface) = (&path.rewrite, path.vlan, path.rewrite.interface);
    let Arrival { packet, part, .. } = &cx.arrival;
    let done = match part {
        None => rewrite.apply(cx.frame, &packet.layout).map(|()| None),
        Some(_) => rewrite_part(rewrite, &cx.arrival, cx.frame),
    };
    let longest = match done {
        Err(RewriteError::MustFragment) => rewrite_to_cut(rewrite, &cx.arrival, cx.frame).map(Some)?,
        done => done?,
    };
    if packet.vlan != vlan && vlan::change(cx.frame, packet.vlan, vlan).is_none() {
        return Err(RewriteError::NoRoom);
    }
    // What is too long for the other family's links goes in parts, the last of which is left in the frame.
    if let Some(longest) = longest
        && fragment::cut(cx.frame, longest, |part| cx.driver.send(interface, part)).is_none()
    {
        return Ok(Verdict::Drop(DropReason::Untranslatable));
    }
    Ok(Verdict::Send { interface })
}

/// Rewrites a fragment.
#[cold]
fn rewrite_part(
    rewrite: &Rewrite,
    arrival: &Arrival<'_>,
    frame: &mut Frame<'_>,
) -> Result<Option<u16>, RewriteError> {
    let layout = &arrival.packet.layout;
    let renumbered = Renumbered::of(arrival).filter(|_| rewrite.changes_addresses());
    Renumbered::around(renumbered, frame, layout, |frame| rewrite.apply(frame, layout)).map(|()| None)
}

/// Rewrites what has to be cut. Returns how long the parts may be.
#[cold]
fn rewrite_to_cut(
    rewrite: &Rewrite,
    arrival: &Arrival<'_>,
    frame: &mut Frame<'_>,
) -> Result<u16, RewriteError> {
    let layout = &arrival.packet.layout;
    let renumbered = Renumbered::of(arrival).filter(|_| rewrite.changes_addresses());
    Renumbered::around(renumbered, frame, layout, |frame| rewrite.apply_to_cut(frame, layout))
}
