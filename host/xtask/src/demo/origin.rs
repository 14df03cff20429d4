//! The servers behind the demo: real HTTP/1.1 with keep-alive, a thread per connection.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// A server on loopback that answers every request with its name. It ends with the process.
pub(crate) struct Origin {
    pub address: SocketAddr,
}

impl Origin {
    pub(crate) fn start(name: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        thread::Builder::new().name(format!("origin {name}")).spawn(move || {
            for connection in listener.incoming().flatten() {
                // A connection that cannot have a thread is closed; its client sees that.
                let _ = thread::Builder::new().spawn(move || serve(name, connection));
            }
        })?;
        Ok(Self { address })
    }
}

/// Answers requests until the client closes. Requests with bodies are not for it.
fn serve(name: &str, mut connection: TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection.try_clone()?);
    while let Some(target) = read_head(&mut reader)? {
        let body = format!("{name} answers {target}\n");
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
        connection.write_all((head + &body).as_bytes())?;
    }
    Ok(())
}

/// Reads one request head; gives its target, or `None` where the client closed before it.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let target = line.split(' ').nth(1).unwrap_or("/").to_owned();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.trim_end().is_empty() {
            return Ok(Some(target));
        }
    }
}
