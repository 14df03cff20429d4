//! A worker's listener: accepts, asks `on-flow`, terminates TLS, and hands each connection to what serves it, in a
//! task of its own.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use shunt_config::model::Protocol;
use shunt_engine::at_once::Taken;
use shunt_engine::network::Prefix;
use shunt_rules::{Flow, FlowVerdict, Hook, Transport};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_rustls::rustls::{HandshakeKind, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::accepting::Accepting;
use crate::beyond::Beyond;
use crate::client::{self, ClientStream};
use crate::connection::Connection;
use crate::loops;
use crate::proxy_protocol::{self, OfTls};
use crate::route::Route;
use crate::tls::alert::Alert;
use crate::tls::choose::{Plan, on_client_hello};
use crate::tls::hello::{Hello, NoHello};
use crate::tls::{pass_through, terminate};
use crate::view::VirtualView;
use shunt_runtime::counters::{Shard, VirtualCounters};
use shunt_runtime::overload;
use shunt_runtime::rules::chain::{Chain, Decision};
use shunt_runtime::tls::Tls;
use shunt_runtime::tls::peer::{self, Shown};

/// How long accepting pauses when descriptors or memory are used up: the connections that hold them
/// get time to end, and the loop does not spin.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a connection of a closed listener may stay silent, from its beginning or its last answer on, before it is
/// ended. A client that sends requests one after another gets one more answer, which says that it is the last.
pub(crate) const SILENCE: Duration = Duration::from_secs(2);

/// How long handshakes that the kernel has begun may take when a listener closes: a round trip of most networks.
const HANDSHAKES: Duration = Duration::from_millis(100);

/// Flow numbers are unique over all workers.
static NEXT_FLOW: AtomicU64 = AtomicU64::new(1);

pub(crate) fn next_flow() -> u64 {
    NEXT_FLOW.fetch_add(1, Relaxed)
}

pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    /// Its socket takes connections to any address.
    pub(crate) transparent: bool,
    view: RefCell<Rc<VirtualView>>,
    closing: Notify,
    closed: Cell<bool>,
    /// Its socket is open: it accepts, or takes what the kernel has accepted before it closed.
    accepting: Cell<bool>,
    open: Cell<usize>,
    beyond: Beyond,
    /// Told when its socket is closed, and when the last connection ends.
    emptied: Notify,
}

/// What becomes of the connections that a listener admits: a protocol.
pub(crate) trait Serve: Copy + 'static {
    /// Serves a connection to its end.
    async fn serve<S: ClientStream>(self, listener: Rc<Listener>, connection: Rc<Connection>, stream: S);

    /// The same for one with TLS.
    fn serve_tls(
        self,
        listener: Rc<Listener>,
        connection: Rc<Connection>,
        stream: TlsStream<TcpStream>,
    ) -> Serving {
        Box::pin(self.serve(listener, connection, stream))
    }
}

/// A connection that is served. Boxed, for what protocols need is of different sizes.
pub(crate) type Serving = Pin<Box<dyn Future<Output = ()>>>;

/// What `on-flow` came to.
pub(crate) enum Admission {
    Serve(Route),
    Reset,
    Close,
}

impl Listener {
    pub(crate) fn new(address: SocketAddr, view: Rc<VirtualView>) -> Rc<Self> {
        Rc::new(Listener {
            address,
            transparent: view.virtual_.settings.transparent,
            view: RefCell::new(view),
            closing: Notify::new(),
            closed: Cell::new(false),
            accepting: Cell::new(true),
            open: Cell::new(0),
            beyond: Beyond::default(),
            emptied: Notify::new(),
        })
    }

    /// The configuration for the next connection and the next request.
    pub(crate) fn view(&self) -> Rc<VirtualView> {
        Rc::clone(&self.view.borrow())
    }

    pub(crate) fn set_view(&self, view: Rc<VirtualView>) {
        self.view.replace(view);
    }

    /// Stops accepting and asks the connections to end after the request that they are at, or that comes within
    /// [`SILENCE`].
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.closing.notify_waiters();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Resolves once [`Listener::close`] was called.
    pub(crate) async fn closing(&self) {
        let closing = self.closing.notified();
        if !self.closed.get() {
            closing.await;
        }
    }

    /// Resolves once the listener is closed and this has been waited for as long as that.
    pub(crate) async fn closed_for(&self, silence: Duration) {
        let until = Instant::now() + silence;
        self.closing().await;
        sleep_until(until).await;
    }

