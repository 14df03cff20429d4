//! Source ports of SNAT: leased per flow, and not offered again while the server may remember the last one.
//!
//! A server that closes a connection first keeps its addresses and ports in TIME_WAIT (RFC 9293 section 3.3.2).
//! A SNAT that uses the same port toward the same server endpoint meanwhile sends a SYN which the server
//! takes for one of the old connection. So the promise here is: per SNAT address, protocol and member
//! endpoint, no port is offered again until a time after its last segment that depends on how its flow
//! [ended](Ending).
//!
//! What that costs: with all ports from 1024 and a time of 66 s, which in [`Ports`] becomes 67 on average,
//! 961 new connections per second for each SNAT address and member endpoint, over all workers. Where clients
//! close first it is twenty times as many.

mod bitmap;
mod blocks;
mod indices;
mod lease;
mod ports;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use shunt_wire::Address;

pub use blocks::Blocks;
pub use lease::Lease;
pub use ports::{AddressOccupancy, Counts, Occupancy, Ports, Refusal};

use crate::flow::Ending;

/// The default of a pool's time-wait, in milliseconds. Linux keeps TIME_WAIT for 60 s (`TCP_TIMEWAIT_LEN`) of a timer wheel
/// that rounds up, to 65 s where it ticks slowest (`host/docs/decisions/0009-time-wait-is-66-seconds.md`).
pub const TIME_WAIT: u64 = 66_000;
/// The client holds the TIME_WAIT, or the server has nothing any more: only packets on the way count.
pub const BRIEF: u64 = 2_000;
/// The server may not have got the client's reset, and send again what it has: Linux for the sixth time 12.6 s
/// after the first, when it began with 0.2 s and doubled that (RFC 6298 section 5.5).
pub const CLIENT_RESET: u64 = 16_000;
/// The server may have answered after all, and sends its SYN-ACK again: Linux up to 31 s after the first
/// (`tcp_synack_retries` 5, at 1, 3, 7, 15 and 31 s).
pub const SYN_UNANSWERED: u64 = 30_000;

/// Addresses whose ports are leased, as they are configured. What is leased is kept in [`Ports`], by
/// address: so a pool can be replaced by another at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    addresses: Box<[Address]>,
    ports: RangeInclusive<u16>,
    time_wait: u64,
}

impl Pool {
    /// `ports`: also the range of the identifiers of ICMP echo. `time_wait` in milliseconds; at 0 the promise is off:
    /// every port is free again at once.
    #[must_use]
    pub fn new(addresses: &[Address], ports: RangeInclusive<u16>, time_wait: u64) -> Self {
        let mut addresses = addresses.to_vec();
        addresses.sort_unstable();
        addresses.dedup();
        Self { addresses: addresses.into(), ports, time_wait }
    }

    /// In ascending order.
    #[must_use]
    pub const fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    #[must_use]
    pub const fn ports(&self) -> &RangeInclusive<u16> {
        &self.ports
    }

    /// How long a port is quarantined where the server closed first, in milliseconds.
    #[must_use]
    pub const fn time_wait(&self) -> u64 {
        self.time_wait
    }
}

/// How long after the last segment of a flow its port is not offered again, in milliseconds.
#[must_use]
pub fn quarantine(ending: Ending, time_wait: u64) -> u64 {
    if time_wait == 0 {
        return 0;
    }
    match ending {
        Ending::ServerClosed | Ending::Idle => time_wait,
        Ending::ClientClosed | Ending::ServerReset => BRIEF,
        Ending::ClientReset => CLIENT_RESET,
        Ending::SynUnanswered => SYN_UNANSWERED,
        Ending::Unknown => longest(time_wait),
    }
}

/// The longest quarantine in a pool with this time-wait.
fn longest(time_wait: u64) -> u64 {
    time_wait.max(SYN_UNANSWERED)
}
