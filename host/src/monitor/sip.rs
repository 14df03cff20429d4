//! An OPTIONS request must be answered (RFC 3261 section 11).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use shunt_config::monitors::Sip;
use thiserror::Error;

use super::dialogue::{self, Dialogue, shown};
use super::probe::{self, Ask, Good, MAX_BODY_BYTES, ProbeTransport, Probing};
use super::udp::open;

/// Why the response is not good.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("{0}, expected 200 to 299")]
    Status(String),
    #[error("the response is not of SIP")]
    Foreign,
}

impl Ask for Sip {
    async fn ask<S: ProbeTransport>(&self, probing: Probing<'_, S>) -> Result<Good, probe::Failure> {
        let to = probing.to;
        let call = call();
        match self {
            Sip::Udp => {
                let socket = open(probing).await?;
                let from = socket.local_addr().map_err(probe::Failure::Connect)?;
                let request = request("UDP", from, to, &call);
                socket.send(request.as_bytes()).await.map_err(probe::Failure::Connect)?;
                let mut buffer = vec![0; MAX_BODY_BYTES];
                loop {
                    let length = socket.recv(&mut buffer).await.map_err(probe::Failure::Connect)?;
                    if let Some(outcome) = judged(buffer.get(..length).unwrap_or_default(), &call) {
                        return Ok(outcome?);
                    }
                }
            }
            Sip::Tcp => {
                let mut dialogue = Dialogue::open(probing).await?;
                dialogue.say(request("TCP", to, to, &call).as_bytes()).await?;
                loop {
                    let head = head(&mut dialogue).await?;
                    if let Some(outcome) = judged(head.as_bytes(), &call) {
                        return Ok(outcome?);
                    }
                }
            }
        }
    }
}

/// The lines up to the empty one.
async fn head(dialogue: &mut Dialogue) -> Result<String, dialogue::Failure> {
    let mut head = String::new();
    loop {
        let line = dialogue.line("the response").await?;
        if line.is_empty() && !head.is_empty() {
            return Ok(head);
        }
        head.push_str(&line);
        head.push_str("\r\n");
    }
}

/// What tells this probe's answers from those of others.
fn call() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

/// Without a user in its URI, so that it asks the server itself.
fn request(transport: &str, from: SocketAddr, to: SocketAddr, call: &str) -> String {
    format!(
        "OPTIONS sip:{to} SIP/2.0\r\n\
         Via: SIP/2.0/{transport} {from};rport;branch=z9hG4bK-{call}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:{from}>;tag={call}\r\n\
         To: <sip:{to}>\r\n\
         Call-ID: {call}@shunt\r\n\
         CSeq: 1 OPTIONS\r\n\
         Contact: <sip:{from}>\r\n\
         User-Agent: shunt/{}\r\n\
         Accept: application/sdp\r\n\
         Content-Length: 0\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// `None`: it is provisional, or another probe's.
fn judged(response: &[u8], call: &str) -> Option<Result<Good, Failure>> {
    let text = String::from_utf8_lossy(response);
    let line = text.lines().next().unwrap_or_default();
    let Some(status) = line.strip_prefix("SIP/2.0 ") else { return Some(Err(Failure::Foreign)) };
    let status = shown(status.as_bytes());
    if !text.contains(&format!("{call}@shunt")) || status.starts_with('1') {
        return None;
    }
    Some(if status.starts_with('2') { Ok(status.into()) } else { Err(Failure::Status(status)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_response_means() {
        let told = |text: &str| match judged(text.as_bytes(), "7-1") {
            Some(Ok(good)) => format!("good: {good}"),
            Some(Err(failure)) => failure.to_string(),
            None => "more".to_owned(),
        };
        assert_eq!(told("SIP/2.0 200 OK\r\nCall-ID: 7-1@shunt\r\n\r\n"), "good: 200 OK");
        assert_eq!(told("SIP/2.0 100 Trying\r\nCall-ID: 7-1@shunt\r\n\r\n"), "more");
        assert_eq!(told("SIP/2.0 200 OK\r\nCall-ID: 7-0@shunt\r\n\r\n"), "more", "of an earlier probe");
        let refused = "SIP/2.0 503 Service Unavailable\r\nCall-ID: 7-1@shunt\r\n\r\n";
        assert_eq!(told(refused), "503 Service Unavailable, expected 200 to 299");
        assert_eq!(told("HTTP/1.1 400 Bad Request\r\n\r\n"), "the response is not of SIP");
    }
}
