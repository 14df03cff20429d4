//! A packet worker without a kernel beneath it, for benches: the datapath, its rules, and the driver that join
//! them. What it would send goes nowhere.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use shunt_engine::datapath::{Datapath, Left, Options, Verdict};
use shunt_engine::hash::Keyed;
use shunt_engine::network::Network;
use shunt_rules::Attachment;
use shunt_sys::netlink::Solicitor;
use shunt_sys::xsk::Sockets;
use shunt_wire::Frame;
use shunt_wire::steering::Segment;

use crate::control::ports::Named;
use crate::control::snapshot::{Loaded, Parts, Takes, load};
use crate::worker::driver::{WorkerDriver, WorkerIo};
use crate::worker::rules::{NewRules, Rules};
use crate::worker::{Replaced, replace};
use shunt_config::model::Config;
use shunt_runtime::registry::Registry;
use shunt_runtime::{PacketVirtual, Snapshot};

/// One worker of one, with a table for so many flows as it was made for.
pub struct Bare {
    datapath: Datapath,
    rules: Rules,
    io: WorkerIo,
    sockets: Sockets,
}

/// What a worker takes over.
pub struct Next {
    loaded: Arc<Loaded>,
    rules: NewRules,
}

/// Makes what a worker takes over, each on what it had before: the control thread's part.
pub struct Successions {
    registry: Registry,
    /// The kernel's numbers of interfaces.
    links: HashMap<String, Named>,
    last: Option<Arc<Loaded>>,
}

const KEY: [u64; 2] = [1, 2];

impl Successions {
    pub fn new(links: &[(&str, u32)]) -> Self {
        let named = |(name, link): &(&str, u32)| {
            (name.to_string(), Named { link: *link, segment: Segment::new(*link, 0) })
        };
        Successions { registry: Registry::new(1, KEY), links: links.iter().map(named).collect(), last: None }
    }

    /// The packet virtuals of a configuration, each with the same rules. `released` is what the worker needs no more
    /// of what left before.
    ///
    /// # Errors
    /// A configuration that contradicts itself.
    pub fn next(&mut self, config: &Config, rules: &[Arc<Attachment>], released: &Left) -> io::Result<Next> {
        let virtuals = config.packet_virtuals.iter();
        let virtuals = virtuals.map(|it| PacketVirtual {
            settings: it.clone(),
            rules: rules.to_vec(),
            on_path: Vec::new(),
        });
        let snapshot = Snapshot {
            pools: config.pools.iter().map(|pool| Arc::new(self.registry.pool(pool))).collect(),
            packet_virtuals: virtuals.map(Arc::new).collect(),
            ..Snapshot::empty()
        };
        let before = self.last.as_deref();
        let parts = Parts {
            snapshot: &snapshot,
            snat_pools: &config.snat_pools,
            links: &self.links,
            probes: None,
            takes: Takes::NewFlows,
        };
        let loaded = load(&parts, before.map(|before| (before, released)))
            .map_err(|conflict| io::Error::other(format!("{conflict:?}")))?;
        let loaded = Arc::new(loaded);
        let rules = NewRules::prepare(&loaded, before);
        self.last = Some(Arc::clone(&loaded));
        Ok(Next { loaded, rules })
    }

    /// What left the configuration and still has numbers.
    pub fn left(&self) -> Left {
        self.last.as_ref().map(|last| last.engine.left()).unwrap_or_default()
    }
}

impl Bare {
    /// # Errors
    /// As the kernel gives them: it is asked for sockets, though nothing comes of them.
    pub fn new(first: Next, network: Network, flows: usize) -> io::Result<Bare> {
        let Next { loaded, .. } = first;
        let options = Options { worker: 0, workers: 1, key: Keyed::new(KEY), flows };
        let mut io = WorkerIo::new(Solicitor::open()?, Arc::default());
        io.loaded = Some(Arc::clone(&loaded));
        Ok(Bare {
            datapath: Datapath::new(0, options, Arc::clone(&loaded.engine), Arc::new(network)),
            rules: Rules::new(&loaded),
            io,
            sockets: Sockets::new(Vec::new(), Vec::new())?,
        })
    }

    /// As a worker takes over a reload. What it had is given back.
    pub fn take_over(&mut self, next: Next) -> Replaced {
        let Next { loaded, rules } = next;
        replace(&mut self.datapath, &mut self.rules, &mut self.io, loaded, rules)
    }

    /// Of what left the configuration, that which no flow refers to any more.
    pub fn released(&self, left: Left) -> Left {
        self.datapath.released(left)
    }

    /// As a worker does with each frame, up to sending it.
    pub fn receive(&mut self, now: u64, ingress: u32, frame: &mut Frame<'_>) -> Verdict {
        let Bare { datapath, rules, io, sockets } = self;
        let mut driver = WorkerDriver { rules, io, outbox: &mut sockets.outbox(), peers: &[] };
        let verdict = datapath.receive(now, ingress, frame, &mut driver);
        driver.rules.decided(matches!(verdict, Verdict::Send { .. } | Verdict::Sent | Verdict::Pending));
        verdict
    }

    /// As a worker does after each batch.
    pub fn tick(&mut self, now: u64) {
        let Bare { datapath, rules, io, sockets } = self;
        datapath.tick(now, &mut WorkerDriver { rules, io, outbox: &mut sockets.outbox(), peers: &[] });
    }

    /// Flows in the table now.
    pub fn flows(&self) -> u64 {
        self.datapath.counters().flows
    }
}
