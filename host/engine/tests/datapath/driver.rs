//! A driver that writes down what the datapath asks of it.

use shunt_engine::datapath::{Done, Driver, NewFlow, Notice, Probed, Ruling, VirtualIndex};
use shunt_engine::fragment::FragmentOf;
use shunt_wire::{Address, FlowKey};

#[derive(Debug)]
pub(crate) struct Recorder {
    /// Frames beside the one that was received, by interface.
    pub(crate) sent: Vec<(u32, Vec<u8>)>,
    pub(crate) solicited: Vec<(u32, Address)>,
    /// Frames for other workers.
    pub(crate) handed_over: Vec<HandedOver>,
    pub(crate) asked: Vec<NewFlow>,
    pub(crate) done: Vec<Done>,
    /// What the rules say of every flow.
    pub(crate) ruling: Ruling,
    /// The next random number.
    pub(crate) random: u64,
    /// What monitors have sent, and what they probe by it.
    pub(crate) probes: Vec<(FlowKey, Probed)>,
    pub(crate) noticed: Vec<(FlowKey, Notice)>,
    /// Do other workers take what is handed over?
    pub(crate) has_room: bool,
}

/// A frame for another worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HandedOver {
    pub(crate) worker: usize,
    pub(crate) ingress: u32,
    pub(crate) frame: Vec<u8>,
    pub(crate) part: Option<FragmentOf>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            sent: Vec::new(),
            solicited: Vec::new(),
            handed_over: Vec::new(),
            asked: Vec::new(),
            done: Vec::new(),
            ruling: Ruling::Next,
            random: 0,
            probes: Vec::new(),
            noticed: Vec::new(),
            has_room: true,
        }
    }
}

impl Driver for Recorder {
    fn on_flow(&mut self, _: VirtualIndex, flow: &NewFlow) -> Ruling {
        self.asked.push(*flow);
        self.ruling.clone()
    }

    fn on_done(&mut self, done: &Done) {
        self.done.push(done.clone());
    }

    fn send(&mut self, interface: u32, frame: &[u8]) {
        self.sent.push((interface, frame.to_vec()));
    }

    fn hand_over(&mut self, worker: usize, ingress: u32, frame: &[u8], part: Option<FragmentOf>) -> bool {
        self.handed_over.push(HandedOver { worker, ingress, frame: frame.to_vec(), part });
        self.has_room
    }

    fn solicit(&mut self, link: u32, neighbour: Address) {
        self.solicited.push((link, neighbour));
    }

    fn random(&mut self) -> u64 {
        self.random
    }

    fn probed(&mut self, flow: &FlowKey) -> Option<Probed> {
        let (_, probed) = self.probes.iter().find(|(key, _)| key == flow)?;
        Some(*probed)
    }

    fn noticed(&mut self, flow: &FlowKey, notice: Notice) {
        self.noticed.push((*flow, notice));
    }
}
