//! The network as the kernel has it: links, addresses, neighbours and routes, followed as they change.
//!
//! Blocking, for a thread of its own. Neighbours are followed message by message. Of the rest a message
//! only says that something changed, and what changed is asked for again: the kernel does not tell of
//! every route that leaves (not of those that leave with their interface), but answers in full.

mod edit;
mod marks;
mod read;
mod request;
mod state;

pub use edit::Editor;
pub use marks::{LocalMarks, is_own};
pub use request::Solicitor;
pub use state::{Hop, InterfaceAddress, Link, Neighbour, NetworkState, Route, Vlan};

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sys::socket::{setsockopt, sockopt};

use crate::waker::Waker;
use request::Requests;

/// The multicast groups of linux/rtnetlink.h that tell of changes: links, neighbours, addresses and
/// routes of both families.
const GROUPS: [u32; 6] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_NEIGH,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV6_ROUTE,
];

/// For so many bytes of messages the kernel waits for this thread. What does not fit costs asking for
/// everything again.
const EVENTS_BUFFER: usize = 4 << 20;

/// Between two readings of the routes lies ten times what the last one took, so that a table in constant
/// change does not take more than a tenth of a core.
const ROUTES_REST: u32 = 10;

/// Follows the network of the namespace in which it was opened.
pub struct Netlink {
    events: Socket,
    requests: Requests,
    waker: Waker,
    state: NetworkState,
    stale: Stale,
    /// Not sooner are the routes asked for again.
    routes_rest: Option<Instant>,
    buffer: Vec<u8>,
    undecodable: u64,
    resynchronized: u64,
}

/// What has to be asked for again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stale {
    links: bool,
    addresses: bool,
    neighbours: bool,
    routes: bool,
}

impl Netlink {
    /// Asks for everything, and hears of changes from here on. Needs no privilege.
    ///
    /// # Errors
    ///
    /// As the kernel gives them.
    pub fn open() -> io::Result<Self> {
        let mut events = Socket::new(NETLINK_ROUTE)?;
        events.bind(&SocketAddr::new(0, 0))?;
        events.set_non_blocking(true)?;
        // SAFETY: the descriptor is open as long as `events`, which outlives this borrow.
        let borrowed = unsafe { BorrowedFd::borrow_raw(events.as_raw_fd()) };
        if setsockopt(&borrowed, sockopt::RcvBufForce, &EVENTS_BUFFER).is_err() {
            // Without CAP_NET_ADMIN as much as net.core.rmem_max allows.
            setsockopt(&borrowed, sockopt::RcvBuf, &EVENTS_BUFFER)?;
        }
        // Subscribed before asking, so that no change falls between.
        for group in GROUPS {
            events.add_membership(group)?;
        }
        let mut netlink = Self {
            events,
            requests: Requests::open()?,
            waker: Waker::new()?,
            state: NetworkState::default(),
            stale: Stale { links: true, addresses: true, neighbours: true, routes: true },
            routes_rest: None,
            buffer: vec![0; 64 << 10],
            undecodable: 0,
            resynchronized: 0,
        };
        netlink.ask()?;
        Ok(netlink)
    }

    /// The network as it was when last asked or waited for.
    #[must_use]
    pub fn state(&self) -> &NetworkState {
        &self.state
    }

