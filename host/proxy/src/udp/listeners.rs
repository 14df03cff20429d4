//! The sockets of a worker for clients of UDP, from change to change.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use shunt_config::model::Protocol;
use shunt_runtime::Snapshot;
use shunt_sys::datagrams::Batch;
use tokio::net::UdpSocket;

use super::listener::UdpListener;
use crate::view::Views;

#[derive(Default)]
pub(crate) struct UdpListeners {
    open: HashMap<SocketAddr, Rc<UdpListener>>,
    /// Those that a reload took out, until their last session ends.
    leaving: Vec<Rc<UdpListener>>,
    /// Those that the next snapshot adds.
    prepared: HashMap<SocketAddr, UdpSocket>,
    /// Room for what is received, of all of them.
    batch: Option<Rc<RefCell<Batch>>>,
}

impl UdpListeners {
    /// Makes a socket ready for the next snapshot.
    ///
    /// # Errors
    /// The runtime does not take it.
    pub(crate) fn prepare(&mut self, address: SocketAddr, socket: std::net::UdpSocket) -> io::Result<()> {
        self.prepared.insert(address, UdpSocket::from_std(socket)?);
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
                self.leaving.push(Rc::clone(listener));
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
        self.leaving.retain(|listener| !listener.is_drained());
    }

    /// Closes all; those that are given end with their sessions.
    pub(crate) fn drain(&mut self) -> Vec<Rc<UdpListener>> {
        let draining: Vec<_> = self.open.drain().map(|(_, it)| it).chain(self.leaving.drain(..)).collect();
        draining.iter().for_each(|listener| listener.close());
        draining
    }
}
