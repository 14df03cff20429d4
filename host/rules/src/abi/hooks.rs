//! `wit/hooks.wit`: what goes into each hook and what comes out.

use wasmtime::component::{ComponentType, Lift, Lower, Resource};

use super::{Answer, Endpoint, Flow, Request, Response, Target};
use crate::exchange;

/// Parameters and result of each hook's function.
pub(crate) type OnFlow = wasmtime::component::TypedFunc<(Flow,), (FlowVerdict,)>;
pub(crate) type OnRequest = wasmtime::component::TypedFunc<(Resource<Request>,), (RequestVerdict,)>;
pub(crate) type OnRequestBody<'a> =
    wasmtime::component::TypedFunc<(Resource<Request>, Body<'a>), (BodyVerdict,)>;
pub(crate) type OnConnectFailed =
    wasmtime::component::TypedFunc<(Resource<Request>, Failure), (ConnectFailedVerdict,)>;
pub(crate) type OnResponse =
    wasmtime::component::TypedFunc<(Resource<Request>, Resource<Response>), (ResponseVerdict,)>;
pub(crate) type OnDone = wasmtime::component::TypedFunc<(Summary,), ()>;
pub(crate) type OnLoad<'a> = wasmtime::component::TypedFunc<(&'a [Node],), (Result<(), String>,)>;

#[derive(ComponentType, Lower, Clone, Debug, PartialEq)]
#[component(variant)]
pub(crate) enum Node {
    #[component(name = "boolean")]
    Boolean(bool),
    #[component(name = "integer")]
    Integer(i64),
    #[component(name = "decimal")]
    Decimal(f64),
    #[component(name = "text")]
    Text(String),
    #[component(name = "elements")]
    Elements(Vec<u32>),
    #[component(name = "table")]
    Table(Vec<(String, u32)>),
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum FlowVerdict {
    #[component(name = "next")]
    Next,
    #[component(name = "to")]
    To(Target),
    #[component(name = "reject")]
    Reject,
    #[component(name = "drop")]
    Drop,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum RequestVerdict {
    #[component(name = "next")]
    Next,
    #[component(name = "to")]
    To(Target),
    #[component(name = "respond")]
    Respond(Answer),
    #[component(name = "need-body")]
    NeedBody(u32),
    #[component(name = "reject")]
    Reject,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Body<'a> {
    pub bytes: &'a [u8],
    pub complete: bool,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum BodyVerdict {
    #[component(name = "next")]
    Next,
    #[component(name = "replace")]
    Replace(Vec<u8>),
    #[component(name = "to")]
    To(Target),
    #[component(name = "respond")]
    Respond(Answer),
    #[component(name = "reject")]
    Reject,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Cause {
    #[component(name = "no-member")]
    NoMember,
    #[component(name = "refused")]
    Refused,
    #[component(name = "timed-out")]
    TimedOut,
    #[component(name = "unreachable")]
    Unreachable,
    #[component(name = "other")]
    Other,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Failure {
    member: Option<Endpoint>,
    cause: Cause,
    attempts: u32,
}

impl From<&exchange::ConnectFailure> for Failure {
    fn from(failure: &exchange::ConnectFailure) -> Failure {
        Failure {
            member: failure.member.map(Endpoint::from),
            cause: match failure.cause {
                exchange::ConnectCause::NoMember => Cause::NoMember,
                exchange::ConnectCause::Refused => Cause::Refused,
                exchange::ConnectCause::TimedOut => Cause::TimedOut,
                exchange::ConnectCause::Unreachable => Cause::Unreachable,
                exchange::ConnectCause::Other => Cause::Other,
            },
            attempts: failure.attempts,
        }
    }
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum ConnectFailedVerdict {
    #[component(name = "next")]
    Next,
    #[component(name = "retry")]
    Retry,
    #[component(name = "to")]
    To(Target),
    #[component(name = "respond")]
    Respond(Answer),
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum ResponseVerdict {
    #[component(name = "next")]
    Next,
    #[component(name = "replace")]
    Replace(Answer),
    #[component(name = "retry")]
    Retry,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Outcome {
    #[component(name = "complete")]
    Complete,
    #[component(name = "client-gone")]
    ClientGone,
    #[component(name = "member-failed")]
    MemberFailed,
    #[component(name = "answered")]
    Answered,
    #[component(name = "refused")]
    Refused,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Summary {
    flow: Flow,
    outcome: Outcome,
    status: u16,
    member: Option<Endpoint>,
    #[component(name = "bytes-to-server")]
    bytes_to_server: u64,
    #[component(name = "bytes-to-client")]
    bytes_to_client: u64,
    #[component(name = "packets-to-server")]
    packets_to_server: u64,
    #[component(name = "packets-to-client")]
    packets_to_client: u64,
    #[component(name = "duration-us")]
    duration_us: u64,
    #[component(name = "first-byte-us")]
    first_byte_us: u64,
}

impl From<&exchange::Summary> for Summary {
    fn from(summary: &exchange::Summary) -> Summary {
        let micros = |duration: std::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Summary {
            flow: (&summary.flow).into(),
            outcome: match summary.outcome {
                exchange::Outcome::Complete => Outcome::Complete,
                exchange::Outcome::ClientGone => Outcome::ClientGone,
                exchange::Outcome::MemberFailed => Outcome::MemberFailed,
                exchange::Outcome::Answered => Outcome::Answered,
                exchange::Outcome::Refused => Outcome::Refused,
            },
            status: summary.status,
            member: summary.member.map(Endpoint::from),
            bytes_to_server: summary.bytes_to_server,
            bytes_to_client: summary.bytes_to_client,
            packets_to_server: summary.packets_to_server,
            packets_to_client: summary.packets_to_client,
            duration_us: micros(summary.duration),
            first_byte_us: summary.first_byte.map_or(0, micros),
        }
    }
}
