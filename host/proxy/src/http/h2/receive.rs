//! What a client's frames do (RFC 9113 sections 5 and 6).

mod heads;

use std::rc::Rc;

use h2::Reason;
use http::StatusCode;
use shunt_config::model::{Http2, Limits};

use super::floods::Flood;
use super::head::Head;
use super::history::Was;
use super::session::{FRAME_SIZE, MOST_WINDOW, Session, State, setting};
use super::streams::{Closed, Stream};
use crate::http::frames::{FrameHeader, HEADER, flag, kind};
use crate::http::hpack::decoder::Decoder;
use heads::Partial;
pub(super) use heads::most_head;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// RFC 9113 section 5.4.1.
    Error(Reason),
    Flood(Flood),
}

impl From<Reason> for End {
    fn from(reason: Reason) -> End {
        End::Error(reason)
    }
}

/// What the frames of a client come to, for its connection.
pub(super) trait Served {
    /// A request has begun.
    fn begin(&mut self, stream: &Rc<Stream>, head: Head);
    /// A request was refused, and its stream reset.
    fn refused(&mut self, why: &'static str);
    /// A request was answered for what its head says.
    fn answered(&mut self, status: StatusCode);
    /// No more requests are taken.
    fn takes_none(&self) -> bool;
    /// The client has answered the PING behind the first GOAWAY.
    fn knows(&mut self);
}

/// How frames are read.
pub(super) struct Receiver {
    session: Rc<Session>,
    limits: Limits,
    http2: Http2,
    decoder: Decoder,
    /// A head of which more is to come.
    head: Option<Partial>,
    /// SETTINGS came.
    begun: bool,
    /// The client has said GOAWAY.
    pub(super) leaves: bool,
    /// Above it no stream is taken: the last GOAWAY said so.
    pub(super) most: u32,
}

/// The content of the PING behind the first GOAWAY.
pub(super) const KNOWS: [u8; 8] = *b"shutdown";

impl Receiver {
    pub(super) fn new(session: &Rc<Session>, limits: &Limits, http2: Http2) -> Self {
        Receiver {
            session: Rc::clone(session),
            limits: limits.clone(),
            http2,
            decoder: Decoder::new(),
            head: None,
            begun: false,
            leaves: false,
            most: u32::MAX,
        }
    }

    /// Takes the frames that are whole; how many bytes they are.
    pub(super) fn take(&mut self, bytes: &[u8], served: &mut impl Served) -> Result<usize, End> {
        let mut taken = 0;
        while let Some(header) = bytes[taken..].first_chunk().map(FrameHeader::read) {
            if header.length > FRAME_SIZE {
                // Section 4.2.
                return Err(Reason::FRAME_SIZE_ERROR.into());
            }
            let end = taken + HEADER + header.length;
            let Some(payload) = bytes.get(taken + HEADER..end) else { break };
            self.take_frame(header, payload, served)?;
            taken = end;
        }
        Ok(taken)
    }

