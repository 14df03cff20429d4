//! Servers that say who they are and whom they see, on any host of a lab.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use shunt_lab::Host;

/// Answers each line of a TCP connection, and each datagram, with `NAME CLIENT`. A line `bye` has it close first.
pub struct Speaker {
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// A connection to one, or to whoever answers in its place.
pub struct Talk {
    stream: BufReader<TcpStream>,
}

/// What came of a question.
pub type Said<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How often a server looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

impl Speaker {
    /// Listens on an address of a host; the unspecified one is every address.
    ///
    /// # Panics
    /// Somebody else does.
    #[must_use]
    pub fn start(host: &Host, address: IpAddr, port: u16) -> Speaker {
        let stopping = Arc::new(AtomicBool::new(false));
        let sockets = host.within(|| {
            let at = SocketAddr::new(address, port);
            (TcpListener::bind(at).expect("a port"), UdpSocket::bind(at).expect("a port"))
        });
        let (listener, socket) = sockets.expect("the host");
        listener.set_nonblocking(true).expect("a socket");
        socket.set_read_timeout(Some(LOOK)).expect("a socket");
        let (name, ends) = (host.name().to_owned(), Arc::clone(&stopping));
        let tcp = std::thread::spawn(move || accept(&listener, &name, &ends));
        let (name, ends) = (host.name().to_owned(), Arc::clone(&stopping));
        let udp = std::thread::spawn(move || echo(&socket, &name, &ends));
        Speaker { stopping, threads: vec![tcp, udp] }
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Talk {
    /// Connects from an address of a host.
    ///
    /// # Errors
    /// Nobody takes the connection.
    pub fn open(host: &Host, from: IpAddr, to: SocketAddr) -> Said<Talk> {
        Ok(Talk { stream: BufReader::new(host.connect(from, to)?) })
    }

    /// Says something; the answer is who heard it, and whom he saw.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn say(&mut self, what: &str) -> Said<(String, SocketAddr)> {
        self.stream.get_mut().write_all(format!("{what}\n").as_bytes())?;
        let mut answer = String::new();
        self.stream.read_line(&mut answer)?;
        parse(&answer)
    }

    /// Waits until the other side has closed, and closes.
    ///
    /// # Errors
    /// It says something instead.
    pub fn end(mut self) -> Said<()> {
        let mut rest = String::new();
        if self.stream.read_line(&mut rest)? == 0 { Ok(()) } else { Err(rest.into()) }
    }
}

/// Asks over a socket that there is.
///
/// # Errors
/// No answer.
pub fn ask(socket: &UdpSocket, what: &str) -> Said<(String, SocketAddr)> {
    socket.send(what.as_bytes())?;
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer)?;
    parse(&String::from_utf8_lossy(&buffer[..length]))
}

fn parse(answer: &str) -> Said<(String, SocketAddr)> {
    let Some((name, client)) = answer.trim().split_once(' ') else {
        return Err(format!("no answer: {answer:?}").into());
    };
    Ok((name.to_owned(), client.parse()?))
}

fn accept(listener: &TcpListener, name: &str, stopping: &Arc<AtomicBool>) {
    let mut serving = Vec::new();
    while !stopping.load(SeqCst) {
        match listener.accept() {
            Ok((stream, client)) => {
                let (name, stopping) = (name.to_owned(), Arc::clone(stopping));
                serving.push(std::thread::spawn(move || serve(stream, client, &name, &stopping)));
            }
            Err(_) => std::thread::sleep(LOOK / 10),
        }
    }
    for thread in serving {
        let _ = thread.join();
    }
}

fn serve(stream: TcpStream, client: SocketAddr, name: &str, stopping: &AtomicBool) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(LOOK));
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while !stopping.load(SeqCst) {
        match stream.read_line(&mut line) {
            Ok(0) => return,
            Ok(_) => {
                let answer = format!("{name} {client}\n");
                if stream.get_mut().write_all(answer.as_bytes()).is_err() || line.trim() == "bye" {
                    return;
                }
                line.clear();
            }
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}

fn echo(socket: &UdpSocket, name: &str, stopping: &AtomicBool) {
    let mut buffer = [0; 2048];
    while !stopping.load(SeqCst) {
        if let Ok((_, client)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(format!("{name} {client}").as_bytes(), client);
        }
    }
}
