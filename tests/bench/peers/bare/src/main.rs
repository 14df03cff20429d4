//! The least proxy on the crates that Shunt uses: forwards to one origin and does nothing else.
//! What Shunt costs above it is Shunt's own. usage: bare PORT ORIGIN

use std::{cell::RefCell, convert::Infallible, rc::Rc};

use hyper::{Request, body::Incoming, client::conn::http1 as client, server::conn::http1 as server};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Idle = Rc<RefCell<Vec<client::SendRequest<Incoming>>>>;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let port: u16 = arguments[1].parse().expect("a port");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let (origin, idle): (Rc<str>, Idle) = (arguments[2].as_str().into(), Idle::default());
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a socket");
            let (origin, idle) = (origin.clone(), idle.clone());
            tokio::task::spawn_local(async move {
                let service = hyper::service::service_fn(|request| forward(request, &origin, &idle));
                let mut http = server::Builder::new();
                let _ = http.pipeline_flush(true).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

async fn forward(
    request: Request<Incoming>,
    origin: &str,
    idle: &Idle,
) -> Result<hyper::Response<Incoming>, Infallible> {
    let kept = std::iter::from_fn(|| idle.borrow_mut().pop()).find(client::SendRequest::is_ready);
    let mut sender = match kept {
        Some(sender) => sender,
        None => {
            let stream = TcpStream::connect(origin).await.expect("the origin");
            stream.set_nodelay(true).expect("a socket");
            let (sender, connection) = client::handshake(TokioIo::new(stream)).await.expect("a handshake");
            tokio::task::spawn_local(connection);
            sender
        }
    };
    let response = sender.send_request(request).await.expect("a response");
    idle.borrow_mut().push(sender);
    Ok(response)
}
