//! Addresses that nobody else uses.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Below the ports that the kernel gives out by itself (32768 and up), so that no outgoing connection
/// takes it in between.
const FIRST_PORT: u16 = 17_000;

/// An address of loopback on which nobody listens, and that is given out once.
///
/// All of 127/8 is this machine: the process chooses the middle of the address, and a count its end.
#[must_use]
pub fn free() -> SocketAddr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Relaxed));
    let [.., high, low] = process.to_be_bytes();
    // The upper half of the second number: the lower is where people put things by hand.
    let last = 1 + count % 250;
    let port = u32::from(FIRST_PORT) + count / 250;
    let address = Ipv4Addr::new(127, high | 0x80, low, u8::try_from(last).unwrap_or(1));
    (address, u16::try_from(port).unwrap_or(FIRST_PORT)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_is_given_out_once_and_can_be_bound() {
        let all: HashSet<SocketAddr> = (0..600).map(|_| free()).collect();
        assert_eq!(all.len(), 600);
        assert!(all.iter().all(|address| std::net::TcpListener::bind(address).is_ok()));
    }
}
