//! TLS between client and member: the connection goes to a member as it came.

use std::rc::Rc;

use tokio::net::TcpStream;

use super::alert::Alert;
use super::hello::Hello;
use crate::connection::Connection;
use crate::tcp::{Inner, forward};
use crate::view::VirtualView;

/// Connects to a member and relays the connection to its end.
pub(crate) async fn serve(
    view: Rc<VirtualView>,
    mut connection: Connection,
    client: TcpStream,
    hello: Hello,
) {
    let within = view.virtual_.settings.timeouts.head;
    if let Ok(said) = hello.said.said() {
        connection.session = said.session_id.into();
    }
    let (connection, hello) = (Rc::new(connection), hello.received.into());
    if let Err(client) = forward(view, connection, client, hello, Inner::PassedThrough).await {
        Alert::InternalError.send(client, within).await;
    }
}
