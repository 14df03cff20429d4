//! `on-done` of a connection that has no requests: called once, however the connection ended.

use std::net::SocketAddr;
use std::rc::Rc;

use shunt_rules::{Hook, Outcome, Summary};
use shunt_runtime::rules::chain::Chain;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::relay::Moved;
use crate::view::VirtualView;

/// Calls the rules when it is dropped.
pub(crate) struct Done<'a> {
    connection: Rc<Connection>,
    view: Rc<VirtualView>,
    member: Option<SocketAddr>,
    started: Instant,
    moved: &'a Moved,
    /// That the client is gone, unless something else is said.
    pub(crate) outcome: Outcome,
}

impl<'a> Done<'a> {
    /// `None`: no rule asks.
    pub(crate) fn new(
        connection: Rc<Connection>,
        view: &Rc<VirtualView>,
        member: Option<SocketAddr>,
        started: Instant,
        moved: &'a Moved,
    ) -> Option<Self> {
        let view = view.hooks.contains(Hook::OnDone).then(|| Rc::clone(view))?;
        Some(Done { connection, view, member, started, moved, outcome: Outcome::ClientGone })
    }
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        let summary = Summary {
            flow: self.connection.flow,
            outcome: self.outcome,
            status: 0,
            member: self.member,
            bytes_to_server: self.moved.to_server.get(),
            bytes_to_client: self.moved.to_client.get(),
            packets_to_server: 0,
            packets_to_client: 0,
            duration: self.started.elapsed(),
            first_byte: None,
        };
        let connection = &self.connection;
        // What fails changes nothing for anyone any more.
        Chain::new(Hook::OnDone, &self.view.rules).tell(|rule| {
            connection
                .with_vars(|vars| connection.with_runner(rule, |runner| runner.on_done(&summary, None, vars)))
        });
    }
}
