//! Rule: what the operator's code says, and what the configuration says where it says nothing.

use super::{Choice, First};
use crate::datapath::driver::Driver;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::ruling::{Ruling, Target};
use crate::datapath::model::stage::Stage;
use crate::datapath::snapshot::Snapshot;
use crate::datapath::state::config::Config;
use crate::flow::FlowId;
use crate::persistence::{Key, key_prefix};

/// Asks the rules, and adds what is configured. `next` is the number that the flow gets if it begins.
pub(super) fn choose(
    config: &Config,
    next: FlowId,
    first: &First<'_>,
    driver: &mut impl Driver,
) -> Result<Choice, DropReason> {
    let virtual_ = first.virtual_;
    let target = if virtual_.hooks.on_flow {
        let ruling = driver.on_flow(first.index, &first.new_flow(next));
        first.trace.at(Stage::Rule, || said(&config.snapshot, &ruling));
        match ruling {
            Ruling::Next => Target::default(),
            Ruling::To(target) => target,
            Ruling::Reject => return Err(DropReason::RuleReject),
            Ruling::Drop => return Err(DropReason::RuleDrop),
            Ruling::Fault => return Err(DropReason::RuleFault),
        }
    } else {
        first.trace.at(Stage::Rule, || "no rule of the virtual has `on-flow`".to_owned());
        Target::default()
    };
    let Target { pool, member, mode, snat_pool, persist } = target;
    let mode = virtual_.modes.choose(mode, snat_pool).map_err(|_| DropReason::ModeIncomplete)?;
    if !virtual_.may_use(mode.name()) {
        return Err(DropReason::ModeIncomplete);
    }
    let pool = pool.or(virtual_.pool);
    if pool.is_none() && !virtual_.has_destinations(mode) {
        return Err(DropReason::NoPool);
    }
    let configured = virtual_.persistence;
    let key = match (&persist, configured) {
        (Some(persist), _) => {
            let prefix = configured.map_or_else(|| key_prefix(&virtual_.name), |it| it.prefix);
            let timeout = persist.timeout.or(configured.map(|it| it.timeout));
            Some(Key::of_rule(prefix, &persist.key, timeout))
        }
        (None, Some(it)) => Some(it.source.key(it.prefix, first.client().into(), Some(it.timeout))),
        (None, None) => None,
    };
    first.trace.at(Stage::Rule, || {
        let pool = pool.and_then(|pool| config.snapshot.pool(pool));
        let goes = pool.map_or("to its own destination".to_owned(), |pool| format!("to pool {}", pool.name));
        format!("so the flow goes {goes}, in mode {}", mode.name())
    });
    Ok(Choice { pool, named: member, mode, key })
}

/// A ruling, as text.
fn said(snapshot: &Snapshot, ruling: &Ruling) -> String {
    let Target { pool, member, mode, snat_pool, persist } = match ruling {
        Ruling::Next => return "no rule decides, so the configuration does".to_owned(),
        Ruling::Reject => return "a rule rejects the flow".to_owned(),
        Ruling::Drop => return "a rule drops the flow".to_owned(),
        Ruling::Fault => return "a rule failed, and its `on-fault` is to reject".to_owned(),
        Ruling::To(target) => target,
    };
    let pool = pool.and_then(|pool| snapshot.pool(pool)).map(|pool| format!("pool {}", pool.name));
    let snat = snat_pool.and_then(|pool| snapshot.snat_pool(pool));
    let named = [
        pool,
        member.map(|member| format!("member {member}")),
        mode.map(|mode| format!("mode {mode}")),
        snat.map(|pool| format!("SNAT pool {}", pool.name)),
        persist.as_ref().map(|persist| format!("a persistence key of {} bytes", persist.key.len())),
    ];
    let named: Vec<String> = named.into_iter().flatten().collect();
    if named.is_empty() {
        return "a rule decides, and leaves all as configured".to_owned();
    }
    format!("a rule chooses {}", named.join(", "))
}
