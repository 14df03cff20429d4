//! A virtual as it is now, for a request that is only explained: what the request does happens to copies.

use std::sync::Arc;

use shunt_rules::Attachment;

use crate::counters::Sharded;
use crate::snapshot::{Member, Pool, Snapshot, Virtual, VirtualLoad};

impl Snapshot {
    /// A snapshot with this virtual and all pools, for one worker. Settings, pages, certificates and the code of rules are
    /// the same; counters begin anew; limits, members, groups and bindings are copies, or are read through.
    #[must_use]
    pub fn apart(&self, of: &Virtual) -> Snapshot {
        let Virtual { settings, tls, pages, cookie_keys, rules, counters: _, load } = of;
        let virtual_ = Virtual {
            settings: settings.clone(),
            tls: tls.clone(),
            pages: Arc::clone(pages),
            cookie_keys: Arc::clone(cookie_keys),
            rules: rules.iter().map(|rule| Attachment::apart(rule)).collect(),
            counters: Sharded::new(1),
            load: Arc::new(VirtualLoad {
                connections: load.connections.apart(),
                requests: load.requests.apart(),
            }),
        };
        Snapshot {
            epoch: self.epoch,
            virtuals: vec![Arc::new(virtual_)],
            packet_virtuals: Vec::new(),
            translators: Vec::new(),
            pools: self.pools.iter().map(|pool| Arc::new(pool.apart())).collect(),
        }
    }
}

impl Pool {
    fn apart(&self) -> Pool {
        let state = self.state.apart();
        let members = self.members.iter().map(|member| Member {
            settings: member.settings.clone(),
            state: member.state.apart(&state),
            counters: Sharded::new(1),
        });
        Pool {
            settings: self.settings.clone(),
            tls: self.tls.clone(),
            members: members.collect(),
            bindings: Arc::new(self.bindings.apart()),
            groups: Arc::new(self.groups.apart()),
            state,
        }
    }
}