    /// Whether it is closed and no connection is open.
    pub(crate) fn is_drained(&self) -> bool {
        !self.accepting.get() && self.open.get() == 0
    }

    /// Resolves once it is closed and no connection is open.
    pub(crate) async fn drained(&self) {
        while !self.is_drained() {
            self.emptied.notified().await;
        }
    }

    /// Accepts until closed, and gives what is admitted to `protocol`.
    pub(crate) async fn accept(self: Rc<Self>, socket: Accepting, protocol: impl Serve) {
        let mut closing = pin!(self.closing());
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = socket.next() => accepted,
                () = &mut closing => break,
            };
            match accepted {
                Ok((stream, client)) => self.admit(stream, client, protocol),
                Err(error) if is_exhaustion(&error) => {
                    tracing::warn!(listen = %self.address, %error, "cannot accept connections, pausing");
                    self.view().counters.accept_pauses.add(1);
                    sleep(PAUSE).await;
                }
                // That connection is gone; the next may be fine.
                Err(error) => tracing::debug!(listen = %self.address, %error, "accept failed"),
            }
        }
        self.accept_rest(socket, protocol).await;
        self.accepting.set(false);
        self.emptied.notify_waiters();
    }

    /// Takes the connections whose handshakes the kernel has done, or is at, before the socket closes: clients have sent
    /// requests on them already, and closing the socket would reset them.
    async fn accept_rest(self: &Rc<Self>, socket: Accepting, protocol: impl Serve) {
        if let Err(error) = shunt_sys::listen::ignore_new_connections(&socket) {
            tracing::debug!(listen = %self.address, %error, "cannot filter new connections");
        }
        let until = Instant::now() + HANDSHAKES;
        while let Ok(accepted) = timeout_at(until, socket.next()).await {
            match accepted {
                Ok((stream, client)) => self.admit(stream, client, protocol),
                Err(error) if is_exhaustion(&error) => break,
                Err(_) => {}
            }
        }
        // The worker has not waited for events since, which would tell of the last of them.
        while let Ok((stream, client)) = socket.next_now() {
            self.admit(stream, client, protocol);
        }
    }

    fn admit(self: &Rc<Self>, stream: TcpStream, client: SocketAddr, protocol: impl Serve) {
        let view = self.view();
        view.counters.connections.add(1);
        // Requests are told so.
        if overload::is_overloaded() && view.virtual_.settings.protocol != Protocol::Http {
            view.counters.overloaded.add(1);
            return reset(&stream);
        }
        let Ok(taken) = view.admit(self.open.get()) else {
            view.counters.refused.add(1);
            reset(&stream);
            self.beyond.tell(&view, client, "connections");
            return;
        };
        self.open.set(self.open.get() + 1);
        view.counters.open.add(1);
        let place = Place { listener: Rc::clone(self), counters: Arc::clone(&view.counters), _taken: taken };
        tokio::task::spawn_local(place.serve(view, stream, client, protocol));
    }
}

/// A connection's place among those that are open; given back when it is dropped.
struct Place {
    listener: Rc<Listener>,
    counters: Arc<Shard<VirtualCounters>>,
    /// Its place among those of all workers, where they have a limit.
    _taken: Option<Taken>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counters.open.subtract(1);
        self.listener.open.set(self.listener.open.get() - 1);
        if self.listener.open.get() == 0 {
            self.listener.emptied.notify_waiters();
        }
    }
}

