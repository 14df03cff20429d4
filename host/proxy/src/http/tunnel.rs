//! What a connection becomes after 101 Switching Protocols (RFC 9110 section 7.8): bytes both ways.

use std::time::Duration;

use bytes::Bytes;

use crate::http::member::{Lease, Switched};
use crate::relay::{Early, End, Moved, Wire, relay};

/// The server side of a connection that is about to switch.
pub(crate) struct Tunnel {
    lease: Lease,
}

impl Tunnel {
    pub(crate) fn new(lease: Lease) -> Self {
        Tunnel { lease }
    }

    /// Relays bytes until both sides have ended, or none has sent anything for `idle`. `early` is what the client
    /// sent behind its request.
    pub(crate) async fn relay<S>(self, mut client: S, early: Bytes, idle: Duration)
    where
        S: Wire,
    {
        let member = self.lease.member().clone();
        let Some((switched, _active)) = self.lease.into_switched().await else { return };
        let (counters, moved) = (&member.counters, Moved::default());
        let mut early = Early { to_server: early, to_client: Bytes::new() };
        let end = match switched {
            Switched::Connection(mut server, greeting) => {
                early.to_client = greeting.freeze();
                relay(&mut client, &mut server, early, idle, counters, &moved).await
            }
            Switched::Stream(mut server, _open) => {
                relay(&mut client, &mut server, early, idle, counters, &moved).await
            }
        };
        match end {
            // Whatever ends a tunnel, either side sees it closed.
            End::Complete => {}
            End::Broken(side, error) => tracing::debug!(?side, %error, "tunnel was cut"),
            End::Idle => tracing::debug!("tunnel was idle"),
            // It has no taps.
            End::Refused => {}
        }
    }
}
