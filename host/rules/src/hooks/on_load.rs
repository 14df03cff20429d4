//! `on-load`: once for each instance, with the checked settings.

use wasmtime::component::{ComponentType, Lower};

use super::{Export as _, Hook};
use crate::direct::canon::{Layout, Save, payload};
use crate::direct::function::give_list;
use crate::direct::guest::Lent;
use crate::direct::memory::Sink;
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

impl Layout for Node {
    // Those of the 64-bit numbers, which no other case exceeds.
    const ALIGN: usize = 8;
    const SIZE: usize = 16;
}

impl Save for Node {
    fn save(&self, into: &mut Sink<'_>, at: usize) -> wasmtime::Result<()> {
        let value = at + payload(Self::ALIGN);
        let mut case = |number: u8| number.save(into, at);
        match self {
            Node::Boolean(boolean) => case(0).and_then(|()| boolean.save(into, value)),
            Node::Integer(integer) => case(1).and_then(|()| integer.save(into, value)),
            Node::Decimal(decimal) => case(2).and_then(|()| decimal.save(into, value)),
            Node::Text(text) => case(3).and_then(|()| text.save(into, value)),
            Node::Elements(elements) => case(4).and_then(|()| elements.save(into, value)),
            Node::Table(table) => case(5).and_then(|()| table.save(into, value)),
        }
    }
}

/// The function that a rule exports.
pub(crate) type Typed<'a> = super::Typed<(&'a [Node],), Result<(), String>, (u32, u32)>;

impl Instance {
    pub(crate) fn on_load(&mut self) -> Result<(), Failure> {
        let attachment = self.store.data().attachment.clone();
        let store = &mut self.store;
        let loaded = Typed::find(store, self.made, Hook::OnLoad).and_then(|function| {
            let settings = attachment.settings.as_slice();
            function.call(store, || (settings,), Lent::NOTHING, |store| give_list(store, settings))
        });
        match loaded {
            Ok(Ok(())) => Ok(()),
            Ok(Err(message)) => Err(Failure {
                fault: Fault { kind: FaultKind::Instance, hook: Hook::OnLoad, message },
                blame: true,
            }),
            Err(error) => Err(self.explain(Hook::OnLoad, error)),
        }
    }
}
