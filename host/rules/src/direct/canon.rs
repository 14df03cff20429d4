//! How the component model lays out values in a guest's memory: the canonical ABI, as far as the contract needs it.
//!
//! <https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md>. A value has an alignment and a
//! size; a record is its fields in order, a variant the number of its case and then the case's value, a string or a list
//! its address and its length. The texts of errors are those of wasmtime, which does the same for components.

use super::memory::{Sink, Source};

/// Alignment and size in memory.
pub(crate) trait Layout {
    const ALIGN: usize;
    const SIZE: usize;
}

/// A value that a guest gives to the host.
pub(crate) trait Load: Layout + Sized {
    /// Reads it at an address.
    fn load(from: &mut Source<'_>, at: usize) -> wasmtime::Result<Self>;

    /// Reads so many of them, one after the other.
    fn load_list(from: &mut Source<'_>, at: usize, len: usize) -> wasmtime::Result<Vec<Self>> {
        (0..len).map(|index| Self::load(from, at + index * Self::SIZE)).collect()
    }
}

/// A value that the host gives to a guest.
pub(crate) trait Save: Layout {
    /// Writes it at an address.
    fn save(&self, into: &mut Sink<'_>, at: usize) -> wasmtime::Result<()>;

    /// Writes them one after the other.
    fn save_list(list: &[Self], into: &mut Sink<'_>, at: usize) -> wasmtime::Result<()>
    where
        Self: Sized,
    {
        list.iter().zip(0..).try_for_each(|(value, index)| value.save(into, at + index * Self::SIZE))
    }
}

/// A result that is returned as a value.
pub(crate) trait Flat {
    type Core;

    fn flat(self) -> Self::Core;
}

/// The guest broke the calling convention.
#[cold]
pub(crate) fn breach(what: &'static str) -> wasmtime::Error {
    wasmtime::Error::msg(what)
}

/// Addresses have 32 bits, and sums of a few of them fit.
const _: () = assert!(usize::BITS >= 64);

pub(crate) fn address(of: u32) -> usize {
    of as usize
}

/// The next address of that alignment.
pub(crate) const fn align(at: usize, to: usize) -> usize {
    at.next_multiple_of(to)
}

/// The alignment of what has parts of these alignments.
pub(crate) const fn strictest(alignments: &[usize]) -> usize {
    let largest = largest(alignments);
    if largest == 0 { 1 } else { largest }
}

const fn largest(numbers: &[usize]) -> usize {
    let (mut largest, mut index) = (0, 0);
    while index < numbers.len() {
        if numbers[index] > largest {
            largest = numbers[index];
        }
        index += 1;
    }
    largest
}

/// The size of a record with fields of these sizes and alignments.
pub(crate) const fn record_size(fields: &[(usize, usize)], alignment: usize) -> usize {
    let (mut size, mut index) = (0, 0);
    while index < fields.len() {
        size = align(size, fields[index].1) + fields[index].0;
        index += 1;
    }
    align(size, alignment)
}

/// Where the value of a case begins.
pub(crate) const fn payload(alignment: usize) -> usize {
    // The number of the case is one octet: no variant of the contract has more than 256.
    align(1, alignment)
}

/// The size of a variant whose cases have values of these sizes.
pub(crate) const fn variant_size(values: &[usize], alignment: usize) -> usize {
    align(payload(alignment) + largest(values), alignment)
}

/// A case that a variant does not have.
#[cold]
pub(crate) fn unexpected(case: impl std::fmt::Display) -> wasmtime::Error {
    wasmtime::Error::msg(format!("unexpected discriminant: {case}"))
}

/// Where the fields of a record are, one after the other.
pub(crate) struct Fields(pub usize);

impl Fields {
    pub(crate) fn next<T: Layout>(&mut self) -> usize {
        let at = align(self.0, T::ALIGN);
        self.0 = at + T::SIZE;
        at
    }
}

/// The layout of a record, from its fields in their order; `load` and `save` say which ways it crosses.
macro_rules! record {
    ($name:ident $fields:tt $($way:ident)*) => {
        $crate::direct::canon::record!(@layout $name $fields);
        $($crate::direct::canon::record!(@$way $name $fields);)*
    };
    (@layout $name:ident { $($field:ident: $ty:ty),* $(,)? }) => {
        impl $crate::direct::canon::Layout for $name {
            const ALIGN: usize =
                $crate::direct::canon::strictest(&[$(<$ty as $crate::direct::canon::Layout>::ALIGN),*]);
            const SIZE: usize = $crate::direct::canon::record_size(
                &[$((
                    <$ty as $crate::direct::canon::Layout>::SIZE,
                    <$ty as $crate::direct::canon::Layout>::ALIGN,
                )),*],
                <Self as $crate::direct::canon::Layout>::ALIGN,
            );
        }
    };
    (@load $name:ident { $($field:ident: $ty:ty),* $(,)? }) => {
        impl $crate::direct::canon::Load for $name {
            #[inline]
            fn load(from: &mut $crate::direct::memory::Source<'_>, at: usize) -> wasmtime::Result<Self> {
                let mut fields = $crate::direct::canon::Fields(at);
                Ok(Self { $($field: <$ty as $crate::direct::canon::Load>::load(from, fields.next::<$ty>())?),* })
            }
        }
    };
    (@save $name:ident { $($field:ident: $ty:ty),* $(,)? }) => {
        impl $crate::direct::canon::Save for $name {
            #[inline]
            fn save(&self, into: &mut $crate::direct::memory::Sink<'_>, at: usize) -> wasmtime::Result<()> {
                let mut fields = $crate::direct::canon::Fields(at);
                $(<$ty as $crate::direct::canon::Save>::save(&self.$field, into, fields.next::<$ty>())?;)*
                Ok(())
            }
        }
    };
}
pub(crate) use record;

/// The layout of a variant that a guest gives to the host, from its cases in their order.
macro_rules! variant {
    ($name:ident { $($case:ident $(($ty:ty))?),* $(,)? }) => {
        impl $crate::direct::canon::Layout for $name {
            const ALIGN: usize =
                $crate::direct::canon::strictest(&[$($(<$ty as $crate::direct::canon::Layout>::ALIGN,)?)*]);
            const SIZE: usize = $crate::direct::canon::variant_size(
                &[$($(<$ty as $crate::direct::canon::Layout>::SIZE,)?)*],
                <Self as $crate::direct::canon::Layout>::ALIGN,
            );
        }

        impl $crate::direct::canon::Load for $name {
            #[inline]
            fn load(from: &mut $crate::direct::memory::Source<'_>, at: usize) -> wasmtime::Result<Self> {
                let case = <u8 as $crate::direct::canon::Load>::load(from, at)?;
                let value = at
                    + $crate::direct::canon::payload(<Self as $crate::direct::canon::Layout>::ALIGN);
                let mut number = 0_u8..;
                $(
                    if number.next() == Some(case) {
                        return Ok(Self::$case $((<$ty as $crate::direct::canon::Load>::load(from, value)?))?);
                    }
                )*
                Err($crate::direct::canon::unexpected(case))
            }
        }
    };
}
pub(crate) use variant;

/// An enumeration whose numbers are those of the contract; `load` and `save` say which ways it crosses.
macro_rules! enumeration {
    ($name:ident $cases:tt $($way:ident)*) => {
        impl $crate::direct::canon::Layout for $name {
            const ALIGN: usize = 1;
            const SIZE: usize = 1;
        }

        $($crate::direct::canon::enumeration!(@$way $name $cases);)*
    };
    (@load $name:ident { $($case:ident),* $(,)? }) => {
        impl $name {
            /// The case of that number.
            pub(crate) fn case(number: u32) -> wasmtime::Result<$name> {
                $(
                    if number == $name::$case as u32 {
                        return Ok($name::$case);
                    }
                )*
                Err($crate::direct::canon::unexpected(number))
            }
        }

        impl $crate::direct::canon::Load for $name {
            #[inline]
            fn load(from: &mut $crate::direct::memory::Source<'_>, at: usize) -> wasmtime::Result<Self> {
                $name::case(<u8 as $crate::direct::canon::Load>::load(from, at)?.into())
            }
        }
    };
    (@save $name:ident { $($case:ident),* $(,)? }) => {
        impl $crate::direct::canon::Save for $name {
            #[inline]
            fn save(&self, into: &mut $crate::direct::memory::Sink<'_>, at: usize) -> wasmtime::Result<()> {
                <u8 as $crate::direct::canon::Save>::save(&(*self as u8), into, at)
            }
        }
    };
}
pub(crate) use enumeration;
