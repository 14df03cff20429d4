//! `on-load`: once for each instance, with the checked settings.

use wasmtime::component::{ComponentType, Lower, TypedFunc};

use super::Hook;
use crate::instance::{Failure, Instance};
use crate::{Fault, FaultKind};

#[derive(ComponentType, Lower, Clone, Debug, PartialEq)]
#[component(variant)]
pub(crate) enum Node {
    #[component(name = "boolean")]
    Boolean(bool),
    #[component(name = "integer")]
    Integer(i64),
    #[component(name = "decimal")]
    Decimal(f64),
    #[component(name = "text")]
    Text(String),
    #[component(name = "elements")]
    Elements(Vec<u32>),
    #[component(name = "table")]
    Table(Vec<(String, u32)>),
}

/// The function that a rule exports.
type Typed<'a> = TypedFunc<(&'a [Node],), (Result<(), String>,)>;

impl Instance {
    pub(crate) fn on_load(&mut self) -> Result<(), Failure> {
        let attachment = self.store.data().attachment.clone();
        let loaded = self
            .function(Hook::OnLoad)
            .and_then(|function: Typed<'_>| function.call(&mut self.store, (&attachment.settings,)));
        match loaded {
            Ok((Ok(()),)) => Ok(()),
            Ok((Err(message),)) => Err(Failure {
                fault: Fault { kind: FaultKind::Instance, hook: Hook::OnLoad, message },
                blame: true,
            }),
            Err(error) => Err(self.explain(Hook::OnLoad, error)),
        }
    }
}
