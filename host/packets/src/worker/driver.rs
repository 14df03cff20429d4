//! What the datapath asks of its thread.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::crypto::SecureRandom;
use shunt_engine::datapath::{Done, Driver, NewFlow, Notice, Probed, Ruling, VirtualIndex};
use shunt_engine::flow::FlowId;
use shunt_engine::fragment::FragmentOf;
use shunt_engine::network::Network;
use shunt_sys::netlink::{Link, Solicitor, Vlan};
use shunt_sys::raw::Sender;
use shunt_sys::xsk::{Outbox, Unsent};
use shunt_wire::{Address, FlowKey};

use crate::control::probes::Probes;
use crate::control::snapshot::Loaded;
use crate::worker::hand_over::Outlet;
use crate::worker::rules::Rules;

/// The datapath's side of a worker, while one frame or command is worked on.
pub(crate) struct WorkerDriver<'a, 'o> {
    pub(crate) rules: &'a mut Rules,
    pub(crate) io: &'a mut WorkerIo,
    pub(crate) outbox: &'a mut Outbox<'o>,
    /// All workers in their order.
    pub(crate) peers: &'a [Outlet],
}

/// What a worker has beside rules and sockets.
pub(crate) struct WorkerIo {
    solicitor: Solicitor,
    random: Random,
    /// For interfaces of which this worker has no queue; `None` where one cannot be had.
    senders: HashMap<u32, Option<Sender>>,
    pub(crate) network: Arc<Network>,
    probes: Arc<Probes>,
    /// The snapshot that the worker has.
    pub(crate) loaded: Option<Arc<Loaded>>,
    /// Frames beside the received ones that were not sent.
    unsent: u64,
}

impl WorkerIo {
    pub(crate) fn new(solicitor: Solicitor, probes: Arc<Probes>) -> WorkerIo {
        WorkerIo {
            solicitor,
            random: Random::new(),
            senders: HashMap::new(),
            network: Arc::default(),
            probes,
            loaded: None,
            unsent: 0,
        }
    }

    /// Interfaces may be others now under the same numbers.
    pub(crate) fn network_changed(&mut self, network: Arc<Network>) {
        let same = |index: &u32| self.network.interface(*index) == network.interface(*index);
        self.senders.retain(|index, sender| sender.is_some() && same(index));
        self.network = network;
    }

    /// How many frames were not sent since this was last asked.
    pub(crate) fn take_unsent(&mut self) -> u64 {
        std::mem::take(&mut self.unsent)
    }

    /// Sends by an interface of which this worker has no queue.
    fn send_elsewhere(&mut self, interface: u32, frame: &[u8]) {
        let network = &self.network;
        let sender = self.senders.entry(interface).or_insert_with(|| {
            let link = link(network, interface)?;
            Sender::open(&link)
                .inspect_err(|error| tracing::warn!(interface = %link.name, %error, "cannot send"))
                .ok()
        });
        if sender.as_mut().is_none_or(|sender| sender.send(frame).is_err()) {
            self.unsent += 1;
        }
    }
}

impl WorkerDriver<'_, '_> {
    /// Sends a frame by an interface.
    pub(crate) fn transmit(&mut self, interface: u32, frame: &[u8]) {
        match self.outbox.send(interface, frame) {
            Ok(()) => {}
            Err(Unsent::NoInterface) => self.io.send_elsewhere(interface, frame),
            Err(Unsent::Full | Unsent::TooLong) => self.io.unsent += 1,
        }
    }
}

impl Driver for WorkerDriver<'_, '_> {
    fn on_flow(&mut self, virtual_: VirtualIndex, flow: &NewFlow) -> Ruling {
        self.rules.on_flow(virtual_, flow)
    }

    fn on_done(&mut self, done: &Done) {
        self.rules.on_done(done);
    }

    fn ended(&mut self, flow: FlowId) {
        self.rules.ended(flow);
    }

    fn send(&mut self, interface: u32, frame: &[u8]) {
        self.transmit(interface, frame);
    }

    fn hand_over(&mut self, worker: usize, ingress: u32, frame: &[u8], part: Option<FragmentOf>) -> bool {
        self.peers.get(worker).is_some_and(|peer| peer.offer(ingress, frame, part))
    }

    fn solicit(&mut self, link: u32, neighbour: Address) {
        if let Err(error) = self.io.solicitor.solicit(link, neighbour.to_ip()) {
            tracing::debug!(link, %neighbour, %error, "cannot ask for a neighbour");
        }
    }

    fn random(&mut self) -> u64 {
        self.io.random.next()
    }

    fn probed(&mut self, flow: &FlowKey) -> Option<Probed> {
        self.io.probes.probed(flow, self.io.loaded.as_ref()?)
    }

    fn noticed(&mut self, flow: &FlowKey, notice: Notice) {
        self.io.probes.notice(flow, notice);
    }
}

fn link(network: &Network, index: u32) -> Option<Link> {
    // A TUN takes no Ethernet frames; whose end Shunt has, every worker writes to.
    let interface = network.interface(index).filter(|it| !it.point_to_point)?;
    Some(Link {
        index,
        name: interface.name.to_string(),
        mac: interface.mac,
        mtu: interface.mtu.into(),
        up: true,
        vlan: interface.vlan.map(|vlan| Vlan { parent: vlan.parent, id: vlan.id }),
        tun: false,
    })
}

/// Numbers of the system's generator, drawn a page at a time.
struct Random {
    source: &'static dyn SecureRandom,
    drawn: Vec<u64>,
}

impl Random {
    /// Numbers drawn at once: one call of the generator for so many ports.
    const DRAWN: usize = 512;

    fn new() -> Random {
        let source = rustls::crypto::aws_lc_rs::default_provider().secure_random;
        Random { source, drawn: Vec::with_capacity(Random::DRAWN) }
    }

    fn next(&mut self) -> u64 {
        if let Some(number) = self.drawn.pop() {
            return number;
        }
        let mut bytes = [0; Random::DRAWN * 8];
        if self.source.fill(&mut bytes).is_err() {
            // The kernel's generator does not fail once it has been seeded.
            tracing::error!("the system gives no random numbers");
        }
        let (numbers, _) = bytes.as_chunks::<8>();
        self.drawn.extend(numbers.iter().map(|bytes| u64::from_ne_bytes(*bytes)));
        self.drawn.pop().unwrap_or_default()
    }
}
