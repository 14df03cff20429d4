//! Members as they are now, for choices that must change nothing of them.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32,
    Ordering::{Relaxed, SeqCst},
};

use super::{CacheLine, Load, MemberState, PoolState, Standing, TunnelPath};

impl MemberState {
    /// A copy of the member in a copy of its pool: what happens to it does not happen to the member. Of a view it is a
    /// whole member that is up or down as the view is.
    #[must_use]
    pub fn apart(&self, pool: &Arc<PoolState>) -> Arc<Self> {
        let whole = self.whole();
        let Standing { admin, agent, withheld, priority, is_limited, ejection, .. } = &*whole.standing;
        let copied = Self {
            standing: CacheLine(Standing {
                side: AtomicU8::default(),
                admin: byte(admin),
                agent: byte(agent),
                withheld: byte(withheld),
                priority: AtomicU32::new(priority.load(Relaxed)),
                came: AtomicU32::new(self.came()),
                probe_time: AtomicU32::new(self.probe_time()),
                is_limited: AtomicBool::new(is_limited.load(Relaxed)),
                ejection: ejection.apart(),
                pool: Some(Arc::clone(pool)),
                whole: None,
                tunnel: TunnelPath::default(),
            }),
            load: CacheLine(whole.load.apart()),
        };
        copied.set_up(self.is_up());
        Arc::new(copied)
    }
}

impl PoolState {
    /// The same of a pool. Those that wait for a member are counted and have no place.
    #[must_use]
    pub fn apart(&self) -> Arc<Self> {
        Arc::new(Self {
            load: CacheLine(self.load.apart()),
            queue: self.queue.apart(),
            retrying: self.retrying.apart(),
            connecting: self.connecting.apart(),
            ..Self::default()
        })
    }
}

impl Load {
    fn apart(&self) -> Self {
        Self {
            active: AtomicU32::new(self.active.load(SeqCst)),
            response_time: self.response_time.apart(),
            most: AtomicU32::new(self.most.load(Relaxed)),
        }
    }
}

fn byte(of: &AtomicU8) -> AtomicU8 {
    AtomicU8::new(of.load(Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ejection::Policy;
    use crate::member::Admin;

    #[test]
    fn a_copy_is_as_the_member_was_and_goes_its_own_way() {
        let pool = Arc::<PoolState>::default();
        let member = MemberState::of(&pool);
        member.limit(2, 3);
        member.set_priority(7);
        member.set_share(50);
        let held = member.try_begin();
        member.response_time().record(100, 5);
        let copied = member.apart(&pool.apart());
        assert_eq!((copied.active(), copied.priority(), copied.weight(10)), (1, 7, 5));
        assert_eq!(copied.response_time().at(5), 100);
        assert_eq!(copied.ineligible(1), None);

        // What happens to the one does not happen to the other.
        let taken = copied.try_begin();
        assert!(taken.is_some() && copied.try_begin().is_none() && member.has_room());
        drop(held);
        assert_eq!((member.active(), copied.active()), (0, 2));
        copied.set_admin(Admin::Disabled);
        copied.set_up(false);
        let policy = Policy { failures: 1, time: 10, most_time: 10, most_share: 100 };
        let _ = copied.ejection().observe(false, &policy, 1_000, || (0, 1));
        assert_eq!(member.ineligible(1), None);
        member.set_admin(Admin::Draining);
        let draining = member.apart(&pool.apart());
        assert_eq!((draining.admin(), draining.is_up(), draining.active()), (Admin::Draining, true, 0));
    }

    #[test]
    fn a_copy_of_a_view_is_up_or_down_as_the_view_is() {
        let pool = Arc::<PoolState>::default();
        let member = MemberState::of(&pool);
        let view = member.view();
        view.set_up(false);
        let copied = view.apart(&pool.apart());
        assert!(!copied.is_up() && member.is_up());
    }
}
