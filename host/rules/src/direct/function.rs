//! A hook of a core module.

use wasmtime::{AsContextMut, Store, TypedFunc, WasmParams};

use super::canon::{Load, Save};
use super::guest::{self, Lent};
use super::memory::{Sink, Source};
use crate::state::State;

/// A function that returns the address of what it decided.
pub(crate) struct Function<P> {
    pub call: TypedFunc<P, u32>,
    /// Takes back what it returned, when the host has read it.
    pub post_return: Option<TypedFunc<u32, ()>>,
}

impl<P: WasmParams> Function<P> {
    /// Calls it, with handles lent, and reads what it returned.
    #[inline]
    pub(crate) fn call<R: Load>(
        &self,
        store: &mut Store<State>,
        lent: Lent,
        params: P,
    ) -> wasmtime::Result<R> {
        let memory = guest::lend(store.data_mut(), lent)?;
        let at = self.call.call(&mut *store, params)?;
        guest::settle(store.data_mut())?;
        let (bytes, state) = memory.data_and_store_mut(&mut *store);
        let returned = Source::new(bytes, state.copied_at_most()).returned(at)?;
        if let Some(post_return) = &self.post_return {
            guest::may_leave(store.data_mut(), false)?;
            post_return.call(&mut *store, at)?;
            guest::may_leave(store.data_mut(), true)?;
        }
        Ok(returned)
    }
}

/// A function that is given the address of what it is told, and returns nothing.
pub(crate) struct Procedure(pub TypedFunc<u32, ()>);

impl Procedure {
    pub(crate) fn call(&self, store: &mut Store<State>, at: u32) -> wasmtime::Result<()> {
        guest::lend(store.data_mut(), Lent::NOTHING)?;
        self.0.call(&mut *store, at)?;
        guest::settle(store.data_mut())
    }
}

/// Writes a value into memory that the guest allocates for it, and gives its address.
pub(crate) fn give<T: Save>(store: &mut Store<State>, value: &T) -> wasmtime::Result<u32> {
    let memory = guest::lend(store.data_mut(), Lent::NOTHING)?;
    let mut sink = Sink::new(store.as_context_mut(), memory);
    let at = sink.allocate(T::ALIGN, T::SIZE)?;
    value.save(&mut sink, at)?;
    Ok(u32::try_from(at)?)
}

/// Writes a list so, and gives its address and length.
pub(crate) fn give_list<T: Save>(store: &mut Store<State>, list: &[T]) -> wasmtime::Result<(u32, u32)> {
    let memory = guest::lend(store.data_mut(), Lent::NOTHING)?;
    let mut sink = Sink::new(store.as_context_mut(), memory);
    let at = sink.allocate(T::ALIGN, list.len() * T::SIZE)?;
    T::save_list(list, &mut sink, at)?;
    Ok((u32::try_from(at)?, u32::try_from(list.len())?))
}
