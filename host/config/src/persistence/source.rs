//! A client is known by its address.

use std::time::Duration;

use super::Kind;
use crate::keys::HOUR;
use crate::shape::OnlyTrue;
use crate::walk::Table;

/// `source = true`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source;

impl Kind for Source {
    const KEY: &'static str = "source";
    const TIMEOUT: Option<Duration> = Some(HOUR);

    fn read(table: &mut Table<'_>) -> Option<Self> {
        table.optional(Self::KEY, "Binds clients by their address.", OnlyTrue).map(|()| Source)
    }
}
