//! Where a connection or a request is to go, as far as something other than the configuration has said so.

use std::net::SocketAddr;
use std::rc::Rc;

use shunt_rules::{PersistKey, Target};

use crate::view::{PoolView, RuleView};

/// The verdicts so far. `None` means: as configured.
#[derive(Clone, Default)]
pub(crate) struct Route {
    pub(crate) pool: Option<Rc<PoolView>>,
    pub(crate) member: Option<SocketAddr>,
    pub(crate) persist: Option<PersistKey>,
}

impl Route {
    /// Takes over what a rule decided; what it left open stays as it is.
    ///
    /// # Errors
    /// The target names a member that the pool does not have.
    pub(crate) fn redirect(
        &mut self,
        rule: &RuleView,
        target: Target,
        configured: Option<&Rc<PoolView>>,
    ) -> Result<(), String> {
        let pool = target.pool.and_then(|slot| rule.slot(slot)).cloned();
        if let Some(address) = target.member {
            let within = pool.as_ref().or(self.pool.as_ref()).or(configured);
            match within {
                Some(pool) if pool.place(address).is_some() => {}
                Some(pool) => return Err(format!("pool {} has no member {address}", pool.name)),
                None => return Err(format!("a member, {address}, without a pool")),
            }
        }
        if let Some(pool) = pool {
            self.pool = Some(pool);
            // Another pool: a member or key chosen for the one before means nothing there.
            self.member = None;
            self.persist = None;
        }
        self.member = target.member.or(self.member);
        self.persist = target.persist.or(self.persist.take());
        Ok(())
    }

    /// To a pool, as configured there.
    pub(crate) fn to_pool(pool: Rc<PoolView>) -> Self {
        Route { pool: Some(pool), member: None, persist: None }
    }
}