    /// Ends a [`wait`](Self::wait) of this.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// How many messages of the kernel could not be read, since this was opened.
    #[must_use]
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }

    /// How often messages were lost, and everything was asked for again.
    #[must_use]
    pub fn resynchronized(&self) -> u64 {
        self.resynchronized
    }

    /// Waits until the network changes, until woken, or until `timeout` is over. Changes that come close
    /// together are taken together. Returns whether the state is another one than before.
    ///
    /// # Errors
    ///
    /// As the kernel gives them. Messages lost for want of room are none: everything is asked for again.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let rest = self.rest();
        let timeout = match (timeout, rest) {
            (Some(timeout), Some(rest)) => Some(timeout.min(rest)),
            (timeout, rest) => timeout.or(rest),
        };
        self.poll(timeout)?;
        self.waker.clear();
        let changed = self.drain()?;
        Ok(self.ask()? || changed)
    }

    /// How long until the routes may be asked for, if they have to be.
    fn rest(&self) -> Option<Duration> {
        let until = self.routes_rest.filter(|_| self.stale.routes)?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    fn poll(&self, timeout: Option<Duration>) -> io::Result<()> {
        let wanted = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut polled = [wanted(self.events.as_raw_fd()), wanted(self.waker.as_raw_fd())];
        // Rounded up: waking before the time would be waking twice.
        let milliseconds =
            timeout.map_or(-1, |it| i32::try_from(it.as_micros().div_ceil(1000)).unwrap_or(i32::MAX));
        // SAFETY: the array is as long as said, and its descriptors are open as long as `self`.
        let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, milliseconds) };
        let error = io::Error::last_os_error();
        if ready < 0 && error.kind() != io::ErrorKind::Interrupted { Err(error) } else { Ok(()) }
    }

    /// Takes all messages that are there. Returns whether a neighbour changed.
    fn drain(&mut self) -> io::Result<bool> {
        let mut changed = false;
        loop {
            let length = match self.events.recv(&mut self.buffer.as_mut_slice(), 0) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(changed),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.stale = Stale { links: true, addresses: true, neighbours: true, routes: true };
                    self.resynchronized += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let datagram = self.buffer.get(..length).unwrap_or(&self.buffer);
            let Self { state, stale, .. } = self;
            self.undecodable += request::messages(datagram, |_, payload| {
                if let NetlinkPayload::InnerMessage(message) = payload {
                    changed |= take(state, stale, message);
                }
            });
        }
    }

    /// Asks for what has to be asked for. Returns whether anything is other than before.
    fn ask(&mut self) -> io::Result<bool> {
        let mut changed = false;
        let Self { requests, state, stale, .. } = self;
        if stale.links {
            changed |= replace(&mut state.links, requests.links()?);
            stale.links = false;
        }
        if stale.addresses {
            changed |= replace(&mut state.addresses, requests.addresses()?);
            stale.addresses = false;
        }
        if stale.neighbours {
            changed |= replace(&mut state.neighbours, requests.neighbours()?);
            stale.neighbours = false;
        }
        let rested = self.routes_rest.is_none_or(|until| until <= Instant::now());
        if stale.routes && rested {
            let began = Instant::now();
            changed |= replace(&mut state.routes, requests.routes()?);
            stale.routes = false;
            self.routes_rest = Some(Instant::now() + began.elapsed() * ROUTES_REST);
        }
        self.undecodable += requests.take_undecodable();
        Ok(changed)
    }
}

/// Takes one message. Returns whether a neighbour changed.
fn take(state: &mut NetworkState, stale: &mut Stale, message: RouteNetlinkMessage) -> bool {
    match message {
        RouteNetlinkMessage::NewLink(_) | RouteNetlinkMessage::DelLink(_) => {
            stale.links = true;
            // They leave without a word when their interface goes down.
            stale.routes = true;
        }
        RouteNetlinkMessage::NewAddress(_) | RouteNetlinkMessage::DelAddress(_) => stale.addresses = true,
        RouteNetlinkMessage::NewRoute(_) | RouteNetlinkMessage::DelRoute(_) => stale.routes = true,
        RouteNetlinkMessage::NewNeighbour(message) => {
            if let Some((key, neighbour)) = read::neighbour(&message) {
                return state.neighbours.insert(key, neighbour) != Some(neighbour);
            }
        }
        RouteNetlinkMessage::DelNeighbour(message) => {
            if let Some((key, _)) = read::neighbour(&message) {
                return state.neighbours.remove(&key).is_some();
            }
        }
        _ => {}
    }
    false
}

fn replace<T: PartialEq>(old: &mut T, new: T) -> bool {
    let changed = *old != new;
    *old = new;
    changed
}
