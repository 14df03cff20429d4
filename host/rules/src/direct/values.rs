//! Values that are no record, variant or enumeration of the contract.

use super::canon::{
    Fields, Flat, Layout, Load, Save, address, breach, payload, record_size, strictest, variant_size,
};
use super::memory::{Sink, Source};

macro_rules! number {
    ($($ty:ty)*) => {$(
        impl Layout for $ty {
            const ALIGN: usize = size_of::<$ty>();
            const SIZE: usize = size_of::<$ty>();
        }

        impl Load for $ty {
            #[inline]
            fn load(from: &mut Source<'_>, at: usize) -> wasmtime::Result<$ty> {
                Ok(<$ty>::from_le_bytes(from.array(at)?))
            }
        }

        impl Save for $ty {
            #[inline]
            fn save(&self, into: &mut Sink<'_>, at: usize) -> wasmtime::Result<()> {
                into.write(at, &self.to_le_bytes())
            }
        }
    )*};
}

number!(u16 u32 u64 i64 f64);

impl Layout for u8 {
    const ALIGN: usize = 1;
    const SIZE: usize = 1;
}

impl Load for u8 {
    #[inline]
    fn load(from: &mut Source<'_>, at: usize) -> wasmtime::Result<u8> {
        from.array::<1>(at).map(|[octet]| octet)
    }

    fn load_list(from: &mut Source<'_>, at: usize, len: usize) -> wasmtime::Result<Vec<u8>> {
        from.bytes(at, len)
            .map(<[u8]>::to_vec)
            .ok_or_else(|| breach("list pointer/length out of bounds of memory"))
    }
}

impl Save for u8 {
    #[inline]
    fn save(&self, into: &mut Sink<'_>, at: usize) -> wasmtime::Result<()> {
        into.write(at, &[*self])
    }

    fn save_list(list: &[u8], into: &mut Sink<'_>, at: usize) -> wasmtime::Result<()> {
        into.write(at, list)
    }
}

impl Layout for bool {
    const ALIGN: usize = 1;
    const SIZE: usize = 1;
}

impl Save for bool {
    #[inline]
    fn save(&self, into: &mut Sink<'_>, at: usize) -> wasmtime::Result<()> {
        into.write(at, &[u8::from(*self)])
    }
}

impl Layout for () {
    const ALIGN: usize = 1;
    const SIZE: usize = 0;
}