impl Place {
    async fn serve(
        self,
        view: Rc<VirtualView>,
        mut stream: TcpStream,
        mut client: SocketAddr,
        protocol: impl Serve,
    ) {
        let settings = &view.virtual_.settings;
        let mut vip = if settings.transparent || self.listener.address.ip().is_unspecified() {
            stream.local_addr().unwrap_or(self.listener.address)
        } else {
            self.listener.address
        };
        if settings.transparent && loops::is_own(client, vip) {
            self.counters.loops.add(1);
            loops::tell(&settings.name, vip);
            return reset(&stream);
        }
        let mut https = view.virtual_.tls.is_some() || settings.pass_through;
        if is_one_of(&settings.proxy_protocol, client.ip()) {
            let reading = timeout(settings.timeouts.head, proxy_protocol::read(&mut stream));
            // Boxed: connections of other sources do not need its room.
            let told = match Box::pin(reading).await {
                Ok(Ok(told)) => told,
                refused => {
                    self.counters.proxy_headers_refused.add(1);
                    let why = refused.map_or("it did not come in time".to_owned(), |read| {
                        read.err().map(|error| error.to_string()).unwrap_or_default()
                    });
                    tracing::debug!(source = %client, why, "no PROXY header");
                    return;
                }
            };
            https |= told.over_tls;
            (client, vip) = told.addresses.unwrap_or((client, vip));
        }
        let flow = Flow { id: next_flow(), client, vip, transport: Transport::Tcp, ingress: 0 };
        let tls = view.virtual_.tls.clone();
        let mut connection = connection(&view, flow, https);
        match on_flow(&connection, &view) {
            Admission::Serve(route) => connection.route = route,
            Admission::Reset => {
                self.counters.refused.add(1);
                return reset(&stream);
            }
            Admission::Close => {
                self.counters.refused.add(1);
                return;
            }
        }
        let settings = &view.virtual_.settings;
        if settings.pass_through || tls.is_some() && view.hooks.contains(Hook::OnClientHello) {
            // Boxed, for other connections would have its size.
            if let Some(serving) = Box::pin(self.behind_hello(view, connection, stream, protocol)).await {
                serving.await;
            }
            return;
        }
        let connection = Rc::new(connection);
        let handshake = tls.map(|tls| Handshake::as_configured(&view, tls));
        // What is held here lives as long as the connection.
        drop(view);
        match handshake {
            None => protocol.serve(Rc::clone(&self.listener), connection, stream).await,
            Some(handshake) => {
                // Boxed, for it is large, and plain connections would have its size. What comes behind it has a box of
                // its own: this one is given back.
                let shaken = Box::pin(self.shake_hands(connection, stream, handshake, protocol)).await;
                if let Some(serving) = shaken {
                    serving.await;
                }
            }
        }
    }

    /// Reads what the client says first, asks the rules what is to become of the connection, and does that; `None`: there
    /// is no connection to be served.
    async fn behind_hello(
        &self,
        view: Rc<VirtualView>,
        mut connection: Connection,
        stream: TcpStream,
        protocol: impl Serve,
    ) -> Option<Serving> {
        let (hello, stream) = self.read_hello(&view, stream).await?;
        let plan = match view.hooks.contains(Hook::OnClientHello) {
            true => on_client_hello(&mut connection, &view, &hello),
            false => Plan::AsConfigured,
        };
        let (tls, terms) = match (plan, view.virtual_.tls.clone()) {
            (Plan::Refuse(alert), _) => {
                self.counters.refused.add(1);
                alert.send(stream, view.virtual_.settings.timeouts.head).await;
                return None;
            }
            (Plan::Terminate(config), Some(tls)) => (tls, Some(config)),
            (Plan::AsConfigured, Some(tls)) => (tls, None),
            (Plan::PassThrough, _) | (Plan::AsConfigured | Plan::Terminate(_), None) => {
                pass_through::serve(view, connection, stream, hello).await;
                return None;
            }
        };
        let mut handshake = Handshake::as_configured(&view, tls);
        handshake.hello = Some(hello);
        handshake.config = terms.unwrap_or(handshake.config);
        drop(view);
        self.shake_hands(Rc::new(connection), stream, handshake, protocol).await
    }

    /// What a client of TLS says first. Where there is none, the client is told what fits and the handshake counts as
    /// failed.
    async fn read_hello(&self, view: &VirtualView, mut stream: TcpStream) -> Option<(Hello, TcpStream)> {
        let within = view.virtual_.settings.timeouts.head;
        let why = match timeout(within, Hello::read(&mut stream)).await {
            Ok(Ok(hello)) => return Some((hello, stream)),
            Ok(Err(why)) => why,
            Err(_) => NoHello::Io(io::ErrorKind::TimedOut.into()),
        };
        self.counters.handshakes_failed.add(1);
        tracing::debug!(listen = %self.listener.address, %why, "no ClientHello");
        if let NoHello::Unfit(error) = why
            && let Some(alert) = Alert::of(error)
        {
            alert.send(stream, within).await;
        }
        None
    }

