//! A server of datagrams that says what came.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;

use crate::host::Host;
use crate::stream;

/// Answers each datagram with `MEMBER CLIENT DIGEST `, filled up to as many bytes as the datagram asks for by
/// beginning with `answer N `.
#[derive(Debug)]
pub(crate) struct Echo {
    stopping: Arc<AtomicBool>,
    answering: Vec<JoinHandle<()>>,
}

/// How often a server looks whether it is to end.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

impl Echo {
    pub(crate) fn start(host: &Host, addresses: &[IpAddr], ports: &[u16]) -> Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let sockets = addresses.iter().flat_map(|ip| ports.iter().map(|port| SocketAddr::new(*ip, *port)));
        let mut answering = Vec::new();
        for address in sockets {
            // One socket per address: its answers come from where the question went.
            let socket = host.within(|| UdpSocket::bind(address))??;
            socket.set_read_timeout(Some(LOOK))?;
            let (name, stopping) = (host.name().to_owned(), Arc::clone(&stopping));
            answering.push(std::thread::spawn(move || answer(&socket, &name, &stopping)));
        }
        Ok(Echo { stopping, answering })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        for thread in self.answering.drain(..) {
            let _ = thread.join();
        }
    }
}

fn answer(socket: &UdpSocket, name: &str, stopping: &AtomicBool) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    while !stopping.load(SeqCst) {
        let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
        let question = &buffer[..length];
        let mut answer = format!("{name} {client} {} ", stream::digest(question)).into_bytes();
        if let Some(wanted) = wanted(question) {
            answer.extend(stream::bytes(wanted.saturating_sub(answer.len())));
        }
        // The first is the error of an earlier answer, which a narrow path has refused: it is not this one's.
        for _ in 0..2 {
            match socket.send_to(&answer, client) {
                Err(error) if is_of_earlier(&error) => {}
                _ => break,
            }
        }
    }
}

fn is_of_earlier(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable)
}

fn wanted(question: &[u8]) -> Option<usize> {
    let rest = question.strip_prefix(b"answer ")?;
    let digits = rest.iter().take_while(|it| it.is_ascii_digit()).copied().collect();
    String::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_may_ask_for_a_length() {
        assert_eq!(wanted(b"answer 1400 please"), Some(1400));
        assert_eq!(wanted(b"hello"), None);
    }
}