impl Load for () {
    #[inline]
    fn load(_: &mut Source<'_>, _: usize) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl Save for () {
    #[inline]
    fn save(&self, _: &mut Sink<'_>, _: usize) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl Layout for String {
    const ALIGN: usize = 4;
    const SIZE: usize = 8;
}

impl Load for String {
    #[inline]
    fn load(from: &mut Source<'_>, at: usize) -> wasmtime::Result<String> {
        let (place, len) = (u32::load(from, at)?, u32::load(from, at + 4)?);
        let bytes = from.string(place, len)?;
        Ok(str::from_utf8(bytes)?.to_owned())
    }
}

impl Save for String {
    #[inline]
    fn save(&self, into: &mut Sink<'_>, at: usize) -> wasmtime::Result<()> {
        into.octets(at, self.as_bytes())
    }
}

impl<T> Layout for Vec<T> {
    const ALIGN: usize = 4;
    const SIZE: usize = 8;
}

impl<T: Load> Load for Vec<T> {
    #[inline]
    fn load(from: &mut Source<'_>, at: usize) -> wasmtime::Result<Vec<T>> {
        let (place, len) = (address(u32::load(from, at)?), address(u32::load(from, at + 4)?));
        if from.bytes(place, len * T::SIZE).is_none() {
            return Err(breach("list pointer/length out of bounds of memory"));
        }
        // What it takes here, as wasmtime counts it.
        from.consume(len.saturating_mul(size_of::<T>()))?;
        if !place.is_multiple_of(T::ALIGN) {
            return Err(breach("list pointer is not aligned"));
        }
        T::load_list(from, place, len)
    }
}

impl<T: Save> Save for Vec<T> {
    #[inline]
    fn save(&self, into: &mut Sink<'_>, at: usize) -> wasmtime::Result<()> {
        self.as_slice().save(into, at)
    }
}

impl<T> Layout for &[T] {
    const ALIGN: usize = 4;
    const SIZE: usize = 8;
}

impl<T: Save> Save for &[T] {
    #[inline]
    fn save(&self, into: &mut Sink<'_>, at: usize) -> wasmtime::Result<()> {
        let place = into.allocate(T::ALIGN, self.len() * T::SIZE)?;
        T::save_list(self, into, place)?;
        into.span(at, place, self.len())
    }
}

impl<T: Layout> Layout for Option<T> {
    const ALIGN: usize = T::ALIGN;
    const SIZE: usize = variant_size(&[T::SIZE], T::ALIGN);
}

impl<T: Load> Load for Option<T> {
    #[inline]
    fn load(from: &mut Source<'_>, at: usize) -> wasmtime::Result<Option<T>> {
        match u8::load(from, at)? {
            0 => Ok(None),
            1 => T::load(from, at + payload(T::ALIGN)).map(Some),
            _ => Err(breach("invalid option discriminant")),
        }
    }
}

impl<T: Save> Save for Option<T> {
    #[inline]
    fn save(&self, into: &mut Sink<'_>, at: usize) -> wasmtime::Result<()> {
        match self {
            None => into.write(at, &[0]),
            Some(value) => {
                into.write(at, &[1])?;
                value.save(into, at + payload(T::ALIGN))
            }
        }
    }
}

impl<T: Layout, E: Layout> Layout for Result<T, E> {
    const ALIGN: usize = strictest(&[T::ALIGN, E::ALIGN]);
    const SIZE: usize = variant_size(&[T::SIZE, E::SIZE], Self::ALIGN);
}

impl<T: Load, E: Load> Load for Result<T, E> {
    #[inline]
    fn load(from: &mut Source<'_>, at: usize) -> wasmtime::Result<Result<T, E>> {
        let value = at + payload(Self::ALIGN);
        match u8::load(from, at)? {
            0 => T::load(from, value).map(Ok),
            1 => E::load(from, value).map(Err),
            _ => Err(breach("invalid expected discriminant")),
        }
    }
}

impl<T: Save, E: Save> Save for Result<T, E> {
    #[inline]
    fn save(&self, into: &mut Sink<'_>, at: usize) -> wasmtime::Result<()> {
        into.write(at, &[u8::from(self.is_err())])?;
        let value = at + payload(Self::ALIGN);
        match self {
            Ok(good) => good.save(into, value),
            Err(bad) => bad.save(into, value),
        }
    }
}

impl<A: Layout, B: Layout> Layout for (A, B) {
    const ALIGN: usize = strictest(&[A::ALIGN, B::ALIGN]);
    const SIZE: usize = record_size(&[(A::SIZE, A::ALIGN), (B::SIZE, B::ALIGN)], Self::ALIGN);
}

impl<A: Load, B: Load> Load for (A, B) {
    #[inline]
    fn load(from: &mut Source<'_>, at: usize) -> wasmtime::Result<(A, B)> {
        let mut fields = Fields(at);
        Ok((A::load(from, fields.next::<A>())?, B::load(from, fields.next::<B>())?))
    }
}

impl<A: Save, B: Save> Save for (A, B) {
    #[inline]
    fn save(&self, into: &mut Sink<'_>, at: usize) -> wasmtime::Result<()> {
        let mut fields = Fields(at);
        self.0.save(into, fields.next::<A>())?;
        self.1.save(into, fields.next::<B>())
    }
}

impl Flat for u64 {
    type Core = u64;

    fn flat(self) -> u64 {
        self
    }
}

impl Flat for i64 {
    type Core = i64;

    fn flat(self) -> i64 {
        self
    }
}

impl Flat for u16 {
    type Core = u32;

    fn flat(self) -> u32 {
        self.into()
    }
}

impl Flat for bool {
    type Core = u32;

    fn flat(self) -> u32 {
        self.into()
    }
}
