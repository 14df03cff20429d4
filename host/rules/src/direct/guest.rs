//! A core module's instance, as the host calls it and as it calls the host: what a component instance would keep for it.

use wasmtime::{Caller, Memory, StoreContextMut, Trap, TypedFunc};

use super::canon::{address, breach};
use super::memory::Source;
use crate::state::State;

/// `cabi_realloc`: address and size of what is moved, alignment, new size.
pub(crate) type Realloc = TypedFunc<(u32, u32, u32, u32), u32>;

/// The handles of the resources that a call lends. A guest has never more than one of each, so they have always the
/// same numbers; 0 is none, as in a component.
pub(crate) const REQUEST: u32 = 1;
pub(crate) const RESPONSE: u32 = 2;
pub(crate) const HELLO: u32 = 3;

/// What the store keeps of an instance that is called directly.
pub(crate) struct Guest {
    pub memory: Memory,
    /// Taken while it runs: it cannot call itself.
    realloc: Option<Realloc>,
    /// Whether the guest may call the host: not while it allocates for the host, or takes back what it returned.
    may_leave: bool,
    lent: Lent,
}

/// The handles that the guest has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lent {
    pub request: bool,
    pub response: bool,
    pub hello: bool,
}

impl Lent {
    pub(crate) const NOTHING: Lent = Lent { request: false, response: false, hello: false };
    pub(crate) const REQUEST: Lent = Lent { request: true, ..Lent::NOTHING };
    pub(crate) const BOTH: Lent = Lent { request: true, response: true, ..Lent::NOTHING };
    pub(crate) const HELLO: Lent = Lent { hello: true, ..Lent::NOTHING };

    fn of(&mut self, handle: u32) -> Option<&mut bool> {
        match handle {
            REQUEST => Some(&mut self.request),
            RESPONSE => Some(&mut self.response),
            HELLO => Some(&mut self.hello),
            _ => None,
        }
    }
}

impl Guest {
    pub(crate) fn new(memory: Memory, realloc: Option<Realloc>) -> Guest {
        Guest { memory, realloc, may_leave: true, lent: Lent::NOTHING }
    }

    /// Checks that a handle is the one of this number, and that the guest has it.
    #[inline]
    pub(crate) fn check(&mut self, handle: u32, expected: u32) -> wasmtime::Result<()> {
        match self.lent.of(handle) {
            Some(true) if handle == expected => Ok(()),
            Some(true) => Err(wasmtime::Error::msg(format!(
                "handle index {handle} used with the wrong type, expected guest-defined resource but found a different \
                 guest-defined resource"
            ))),
            _ => Err(wasmtime::Error::msg(format!("unknown handle index {handle}"))),
        }
    }

    /// The guest gives a handle back.
    fn drop(&mut self, handle: u32, expected: u32) -> wasmtime::Result<()> {
        self.check(handle, expected)?;
        if let Some(lent) = self.lent.of(handle) {
            *lent = false;
        }
        Ok(())
    }
}

/// The guest of a store; there is one before any of its code runs.
#[inline]
fn guest(state: &mut State) -> wasmtime::Result<&mut Guest> {
    state.guest.as_mut().ok_or_else(|| breach("the guest has no memory yet"))
}

/// The guest calls the host: its memory, if it may.
#[inline]
pub(crate) fn leave(caller: &mut Caller<'_, State>) -> wasmtime::Result<Memory> {
    let guest = guest(caller.data_mut())?;
    if guest.may_leave { Ok(guest.memory) } else { Err(Trap::CannotLeaveComponent.into()) }
}

/// What a guest names in a call of the host, and the state beside it.
#[inline]
pub(crate) fn parts<'a>(caller: &'a mut Caller<'_, State>, memory: Memory) -> (Source<'a>, &'a mut State) {
    let (bytes, state) = memory.data_and_store_mut(caller);
    (Source::new(bytes, state.copied_at_most()), state)
}

/// Checks a handle that a guest names.
#[inline]
pub(crate) fn check(state: &mut State, handle: u32, expected: u32) -> wasmtime::Result<()> {
    guest(state)?.check(handle, expected)
}

/// The guest gives a handle back.
pub(crate) fn drop_handle(mut caller: Caller<'_, State>, handle: u32, expected: u32) -> wasmtime::Result<()> {
    leave(&mut caller)?;
    guest(caller.data_mut())?.drop(handle, expected)
}

/// Lends handles for a call; gives the guest's memory.
#[inline]
pub(crate) fn lend(state: &mut State, lent: Lent) -> wasmtime::Result<Memory> {
    let guest = guest(state)?;
    guest.lent = lent;
    Ok(guest.memory)
}

/// Checks that all of them came back.
#[inline]
pub(crate) fn settle(state: &mut State) -> wasmtime::Result<()> {
    if guest(state)?.lent == Lent::NOTHING {
        Ok(())
    } else {
        Err(breach("borrow handles still remain at the end of the call"))
    }
}

/// Sets whether the guest may call the host.
#[inline]
pub(crate) fn may_leave(state: &mut State, may: bool) -> wasmtime::Result<()> {
    guest(state)?.may_leave = may;
    Ok(())
}

/// Asks the guest for memory, for what the host gives to it.
#[inline]
pub(crate) fn allocate(
    mut context: StoreContextMut<'_, State>,
    memory: Memory,
    align: usize,
    size: usize,
) -> wasmtime::Result<usize> {
    let (align, size_asked) = (u32::try_from(align)?, u32::try_from(size)?);
    let guest_before = guest(context.data_mut())?;
    let before = std::mem::replace(&mut guest_before.may_leave, false);
    let realloc = guest_before.realloc.take().ok_or_else(|| breach("the guest has no cabi_realloc"))?;
    let allocated = realloc.call(&mut context, (0, 0, align, size_asked));
    let guest_after = guest(context.data_mut())?;
    (guest_after.realloc, guest_after.may_leave) = (Some(realloc), before);
    let at = allocated?;
    if !at.is_multiple_of(align) {
        return Err(breach("realloc return: result not aligned"));
    }
    if address(at) + size > memory.data_size(&context) {
        return Err(breach("realloc return: beyond end of memory"));
    }
    Ok(address(at))
}
