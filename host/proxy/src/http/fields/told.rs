//! What members are told of a client in each of its requests, made once for each connection.

use std::cell::OnceCell;

use http::{HeaderName, HeaderValue};

use super::client_certificate;
use super::forwarding::Forwarding;
use crate::connection::Connection;

#[derive(Default)]
pub(crate) struct Told {
    forwarding: OnceCell<Forwarding>,
    certificate: OnceCell<Box<[(HeaderName, HeaderValue)]>>,
}

impl Told {
    /// Where it comes from.
    pub(crate) fn forwarding(&self, of: &Connection) -> &Forwarding {
        self.forwarding.get_or_init(|| Forwarding::new(of.flow.client.ip(), of.flow.vip.port(), of.https))
    }

    /// What its certificate says, if it showed one and that is wanted.
    pub(crate) fn certificate(&self, of: &Connection) -> &[(HeaderName, HeaderValue)] {
        match of.certificate.get() {
            Some(described) => self.certificate.get_or_init(|| client_certificate::fields(described).into()),
            None => &[],
        }
    }
}
