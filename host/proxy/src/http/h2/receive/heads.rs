//! What the field blocks of a client do: they begin requests, or end them (RFC 9113 sections 6.2, 6.10 and 8.1).

use std::cell::RefCell;

use h2::Reason;
use shunt_config::model::Limits;

use super::{End, Receiver, Served, number, unpadded};
use crate::http::frames::flag;
use crate::http::h2::fields::Fields;
use crate::http::h2::floods::Flood;
use crate::http::h2::head::{self, Refused};
use crate::http::h2::history::Was;
use crate::http::h2::streams::Stream;
use crate::http::hpack::decoder::Malformed;

/// RFC 9113 section 6.5.2: what a field takes of the size of a head beside its name and its value.
const FIELD_OVERHEAD: usize = 32;
/// A head may be so many times what SETTINGS say before the connection ends for it.
const FAR_TOO_LARGE: usize = 4;

thread_local! {
    static FIELDS: RefCell<Fields> = RefCell::default();
}

/// A head of which more is to come.
pub(super) struct Partial {
    pub(super) stream: u32,
    ended: bool,
    on_itself: bool,
    block: Vec<u8>,
}

/// What is kept of a head beyond `limits.head`, and gets an answer.
pub(in crate::http::h2) fn most_head(limits: &Limits) -> usize {
    2 * limits.head + FIELD_OVERHEAD * limits.fields
}

impl Receiver {
    /// Section 6.2.
    pub(super) fn take_headers(
        &mut self,
        id: u32,
        flags: u8,
        payload: &[u8],
        served: &mut impl Served,
    ) -> Result<(), End> {
        if id.is_multiple_of(2) {
            // Section 5.1.1.
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        let mut block = unpadded(flags, payload)?;
        let mut on_itself = false;
        if flags & flag::PRIORITY != 0 {
            let (priority, rest) = block.split_first_chunk::<5>().ok_or(Reason::FRAME_SIZE_ERROR)?;
            on_itself = number(priority) & 0x7fff_ffff == id;
            block = rest;
        }
        let ended = flags & flag::END_STREAM != 0;
        if flags & flag::END_HEADERS != 0 {
            return self.take_head(id, ended, on_itself, block, served);
        }
        self.head = Some(Partial { stream: id, ended, on_itself, block: block.to_vec() });
        Ok(())
    }

    /// Section 6.10. How much of it there may be is bounded by what counts floods.
    pub(super) fn take_continuation(
        &mut self,
        flags: u8,
        payload: &[u8],
        served: &mut impl Served,
    ) -> Result<(), End> {
        let Some(mut head) = self.head.take() else { return Err(Reason::PROTOCOL_ERROR.into()) };
        head.block.extend_from_slice(payload);
        if flags & flag::END_HEADERS != 0 {
            return self.take_head(head.stream, head.ended, head.on_itself, &head.block, served);
        }
        self.head = Some(head);
        Ok(())
    }

    /// Fields that are all there. What they are of, they are read: the next may refer to them (section 4.3).
    fn take_head(
        &mut self,
        id: u32,
        ended: bool,
        on_itself: bool,
        block: &[u8],
        served: &mut impl Served,
    ) -> Result<(), End> {
        FIELDS.with_borrow_mut(|fields| {
            let most = FAR_TOO_LARGE * most_head(&self.limits);
            fields.read(&mut self.decoder, block, most).map_err(|why| match why {
                Malformed::TooLarge => End::Flood(Flood::Heads),
                _ => End::Error(Reason::COMPRESSION_ERROR),
            })?;
            let open = self.session.state().stream(id).cloned();
            let was = match open {
                Some(stream) => {
                    self.take_trailers(&stream, ended, fields);
                    return Ok(());
                }
                None => self.was(&self.session.state(), id),
            };
            match was {
                Was::Idle => {
                    self.begin(id, ended, on_itself, fields, served);
                    Ok(())
                }
                Was::Skipped => Err(Reason::PROTOCOL_ERROR.into()),
                Was::Closed => Err(Reason::STREAM_CLOSED.into()),
                Was::Reset | Was::Old => Ok(()),
            }
        })
    }

    fn take_trailers(&self, stream: &Stream, ended: bool, fields: &Fields) {
        let taken = if stream.has_come() {
            // Section 5.1.
            Err(Reason::STREAM_CLOSED)
        } else if !ended {
            // Section 8.1.
            Err(Reason::PROTOCOL_ERROR)
        } else {
            head::read_trailers(fields)
                .map_err(|_| Reason::PROTOCOL_ERROR)
                .and_then(|trailers| stream.receive_trailers(&mut self.session.state(), trailers))
        };
        if let Err(reason) = taken {
            self.reset(stream.id(), reason);
        }
    }

    fn begin(&self, id: u32, ended: bool, on_itself: bool, fields: &Fields, served: &mut impl Served) {
        let (open, window) = {
            let mut state = self.session.state();
            state.history.begin(id);
            (state.open().len(), state.first_window)
        };
        if on_itself {
            // RFC 7540 section 5.3.1.
            served.refused("it depends on itself");
            return self.reset(id, Reason::PROTOCOL_ERROR);
        }
        // Section 5.1.2.
        if served.takes_none() || open >= self.http2.streams as usize {
            served.refused("no more streams are taken");
            return self.reset(id, Reason::REFUSED_STREAM);
        }
        match head::read(fields, &self.limits, &self.http2) {
            // Section 8.1.1.
            Ok(head) if ended && head.length.is_some_and(|length| length > 0) && !head.tunnel => {
                served.refused("a length, and no body");
                self.reset(id, Reason::PROTOCOL_ERROR);
            }
            Ok(head) => {
                let length = if head.tunnel { None } else { head.length };
                let stream = Stream::new(id, window, length, ended);
                self.session.state().begin(&stream);
                served.begin(&stream, head);
            }
            Err(Refused::Malformed(why)) => {
                served.refused(why);
                self.reset(id, Reason::PROTOCOL_ERROR);
            }
            Err(Refused::Status(status)) => {
                served.answered(status);
                self.session
                    .state()
                    .write_block(id, true, |encoder, out| encoder.status(status.as_u16(), out));
                if !ended {
                    // Section 8.1.
                    self.reset(id, Reason::NO_ERROR);
                }
            }
        }
    }
}
