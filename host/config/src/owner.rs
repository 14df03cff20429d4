//! What a rule belongs to.

use super::model::{Config, RuleUse};
use super::monitors::Probe;

/// A virtual, or the pool that the rule is a monitor of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleOwner<'a> {
    Virtual(&'a str),
    Pool(&'a str),
}

/// No name has a colon, so no virtual is meant by it.
const OF_POOL: &str = "pool:";

impl<'a> RuleOwner<'a> {
    /// Reads what [`RuleOwner::name`] writes.
    #[must_use]
    pub fn of(name: &'a str) -> RuleOwner<'a> {
        match name.strip_prefix(OF_POOL) {
            Some(pool) => RuleOwner::Pool(pool),
            None => RuleOwner::Virtual(name),
        }
    }

    /// `shop`, or `pool:web`: what stands before the rule's own name.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            RuleOwner::Virtual(name) => name.to_owned(),
            RuleOwner::Pool(name) => format!("{OF_POOL}{name}"),
        }
    }

    /// A key of a rule, as a [`Remark`](super::Remark) has it.
    #[must_use]
    pub fn key(self, rule: &str, key: &str) -> Vec<String> {
        let path: &[&str] = match self {
            RuleOwner::Virtual(name) => &["virtual", name, "rule", rule, key],
            // The monitors of a list have no names.
            RuleOwner::Pool(name) => &["pool", name, "monitor", "rule", key],
        };
        path.iter().map(|it| (*it).to_owned()).collect()
    }
}

impl Config {
    /// Every rule, with what it belongs to.
    pub fn rules(&self) -> impl Iterator<Item = (RuleOwner<'_>, &RuleUse)> {
        let proxies = self.virtuals.iter().map(|it| (&it.name, &it.rules));
        let packets = self.packet_virtuals.iter().map(|it| (&it.name, &it.rules));
        let of_virtuals = proxies.chain(packets);
        let of_virtuals = of_virtuals
            .flat_map(|(name, rules)| rules.iter().map(move |rule| (RuleOwner::Virtual(name), rule)));
        let of_pools = self.pools.iter().flat_map(|pool| {
            let rules = pool.monitors.iter().filter_map(|it| it.probe.rule());
            rules.map(move |rule| (RuleOwner::Pool(&pool.name), &rule.rule))
        });
        of_virtuals.chain(of_pools)
    }
}

impl Probe {
    /// That of a monitor that is one.
    #[must_use]
    pub fn rule(&self) -> Option<&super::monitors::Rule> {
        match self {
            Probe::Rule(rule) => Some(rule),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_pools_from_virtuals() {
        for owner in [RuleOwner::Virtual("shop"), RuleOwner::Pool("shop")] {
            assert_eq!(RuleOwner::of(&owner.name()), owner);
        }
        assert_eq!(RuleOwner::Pool("web").name(), "pool:web");
        assert_eq!(RuleOwner::Pool("web").key("r", "pack").join("."), "pool.web.monitor.rule.pack");
        assert_eq!(RuleOwner::Virtual("shop").key("r", "pack").join("."), "virtual.shop.rule.r.pack");
    }
}
