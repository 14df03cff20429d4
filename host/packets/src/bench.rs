//! A packet worker without a kernel beneath it, for benches: the datapath, its rules, and the driver that join
//! them. What it would send goes nowhere.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use shunt_engine::datapath::{Datapath, Options, Verdict};
use shunt_engine::hash::Keyed;
use shunt_engine::network::Network;
use shunt_rules::Attachment;
use shunt_sys::netlink::Solicitor;
use shunt_sys::xsk::Sockets;
use shunt_wire::Frame;
use shunt_wire::steering::Segment;

use crate::control::ports::Named;
use crate::control::snapshot::{Takes, load};
use crate::worker::driver::{WorkerDriver, WorkerIo};
use crate::worker::rules::Rules;
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

impl Bare {
    /// A worker with the packet virtuals of a configuration, each with the same rules. `links` are the kernel's
    /// numbers of their interfaces.
    ///
    /// # Errors
    /// As the kernel gives them: it is asked for sockets, though nothing comes of them.
    pub fn new(
        config: &Config,
        rules: &[Arc<Attachment>],
        links: &[(&str, u32)],
        network: Network,
        flows: usize,
    ) -> io::Result<Bare> {
        const KEY: [u64; 2] = [1, 2];
        let mut registry = Registry::new(1, KEY);
        let virtuals = config.packet_virtuals.iter();
        let virtuals = virtuals.map(|it| PacketVirtual {
            settings: it.clone(),
            rules: rules.to_vec(),
            on_path: Vec::new(),
        });
        let snapshot = Snapshot {
            pools: config.pools.iter().map(|pool| Arc::new(registry.pool(pool))).collect(),
            packet_virtuals: virtuals.map(Arc::new).collect(),
            ..Snapshot::empty()
        };
        let named = |(name, link): &(&str, u32)| {
            (name.to_string(), Named { link: *link, segment: Segment::new(*link, 0) })
        };
        let links: HashMap<String, Named> = links.iter().map(named).collect();
        let loaded = load(&snapshot, &config.snat_pools, &links, None, Takes::NewFlows)
            .map_err(|conflict| io::Error::other(format!("{conflict:?}")))?;
        let options = Options { worker: 0, workers: 1, key: Keyed::new(KEY), flows };
        Ok(Bare {
            datapath: Datapath::new(0, options, Arc::clone(&loaded.engine), Arc::new(network)),
            rules: Rules::new(&loaded),
            io: WorkerIo::new(Solicitor::open()?, Arc::default()),
            sockets: Sockets::new(Vec::new(), Vec::new())?,
        })
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
