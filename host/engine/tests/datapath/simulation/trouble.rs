//! What goes wrong around the datapath, and what operators do to it.

use std::sync::Arc;

use shunt_engine::member::Admin;

use super::endpoint::End;
use super::wire::Message;
use super::{ETH0, MEMBERS, ROUTER, SHUNT, Simulation, pick};

impl Simulation {
    pub(super) fn flap(&mut self) {
        let members = &self.lab.pool.members;
        let state = &members[self.random.below(members.len())].state;
        match self.random.below(5) {
            0 => state.set_up(false),
            1 => state.set_admin(Admin::Disabled),
            2 => state.set_admin(Admin::Draining),
            _ => {
                state.set_up(true);
                state.set_admin(Admin::Enabled);
            }
        }
    }

    pub(super) fn reload(&mut self) {
        let place = self.random.below(self.lab.virtuals.len());
        match self.random.below(3) {
            // A virtual goes; its flows go with it.
            0 => {
                let gone = self.lab.virtuals.remove(place);
                self.replace();
                self.deliver();
                self.lab.virtuals.insert(place, gone);
            }
            1 => self.lab.virtuals[place].limits.syn_rate = Some(self.random.below(50) as u32 + 1),
            _ => self.lab.pool.members.rotate_left(1),
        }
        self.replace();
    }

    fn replace(&mut self) {
        let snapshot = self.lab.next_snapshot(&self.datapaths).unwrap();
        for datapath in &mut self.datapaths {
            datapath.apply_snapshot(Arc::clone(&snapshot));
        }
    }

    /// A member's MAC is lost, or is there again.
    pub(super) fn change_network(&mut self) {
        let (family, member) = (self.random.below(2), self.random.below(2));
        let address = MEMBERS[family][member];
        let word = if self.random.percent(60) {
            let mac = format!("02:00:00:00:0b:0{}", member + 1);
            self.lab.set("neighbour", &format!("eth1 {address} {mac}"))
        } else {
            self.lab.set("no-neighbour", &format!("eth1 {address}"))
        };
        word.unwrap();
        let network = Arc::new(self.lab.network.clone());
        for datapath in &mut self.datapaths {
            datapath.apply_network(self.now, Arc::clone(&network), &mut self.driver);
        }
        self.take_sent();
    }

    pub(super) fn delete(&mut self) {
        let flows = self.flows();
        if !flows.is_empty() {
            let id = flows[self.random.below(flows.len())].id;
            let datapath = &mut self.datapaths[usize::from(id.worker())];
            assert!(datapath.delete(self.now, id, &mut self.driver));
            assert!(!datapath.delete(self.now, id, &mut self.driver), "it was deleted");
            self.take_sent();
        }
    }

    /// A frame arrives damaged, or has random bytes. What it leads to is nobody's.
    pub(super) fn damage(&mut self) {
        let (client, vip) = self.pair();
        let (_, syn) = End::connect(self.random.number() as u32);
        let message = Message { source: client, destination: vip, tcp: Some(syn), payload: Vec::new() };
        let mut frame = message.frame(ROUTER, SHUNT[0]);
        // Not the addresses and ports: that would be another client's frame.
        let header = if client.is_ipv4() { 14..26 } else { 14..22 };
        let place = header.start + self.random.below(header.len());
        frame[place] ^= 1 << self.random.below(8);
        frame.truncate(14 + self.random.below(frame.len() - 13));
        self.receive(ETH0, &frame, false);
    }

    /// A client or a member forgets a connection without a word.
    pub(super) fn fall_silent(&mut self) {
        if let Some(key) = pick(&mut self.random, &self.clients) {
            self.clients.remove(&key);
        }
    }
}
