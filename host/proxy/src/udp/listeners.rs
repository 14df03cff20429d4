//! The sockets of a worker for clients of UDP, from change to change.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::{Rc, Weak};

use shunt_config::model::Protocol;
use shunt_runtime::Snapshot;
use shunt_sys::datagrams::Batch;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::listener::UdpListener;
use super::waited_for;
use crate::view::Views;

#[derive(Default)]
pub(crate) struct UdpListeners {
    open: HashMap<SocketAddr, Rc<UdpListener>>,
    /// Those that a reload took out; they close with their last session.
    leaving: Vec<Weak<UdpListener>>,
    /// Those that the next snapshot adds.
    prepared: HashMap<SocketAddr, AsyncFd<UdpSocket>>,
    /// Room for what is received, of all of them.
    batch: Option<Rc<RefCell<Batch>>>,
}

impl UdpListeners {
    /// Makes a socket ready for the next snapshot.
    ///
    /// # Errors
    /// The runtime does not take it.
    pub(crate) fn prepare(&mut self, address: SocketAddr, socket: UdpSocket) -> io::Result<()> {
        self.prepared.insert(address, waited_for(socket, Interest::READABLE)?);
        Ok(())
    }

    /// Closes what was made ready.
    pub(crate) fn discard(&mut self) {
        self.prepared.clear();
    }

    /// Takes over a snapshot. Sockets that it does not have are closed, all others left alone.
    pub(crate) fn apply(&mut self, snapshot: &Snapshot, views: &Views) {
        let virtuals = || snapshot.virtuals.iter().filter(|it| it.settings.protocol == Protocol::Udp);
        self.open.retain(|address, listener| {
            let stays = virtuals().any(|it| it.settings.listen.contains(address));
            if !stays {
                listener.close();
                self.leaving.push(Rc::downgrade(listener));
            }
            stays
        });
        for virtual_ in virtuals() {
            let Some(view) = views.virtual_named(&virtual_.settings.name) else { continue };
            for &address in &virtual_.settings.listen {
                if let Some(listener) = self.open.get(&address) {
                    listener.set_view(Rc::clone(view));
                } else if let Some(socket) = self.prepared.remove(&address) {
                    let batch = self.batch.get_or_insert_default();
                    let listener = UdpListener::start(address, Rc::clone(view), socket, batch);
                    self.open.insert(address, listener);
                }
            }
        }
        self.prepared.clear();
        self.leaving.retain(|listener| listener.strong_count() > 0);
    }

    /// Closes all; those that are given end with their sessions.
    pub(crate) fn drain(&mut self) -> Vec<Rc<UdpListener>> {
        let leaving = self.leaving.drain(..).filter_map(|it| it.upgrade());
        let draining: Vec<_> = self.open.drain().map(|(_, it)| it).chain(leaving).collect();
        draining.iter().for_each(|listener| listener.close());
        draining
    }
}
