//! `on-done`: called once for every request, however it ended.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http::StatusCode;
use shunt_rules::{Hook, Outcome, Summary, Vars};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::http::body::RequestBodyState;
use crate::view::VirtualView;
use shunt_runtime::rules::chain::Chain;

/// What `on-done` will get. Made only where a rule exports that hook; it travels with the body of
/// the answer and calls the rules when it is dropped.
pub(crate) struct Finish {
    pub(crate) connection: Rc<Connection>,
    pub(crate) view: Rc<VirtualView>,
    pub(crate) started: Instant,
    /// `None`: the client went away before there was an answer.
    pub(crate) status: Option<StatusCode>,
    pub(crate) member: Option<SocketAddr>,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) request_body: Rc<RequestBodyState>,
    /// What it is unless the body says otherwise.
    pub(crate) outcome: Outcome,
    pub(crate) bytes_to_client: u64,
    pub(crate) ended: bool,
    /// Variables of the request.
    pub(crate) vars: Vars,
}

impl Finish {
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes_to_client += bytes as u64;
    }

    pub(crate) fn member_failed(&mut self) {
        self.outcome = Outcome::MemberFailed;
        self.ended = true;
    }

    /// The whole body was handed on.
    pub(crate) fn complete(&mut self) {
        self.ended = true;
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        let summary = Summary {
            flow: self.connection.flow,
            outcome: if self.ended { self.outcome } else { Outcome::ClientGone },
            status: self.status.map_or(0, |status| status.as_u16()),
            member: self.member,
            bytes_to_server: self.request_body.sent.get(),
            bytes_to_client: self.bytes_to_client,
            packets_to_server: 0,
            packets_to_client: 0,
            duration: self.started.elapsed(),
            first_byte: self.first_byte,
        };
        let (connection, vars) = (&self.connection, &mut self.vars);
        // What fails changes nothing for anyone any more.
        Chain::new(Hook::OnDone, &self.view.rules).tell(|rule| {
            connection.with_vars(|flow_vars| {
                connection.with_runner(rule, |runner| runner.on_done(&summary, Some(vars), flow_vars))
            })
        });
    }
}
