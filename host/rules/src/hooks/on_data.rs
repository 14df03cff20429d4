//! `on-data`: bytes of a relayed connection.

use bytes::Bytes;
use wasmtime::component::{ComponentType, Lift, Lower};

use super::validate::{Validated, not_asked, target};
use super::{Hook, verdict_names};
use crate::cases::data::DataCase;
use crate::cases::play::{Play, Stop};
use crate::data::{Data, Direction, Part, Rest};
use crate::direct::canon::{record, variant};
use crate::direct::function::give_list;
use crate::direct::guest::Lent;
use crate::grants::{DataGrant, Grant, Key};
use crate::instance::{Instance, with_flow};
use crate::{Attachment, Fault, Flow, Runner, Target, Vars, abi};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataVerdict {
    Next,
    /// Call again when so many more have come.
    Need(usize),
    Pass(Part),
    /// Send these in place of those that were shown.
    Replace(Bytes),
    To(Target),
    Reject,
}

verdict_names!(DataVerdict { Next => "next", Need => "need", Pass => "pass", Replace => "replace", To => "to", Reject => "reject" });

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Returned {
    #[component(name = "next")]
    Next,
    #[component(name = "need")]
    Need(u32),
    #[component(name = "pass")]
    Pass(ReturnedPart),
    #[component(name = "replace")]
    Replace(Vec<u8>),
    #[component(name = "to")]
    To(abi::Target),
    #[component(name = "reject")]
    Reject,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct ReturnedPart {
    length: u32,
    replacement: Option<Vec<u8>>,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Given<'a> {
    direction: GivenDirection,
    bytes: &'a [u8],
    offset: u64,
    rest: GivenRest,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum GivenDirection {
    #[component(name = "to-server")]
    ToServer,
    #[component(name = "to-client")]
    ToClient,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum GivenRest {
    #[component(name = "open")]
    Open,
    #[component(name = "ended")]
    Ended,
    #[component(name = "late")]
    Late,
    #[component(name = "full")]
    Full,
}

record!(ReturnedPart { length: u32, replacement: Option<Vec<u8>> } load);
variant!(Returned { Next, Need(u32), Pass(ReturnedPart), Replace(Vec<u8>), To(abi::Target), Reject });

impl<'a> From<&Data<'a>> for Given<'a> {
    fn from(data: &Data<'a>) -> Given<'a> {
        Given {
            direction: match data.direction {
                Direction::ToServer => GivenDirection::ToServer,
                Direction::ToClient => GivenDirection::ToClient,
            },
            bytes: data.bytes,
            offset: data.offset,
            rest: match data.rest {
                Rest::Open => GivenRest::Open,
                Rest::Ended => GivenRest::Ended,
                Rest::Late => GivenRest::Late,
                Rest::Full => GivenRest::Full,
            },
        }
    }
}

type Flat = (u64, u64, u64, u32, u64, u64, u32, u32, u32, u32, u32, u32, u64, u32);

/// The function that a rule exports.
pub(crate) type Typed<'a> = super::Typed<(abi::Flow, Given<'a>), Returned, Flat>;

#[inline]
fn validated(verdict: Returned, attachment: &Attachment, data: &Data<'_>) -> Validated<DataVerdict> {
    Ok(match verdict {
        Returned::Next => DataVerdict::Next,
        Returned::Need(more) => DataVerdict::Need(needed(more, data)?),
        Returned::Pass(ReturnedPart { length, replacement }) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length == 0 || length > data.bytes.len() {
                return Err(format!("passed on {length} of {} bytes", data.bytes.len()));
            }
            let replacement = replacement.map(|bytes| replaced(bytes, attachment, data)).transpose()?;
            DataVerdict::Pass(Part { length, replacement })
        }
        Returned::Replace(bytes) => DataVerdict::Replace(replaced(bytes, attachment, data)?),
        Returned::To(to) => DataVerdict::To(chosen(target(to, attachment)?, attachment, data)?),
        Returned::Reject => DataVerdict::Reject,
    })
}

fn needed(more: u32, data: &Data<'_>) -> Validated<usize> {
    let held = data.bytes.len();
    let why = match data.rest {
        _ if more == 0 => "none; ask for at least one".to_owned(),
        Rest::Open if usize::try_from(more).is_ok_and(|more| more <= data.most.saturating_sub(held)) => {
            return Ok(usize::try_from(more).unwrap_or(usize::MAX));
        }
        Rest::Open | Rest::Full => {
            format!("{more} beyond {held}; the virtual holds at most {} (limits.data)", data.most)
        }
        Rest::Ended => format!("{more}, and the side has ended what it sends"),
        Rest::Late => format!("{more}, and what it had asked for did not come in time (timeouts.data)"),
    };
    Err(format!("asked for more bytes, {why}"))
}

fn replaced(bytes: Vec<u8>, attachment: &Attachment, data: &Data<'_>) -> Validated<Bytes> {
    granted(DataGrant::Replace, "replaced bytes", attachment)?;
    if bytes.len() > data.most {
        let (length, most) = (bytes.len(), data.most);
        return Err(format!("replaced bytes by {length}; the virtual allows at most {most} (limits.data)"));
    }
    Ok(bytes.into())
}

fn chosen(target: Target, attachment: &Attachment, data: &Data<'_>) -> Validated<Target> {
    if target.pool.is_none() && target.member.is_none() {
        return Ok(target);
    }
    granted(DataGrant::Choose, "chose where the connection goes", attachment)?;
    if data.connected {
        return Err("chose where the connection goes, which has its member already".to_owned());
    }
    Ok(target)
}

fn granted(what: DataGrant, did: &str, attachment: &Attachment) -> Validated<()> {
    if attachment.grants.data.contains(&what) {
        return Ok(());
    }
    Err(not_asked(did.to_owned(), &Grant::new(Key::Data, what.name())))
}

impl Attachment {
    /// Whether the rule sees what goes this way.
    pub fn reads_data(&self, direction: Direction) -> bool {
        let data = &self.grants.data;
        self.hooks().contains(Hook::OnData)
            && match direction {
                Direction::ToServer => data.contains(&DataGrant::ToServer) || self.chooses_by_data(),
                Direction::ToClient => data.contains(&DataGrant::ToClient),
            }
    }

    /// Whether it says where a connection goes by what its client sends first.
    pub fn chooses_by_data(&self) -> bool {
        self.hooks().contains(Hook::OnData) && self.grants.data.contains(&DataGrant::Choose)
    }
}

impl Runner {
    /// `vars` are those of the flow.
    ///
    /// # Errors
    /// A fault of this call.
    pub fn on_data(&mut self, flow: &Flow, data: &Data<'_>, vars: &mut Vars) -> Result<DataVerdict, Fault> {
        if !self.attachment.reads_data(data.direction) {
            return Ok(DataVerdict::Next);
        }
        let call = |instance: &mut Instance| instance.on_data(flow, data, vars);
        self.call(Hook::OnData, call, |verdict, attachment| validated(verdict, attachment, data))
    }
}

impl Instance {
    fn on_data(&mut self, flow: &Flow, data: &Data<'_>, vars: &mut Vars) -> wasmtime::Result<Returned> {
        let (function, store) = self.on_data_function()?;
        let (of, given) = (abi::Flow::from(flow), Given::from(data));
        with_flow(store, flow, vars, |store| {
            function.call(
                store,
                || (of, given),
                Lent::NOTHING,
                |store| {
                    let (at, len) = give_list(store, given.bytes)?;
                    let (id, hi, lo, port, to_hi, to_lo, to_port, transport, ingress) = of.flat();
                    let (direction, rest) = (given.direction as u32, given.rest as u32);
                    Ok((
                        id,
                        hi,
                        lo,
                        port,
                        to_hi,
                        to_lo,
                        to_port,
                        transport,
                        ingress,
                        direction,
                        at,
                        len,
                        given.offset,
                        rest,
                    ))
                },
            )
        })
    }
}

impl Play<'_> {
    /// Shows the pieces as they come; what the rule lets go is what is sent.
    pub(crate) fn on_data(&mut self, pieces: &[DataCase]) -> Result<(), Stop> {
        for piece in pieces {
            let (direction, mut bytes) = piece.piece().map_err(Stop::Case)?;
            let at = direction as usize;
            let mut rest = piece.then.rest();
            self.played.data[at].held.append(&mut bytes);
            let empty = direction == Direction::ToServer && self.runner.attachment().chooses_by_data();
            while self.played.data[at].wants(rest, empty) {
                if self.played.data[at].held.len() > piece.most {
                    return Err(Stop::Case("data: more than limits.data".to_owned()));
                }
                if self.played.data[at].held.len() == piece.most && rest == Rest::Open {
                    rest = Rest::Full;
                }
                self.show(direction, rest, piece.most)?;
            }
        }
        Ok(())
    }

    fn show(&mut self, direction: Direction, rest: Rest, most: usize) -> Result<(), Stop> {
        let shown = &mut self.played.data[direction as usize];
        let bytes = std::mem::take(&mut shown.held);
        let connected = direction == Direction::ToClient
            || shown.offset > 0
            || !self.runner.attachment().chooses_by_data();
        let data = Data { direction, bytes: &bytes, offset: shown.offset, rest, most, connected };
        let exchange = &mut self.played.exchange;
        let flow = exchange.flow;
        let verdict = self.runner.on_data(&flow, &data, &mut exchange.flow_vars)?;
        self.played.verdict = verdict.name();
        let shown = &mut self.played.data[direction as usize];
        match verdict {
            DataVerdict::Need(more) => {
                shown.awaited = bytes.len() + more;
                shown.held = bytes;
                return Ok(());
            }
            DataVerdict::Pass(Part { length, replacement }) => {
                shown.sent.extend_from_slice(replacement.as_deref().unwrap_or(&bytes[..length]));
                shown.offset += length as u64;
                shown.held = bytes[length..].to_vec();
                shown.awaited = 1;
                return Ok(());
            }
            DataVerdict::Replace(bytes) => shown.sent.extend_from_slice(&bytes),
            DataVerdict::Next => shown.sent.extend_from_slice(&bytes),
            DataVerdict::To(target) => {
                shown.sent.extend_from_slice(&bytes);
                self.played.target = Some(target);
            }
            DataVerdict::Reject => {}
        }
        self.played.data[direction as usize].released = true;
        Ok(())
    }
}
