//! The other end: a member that speaks HTTP/2 exactly as a test says.

use std::collections::BTreeMap;
use std::io;

use super::{
    ACK, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, Wire, block, settings_payload,
};
use crate::origin::Call;

/// A connection that a client opened. Heads of requests are not read: streams come in the order of their requests.
pub struct Server {
    wire: Wire,
    /// Streams that have begun, and were not asked for.
    begun: Vec<u32>,
    ended: Vec<u32>,
    bodies: BTreeMap<u32, Vec<u8>>,
    /// Codes of RST_STREAM that came.
    resets: BTreeMap<u32, u32>,
    /// Data that comes makes room for more.
    pub polite: bool,
}

impl Server {
    /// Takes the client's preface and says its own, with these settings.
    ///
    /// # Errors
    /// The client is gone, or does not speak HTTP/2.
    pub fn begin(call: &Call, settings: &[(u16, u32)]) -> io::Result<Server> {
        let mut wire = Wire::new(call.stream().try_clone()?);
        if wire.exact(PREFACE.len())? != PREFACE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        wire.send(&Frame::new(SETTINGS, 0, 0, settings_payload(settings)))?;
        Ok(Server {
            wire,
            begun: Vec::new(),
            ended: Vec::new(),
            bodies: BTreeMap::new(),
            resets: BTreeMap::new(),
            polite: true,
        })
    }

    /// # Errors
    /// The client is gone.
    pub fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.wire.send(frame)
    }

    /// Waits for the next request; says its stream.
    ///
    /// # Errors
    /// The client is gone.
    pub fn request(&mut self) -> io::Result<u32> {
        while self.begun.is_empty() {
            self.step()?;
        }
        Ok(self.begun.remove(0))
    }

    /// Waits for the end of a request; says its body.
    ///
    /// # Errors
    /// The client is gone.
    pub fn body(&mut self, stream: u32) -> io::Result<Vec<u8>> {
        while !self.ended.contains(&stream) {
            self.step()?;
        }
        Ok(self.bodies.remove(&stream).unwrap_or_default())
    }

    /// Waits until so much of a request's body has come.
    ///
    /// # Errors
    /// The client is gone.
    pub fn read_body(&mut self, stream: u32, length: usize) -> io::Result<()> {
        while self.came(stream) < length {
            self.step()?;
        }
        Ok(())
    }

    /// How much of a request's body has come so far.
    #[must_use]
    pub fn came(&self, stream: u32) -> usize {
        self.bodies.get(&stream).map_or(0, Vec::len)
    }

    /// Waits until the client has reset a stream; says the code.
    ///
    /// # Errors
    /// The client is gone.
    pub fn reset_of(&mut self, stream: u32) -> io::Result<u32> {
        loop {
            match self.resets.get(&stream) {
                Some(code) => return Ok(*code),
                None => drop(self.step()?),
            }
        }
    }

    /// A whole answer.
    ///
    /// # Errors
    /// The client is gone.
    pub fn answer(&mut self, stream: u32, body: &[u8]) -> io::Result<()> {
        self.head(stream, &[(":status", "200")], 0)?;
        self.data(stream, body, END_STREAM)
    }

    /// # Errors
    /// The client is gone.
    pub fn head(&mut self, stream: u32, fields: &[(&str, &str)], flags: u8) -> io::Result<()> {
        self.send(&Frame::new(HEADERS, flags | END_HEADERS, stream, block(fields)))
    }

    /// # Errors
    /// The client is gone.
    pub fn data(&mut self, stream: u32, data: &[u8], flags: u8) -> io::Result<()> {
        self.send(&Frame::new(DATA, flags, stream, data))
    }

    /// # Errors
    /// The client is gone.
    pub fn reset(&mut self, stream: u32, code: u32) -> io::Result<()> {
        self.send(&Frame::new(RST_STREAM, 0, stream, code.to_be_bytes()))
    }

    /// # Errors
    /// The client is gone.
    pub fn goaway(&mut self, last: u32, code: u32) -> io::Result<()> {
        self.send(&Frame::new(GOAWAY, 0, 0, [last.to_be_bytes(), code.to_be_bytes()].concat()))
    }

    /// Makes room for more of a stream, or (0) of the connection.
    ///
    /// # Errors
    /// The client is gone.
    pub fn make_room(&mut self, stream: u32, bytes: u32) -> io::Result<()> {
        self.send(&Frame::new(WINDOW_UPDATE, 0, stream, bytes.to_be_bytes()))
    }

    /// Reads to the end of the connection; says the code of the client's last GOAWAY.
    pub fn rest(&mut self) -> Option<u32> {
        let mut code = None;
        while let Ok(frame) = self.step() {
            if frame.kind == GOAWAY {
                code = Some(frame.number(4));
            }
        }
        code
    }

    /// Takes the next frame, and notes what it says.
    ///
    /// # Errors
    /// The connection ends.
    pub fn step(&mut self) -> io::Result<Frame> {
        let frame = self.wire.read()?;
        match frame.kind {
            HEADERS if !self.bodies.contains_key(&frame.stream) => {
                self.bodies.insert(frame.stream, Vec::new());
                self.begun.push(frame.stream);
            }
            DATA => {
                self.bodies.entry(frame.stream).or_default().extend(&frame.payload);
                let length = u32::try_from(frame.payload.len()).unwrap_or(0);
                if self.polite && length > 0 {
                    self.make_room(0, length)?;
                    self.make_room(frame.stream, length)?;
                }
            }
            RST_STREAM => drop(self.resets.insert(frame.stream, frame.number(0))),
            SETTINGS | PING if !frame.is(ACK) => {
                let payload = if frame.kind == PING { frame.payload.clone() } else { Vec::new() };
                self.send(&Frame::new(frame.kind, ACK, 0, payload))?;
            }
            _ => {}
        }
        if matches!(frame.kind, HEADERS | DATA) && frame.is(END_STREAM) {
            self.ended.push(frame.stream);
        }
        Ok(frame)
    }
}
