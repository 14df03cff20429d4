//! The keys of cookies, read before anything changes.

use std::sync::Arc;

use shunt_engine::persistence::TagKeys;

use super::ApplyError;
use shunt_config::persistence::PersistBy;
use shunt_config::{Document, Remark};
use shunt_runtime::{Snapshot, cookie_keys};

/// Those of each proxy, in their order.
///
/// # Errors
/// Each file that has no keys.
pub(super) fn plan(document: &Document, before: &Snapshot) -> Result<Vec<Arc<TagKeys>>, ApplyError> {
    let mut remarks = Vec::new();
    let mut planned = Vec::new();
    for virtual_ in &document.config.virtuals {
        let old = before.virtual_named(&virtual_.name).map(|it| &it.cookie_keys);
        let file = match virtual_.persistence.as_ref().map(|it| &it.by) {
            Some(PersistBy::Cookie(cookie)) => cookie.keys.as_deref(),
            _ => None,
        };
        match cookie_keys::load(file, old) {
            Ok(keys) => planned.push(keys),
            Err(error) => {
                let key = ["virtual", &virtual_.name, "persistence", "cookie", "keys"].map(str::to_owned);
                let (message, help) = (error.to_string(), Some(error.remedy().to_owned()));
                remarks.push(Remark { key: key.to_vec(), message, help });
            }
        }
    }
    if remarks.is_empty() { Ok(planned) } else { Err(ApplyError::Config(document.refuse(remarks))) }
}
