//! A frame on its way, with all that goes with it.

use shunt_wire::Frame;

use super::model::arrival::Arrival;

/// What is at hand while a frame is looked at.
pub(in crate::datapath) struct Context<'a, 'f, W> {
    /// In milliseconds.
    pub(in crate::datapath) now: u64,
    pub(in crate::datapath) arrival: Arrival<'a>,
    /// It may be changed in place.
    pub(in crate::datapath) frame: &'a mut Frame<'f>,
    pub(in crate::datapath) driver: &'a mut W,
}

impl<'f, W> Context<'_, 'f, W> {
    /// The same frame, of which more is known.
    pub(in crate::datapath) fn with<'b>(&'b mut self, arrival: Arrival<'b>) -> Context<'b, 'f, W> {
        Context { now: self.now, arrival, frame: self.frame, driver: self.driver }
    }
}
