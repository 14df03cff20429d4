//! What the code that the macros generate calls. Not part of the SDK's public interface.

use std::cell::OnceCell;
use std::thread::LocalKey;

use ref_cast::RefCast;

pub use shunt_sdk_macros::format;

pub use crate::bindings;
use crate::bindings::on_load::Node;
use crate::hooks::{Hook, Returns};
use crate::settings::Settings;
pub use crate::settings::Value;
use crate::settings::schema;
pub use crate::settings::schema::{Field, Kind};
pub use crate::text::{Display, Light, Piece};

/// Stands for a rule that is not a unit struct: it is made from settings.
#[derive(Debug, Clone, Copy)]
pub struct FromSettings;

/// How the value of a rule is made: a unit struct is its own value, any other type reads its settings.
#[diagnostic::on_unimplemented(
    message = "`{T}` is not a unit struct and has no settings to be made from",
    label = "must be a unit struct (`struct {T};`) or derive `Settings`"
)]
pub trait Origin<T> {
    const FIELDS: &'static [Field];
    fn make(self, settings: &Value<'_>) -> Result<T, String>;
}

#[diagnostic::do_not_recommend]
impl<T> Origin<T> for T {
    const FIELDS: &'static [Field] = &[];

    fn make(self, _: &Value<'_>) -> Result<T, String> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Settings> Origin<T> for FromSettings {
    const FIELDS: &'static [Field] = T::FIELDS;

    fn make(self, settings: &Value<'_>) -> Result<T, String> {
        T::read(settings)
    }
}

/// The length of the schema of a rule's settings.
pub const fn schema_len<O: Origin<T>, T>(_: &O) -> usize {
    schema::len(O::FIELDS)
}

/// The schema of a rule's settings.
pub const fn schema<O: Origin<T>, T, const N: usize>(_: &O) -> [u8; N] {
    schema::write(O::FIELDS)
}

/// Makes the rule when its instance is loaded.
pub fn load<T>(origin: impl Origin<T>, settings: &[Node]) -> Result<T, String> {
    crate::fault::report_panics();
    origin.make(&Value::root(settings))
}

/// The result of the rule's own `on_load`.
pub fn loaded(result: Result<(), impl Into<String>>) -> Result<(), String> {
    result.map_err(Into::into)
}

/// Keeps the rule for the calls of its hooks.
pub fn keep<T>(place: &'static LocalKey<OnceCell<T>>, rule: T) -> Result<(), String> {
    place.with(|place| place.set(rule)).map_err(|_| "on-load was called twice".to_owned())
}

/// Calls a hook of the rule.
pub fn call<T, W>(place: &'static LocalKey<OnceCell<T>>, hook: impl FnOnce(&T) -> W) -> W {
    place.with(|place| match place.get() {
        Some(rule) => hook(rule),
        None => crate::fault::end_call("on-load was not called"),
    })
}

/// What a hook of the rule returned, as the contract writes it.
pub fn into_wire<R: Returns<H>, H: Hook>(returned: R) -> H::Wire {
    returned.into_wire()
}

/// A resource of the contract as the type that rules see.
pub fn wrap<T: RefCast<From = F>, F>(resource: &F) -> &T {
    T::ref_cast(resource)
}
