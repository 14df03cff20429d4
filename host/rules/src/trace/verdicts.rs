//! Verdicts in words.

use std::fmt::Write as _;

use crate::{
    Answer, Attachment, BodyVerdict, ConnectFailedVerdict, DataVerdict, FlowVerdict, HelloVerdict,
    ProbeVerdict, RequestVerdict, ResponseBodyVerdict, ResponseVerdict, SelectedVerdict, Target,
};

pub(crate) trait Verdict {
    /// The name in the contract.
    fn case(&self) -> &'static str;

    fn told(&self, of: &Attachment) -> String;
}

/// Each verdict with what its cases hold, where that is more than their name.
macro_rules! verdicts {
    ($($verdict:ident { $($case:ident($value:ident, $of:ident) => $told:expr),* $(,)? })*) => {
        $(impl Verdict for $verdict {
            fn case(&self) -> &'static str {
                self.name()
            }

            fn told(&self, of: &Attachment) -> String {
                match self {
                    $($verdict::$case($value) => { let $of = of; $told })*
                    #[allow(unreachable_patterns, reason = "of some every case holds something")]
                    other => other.name().to_owned(),
                }
            }
        })*
    };
}

verdicts! {
    FlowVerdict { To(target, of) => to(target, of) }
    HelloVerdict {
        To(target, of) => to(target, of),
        PassThrough(target, of) => format!("pass-through, {}", to(target, of)),
        Reject(alert, _of) => format!("reject: {}", alert.name()),
        Terminate(terms, of) => {
            let mut text = format!("terminate, {}", to(&terms.target, of));
            if let Some(name) = &terms.certificate {
                let _ = write!(text, ", certificate {name}");
            }
            if let Some(protocols) = &terms.protocols {
                let _ = write!(text, ", protocols {}", protocols.join(", "));
            }
            if let Some(demand) = terms.client_certificate {
                let _ = write!(text, ", client certificate {}", demand.name());
            }
            text
        },
    }
    DataVerdict {
        Need(bytes, _of) => format!("need {bytes} more bytes"),
        Replace(bytes, _of) => format!("replace by {} bytes", bytes.len()),
        To(target, of) => to(target, of),
    }
    RequestVerdict {
        To(target, of) => to(target, of),
        Respond(answer, _of) => respond(answer),
        NeedBody(most, _of) => format!("need-body of {most} bytes"),
    }
    BodyVerdict {
        Replace(bytes, _of) => format!("replace by {} bytes", bytes.len()),
        To(target, of) => to(target, of),
        Respond(answer, _of) => respond(answer),
    }
    SelectedVerdict {
        To(target, of) => to(target, of),
        Veto(reason, _of) => format!("veto: {}", reason.escape_debug()),
    }
    ConnectFailedVerdict { To(target, of) => to(target, of), Respond(answer, _of) => respond(answer) }
    ResponseVerdict {
        Replace(answer, _of) => format!("replace by {}", respond(answer)),
        NeedBody(most, _of) => format!("need-body of {most} bytes"),
    }
    ResponseBodyVerdict {
        Replace(bytes, _of) => format!("replace by {} bytes", bytes.len()),
        Respond(answer, _of) => respond(answer),
    }
    ProbeVerdict {
        Up(said, _of) => format!("up: {}", said.escape_debug()),
        Down(why, _of) => format!("down: {}", why.escape_debug()),
        Send(bytes, _of) => format!("send {} bytes", bytes.len()),
        Need(bytes, _of) => format!("need {bytes} more bytes"),
    }
}

/// Of a hook that decides nothing.
impl Verdict for () {
    fn case(&self) -> &'static str {
        "done"
    }

    fn told(&self, _: &Attachment) -> String {
        self.case().to_owned()
    }
}

fn to(target: &Target, of: &Attachment) -> String {
    let Target { pool, member, mode, snat_pool, persist } = target;
    let named = [
        pool.map(|place| of.slot_told(place)),
        member.map(|member| format!("member {member}")),
        mode.map(|mode| format!("mode {}", mode.name())),
        snat_pool.map(|place| format!("SNAT pool {}", of.slot_told(place))),
        persist.as_ref().map(|persist| format!("a persistence key of {} bytes", persist.key.len())),
    ];
    let named: Vec<String> = named.into_iter().flatten().collect();
    if named.is_empty() { "to as configured".to_owned() } else { format!("to {}", named.join(", ")) }
}

fn respond(answer: &Answer) -> String {
    format!("respond {} with {} bytes", answer.status.as_u16(), answer.body.len())
}
