//! The member's end of a tunnel, where the kernel has none: takes the outer header off and gives what is inside to the
//! kernel as if it had come to the loopback, where the virtual's address is.
//!
//! It accepts what Linux' own devices accept, and knows of Shunt only what the book tells operators.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Result, bail};
use etherparse::{IpSlice, Ipv4Slice};
use socket2::{Domain, Protocol, Socket, Type};

use crate::address::{Family, Mode};
use crate::echo::LOOK;
use crate::host::Host;

/// A running end for one kind of tunnel, in all four pairs of outer and inner family.
#[derive(Debug)]
pub struct TunnelEnd {
    stopping: Arc<AtomicBool>,
    heard: Arc<Mutex<Heard>>,
    working: Vec<JoinHandle<()>>,
}

/// What has come out of the tunnel so far.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Datagrams that were inside and were given to the kernel.
    pub taken: u64,
    /// The outer sources; ports are there in GUE only.
    pub sources: BTreeSet<SocketAddr>,
    /// DSCP and ECN of the outer header beside those of the inner one, where the kernel shows the outer header.
    pub classes: BTreeSet<(u8, u8)>,
    /// Whatever was not a datagram of this kind, and why.
    pub refused: Vec<String>,
}

/// The UDP port of GUE (IANA: 6080).
const GUE_PORT: u16 = 6080;

/// More than this asks for, but the kernel gives only what it allows.
const ROOM: usize = 8 << 20;

/// IPv4 in something, IPv6 in something, and GRE, in the registry of protocol numbers.
const IN_IP: [i32; 2] = [4, 41];
const GRE: i32 = 47;

/// The kernel puts no header in front (raw(7)).
const RAW: i32 = 255;

