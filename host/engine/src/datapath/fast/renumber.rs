//! Fragments that leave under another identification.

use shunt_wire::{Frame, Layout, RewriteError, identification};

use crate::datapath::model::arrival::Arrival;
use crate::packet::{Fragment, Kind};

/// A fragment that gets another identification where its packet leaves under other addresses.
#[derive(Clone, Copy)]
pub(in crate::datapath) struct Renumbered {
    at: u16,
    identification: u32,
}

impl Renumbered {
    pub(in crate::datapath) const fn of(arrival: &Arrival<'_>) -> Option<Self> {
        match (&arrival.part, &arrival.packet.kind) {
            (Some(part), Kind::Fragment(Fragment { identification_at, .. })) => {
                Some(Self { at: *identification_at, identification: part.identification })
            }
            _ => None,
        }
    }

    /// Rewrites a fragment under its new number, if there is one; if that cannot be, it is as it was.
    #[inline]
    pub(in crate::datapath) fn around<T>(
        renumbered: Option<Self>,
        frame: &mut Frame<'_>,
        layout: &Layout,
        rewrite: impl FnOnce(&mut Frame<'_>) -> Result<T, RewriteError>,
    ) -> Result<T, RewriteError> {
        let Some(Self { at, identification }) = renumbered else { return rewrite(frame) };
        let old = identification::replace(frame.bytes_mut(), layout, at, identification);
        let old = old.ok_or(RewriteError::Mismatch)?;
        rewrite(frame).inspect_err(|_| {
            identification::replace(frame.bytes_mut(), layout, at, old);
        })
    }
}