    fn take_frame(
        &mut self,
        frame: FrameHeader,
        payload: &[u8],
        served: &mut impl Served,
    ) -> Result<(), End> {
        let FrameHeader { kind, flags, stream, .. } = frame;
        if !self.begun && (kind != kind::SETTINGS || flags & flag::ACK != 0) {
            // Section 3.4.
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        if let Some(head) = &self.head
            && (kind != kind::CONTINUATION || stream != head.stream)
        {
            // Section 6.10.
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        match kind {
            kind::DATA => self.take_data(stream, flags, payload),
            kind::HEADERS => self.take_headers(stream, flags, payload, served),
            kind::CONTINUATION => self.take_continuation(flags, payload, served),
            kind::PRIORITY => self.take_priority(stream, payload),
            kind::RST_STREAM => self.take_reset(stream, payload),
            kind::SETTINGS => self.take_settings(stream, flags, payload),
            // Section 8.4: clients cannot push.
            kind::PUSH_PROMISE => Err(Reason::PROTOCOL_ERROR.into()),
            kind::PING => self.take_ping(stream, flags, payload, served),
            kind::GOAWAY => match (stream, payload.len()) {
                (0, 8..) => {
                    self.leaves = true;
                    Ok(())
                }
                (0, _) => Err(Reason::FRAME_SIZE_ERROR.into()),
                _ => Err(Reason::PROTOCOL_ERROR.into()),
            },
            kind::WINDOW_UPDATE => self.take_room(stream, payload),
            // Section 4.1: unknown types are ignored.
            _ => Ok(()),
        }
    }

    /// What a number stands for that is no open stream.
    fn was(&self, state: &State, id: u32) -> Was {
        // Section 6.8: what the last GOAWAY leaves out is ignored.
        if id > self.most { Was::Reset } else { state.history.was(id) }
    }

    /// A stream error (section 5.4.2).
    fn reset(&self, stream: u32, reason: Reason) {
        let state = &mut *self.session.state();
        state.write_reset(stream, reason);
        if let Some(open) = state.stream(stream).cloned() {
            state.forget(stream);
            open.close(Closed::Here(reason));
        }
    }

    /// Section 6.1.
    fn take_data(&mut self, id: u32, flags: u8, payload: &[u8]) -> Result<(), End> {
        if id == 0 {
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        let data = unpadded(flags, payload)?;
        let size = payload.len() as u32;
        let failed = {
            let state = &mut *self.session.state();
            if !state.received(size) {
                return Err(Reason::FLOW_CONTROL_ERROR.into());
            }
            let ended = flags & flag::END_STREAM != 0;
            match state.stream(id).cloned() {
                Some(stream) if stream.has_come() => Some(Reason::STREAM_CLOSED),
                Some(stream) => stream.receive(state, data, size, ended).err(),
                None => match self.was(state, id) {
                    Was::Idle | Was::Skipped => return Err(Reason::PROTOCOL_ERROR.into()),
                    Was::Closed => Some(Reason::STREAM_CLOSED),
                    Was::Reset | Was::Old => {
                        state.release(size);
                        None
                    }
                },
            }
        };
        if let Some(reason) = failed {
            self.session.state().release(size);
            self.reset(id, reason);
        }
        Ok(())
    }

    /// Section 6.3, and RFC 7540 section 5.3.1: it is checked and ignored.
    fn take_priority(&self, id: u32, payload: &[u8]) -> Result<(), End> {
        if id == 0 {
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        let reason = match payload {
            [_, _, _, _, _] if number(payload) & 0x7fff_ffff != id => return Ok(()),
            [_, _, _, _, _] => Reason::PROTOCOL_ERROR,
            _ => Reason::FRAME_SIZE_ERROR,
        };
        if self.was(&self.session.state(), id) == Was::Idle {
            // No stream that could be reset.
            return Err(reason.into());
        }
        self.reset(id, reason);
        Ok(())
    }

    /// Section 6.4.
    fn take_reset(&self, id: u32, payload: &[u8]) -> Result<(), End> {
        let state = &mut *self.session.state();
        if payload.len() != 4 {
            return Err(Reason::FRAME_SIZE_ERROR.into());
        }
        if let Some(stream) = state.stream(id).cloned() {
            state.forget(id);
            stream.close(Closed::Client(Reason::from(number(payload))));
        } else if self.was(state, id) == Was::Idle {
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        Ok(())
    }

    /// Section 6.5.
    fn take_settings(&mut self, id: u32, flags: u8, payload: &[u8]) -> Result<(), End> {
        if id != 0 {
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        if flags & flag::ACK != 0 {
            return if payload.is_empty() { Ok(()) } else { Err(Reason::FRAME_SIZE_ERROR.into()) };
        }
        let (settings, []) = payload.as_chunks::<6>() else { return Err(Reason::FRAME_SIZE_ERROR.into()) };
        self.begun = true;
        let state = &mut *self.session.state();
        for [n1, n0, value @ ..] in settings {
            let value = u32::from_be_bytes(*value);
            match u16::from_be_bytes([*n1, *n0]) {
                setting::HEADER_TABLE_SIZE => state.encoder.set_capacity(value),
                setting::ENABLE_PUSH if value > 1 => return Err(Reason::PROTOCOL_ERROR.into()),
                setting::INITIAL_WINDOW_SIZE => {
                    // Section 6.9.2.
                    let by = i64::from(value) - state.first_window;
                    state.first_window = i64::from(value);
                    let mut fits = state.first_window <= MOST_WINDOW;
                    for stream in state.open() {
                        fits &= stream.widen(by);
                    }
                    if !fits {
                        return Err(Reason::FLOW_CONTROL_ERROR.into());
                    }
                }
                setting::MAX_FRAME_SIZE if !(1 << 14..1 << 24).contains(&value) => {
                    return Err(Reason::PROTOCOL_ERROR.into());
                }
                // Section 6.5.2: others are ignored.
                _ => {}
            }
        }
        state.write_frame(kind::SETTINGS, flag::ACK, 0, &[]);
        Ok(())
    }

    /// Section 6.7.
    fn take_ping(&self, id: u32, flags: u8, payload: &[u8], served: &mut impl Served) -> Result<(), End> {
        if id != 0 {
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        if payload.len() != 8 {
            return Err(Reason::FRAME_SIZE_ERROR.into());
        }
        if flags & flag::ACK == 0 {
            self.session.state().write_frame(kind::PING, flag::ACK, 0, payload);
        } else if payload == KNOWS {
            served.knows();
        }
        Ok(())
    }

    /// WINDOW_UPDATE (section 6.9).
    fn take_room(&self, id: u32, payload: &[u8]) -> Result<(), End> {
        if payload.len() != 4 {
            return Err(Reason::FRAME_SIZE_ERROR.into());
        }
        let by = i64::from(number(payload) & 0x7fff_ffff);
        let failed = {
            let state = &mut *self.session.state();
            if id == 0 {
                state.window += by;
                return match () {
                    () if by == 0 => Err(Reason::PROTOCOL_ERROR.into()),
                    () if state.window > MOST_WINDOW => Err(Reason::FLOW_CONTROL_ERROR.into()),
                    () => {
                        state.call_waiting();
                        Ok(())
                    }
                };
            }
            match state.stream(id) {
                Some(_) if by == 0 => Some(Reason::PROTOCOL_ERROR),
                Some(stream) => (!stream.widen(by)).then_some(Reason::FLOW_CONTROL_ERROR),
                None if self.was(state, id) == Was::Idle => return Err(Reason::PROTOCOL_ERROR.into()),
                None => None,
            }
        };
        if let Some(reason) = failed {
            self.reset(id, reason);
        }
        Ok(())
    }
}

/// The first four bytes; there are as many.
fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// Sections 6.1 and 6.2.
fn unpadded(flags: u8, payload: &[u8]) -> Result<&[u8], Reason> {
    if flags & flag::PADDED == 0 {
        return Ok(payload);
    }
    let (length, rest) = payload.split_first().ok_or(Reason::FRAME_SIZE_ERROR)?;
    rest.len().checked_sub(usize::from(*length)).map(|length| &rest[..length]).ok_or(Reason::PROTOCOL_ERROR)
}

#[cfg(test)]
mod tests;
