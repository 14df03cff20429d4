//! What serves a connection: what the protocol of its virtual says, which a reload may change.

use std::rc::Rc;

use shunt_config::model::Protocol;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::client::ClientStream;
use crate::connection::Connection;
use crate::http::serve::Http;
use crate::listener::{Listener, Serve, Serving};
use crate::tcp::Tcp;

/// By the protocol of the listener's virtual.
#[derive(Clone, Copy)]
pub(crate) struct AsConfigured;

impl Serve for AsConfigured {
    async fn serve<S: ClientStream>(self, listener: Rc<Listener>, connection: Rc<Connection>, stream: S) {
        let protocol = listener.view().virtual_.settings.protocol;
        match protocol {
            Protocol::Http => Http.serve(listener, connection, stream).await,
            // Boxed, for those of HTTP would have its size.
            // Those of UDP have no connections.
            Protocol::Tcp | Protocol::Udp => Box::pin(Tcp.serve(listener, connection, stream)).await,
        }
    }

    fn serve_tls(
        self,
        listener: Rc<Listener>,
        connection: Rc<Connection>,
        stream: TlsStream<TcpStream>,
    ) -> Serving {
        let protocol = listener.view().virtual_.settings.protocol;
        match protocol {
            Protocol::Http => Http.serve_tls(listener, connection, stream),
            Protocol::Tcp | Protocol::Udp => Tcp.serve_tls(listener, connection, stream),
        }
    }
}
