//! Frames for flows of other workers.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use shunt_engine::fragment::FragmentOf;
use shunt_sys::waker::Waker;
use shunt_wire::frame::HEADROOM;

/// How many frames wait for one worker at most. What does not fit is dropped, and counted by who had it:
/// a worker that cannot follow must not take the memory of all.
const MOST_WAITING: usize = 1024;
/// Room behind a frame, as a socket's buffer has it: for what an ICMP error adds.
const TAILROOM: usize = 64;

/// A frame with room around it.
pub(crate) struct HandedOver {
    /// The interface that it came in by.
    pub(crate) ingress: u32,
    /// If it is a fragment whose flow is known: of what.
    pub(crate) part: Option<FragmentOf>,
    pub(crate) buffer: Vec<u8>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Where a worker's frames arrive.
pub(crate) type Inbox = Receiver<HandedOver>;

/// The way to one worker.
#[derive(Clone)]
pub(crate) struct Outlet {
    queue: SyncSender<HandedOver>,
    waker: Waker,
}

/// The queue of a worker that `waker` wakes.
pub(crate) fn queue(waker: Waker) -> (Outlet, Inbox) {
    let (queue, inbox) = sync_channel(MOST_WAITING);
    (Outlet { queue, waker }, inbox)
}

impl Outlet {
    /// Hands a copy of a frame over. `false`: there is no room.
    pub(crate) fn offer(&self, ingress: u32, frame: &[u8], part: Option<FragmentOf>) -> bool {
        let end = HEADROOM + frame.len();
        let mut buffer = vec![0; end + TAILROOM];
        if let Some(room) = buffer.get_mut(HEADROOM..end) {
            room.copy_from_slice(frame);
        }
        match self.queue.try_send(HandedOver { ingress, part, buffer, start: HEADROOM, end }) {
            Ok(()) => {
                self.waker.wake();
                true
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}