impl TunnelEnd {
    pub(crate) fn start(host: &Host, mode: Mode) -> Result<Self> {
        let sockets = host.within(|| {
            Family::BOTH.into_iter().try_fold(Vec::new(), |mut all, family| -> std::io::Result<_> {
                all.extend(listen(family, mode)?.into_iter().map(|socket| (family, socket)));
                Ok(all)
            })
        })??;
        if sockets.is_empty() {
            bail!("{mode} has no tunnel");
        }
        let (stopping, heard) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Heard>>::default());
        let mut working = Vec::new();
        for (family, socket) in sockets {
            socket.set_read_timeout(Some(LOOK))?;
            let out = host.within(Inside::open)??;
            let (stopping, heard) = (Arc::clone(&stopping), Arc::clone(&heard));
            working.push(std::thread::spawn(move || take(family, mode, socket, &out, &stopping, &heard)));
        }
        Ok(TunnelEnd { stopping, heard, working })
    }

    #[must_use]
    pub fn heard(&self) -> Heard {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for TunnelEnd {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        for thread in self.working.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The sockets at which a kind of tunnel arrives in an outer family.
fn listen(family: Family, mode: Mode) -> std::io::Result<Vec<Socket>> {
    let domain = match family {
        Family::V4 => Domain::IPV4,
        Family::V6 => Domain::IPV6,
    };
    let raw = |protocol| Socket::new(domain, Type::RAW, Some(Protocol::from(protocol)));
    let sockets = match mode {
        Mode::L3dsrIpip => IN_IP.into_iter().map(raw).collect::<std::io::Result<_>>()?,
        Mode::L3dsrGre => vec![raw(GRE)?],
        Mode::L3dsrGue => {
            let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
            let any: IpAddr = match family {
                Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
                Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
            };
            if family == Family::V6 {
                socket.set_only_v6(true)?;
            }
            socket.bind(&SocketAddr::new(any, GUE_PORT).into())?;
            vec![socket]
        }
        Mode::Nat | Mode::Snat | Mode::L2dsr | Mode::L3dsrDscp => Vec::new(),
    };
    for socket in &sockets {
        socket.set_recv_buffer_size(ROOM)?;
    }
    Ok(sockets)
}

fn take(
    family: Family,
    mode: Mode,
    mut socket: Socket,
    out: &Inside,
    stopping: &AtomicBool,
    heard: &Mutex<Heard>,
) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    while !stopping.load(SeqCst) {
        // The sender's address is wanted only where the header is not shown; `peek_sender` would wait as long.
        let Ok(from) = socket.peek_sender() else { continue };
        let Ok(length) = socket.read(&mut buffer) else { continue };
        let bytes = &buffer[..length];
        // Noted before it is given: whoever gets an answer finds it here.
        let outcome = inner(family, mode, bytes).and_then(|(class, datagram)| {
            let read = IpSlice::from_slice(datagram).map_err(|error| error.to_string())?;
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.taken += 1;
            heard.sources.extend(from.as_socket());
            heard.classes.extend(class.map(|class| (class, traffic_class(&read))));
            drop(heard);
            let destination = read.destination_addr();
            out.give(datagram, destination).map_err(|error| format!("{destination}: {error}"))
        });
        if let Err(why) = outcome {
            heard.lock().unwrap_or_else(PoisonError::into_inner).refused.push(why);
        }
    }
}

/// What is behind the outer headers, and the DSCP and ECN of the outer one where it is shown.
fn inner(family: Family, mode: Mode, bytes: &[u8]) -> Result<(Option<u8>, &[u8]), String> {
    // raw(7), ipv6(7): a raw socket shows the IPv4 header and hides the IPv6 header.
    let (class, behind) = match (family, mode) {
        (_, Mode::L3dsrGue) | (Family::V6, _) => (None, bytes),
        (Family::V4, _) => {
            let outer = Ipv4Slice::from_slice(bytes).map_err(|error| error.to_string())?;
            let header = outer.header();
            (Some(header.dcp().value() << 2 | header.ecn().value()), outer.payload().payload)
        }
    };
    match mode {
        Mode::L3dsrGre => gre(behind).map(|inner| (class, inner)),
        Mode::L3dsrGue => gue(behind).map(|inner| (class, inner)),
        _ => Ok((class, behind)),
    }
}

/// GRE without options (RFC 2784 section 2.1): flags and version zero, then an EtherType.
fn gre(bytes: &[u8]) -> Result<&[u8], String> {
    match bytes {
        [0, 0, 0x08, 0x00, inner @ ..] | [0, 0, 0x86, 0xdd, inner @ ..] => Ok(inner),
        other => {
            Err(format!("GRE that Linux' own device would refuse: {:02x?}", &other[..other.len().min(4)]))
        }
    }
}

/// GUE, either its variant 0 with a header (draft-ietf-intarea-gue-09 section 3), without options and not a control
/// message; or its variant 1, the datagram alone.
fn gue(bytes: &[u8]) -> Result<&[u8], String> {
    match bytes {
        [0, protocol, 0, 0, inner @ ..] if IN_IP.contains(&i32::from(*protocol)) => Ok(inner),
        [first, ..] if first >> 6 == 1 => Ok(bytes),
        other => {
            Err(format!("GUE that Linux' own socket would refuse: {:02x?}", &other[..other.len().min(4)]))
        }
    }
}

fn traffic_class(datagram: &IpSlice<'_>) -> u8 {
    match datagram {
        IpSlice::Ipv4(it) => it.header().dcp().value() << 2 | it.header().ecn().value(),
        IpSlice::Ipv6(it) => it.header().traffic_class(),
    }
}

/// Two raw sockets that give whole datagrams to this host: sent to an address of its own they go over the loopback,
/// whose packets the kernel does not ask where they come from.
struct Inside {
    v4: Socket,
    v6: Socket,
}

impl Inside {
    fn open() -> std::io::Result<Self> {
        let raw = |domain| Socket::new(domain, Type::RAW, Some(Protocol::from(RAW)));
        Ok(Inside { v4: raw(Domain::IPV4)?, v6: raw(Domain::IPV6)? })
    }

    fn give(&self, datagram: &[u8], to: IpAddr) -> std::io::Result<usize> {
        let socket = if to.is_ipv4() { &self.v4 } else { &self.v6 };
        socket.send_to(datagram, &SocketAddr::new(to, 0).into())
    }
}

#[cfg(test)]
mod tests {
    use etherparse::IpNumber;

    use super::*;

    #[test]
    fn headers_with_what_linux_refuses_are_refused() {
        assert_eq!(gre(&[0, 0, 8, 0, 0x45]), Ok(&[0x45][..]));
        assert!(gre(&[0x20, 0, 8, 0, 0x45]).is_err(), "a key that nobody configured");
        assert_eq!(gue(&[0, 4, 0, 0, 0x45]), Ok(&[0x45][..]));
        assert_eq!(gue(&[0x45, 0, 0, 0]), Ok(&[0x45, 0, 0, 0][..]));
        assert!(gue(&[0x20, 4, 0, 0, 0x45]).is_err(), "a control message");
        assert!(gue(&[0, 17, 0, 0, 0x45]).is_err(), "not a tunnel of IP");
    }

    #[test]
    fn the_protocols_are_those_of_the_registry() {
        assert_eq!(IN_IP, [i32::from(IpNumber::IPV4.0), i32::from(IpNumber::IPV6.0)]);
        assert_eq!(GRE, i32::from(IpNumber::GRE.0));
    }
}
