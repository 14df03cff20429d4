//! A request body on its way out on a stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::{Reason, SendStream};
use http_body::Body as _;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::head::detach;
use crate::http::body::RequestBody;
use crate::http::member::Broken;
use crate::http::member::outgoing::{MOST_KEPT, Pace, Resend};

pub(super) struct Upload {
    /// `None`: the request was never begun.
    sending: Option<SendStream<Bytes>>,
    body: RequestBody,
    piece: Bytes,
    /// All of the body was taken.
    last: bool,
    /// All of it is with the crate.
    sent: bool,
    /// All that was taken of the body, as long as it is little.
    kept: Option<BytesMut>,
    progress: u64,
}

impl Upload {
    pub(super) fn new(body: RequestBody) -> Self {
        Upload {
            sending: None,
            sent: matches!(body, RequestBody::Empty),
            body,
            piece: Bytes::new(),
            last: false,
            kept: Some(BytesMut::new()),
            progress: 0,
        }
    }

    pub(super) fn begin(&mut self, sending: SendStream<Bytes>) {
        self.sending = Some(sending);
    }

    /// There is nothing to send any more.
    pub(super) fn end(&mut self) {
        if let Some(mut sending) = self.sending.take() {
            // Fails where the member has reset it.
            let _ = sending.send_data(Bytes::new(), true);
        }
    }

    /// The direction to the member, of a request that has no body.
    pub(super) fn take_sending(&mut self) -> Option<SendStream<Bytes>> {
        self.sending.take()
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sent
    }

    /// What has not been taken of the body.
    pub(super) fn body(&self) -> &RequestBody {
        &self.body
    }

    /// What can be sent once more on another stream. `unprocessed`: the member has done nothing about this one.
    pub(super) fn again(self, unprocessed: bool) -> Resend {
        let Some(kept) = self.kept else { return Resend::Lost };
        if unprocessed {
            return Resend::Unsent(match kept.is_empty() {
                true => self.body,
                false => self.body.behind(kept.freeze()),
            });
        }
        if self.last || self.sent { Resend::Whole(kept.freeze()) } else { Resend::Lost }
    }

    /// Sends what there is as far as the member makes room; ready once all of it is with the crate.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let Some(sending) = &mut self.sending else { return Poll::Ready(Ok(())) };
        while !self.sent {
            if !self.piece.is_empty() {
                sending.reserve_capacity(self.piece.len());
                let mut room = sending.capacity();
                if room == 0 {
                    room = match ready!(sending.poll_capacity(cx)) {
                        Some(room) => room.map_err(Broken::Http2)?,
                        None => return Poll::Ready(Err(Broken::Closed)),
                    };
                }
                let part = self.piece.split_to(room.min(self.piece.len()));
                self.progress += part.len() as u64;
                let ends = self.last && self.piece.is_empty();
                sending.send_data(part, ends).map_err(Broken::Http2)?;
                self.sent = ends;
                continue;
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => {
                    sending.send_data(Bytes::new(), true).map_err(Broken::Http2)?;
                    self.sent = true;
                }
                Some(Err(error)) => {
                    // The member must not take what there is for all.
                    sending.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(Broken::Body(error)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.kept = self.kept.take().filter(|kept| kept.len() + data.len() <= MOST_KEPT);
                        if let Some(kept) = &mut self.kept {
                            kept.extend_from_slice(&data);
                        }
                        self.last = self.body.is_end_stream();
                        if self.last && data.is_empty() {
                            sending.send_data(Bytes::new(), true).map_err(Broken::Http2)?;
                            self.sent = true;
                        }
                        self.piece = data;
                    }
                    Err(frame) => {
                        // They are not kept.
                        self.kept = None;
                        let mut trailers = frame.into_trailers().unwrap_or_default();
                        detach(&mut trailers);
                        sending.send_trailers(trailers).map_err(Broken::Http2)?;
                        self.sent = true;
                    }
                },
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends all of it. It is given up when the member makes no room for a while. Where the member does not take it,
    /// what is left is read and discarded, if the client's connection is to continue.
    pub(super) async fn send(&mut self, pace: Pace) -> bool {
        let mut before = self.progress;
        loop {
            match timeout(pace.patience, poll_fn(|cx| self.poll_send(cx))).await {
                Ok(Ok(())) => return true,
                Ok(Err(Broken::Body(_))) => return false,
                Ok(Err(_)) => break,
                Err(_) if self.progress != before => before = self.progress,
                Err(_) => return false,
            }
        }
        if pace.goes_on {
            std::mem::replace(&mut self.body, RequestBody::Empty).discard().await;
        }
        false
    }
}

/// A task that sends the rest of a request, and ends with what it works for. It comes back where all of it got out.
pub(super) struct Background(pub(super) JoinHandle<Option<Upload>>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}
