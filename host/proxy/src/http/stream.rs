//! A stream: what belongs to one request at a time, and not to the connection that it came on.
//!
//! On HTTP/1 requests follow each other, so one stream is used again for each. Several streams of a connection share
//! what [`Connection`] holds, and nothing else.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use http::response;
use shunt_engine::at_once::Taken;

use crate::connection::Connection;
use crate::deadline::{Deadline, Waiting};
use crate::http::tunnel::Tunnel;
use crate::turn;
use shunt_config::model::Timeouts;

/// Informational answers that may wait for a client.
const MOST_INTERIM: usize = 8;

pub(crate) struct Stream {
    pub(crate) connection: Rc<Connection>,
    pub(crate) deadline: Rc<Deadline>,
    /// The answer is the last: nothing more of the client's is read. HTTP/1 says so by `Connection: close`.
    pub(crate) is_last: Cell<bool>,
    /// In the place of an answer the client gets a reset.
    pub(crate) resets: Cell<bool>,
    /// The request's place among those of all workers, where they have a limit.
    pub(crate) place: RefCell<Option<Taken>>,
    /// Informational answers of members that the client did not get yet.
    interim: RefCell<Vec<response::Parts>>,
    /// Set when a request switched protocols: what the stream becomes.
    tunnel: RefCell<Option<Tunnel>>,
}

impl Stream {
    pub(crate) fn new(connection: &Rc<Connection>, timeouts: &Timeouts) -> Rc<Self> {
        // A client that has connected has the idle time to begin its first request, as for any later one.
        let until = turn::now() + timeouts.idle;
        let deadline = Deadline::new(Waiting::Request, until, timeouts.idle, timeouts.first_byte);
        Rc::new(Stream {
            connection: Rc::clone(connection),
            deadline: Rc::new(deadline),
            is_last: Cell::new(false),
            resets: Cell::new(false),
            place: RefCell::default(),
            interim: RefCell::default(),
            tunnel: RefCell::default(),
        })
    }

    /// Passes an informational answer on (RFC 9110 section 15.2), if the client takes that many: what has come says
    /// nothing that the answer to come does not say.
    pub(crate) fn inform(&self, interim: response::Parts) {
        let mut waiting = self.interim.borrow_mut();
        if waiting.len() < MOST_INTERIM {
            waiting.push(interim);
        }
    }

    /// Informational answers that are to be written before anything else.
    pub(crate) fn take_interim(&self) -> Vec<response::Parts> {
        self.interim.take()
    }

    /// Turns into a tunnel once the answer is out: 101, or that to CONNECT.
    pub(crate) fn switch_to(&self, tunnel: Tunnel) {
        self.tunnel.replace(Some(tunnel));
    }

    /// Whether it turns into one.
    pub(crate) fn becomes_tunnel(&self) -> bool {
        self.tunnel.borrow().is_some()
    }

    pub(crate) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.take()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::time::Duration;

    use shunt_rules::{Exchange, Flow};
    use tokio::time::Instant;

    use super::*;

    fn two_streams() -> (Rc<Stream>, Rc<Stream>) {
        let times = |seconds| Duration::from_secs(seconds);
        let (head, idle, connect) = (times(10), times(60), times(5));
        let timeouts = Timeouts { head, idle, connect, first_byte: times(60), data: times(5) };
        let connection = Rc::new(Connection::new(Flow::default(), true));
        (Stream::new(&connection, &timeouts), Stream::new(&connection, &timeouts))
    }

    #[tokio::test(start_paused = true)]
    async fn streams_at_once_share_the_variables_of_their_connection() {
        let (one, other) = two_streams();
        let rule: Arc<str> = "shop/a".into();
        // Both requests are there before either calls a rule, and end in the other order.
        let mut of_one = Box::new(Exchange::default());
        let mut of_other = Box::new(Exchange::default());
        let set = |stream: &Stream, exchange: &mut Box<Exchange>, name: &str| {
            stream.connection.with_vars_in(exchange, |it| {
                it.vars.set(&rule, name.to_owned(), b"own".to_vec()).unwrap();
                it.flow_vars.set(&rule, name.to_owned(), b"1".to_vec()).unwrap();
            });
        };
        set(&other, &mut of_other, "other");
        set(&one, &mut of_one, "one");
        set(&other, &mut of_other, "other-again");
        assert!(of_other.flow_vars.is_empty(), "a request that waits holds none of them");
        drop((of_other, other));
        one.connection.with_vars_in(&mut of_one, |it| {
            for name in ["one", "other", "other-again"] {
                assert_eq!(it.flow_vars.get(&rule, name), Some(&b"1"[..]), "{name}");
            }
            assert_eq!(it.vars.get(&rule, "other"), None, "what is a request's stays with it");
        });
        one.connection.with_vars(|vars| assert!(vars.get(&rule, "other").is_some()));
    }

    #[tokio::test(start_paused = true)]
    async fn streams_at_once_have_deadlines_and_ends_of_their_own() {
        let (one, other) = two_streams();
        let now = Instant::now();
        one.deadline.wait_for(Waiting::FirstByte, now + Duration::from_secs(1));
        other.deadline.wait_for(Waiting::FirstByte, now + Duration::from_secs(30));
        let due = poll_fn(|cx| {
            assert!(other.deadline.poll(cx).is_pending());
            one.deadline.poll(cx)
        });
        due.await;
        assert_eq!(now.elapsed(), Duration::from_secs(1));
        assert!(one.deadline.expired() && !other.deadline.expired());
        poll_fn(|cx| other.deadline.poll(cx)).await;
        assert_eq!(now.elapsed(), Duration::from_secs(30));

        one.is_last.set(true);
        assert!(!other.is_last.get());
    }
}
