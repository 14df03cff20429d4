//! A guest's memory, read and written with every address checked.

use wasmtime::{AsContextMut, Memory, StoreContextMut};

use super::canon::{Load, Save, address, breach};
use super::guest;
use crate::state::State;

/// A guest's memory while the host reads it.
pub(crate) struct Source<'a> {
    memory: &'a [u8],
    /// Bytes that the host may still copy: lists of strings that name the same bytes would else multiply them.
    fuel: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn new(memory: &'a [u8], fuel: usize) -> Source<'a> {
        Source { memory, fuel }
    }

    /// Reads what a function returned by its address.
    #[inline]
    pub(crate) fn returned<T: Load>(&mut self, at: u32) -> wasmtime::Result<T> {
        let at = address(at);
        if !at.is_multiple_of(T::ALIGN) {
            return Err(breach("return pointer not aligned"));
        }
        if at + T::SIZE > self.memory.len() {
            return Err(breach("pointer out of bounds of memory"));
        }
        T::load(self, at)
    }

    /// The bytes of a string that a guest names.
    #[inline]
    pub(crate) fn string(&mut self, at: u32, len: u32) -> wasmtime::Result<&'a [u8]> {
        match self.bytes(address(at), address(len)) {
            Some(bytes) => self.consume(bytes.len()).map(|()| bytes),
            None => Err(breach("string pointer/length out of bounds of memory")),
        }
    }

    /// The bytes of a list of octets that a guest names.
    #[inline]
    pub(crate) fn octets(&mut self, at: u32, len: u32) -> wasmtime::Result<&'a [u8]> {
        match self.bytes(address(at), address(len)) {
            Some(bytes) => self.consume(bytes.len()).map(|()| bytes),
            None => Err(breach("list pointer/length out of bounds of memory")),
        }
    }

    /// What is at an address; `None`: no memory is.
    #[inline]
    pub(super) fn bytes(&self, at: usize, len: usize) -> Option<&'a [u8]> {
        self.memory.get(at..at + len)
    }

    #[inline]
    pub(super) fn consume(&mut self, bytes: usize) -> wasmtime::Result<()> {
        match self.fuel.checked_sub(bytes) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None => Err(breach(
                "too much data is being copied between the host and the guest: fuel allocated for hostcalls has been \
                 exhausted",
            )),
        }
    }

    #[inline]
    pub(super) fn array<const N: usize>(&self, at: usize) -> wasmtime::Result<[u8; N]> {
        let bytes = self.memory.get(at..).and_then(|bytes| bytes.first_chunk());
        bytes.copied().ok_or_else(|| breach("pointer out of bounds of memory"))
    }
}

/// A guest's memory while the host writes it.
pub(crate) struct Sink<'a> {
    context: StoreContextMut<'a, State>,
    memory: Memory,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(context: StoreContextMut<'a, State>, memory: Memory) -> Sink<'a> {
        Sink { context, memory }
    }

    /// Writes a function's result where the guest wants it.
    #[inline]
    pub(crate) fn result<T: Save>(&mut self, at: u32, value: &T) -> wasmtime::Result<()> {
        let at = address(at);
        if !at.is_multiple_of(T::ALIGN) {
            return Err(breach("pointer not aligned"));
        }
        if at + T::SIZE > self.memory.data_size(&self.context) {
            return Err(breach("pointer out of bounds"));
        }
        value.save(self, at)
    }

    /// Asks the guest for memory.
    #[inline]
    pub(crate) fn allocate(&mut self, align: usize, size: usize) -> wasmtime::Result<usize> {
        guest::allocate(self.context.as_context_mut(), self.memory, align, size)
    }

    #[inline]
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) -> wasmtime::Result<()> {
        match self.memory.data_mut(&mut self.context).get_mut(at..at + bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(breach("pointer out of bounds of memory")),
        }
    }

    /// Allocates, writes the bytes there, and writes their address and length at `at`.
    #[inline]
    pub(super) fn octets(&mut self, at: usize, bytes: &[u8]) -> wasmtime::Result<()> {
        let place = self.allocate(1, bytes.len())?;
        self.write(place, bytes)?;
        self.span(at, place, bytes.len())
    }

    #[inline]
    pub(super) fn span(&mut self, at: usize, place: usize, len: usize) -> wasmtime::Result<()> {
        let (place, len) = (u32::try_from(place)?, u32::try_from(len)?);
        self.write(at, &(u64::from(len) << 32 | u64::from(place)).to_le_bytes())
    }
}
