//! The admin interface: HTTP/1.1 with JSON on a unix socket, under `/v1`.
//!
//! | module | what |
//! |---|---|
//! | [`socket`] | where it listens, and who may speak to it |
//! | `routes` | what can be asked; described for programs by `openapi.json` |
//! | [`refusal`] | how it says no |
//! | `explain` | the question how a packet would be handled |
//! | [`metrics`] | the counters as OpenMetrics |
//!
//! Whoever may open the socket may do everything. It is the operator's door, and the command line is
//! its first client.

mod explain;
pub mod metrics;
pub mod refusal;
mod routes;
#[cfg(test)]
pub(crate) mod sample;
pub mod socket;

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::control::Control;
use socket::{AdminSocket, Peer};

/// The control, one change at a time.
pub type SharedControl = Arc<Mutex<Control>>;

/// Serves until it is dropped, which closes the socket; what has been begun is then answered still.
pub async fn serve(socket: AdminSocket, control: SharedControl) {
    let service = routes::router(control).into_make_service_with_connect_info::<Peer>();
    let served = axum::serve(socket, service).await;
    // It ends on no error of a client or of the listener.
    if let Err(error) = served {
        tracing::error!(%error, "the admin socket is closed");
    }
}
