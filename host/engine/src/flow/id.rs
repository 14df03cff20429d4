//! What operators call a flow.

use std::fmt;
use std::str::FromStr;

/// One flow of one worker. It is never given to another flow: a slot of the table that is used again gets
/// the next serial number.
///
/// From the top: 10 bits worker, 28 bits serial number of the flow in its worker, 26 bits slot. The serial
/// number starts again after 268 million flows; two flows have the same id only if they also have the
/// same slot. Shown as a hexadecimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(u64);

const SLOT_BITS: u32 = 26;
const SERIAL_BITS: u32 = 28;

impl FlowId {
    /// Slots that an id can tell apart.
    pub(super) const SLOTS: usize = 1 << SLOT_BITS;
    pub(super) const SERIALS: u32 = 1 << SERIAL_BITS;
    /// Workers that an id can tell apart.
    pub const WORKERS: u16 = 1 << (u64::BITS - SLOT_BITS - SERIAL_BITS);

    pub(super) const fn new(worker: u16, serial: u32, slot: u32) -> Self {
        let worker = (worker % Self::WORKERS) as u64;
        let serial = (serial % Self::SERIALS) as u64;
        let slot = slot as u64 % Self::SLOTS as u64;
        Self((worker << SERIAL_BITS | serial) << SLOT_BITS | slot)
    }

    /// The worker whose flow it is.
    #[must_use]
    pub const fn worker(self) -> u16 {
        (self.0 >> (SLOT_BITS + SERIAL_BITS)) as u16
    }

    /// The flow's place in its table: a small number, unique among the living, that makes a timer's token.
    #[must_use]
    pub const fn slot(self) -> u32 {
        (self.0 % Self::SLOTS as u64) as u32
    }

    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for FlowId {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:x}", self.0))
    }
}

impl FromStr for FlowId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back() {
        for (worker, serial, slot) in [(0, 0, 0), (1023, FlowId::SERIALS - 1, (1 << 26) - 1), (5, 70_000, 12)]
        {
            let id = FlowId::new(worker, serial, slot);
            assert_eq!((id.worker(), id.slot()), (worker, slot));
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(FlowId::from(id.get()), id);
        }
        assert_eq!(FlowId::new(1, 2, 3).to_string(), "40000008000003");
        assert_ne!(FlowId::new(1, 2, 3), FlowId::new(1, 3, 3));
        assert!("shop".parse::<FlowId>().is_err());
    }
}
