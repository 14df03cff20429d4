//! What is refused of a request before anything else looks at it.

use http::StatusCode;

/// Why a request is refused: each is answered, and is the end of the connection, for where the next request begins is
/// a matter of opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `Content-Length` and `Transfer-Encoding` in one head (RFC 9112 section 6.3, item 3).
    BothLengths,
    /// A line that ends with LF alone (RFC 9112 section 2.2).
    BareLf,
    /// A `Content-Length` that is not digits alone, or several that differ (RFC 9112 section 6.3, item 5).
    BadLength,
    /// A `Transfer-Encoding` that is not `chunked` alone, or one in HTTP/1.0: what else it names would stay on the
    /// body (RFC 9112 section 6.1).
    Coding,
    /// A fragment in the target, which stays with the client (RFC 9112 section 3.2, RFC 9110 section 7.1).
    Fragment,
    /// Octets beyond ASCII in the target (RFC 3986 section 2): they are sent as percent-encodings.
    BeyondAscii,
    /// A target in none of the four forms (RFC 9112 section 3.2).
    Target,
    /// A method that is no token (RFC 9112 section 3.1).
    Method,
    /// A version that is not HTTP/1 (RFC 9112 section 2.3).
    Version,
    /// A field line that is none (RFC 9112 section 5).
    Field,
    /// A chunk size that is not 1 to 16 hexadecimal digits, or a chunk not ended by CRLF (RFC 9112 section 7.1).
    BadChunk,
    /// Trailers that are no fields, or more or larger than a head may be.
    Trailers,
    /// A target longer than [`super::head::MOST_TARGET`].
    TargetTooLong,
    /// A head larger than `limits.head`, or with more fields than `limits.fields`.
    HeadTooLarge,
    /// The rest of a head did not come within `timeouts.head`.
    HeadTooLate,
}

impl Refusal {
    /// For the log and for the body of the answer.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Refusal::BothLengths => "both Content-Length and Transfer-Encoding",
            Refusal::BareLf => "line not ended by CRLF",
            Refusal::BadLength => "Content-Length is not a number",
            Refusal::Coding => "Transfer-Encoding is not chunked",
            Refusal::Fragment => "the target has a fragment",
            Refusal::BeyondAscii => "the target has octets that are not ASCII",
            Refusal::Target => "the target is not valid",
            Refusal::Method => "the method is not valid",
            Refusal::Version => "the version is not HTTP/1",
            Refusal::Field => "malformed field",
            Refusal::BadChunk => "malformed chunk",
            Refusal::Trailers => "malformed or too large trailers",
            Refusal::TargetTooLong => "the target is too long",
            Refusal::HeadTooLarge => "the head is too large or has too many fields",
            Refusal::HeadTooLate => "the head did not arrive in time",
        }
    }

    /// RFC 9110 section 15.5, RFC 6585 section 5.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Refusal::TargetTooLong => StatusCode::URI_TOO_LONG,
            Refusal::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refusal::HeadTooLate => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
