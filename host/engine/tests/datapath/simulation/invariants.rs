//! What holds after every step, and what is left in the end.

use std::collections::HashMap;

use shunt_engine::datapath::{Filter, FlowSummary};
use shunt_engine::flow::Cursor;
use shunt_wire::Endpoint;

use super::Simulation;

impl Simulation {
    pub(super) fn flows(&self) -> Vec<FlowSummary> {
        let mut flows = Vec::new();
        for datapath in &self.datapaths {
            datapath.flows(self.now, &Filter::default(), Cursor::default(), usize::MAX, |flow| {
                flows.push(flow);
            });
        }
        flows
    }

    /// What always holds.
    pub(super) fn check(&mut self) {
        let flows = self.flows();
        let (mut all, mut received, mut leased) = (0, 0, 0);
        for datapath in &self.datapaths {
            let counters = datapath.counters();
            assert!(counters.flows <= self.lab.options.flows as u64);
            assert!(counters.pending <= 1024 && counters.fragments_pending <= 1024);
            let by_mode: u64 = counters.modes.iter().map(|mode| mode.active).sum();
            assert_eq!(by_mode, counters.flows);
            all += counters.flows;
            received += counters.frames.received;
            leased += counters.snat.values().map(|address| address.leased).sum::<u32>();
        }
        assert_eq!((all, received), (flows.len() as u64, self.verdicts));
        assert_eq!(leased as usize, flows.iter().filter(|flow| flow.snat.is_some()).count());
        let mut of_member: HashMap<Endpoint, u32> = HashMap::new();
        flows.iter().for_each(|flow| *of_member.entry(flow.member).or_default() += 1);
        for member in &self.lab.pool.members {
            let active = of_member.get(&member.endpoint).copied().unwrap_or(0);
            assert_eq!(member.state.active(), active, "{}", member.endpoint);
        }
        let mut ports: Vec<_> =
            flows.iter().filter_map(|flow| Some((flow.snat?, flow.member, flow.protocol))).collect();
        ports.sort_unstable();
        ports.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1], "two flows have one port"));
        for done in std::mem::take(&mut self.driver.done) {
            assert!(done.to_server.packets > 0, "{done:?}");
        }
        self.driver.solicited.clear();
    }

    /// Everybody falls silent. An hour later nothing is left of anything.
    pub(super) fn wind_down(&mut self) {
        self.clients.clear();
        self.servers.clear();
        for _ in 0..3_600 {
            self.now += 1_000;
            self.tick();
            self.driver.sent.clear();
        }
        self.check();
        for datapath in &self.datapaths {
            let counters = datapath.counters();
            assert_eq!((counters.flows, counters.pending, counters.fragments_pending), (0, 0, 0));
            assert!(counters.snat.is_empty(), "every port is free again: {:?}", counters.snat);
            for (name, counters) in &counters.virtuals {
                assert_eq!(counters.traffic.active, 0, "{name}");
            }
        }
        for member in &self.lab.pool.members {
            assert_eq!(member.state.active(), 0, "{}", member.endpoint);
        }
    }
}
