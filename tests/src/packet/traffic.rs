//! What every mode is put through.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

use std::collections::BTreeSet;
use std::io::ErrorKind;

use shunt_lab::{Family, Held, Member, Mode, Place, Plan};

use super::PacketSite;

/// Enough for many windows of TCP.
pub const LARGE: usize = 4 << 20;

/// Of the Ethernet of the lab.
pub const MTU: u32 = 1_500;

/// What a router on the way lets through, where it is narrow.
pub const NARROW: u32 = 1_400;

impl PacketSite {
    /// Large bodies both ways at once, datagrams and pings; both members take their turns, and see whom they should.
    #[track_caller]
    pub fn exchange(&self, plan: &Plan, families: &[Family]) {
        for &family in families {
            let seen = [0, 1].map(|client| {
                plan.seen(&self.topology, family, self.topology.client_address(family, client))
            });
            let mut members = BTreeSet::new();
            for client in [0, 1] {
                let answer = self.fetch(family, client, LARGE, LARGE);
                assert_eq!(answer.client.ip(), seen[client], "{family}: {answer:?}");
                members.insert(answer.member);
            }
            assert_eq!(members.len(), plan.members, "{family}: the members do not take turns");
            let mut members = BTreeSet::new();
            for client in [0, 1] {
                let answer = self.ask(family, client, format!("hello from {client}").as_bytes());
                assert_eq!(answer.client.ip(), seen[client], "{family}: {answer:?}");
                members.insert(answer.member);
            }
            assert_eq!(members.len(), plan.members, "{family}: the members do not take turns");
            let (from, to) = (self.topology.client_address(family, 2), self.echo(family).ip());
            assert_eq!(self.topology.client.ping(from, to, 5, 56).ok(), Some(5), "{family}: ping");
        }
    }

    /// Many flows of many clients at once: whichever worker a packet comes to, its flow's owner carries it.
    #[track_caller]
    pub fn many_clients(&self, plan: &Plan, families: &[Family]) {
        const ROUNDS: usize = 8;
        for &family in families {
            let begin = |at: usize| {
                let request = self.request(family, at % 4).upload(200_000).download(200_000);
                self.topology.client.start_fetch(&request).expect("curl")
            };
            let fetches: Vec<_> = (0..4 * ROUNDS).map(begin).collect();
            for fetch in fetches {
                let answer = fetch.finish().unwrap_or_else(|error| panic!("{family}: {error:?}"));
                let leased = self.topology.snat_address(plan.behind(family));
                assert_eq!(plan.mode == Mode::Snat, answer.client.ip() == leased);
            }
            for at in 0..4 * ROUNDS {
                self.ask(family, at % 4, format!("question {at}").as_bytes());
            }
        }
    }

    /// The router refuses what is too large for the way to the clients: the member that sent it hears of it, makes its
    /// packets smaller, and the transfer continues.
    #[track_caller]
    pub fn errors_reach_members(&self, plan: &Plan, families: &[Family]) {
        self.topology.narrow_clients(NARROW).expect("a route");
        for &family in families {
            let answer = self.fetch(family, 3, 0, LARGE);
            let number = usize::from(answer.member == "m2");
            let virtual_ = self.echo(family).ip();
            let member = self.topology.member_address(family, number, 0).ip();
            let own = if plan.mode.is_direct() { virtual_ } else { member };
            let host = &self.topology.members[number].host;
            let learned = host.path_mtu(own, answer.client.ip()).expect("a route");
            assert_eq!(learned, Some(NARROW), "{family}: what {} has learned", answer.member);
        }
    }

    /// The way to the members is narrower than a client can know: it hears of it, and its upload continues.
    #[track_caller]
    pub fn errors_reach_clients(&self, families: &[Family], mtu: u32) {
        for &family in families {
            self.fetch(family, 3, LARGE, 0);
            let from = self.topology.client_address(family, 3);
            let learned = self.topology.client.path_mtu(from, self.echo(family).ip()).expect("a route");
            assert_eq!(learned, Some(mtu), "{family}: what the client has learned");
        }
    }

    /// No program listens on a member's port: the client's socket gets the error, of UDP (by ICMP) and of TCP (by RST).
    #[track_caller]
    pub fn refusals_reach_clients(&mut self, families: &[Family]) {
        self.topology.members.iter_mut().for_each(Member::kill);
        for &family in families {
            let from = self.topology.client_address(family, 0);
            let socket = self.topology.client.datagrams(from, self.echo(family)).expect("a socket");
            socket.send(b"is anybody there?").expect("a datagram that is sent");
            let error = socket.recv(&mut [0; 64]).expect_err("an error");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{family}: {error}");
            let error = self.topology.client.connect(from, self.web(family)).expect_err("an error");
            let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            assert_eq!(kind, Some(ErrorKind::ConnectionRefused), "{family}: {error:?}");
        }
    }

    /// A member's programs are killed, then its cable is pulled: transfers of the other one continue, new clients go
    /// there, and it takes its turns again when it is back. The plan has a monitor.
    #[track_caller]
    pub fn a_member_goes_and_comes_back(&mut self, families: &[Family]) {
        const GONE: usize = 1;
        for unplugged in [false, true] {
            for number in [0, GONE] {
                self.wait_health(number, "up");
            }
            let held = self.held_at(families, "m1");
            self.set_there(GONE, unplugged, false);
            self.wait_health(GONE, "down");
            for &family in families {
                for client in 0..4 {
                    assert_eq!(self.fetch(family, client, 0, 1_000).member, "m1", "{family}");
                    assert_eq!(self.ask(family, client, b"who is there?").member, "m1", "{family}");
                }
            }
            self.topology.members[0].origin().expect("it serves").release();
            for held in held {
                assert_eq!(held.finish().expect("a transfer that goes on").member, "m1");
            }
            self.set_there(GONE, unplugged, true);
            self.wait_health(GONE, "up");
            for &family in families {
                let members: BTreeSet<_> =
                    (0..4).map(|client| self.fetch(family, client, 1_000, 0).member).collect();
                assert_eq!(members.len(), 2, "{family}: it takes no turns again");
            }
        }
    }

    /// Starts transfers, of which one per family waits in the middle at this member; those at the other are given up.
    fn held_at(&self, families: &[Family], member: &str) -> Vec<Held> {
        let mut held = Vec::new();
        for &family in families {
            // They take turns: one of two goes there.
            for client in [0, 1] {
                let from = self.topology.client_address(family, client);
                held.push(self.topology.client.hold(from, self.web(family), LARGE).expect("a transfer"));
            }
        }
        held.retain(|it| it.answer().member == member);
        assert_eq!(held.len(), families.len(), "the members do not take turns");
        held
    }

    fn set_there(&mut self, number: usize, unplugged: bool, there: bool) {
        if unplugged {
            let segment = self.topology.segment(self.topology.shape.servers());
            let host = &self.topology.members[number].host;
            self.topology.lab.set_plugged(host, segment, there).expect("a plug");
        } else if there {
            self.topology.members[number].recover().expect("it starts again");
        } else {
            self.topology.members[number].kill();
        }
    }

    /// What Shunt's segments carried, as tcpdump shows it.
    #[track_caller]
    pub fn captured(&self, place: Place, filter: &str) -> String {
        self.topology.lab.captured(self.topology.segment(place), filter).expect("a capture")
    }
}
