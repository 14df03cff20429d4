//! One question to one server.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use shunt_engine::names::answer::{self, Answer, Unanswered};
use shunt_wire::dns::{Kind, MOST_QUESTION, MOST_UDP, Message, Name, write_question};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use shunt_runtime::dial;

/// Times that a question is sent over UDP within the time-out: datagrams get lost.
const SENDS: u32 = 2;

/// Why a server gave no answer that can be used.
#[derive(Debug, Error)]
pub(super) enum NoAnswer {
    #[error("does not answer within {}", shown(*.0))]
    Silent(Duration),
    #[error("cannot be asked: {0}")]
    Io(#[from] io::Error),
    #[error("{}", said(*.0))]
    Unanswered(Unanswered),
    #[error("answers something else than it was asked")]
    Other,
}

/// Asks over UDP, and over TCP where the answer does not fit.
pub(super) async fn ask(
    server: SocketAddr,
    name: &Name,
    kind: Kind,
    wait: Duration,
) -> Result<Answer, NoAnswer> {
    timeout(wait, async {
        let id = random()?;
        let mut buffer = [0; MOST_QUESTION];
        let length = write_question(&mut buffer, id, name, kind).ok_or(NoAnswer::Other)?;
        let question = buffer.get(..length).unwrap_or_default();
        match over_udp(server, question, (id, name, kind), wait).await? {
            Some(answer) => Ok(answer),
            None => over_tcp(server, question, (id, name, kind)).await,
        }
    })
    .await
    .unwrap_or(Err(NoAnswer::Silent(wait)))
}

type Question<'a> = (u16, &'a Name, Kind);

/// `None`: the answer is to be had over TCP.
async fn over_udp(
    server: SocketAddr,
    question: &[u8],
    asked: Question<'_>,
    wait: Duration,
) -> Result<Option<Answer>, NoAnswer> {
    // A port of its own for each question, which the kernel chooses, and only what this server sends (RFC 5452 sections
    // 9.1 and 9.2).
    let any =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind::<SocketAddr>(any).await?;
    socket.connect(server).await?;
    let mut buffer = [0; MOST_UDP];
    loop {
        socket.send(question).await?;
        let answered = async {
            loop {
                let length = socket.recv(&mut buffer).await?;
                let bytes = buffer.get(..length).unwrap_or_default();
                // Whoever guesses ports sends much that is no answer: the answer may still come.
                let Some(message) = read(bytes, asked) else { continue };
                if message.is_truncated() {
                    return Ok(None);
                }
                return judge(&message, asked).map(Some);
            }
        };
        if let Ok(answered) = timeout(wait / SENDS, answered).await {
            return answered;
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &[u8], asked: Question<'_>) -> Result<Answer, NoAnswer> {
    let mut stream: TcpStream = dial::connect(server).await?;
    // RFC 1035 section 4.2.2: the length goes before the message.
    let length = u16::try_from(question.len()).map_err(|_| NoAnswer::Other)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    let message = read(&bytes, asked).ok_or(NoAnswer::Other)?;
    judge(&message, asked)
}

/// The message, if it answers the question.
fn read<'a>(bytes: &'a [u8], (id, name, kind): Question<'_>) -> Option<Message<'a>> {
    Message::read(bytes).ok().flatten().filter(|message| message.answers(id, name, kind))
}

fn judge(message: &Message<'_>, (_, name, kind): Question<'_>) -> Result<Answer, NoAnswer> {
    answer::read(message, name, kind).map_err(NoAnswer::Unanswered)
}

/// An id that cannot be guessed (RFC 5452 section 4.3).
fn random() -> io::Result<u16> {
    let mut bytes = [0; 2];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(u16::from_be_bytes(bytes))
}

fn shown(wait: Duration) -> String {
    format!("{wait:?}")
}

fn said(why: Unanswered) -> String {
    match why {
        // RFC 1035 section 4.1.1.
        Unanswered::Code(1) => "answers FORMERR".to_owned(),
        Unanswered::Code(2) => "answers SERVFAIL".to_owned(),
        Unanswered::Code(4) => "answers NOTIMP".to_owned(),
        Unanswered::Code(5) => "answers REFUSED".to_owned(),
        Unanswered::Code(code) => format!("answers with error {code}"),
        Unanswered::Malformed(_) => "answers with a malformed message".to_owned(),
        Unanswered::Loop => "has aliases that lead back, or are too many".to_owned(),
    }
}
