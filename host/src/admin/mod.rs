//! The admin interface: HTTP/1.1 with JSON on a unix socket, under `/v1`.
//!
//! | module | what |
//! |---|---|
//! | [`socket`] | where it listens, and who may speak to it |
//! | `routes` | what can be asked; described for programs by OpenAPI |
//! | [`refusal`] | how it says no |
//! | `explain` | the question how a packet or a request would be handled |
//! | `trace` | requests as they are served, a line each |
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
mod trace;

use std::sync::Arc;

use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Mutex;

use crate::control::Control;
pub(crate) use explain::unasked;
use socket::AdminSocket;

/// The control, one change at a time.
pub type SharedControl = Arc<Mutex<Control>>;

/// Serves until it is dropped, which closes the socket; what has been begun is then answered still.
pub async fn serve(mut socket: AdminSocket, control: SharedControl) {
    let router = TowerToHyperService::new(routes::router(control));
    loop {
        let (stream, peer) = socket.accept().await;
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.call(request)
        });
        tokio::spawn(async move {
            // A client that has sent a whole request may leave. Without it hyper drops the request where it reads the
            // end of the stream together with the request, before anything has seen it.
            let mut http = http1::Builder::new();
            let served = http.half_close(true).timer(TokioTimer::new());
            if let Err(error) = served.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "a client of the admin socket");
            }
        });
    }
}
