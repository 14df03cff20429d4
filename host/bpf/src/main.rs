//! Steers frames: Shunt's to its sockets, all others to the kernel.
//!
//! Knows no policy. What is Shunt's is what the maps say, which are described in the steering module of
//! `shunt-wire`; what is done with it is decided in user space.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod bytes;
mod classify;
mod packet;

use aya_ebpf::bindings::{BPF_F_NO_PREALLOC, xdp_action};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{HashMap, PerCpuArray, XskMap};
use aya_ebpf::programs::XdpContext;
use shunt_wire::Address;
use shunt_wire::steering::{
    Interface, MAX_ADDRESSES, MAX_INTERFACES, MAX_RETURN_ENDPOINTS, MAX_SEGMENTS, MAX_SOCKETS, MAX_TUNNELS,
    Outcome, Owner, ReturnEndpoint, Segment, Takes, TunnelEnd,
};

use bytes::Bytes;

// Not preallocated: an entry that user space removes while it is read here stays what it was.
#[map]
static ADDRESSES: HashMap<Address, u32> = HashMap::with_max_entries(MAX_ADDRESSES, BPF_F_NO_PREALLOC);
#[map]
static RETURNS: HashMap<ReturnEndpoint, u32> =
    HashMap::with_max_entries(MAX_RETURN_ENDPOINTS, BPF_F_NO_PREALLOC);
#[map]
static TUNNELS: HashMap<TunnelEnd, u32> = HashMap::with_max_entries(MAX_TUNNELS, BPF_F_NO_PREALLOC);
#[map]
static SEGMENTS: HashMap<Segment, u32> = HashMap::with_max_entries(MAX_SEGMENTS, BPF_F_NO_PREALLOC);
#[map]
static INTERFACES: HashMap<u32, Interface> = HashMap::with_max_entries(MAX_INTERFACES, BPF_F_NO_PREALLOC);
#[map]
static SOCKETS: XskMap = XskMap::with_max_entries(MAX_SOCKETS, 0);
#[map]
static OUTCOMES: PerCpuArray<u64> = PerCpuArray::with_max_entries(Outcome::ALL.len() as u32, 0);

/// Whose an address is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Shunts,
    Hosts,
    Others,
}

#[xdp]
fn steer(context: XdpContext) -> u32 {
    // Without its entry the program is not meant to run on the interface (yet, or any more).
    let index = context.ingress_ifindex() as u32;
    let Some(interface) = interface(index) else {
        return xdp_action::XDP_PASS;
    };
    let outcome =
        classify::classify(&Bytes::new(&context), index, interface.mac).unwrap_or(Outcome::Unreadable);
    let (outcome, action) = match outcome {
        Outcome::Pass | Outcome::Unreadable => (outcome, xdp_action::XDP_PASS),
        mine => to_socket(&interface, context.rx_queue_index(), mine),
    };
    count(outcome);
    action
}

/// Shunt's frames are never the kernel's: it would forward or refuse what it knows nothing of.
fn to_socket(interface: &Interface, queue: u32, outcome: Outcome) -> (Outcome, u32) {
    if queue < interface.queues {
        let otherwise = u64::from(xdp_action::XDP_DROP);
        if let Ok(redirect) = SOCKETS.redirect(interface.first + queue, otherwise) {
            return (outcome, redirect);
        }
    }
    (Outcome::NoSocket, xdp_action::XDP_DROP)
}

fn count(outcome: Outcome) {
    if let Some(counter) = OUTCOMES.get_ptr_mut(outcome as u32) {
        // SAFETY: the entry is this CPU's, and the program is not interrupted by itself.
        unsafe { *counter += 1 };
    }
}

fn interface(index: u32) -> Option<Interface> {
    // SAFETY: the map is not preallocated.
    unsafe { INTERFACES.get(index) }.copied()
}

fn whose(address: Address) -> Whose {
    // SAFETY: the map is not preallocated.
    let owner = unsafe { ADDRESSES.get(address) }.map_or(0, |owner| *owner as usize);
    // Opaque: else the compiler asks whether there is an entry together with something else, and the
    // verifier has no arithmetic with pointers.
    match bytes::opaque(owner) {
        0 => Whose::Others,
        owner if owner == Owner::Shunt as usize => Whose::Shunts,
        _ => Whose::Hosts,
    }
}

/// By its port, or where every port of its protocol is one.
fn is_return_endpoint(endpoint: ReturnEndpoint) -> bool {
    // SAFETY: the map is not preallocated.
    let is_known = |endpoint| unsafe { RETURNS.get(endpoint) }.is_some();
    is_known(endpoint) || endpoint.every_port().is_some_and(is_known)
}

fn is_tunnel(end: TunnelEnd) -> bool {
    // SAFETY: the map is not preallocated.
    unsafe { TUNNELS.get(end) }.is_some()
}

fn takes_all(segment: Segment) -> bool {
    // SAFETY: the map is not preallocated.
    unsafe { SEGMENTS.get(segment) }.is_some_and(|takes| *takes == Takes::All as u32)
}

/// What the verifier needs of the loader; helpers that only GPL programs may call are not used.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Nothing here panics, and the linker drops this; the compiler asks for it.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
