//! What the workers counted, put together.

use shunt_engine::datapath::Counters;
use shunt_sys::xsk::Statistics;

/// What one worker counted.
pub(crate) struct Report {
    pub(crate) counters: Counters,
    pub(crate) sockets: Vec<SocketCounts>,
}

/// What went through one socket.
#[derive(Clone, Debug)]
pub struct SocketCounts {
    pub interface: u32,
    pub queue: u32,
    pub statistics: Statistics,
}

/// What all workers counted.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub workers: usize,
    pub counters: Counters,
    pub interfaces: Vec<InterfaceTotals>,
    /// What the XDP program did with frames, by name.
    pub outcomes: Vec<(&'static str, u64)>,
}

/// An interface that the XDP program runs on, or a TUN device, with all its sockets together.
#[derive(Clone, Debug, Default)]
pub struct InterfaceTotals {
    pub name: String,
    /// `native`, `generic` where the driver runs no XDP program, `tun`, or `gone`.
    pub mode: &'static str,
    pub queues: u32,
    pub statistics: Statistics,
}

impl InterfaceTotals {
    pub(crate) fn add(&mut self, more: &Statistics) {
        // Named one by one, so that none is forgotten.
        let Statistics { received, sent, copied, send_full, receive_full, no_buffer, dropped } = more;
        let total = &mut self.statistics;
        total.received += received;
        total.sent += sent;
        total.copied += copied;
        total.send_full += send_full;
        total.receive_full += receive_full;
        total.no_buffer += no_buffer;
        total.dropped += dropped;
    }
}
