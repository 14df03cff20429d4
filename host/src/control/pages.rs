//! The pages of answers, read before anything changes.

use std::sync::Arc;

use super::ApplyError;
use shunt_config::{Document, Remark};
use shunt_runtime::Snapshot;
use shunt_runtime::pages::Pages;

/// The pages of each proxy, in their order.
///
/// # Errors
/// Each file that is no page.
pub(super) fn plan(document: &Document, before: &Snapshot) -> Result<Vec<Arc<Pages>>, ApplyError> {
    let mut remarks = Vec::new();
    let mut planned = Vec::new();
    for virtual_ in &document.config.virtuals {
        let old = before.virtual_named(&virtual_.name).map(|it| &it.pages);
        match Pages::load(&virtual_.pages, old) {
            Ok(pages) => planned.push(pages),
            Err(unfit) => remarks.extend(unfit.into_iter().map(|it| {
                let key = ["virtual", &virtual_.name, "pages", &it.key].map(str::to_owned).to_vec();
                Remark { key, message: it.error.to_string(), help: Some(it.error.remedy().to_owned()) }
            })),
        }
    }
    if remarks.is_empty() { Ok(planned) } else { Err(ApplyError::Config(document.refuse(remarks))) }
}
