//! Between hyper and the phases: a request as they take it, and their answer as hyper writes it.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderMap, HeaderValue};
use http::{Method, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::ext::ReasonPhrase;

use crate::http::body::{BodyError, ResponseBody};
use crate::http::client_body::ClientBody;
use crate::http::h1::guard::Findings;
use crate::http::h1::half_close::Answer;
use crate::http::phases::{self, BareOptions};
use crate::http::problem::Problem;
use crate::http::stream::Stream;
use crate::view::VirtualView;

/// Serves a request that hyper has read.
///
/// The head is taken before the future is made, which is moved about and should not hold the request twice.
pub(super) fn serve(
    stream: &Rc<Stream>,
    findings: &Rc<Findings>,
    view: &Rc<VirtualView>,
    request: Request<hyper::body::Incoming>,
) -> impl Future<Output = Result<Response<AnswerBody>, Infallible>> + use<> {
    let ordinal = findings.begin_request();
    findings.half_close.set_answer(Answer::NotBegun);
    let (mut head, body) = request.into_parts();
    if head.method == Method::OPTIONS && findings.is_bare_options(ordinal) {
        head.extensions.insert(BareOptions);
    }
    let version = head.version;
    let served = match findings.refusal(ordinal) {
        Some(why) => Err(phases::refuse(stream, view, head, Problem::Framing(why))),
        None => {
            let body = match body.is_end_stream() {
                true => ClientBody::Empty,
                false => ClientBody::Http1(Incoming { body, findings: Rc::clone(findings), ordinal }),
            };
            Ok(phases::serve(stream, view, head, body))
        }
    };
    let (stream, findings) = (Rc::clone(stream), Rc::clone(findings));
    async move {
        let mut response = match served {
            Ok(served) => served.await,
            Err(refused) => refused,
        };
        make_fit(&mut response, version, stream.is_last.get());
        let body = response.body();
        let in_chunks =
            body.is_streaming() && version >= Version::HTTP_11 && body.size_hint().exact().is_none();
        findings.half_close.set_answer(if in_chunks { Answer::InChunks } else { Answer::Begun });
        Ok(response.map(|body| AnswerBody { body, findings, trailers: None, broken: None }))
    }
}

/// Says of an answer what hyper would leave out or say wrongly. `last`: nothing more is read of the client.
fn make_fit(response: &mut Response<ResponseBody>, version: Version, last: bool) {
    if last {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if version == Version::HTTP_10 {
        let unframed = response.body().size_hint().exact().is_none();
        let headers = response.headers_mut();
        if unframed {
            // Only the end of the connection ends such a body (RFC 9112 section 6.3, item 8).
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if headers.get(CONNECTION).is_some_and(|option| option == "close") {
            // To an answer of a later version hyper adds that the connection stays.
            *response.version_mut() = Version::HTTP_10;
        }
    }
    if response.status().canonical_reason().is_none() && response.extensions().is_empty() {
        // RFC 9112 section 4: the reason phrase may be empty.
        response.extensions_mut().insert(ReasonPhrase::from_static(b""));
    }
}

/// The body of a request that hyper reads and the guard watches.
pub(crate) struct Incoming {
    body: hyper::body::Incoming,
    findings: Rc<Findings>,
    /// The request that it belongs to.
    ordinal: u64,
}

impl Incoming {
    pub(crate) fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(why) = self.findings.refusal(self.ordinal) {
            return Poll::Ready(Some(Err(BodyError::Framing(why))));
        }
        Pin::new(&mut self.body)
            .poll_frame(cx)
            .map(|frame| frame.map(|it| it.map_err(|error| BodyError::Client(error.into()))))
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(crate) fn left(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    pub(crate) fn has_arrived(&self) -> bool {
        !self.findings.inside_message()
    }
}

/// The body of an answer as hyper is to write it.
pub(crate) struct AnswerBody {
    body: ResponseBody,
    findings: Rc<Findings>,
    /// The end of the body with its trailers, once it is here.
    trailers: Option<Vec<u8>>,
    /// It ended early, which is not reported yet.
    broken: Option<BodyError>,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if this.trailers.is_some() {
            // hyper was asked to write what came before; the end is next, and nothing is before it.
            if this.findings.all_written()
                && let Some(end) = this.trailers.take()
            {
                this.findings.end_with(end);
                return Poll::Ready(None);
            }
            return Poll::Pending;
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Err(error @ BodyError::Member(_)))) => {
                // hyper drops what it has not written when a body fails: what came before goes out first.
                this.broken = Some(error);
            }
            Poll::Ready(Some(Ok(frame))) => match frame.into_trailers() {
                Ok(trailers) => this.trailers = Some(end_of(&trailers)),
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            },
            other => return other,
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.trailers.is_none() && self.broken.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The end of a chunked body (RFC 9112 section 7.1).
fn end_of(trailers: &HeaderMap) -> Vec<u8> {
    let mut end = b"0\r\n".to_vec();
    for (name, value) in trailers {
        end.extend_from_slice(name.as_str().as_bytes());
        end.extend_from_slice(b": ");
        end.extend_from_slice(value.as_bytes());
        end.extend_from_slice(b"\r\n");
    }
    end.extend_from_slice(b"\r\n");
    end
}
