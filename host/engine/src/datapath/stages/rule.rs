//! Rule: what the operator's code says, and what the configuration says where it says nothing.

use super::persistence::{DEFAULT_TIMEOUT, Key};
use super::{Choice, First};
use crate::datapath::Datapath;
use crate::datapath::reason::DropReason;
use crate::datapath::world::{Ruling, Target, World};

impl Datapath {
    pub(super) fn rule(&self, first: &First<'_>, world: &mut impl World) -> Result<Choice, DropReason> {
        let virtual_ = self.snapshot.virtual_(first.index).ok_or(DropReason::NoVirtual)?;
        let target = if virtual_.hooks.on_flow {
            match world.on_flow(first.index, &self.new_flow(first)) {
                Ruling::Next => Target::default(),
                Ruling::To(target) => target,
                Ruling::Reject => return Err(DropReason::RuleReject),
                Ruling::Drop => return Err(DropReason::RuleDrop),
                Ruling::Fault => return Err(DropReason::RuleFault),
            }
        } else {
            Target::default()
        };
        let Target { pool, member, mode, snat_pool, persist } = target;
        let mode = virtual_.modes.choose(mode, snat_pool).map_err(|_| DropReason::ModeIncomplete)?;
        let pool = pool.or(virtual_.pool).ok_or(DropReason::NoPool)?;
        let configured = virtual_.persistence.map(|persistence| persistence.timeout);
        let key = match (&persist, configured) {
            (Some(persist), _) => {
                let timeout = persist.timeout.or(configured).unwrap_or(DEFAULT_TIMEOUT);
                Some(Key::new(&virtual_.name, &persist.key, timeout))
            }
            (None, Some(timeout)) => Some(Key::of_client(&virtual_.name, first.client().address, timeout)),
            (None, None) => None,
        };
        Ok(Choice { pool, named: member, mode, key })
    }
}