    /// The TLS handshake; `None`: there is no connection to be served.
    async fn shake_hands(
        &self,
        connection: Rc<Connection>,
        stream: TcpStream,
        handshake: Handshake,
        protocol: impl Serve,
    ) -> Option<Serving> {
        let Handshake { tls, hello, config, within } = handshake;
        match timeout(within, terminate::handshake(stream, hello, config)).await {
            Ok(Ok(stream)) => {
                if know_client(&stream, &tls, &connection) {
                    if self.listener.view().tells_of_tls() {
                        // Empty until now: a connection has one handshake.
                        let _ = connection.of_tls.set(Box::new(OfTls::new(stream.get_ref().1)));
                    }
                    return Some(protocol.serve_tls(Rc::clone(&self.listener), connection, stream));
                }
                self.counters.handshakes_failed.add(1);
            }
            Ok(Err((error, stream))) => {
                self.counters.handshakes_failed.add(1);
                tracing::debug!(client = %connection.flow.client, %error, "TLS handshake failed");
                // The alert says why, and a client of TLS 1.3 has sent its request before it can come.
                client::linger(stream, within).await;
            }
            Err(_) => self.counters.handshakes_failed.add(1),
        }
        None
    }
}

/// A handshake that is to be made.
struct Handshake {
    tls: Arc<Tls>,
    /// What was read of it.
    hello: Option<Hello>,
    config: Arc<ServerConfig>,
    within: Duration,
}

impl Handshake {
    fn as_configured(view: &VirtualView, tls: Arc<Tls>) -> Self {
        let settings = &view.virtual_.settings;
        Handshake { hello: None, config: Arc::clone(&tls.config), within: settings.timeouts.head, tls }
    }
}

/// Takes note of the client's certificate, if it showed one. `false`: it has expired since the session was begun that
/// this one resumes.
fn know_client(stream: &TlsStream<TcpStream>, tls: &Tls, connection: &Connection) -> bool {
    let (_, session) = stream.get_ref();
    let Some(certificate) = session.peer_certificates().and_then(|chain| chain.first()) else { return true };
    if session.handshake_kind() == Some(HandshakeKind::Resumed) && !peer::is_in_date(certificate) {
        tracing::debug!(client = %connection.flow.client, "the certificate of a resumed session has expired");
        return false;
    }
    let _ = connection.shown.set(Arc::new(Shown::new(certificate)));
    if !tls.headers.is_empty() {
        // Empty until now: a connection has one handshake.
        let _ = connection.certificate.set(peer::describe(certificate, &tls.headers));
    }
    true
}

/// A connection of which no rule was told yet.
pub(crate) fn connection(view: &VirtualView, flow: Flow, https: bool) -> Connection {
    let mut connection = Connection::new(flow, view.virtual_.tls.is_some());
    connection.https = https;
    connection.is_trusted = is_one_of(&view.virtual_.settings.trusted_proxies, flow.client.ip());
    connection
}

/// `on-flow`, in the order of the rules, until one decides.
pub(crate) fn on_flow(connection: &Connection, view: &VirtualView) -> Admission {
    let mut route = Route::default();
    if !view.hooks.contains(Hook::OnFlow) {
        return Admission::Serve(route);
    }
    let flow = connection.flow;
    let decision = Chain::new(Hook::OnFlow, &view.rules).ask(|rule| {
        connection.with_runner(rule, |runner| {
            Ok(match connection.with_vars(|vars| runner.on_flow(&flow, vars))? {
                FlowVerdict::Next => None,
                FlowVerdict::Reject => Some(Admission::Reset),
                FlowVerdict::Drop => Some(Admission::Close),
                FlowVerdict::To(target) => {
                    let redirected = route.redirect(rule, target, view.pool.as_ref());
                    redirected.map_err(|why| runner.refuse_verdict(Hook::OnFlow, why))?;
                    Some(Admission::Serve(std::mem::take(&mut route)))
                }
            })
        })
    });
    match decision {
        None => Admission::Serve(Route::default()),
        Some(Decision::Verdict(admission)) => admission,
        Some(Decision::Refuse) => Admission::Reset,
        Some(Decision::Pool(pool)) => Admission::Serve(Route::to_pool(Rc::clone(pool))),
    }
}

fn is_one_of(prefixes: &[Prefix], source: IpAddr) -> bool {
    !prefixes.is_empty() && prefixes.iter().any(|it| it.contains(source.into()))
}

/// Closes with RST, which tells the client at once that nothing will come.
pub(crate) fn reset(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// EMFILE, ENFILE, ENOBUFS and ENOMEM: the machine's state, not this connection's.
fn is_exhaustion(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory || matches!(error.raw_os_error(), Some(23 | 24 | 105))
}
