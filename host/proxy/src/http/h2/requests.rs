//! Requests of a connection as they begin: each gets a task, and what they come to is counted.

use std::rc::Rc;
use std::sync::Arc;

use http::StatusCode;
use shunt_config::model::Timeouts;
use shunt_runtime::counters::{Shard, VirtualCounters};
use tokio::task::spawn_local;

use super::exchange;
use super::head::Head;
use super::receive::Served;
use super::session::Session;
use super::streams::Stream;
use crate::connection::Connection;
use crate::http::stream::Stream as RequestStream;
use crate::listener::Listener;

/// How far a connection is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    No,
    /// GOAWAY is out, with the highest stream there can be: the client opens no more, and those that are on their way
    /// are served (RFC 9113 section 6.8).
    Announced,
    /// The client has not said in time that it knows: what it opens is refused.
    Overdue,
    /// The last GOAWAY is out. The streams that it names are served.
    Last,
}

/// What frames come to.
pub(super) struct Requests {
    pub(super) session: Rc<Session>,
    pub(super) listener: Rc<Listener>,
    pub(super) connection: Rc<Connection>,
    pub(super) counters: Arc<Shard<VirtualCounters>>,
    pub(super) timeouts: Timeouts,
    /// There was one.
    pub(super) begun: bool,
    pub(super) ending: Ending,
    /// The client has answered the PING behind the first GOAWAY.
    pub(super) knows: bool,
}

impl Served for Requests {
    fn begin(&mut self, stream: &Rc<Stream>, head: Head) {
        self.begun = true;
        let (sending, receiving) = stream.split(&self.session);
        let request = RequestStream::new(&self.connection, &self.timeouts);
        let view = self.listener.view();
        spawn_local(exchange::serve(request, view, head, receiving, sending));
    }

    fn refused(&mut self, why: &'static str) {
        self.begun = true;
        tracing::debug!(client = %self.connection.flow.client, why, "HTTP/2 request refused");
        self.counters.http2_refused.add(1);
    }

    fn answered(&mut self, status: StatusCode) {
        self.begun = true;
        self.counters.errors.add(1);
        self.counters.answered(status.as_u16());
    }

    fn takes_none(&self) -> bool {
        self.ending == Ending::Overdue
    }

    fn knows(&mut self) {
        self.knows = true;
    }
}
