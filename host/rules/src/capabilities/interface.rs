//! How a host function is defined, once for both ways in which it is called: by components, whose values wasmtime passes,
//! and by core modules that are called directly, whose values are passed as [`crate::direct`] does.

use wasmtime::component::{LinkerInstance, ResourceType};
use wasmtime::{Caller, Linker};

use crate::direct::guest;
use crate::state::State;

/// An interface under definition.
pub(super) struct Interface<'a> {
    /// Its name in the contract.
    pub name: &'static str,
    pub component: LinkerInstance<'a, State>,
    /// With the interface's name; `None`: core modules do not see these definitions.
    pub core: Option<(&'a mut Linker<State>, &'a str)>,
}

impl Interface<'_> {
    /// Defines a resource. Rules only ever borrow one: there is nothing to drop but the handle.
    pub(super) fn resource<T: 'static>(&mut self, name: &str, handle: u32) -> wasmtime::Result<()> {
        self.component.resource(name, ResourceType::host::<T>(), |_, _| Ok(()))?;
        if let Some((core, interface)) = &mut self.core {
            core.func_wrap(
                interface,
                &format!("[resource-drop]{name}"),
                move |caller: Caller<'_, State>, index: u32| guest::drop_handle(caller, index, handle),
            )?;
        }
        Ok(())
    }
}

/// Defines a host function: `function!(interface, "name", (parameter: kind, …) -> result, body)`.
///
/// The body is given `&mut State` and the parameters but for handles, which are only checked. Each call counts as a host
/// call. Kinds of parameters:
///
/// | kind | given to the body |
/// |---|---|
/// | `request`, `response`, `hello` | nothing |
/// | `text` | `&str` |
/// | `maybe_text` | `Option<&str>` |
/// | `octets` | `&[u8]` |
/// | `u16`, `u32`, `i64` | itself |
/// | `address`, `endpoint` | `IpAddr`, `SocketAddr` |
/// | `level`, `scope`, `hash` | the enumeration |
///
/// Results, by how the canonical ABI returns them: `memory` where the guest says, `flat` as a value, `nothing`.
macro_rules! function {
    ($interface:expr, $name:literal, ($($parameter:ident: $kind:ident),*) -> $result:ident, $body:expr) => {{
        let interface: &mut $crate::capabilities::interface::Interface<'_> = $interface;
        function!(@read interface, $name, $result, $body, context, caller, source, state,
            [] [] [] [] [] [] [] $($parameter: $kind,)*)
    }};

    // Each parameter: what a component gives and how it is read, what a core module gives, how it is checked and how it
    // is read, and what the body is given.
    (@read $i:ident, $name:literal, $r:ident, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     [$($pattern:tt)*] [$($ty:tt)*] [$($copy:tt)*] [$($flat:tt)*] [$($check:tt)*] [$($decode:tt)*] [$($given:tt)*]
     $p:ident: request, $($rest:tt)*) => {
        function!(@read $i, $name, $r, $body, $cx, $caller, $source, $state,
            [$($pattern)* _,] [$($ty)* wasmtime::component::Resource<$crate::abi::Request>,] [$($copy)*]
            [$($flat)* $p: u32,]
            [$($check)* $crate::direct::guest::check($state, $p, $crate::direct::guest::REQUEST)?;]
            [$($decode)*] [$($given)*] $($rest)*)
    };
    (@read $i:ident, $name:literal, $r:ident, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     [$($pattern:tt)*] [$($ty:tt)*] [$($copy:tt)*] [$($flat:tt)*] [$($check:tt)*] [$($decode:tt)*] [$($given:tt)*]
     $p:ident: response, $($rest:tt)*) => {
        function!(@read $i, $name, $r, $body, $cx, $caller, $source, $state,
            [$($pattern)* _,] [$($ty)* wasmtime::component::Resource<$crate::abi::Response>,] [$($copy)*]
            [$($flat)* $p: u32,]
            [$($check)* $crate::direct::guest::check($state, $p, $crate::direct::guest::RESPONSE)?;]
            [$($decode)*] [$($given)*] $($rest)*)
    };
    (@read $i:ident, $name:literal, $r:ident, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     [$($pattern:tt)*] [$($ty:tt)*] [$($copy:tt)*] [$($flat:tt)*] [$($check:tt)*] [$($decode:tt)*] [$($given:tt)*]
     $p:ident: hello, $($rest:tt)*) => {
        function!(@read $i, $name, $r, $body, $cx, $caller, $source, $state,
            [$($pattern)* _,] [$($ty)* wasmtime::component::Resource<$crate::abi::ClientHello>,] [$($copy)*]
            [$($flat)* $p: u32,]
            [$($check)* $crate::direct::guest::check($state, $p, $crate::direct::guest::HELLO)?;]
            [$($decode)*] [$($given)*] $($rest)*)
    };
    (@read $i:ident, $name:literal, $r:ident, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     [$($pattern:tt)*] [$($ty:tt)*] [$($copy:tt)*] [$($flat:tt)*] [$($check:tt)*] [$($decode:tt)*] [$($given:tt)*]
     $p:ident: text, $($rest:tt)*) => {
        function!(@read $i, $name, $r, $body, $cx, $caller, $source, $state,
            [$($pattern)* $p,] [$($ty)* wasmtime::component::WasmStr,]
            [$($copy)* let $p = $p.to_str(&$cx)?.into_owned(); let $p = $p.as_str();]
            [$($flat)* at: u32, $p: u32,]
            [$($check)* let $p = $source.string(at, $p)?;]
            [$($decode)* let $p = str::from_utf8($p)?;]
            [$($given)* $p,] $($rest)*)
    };
    (@read $i:ident, $name:literal, $r:ident, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     [$($pattern:tt)*] [$($ty:tt)*] [$($copy:tt)*] [$($flat:tt)*] [$($check:tt)*] [$($decode:tt)*] [$($given:tt)*]
     $p:ident: maybe_text, $($rest:tt)*) => {
        function!(@read $i, $name, $r, $body, $cx, $caller, $source, $state,
            [$($pattern)* $p,] [$($ty)* Option<wasmtime::component::WasmStr>,]
            [$($copy)*
                let $p = match $p { Some(text) => Some(text.to_str(&$cx)?.into_owned()), None => None };
                let $p = $p.as_deref();]
            [$($flat)* case: u32, at: u32, $p: u32,]
            [$($check)* let $p = match case {
                0 => None,
                1 => Some($source.string(at, $p)?),
                _ => return Err($crate::direct::canon::breach("invalid option discriminant")),
            };]
            [$($decode)* let $p = match $p { Some(text) => Some(str::from_utf8(text)?), None => None };]
            [$($given)* $p,] $($rest)*)
    };
    (@read $i:ident, $name:literal, $r:ident, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     [$($pattern:tt)*] [$($ty:tt)*] [$($copy:tt)*] [$($flat:tt)*] [$($check:tt)*] [$($decode:tt)*] [$($given:tt)*]
     $p:ident: octets, $($rest:tt)*) => {
        function!(@read $i, $name, $r, $body, $cx, $caller, $source, $state,
            [$($pattern)* $p,] [$($ty)* wasmtime::component::WasmList<u8>,]
            [$($copy)* let $p = $p.as_le_slice(&$cx).to_vec(); let $p = $p.as_slice();]
            [$($flat)* at: u32, $p: u32,]
            [$($check)* let $p = $source.octets(at, $p)?;]
            [$($decode)*] [$($given)* $p,] $($rest)*)
    };
    (@read $i:ident, $name:literal, $r:ident, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     [$($pattern:tt)*] [$($ty:tt)*] [$($copy:tt)*] [$($flat:tt)*] [$($check:tt)*] [$($decode:tt)*] [$($given:tt)*]
     $p:ident: u16, $($rest:tt)*) => {
        function!(@read $i, $name, $r, $body, $cx, $caller, $source, $state,
            [$($pattern)* $p,] [$($ty)* u16,] [$($copy)*]
            [$($flat)* $p: u32,]
            // The canonical ABI ignores the upper half.
            [$($check)* let $p = $p as u16;]
            [$($decode)*] [$($given)* $p,] $($rest)*)
    };
    (@read $i:ident, $name:literal, $r:ident, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     [$($pattern:tt)*] [$($ty:tt)*] [$($copy:tt)*] [$($flat:tt)*] [$($check:tt)*] [$($decode:tt)*] [$($given:tt)*]
     $p:ident: u32, $($rest:tt)*) => {
        function!(@read $i, $name, $r, $body, $cx, $caller, $source, $state,
            [$($pattern)* $p,] [$($ty)* u32,] [$($copy)*] [$($flat)* $p: u32,] [$($check)*] [$($decode)*]
            [$($given)* $p,] $($rest)*)
    };
    (@read $i:ident, $name:literal, $r:ident, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     [$($pattern:tt)*] [$($ty:tt)*] [$($copy:tt)*] [$($flat:tt)*] [$($check:tt)*] [$($decode:tt)*] [$($given:tt)*]
     $p:ident: i64, $($rest:tt)*) => {
        function!(@read $i, $name, $r, $body, $cx, $caller, $source, $state,
            [$($pattern)* $p,] [$($ty)* i64,] [$($copy)*] [$($flat)* $p: i64,] [$($check)*] [$($decode)*]
            [$($given)* $p,] $($rest)*)
    };
    (@read $i:ident, $name:literal, $r:ident, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     [$($pattern:tt)*] [$($ty:tt)*] [$($copy:tt)*] [$($flat:tt)*] [$($check:tt)*] [$($decode:tt)*] [$($given:tt)*]
     $p:ident: endpoint, $($rest:tt)*) => {
        function!(@read $i, $name, $r, $body, $cx, $caller, $source, $state,
            [$($pattern)* $p,] [$($ty)* $crate::abi::Endpoint,]
            [$($copy)* let $p = std::net::SocketAddr::from($p);]
            [$($flat)* hi: u64, lo: u64, $p: u32,]
            [$($check)* let $p = std::net::SocketAddr::from($crate::abi::Endpoint::of_flat(hi, lo, $p));]
            [$($decode)*] [$($given)* $p,] $($rest)*)
    };
    (@read $i:ident, $name:literal, $r:ident, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     [$($pattern:tt)*] [$($ty:tt)*] [$($copy:tt)*] [$($flat:tt)*] [$($check:tt)*] [$($decode:tt)*] [$($given:tt)*]
     $p:ident: address, $($rest:tt)*) => {
        function!(@read $i, $name, $r, $body, $cx, $caller, $source, $state,
            [$($pattern)* $p,] [$($ty)* $crate::abi::Address,] [$($copy)* let $p = std::net::IpAddr::from($p);]
            [$($flat)* hi: u64, $p: u64,]
            [$($check)* let $p = std::net::IpAddr::from($crate::abi::Address::from((hi, $p)));]
            [$($decode)*] [$($given)* $p,] $($rest)*)
    };
    (@read $i:ident, $name:literal, $r:ident, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     [$($pattern:tt)*] [$($ty:tt)*] [$($copy:tt)*] [$($flat:tt)*] [$($check:tt)*] [$($decode:tt)*] [$($given:tt)*]
     $p:ident: hash, $($rest:tt)*) => {
        function!(@read $i, $name, $r, $body, $cx, $caller, $source, $state,
            [$($pattern)* $p,] [$($ty)* $crate::abi::Hash,] [$($copy)*] [$($flat)* $p: u32,]
            [$($check)* let $p = $crate::abi::Hash::case($p)?;]
            [$($decode)*] [$($given)* $p,] $($rest)*)
    };
    (@read $i:ident, $name:literal, $r:ident, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     [$($pattern:tt)*] [$($ty:tt)*] [$($copy:tt)*] [$($flat:tt)*] [$($check:tt)*] [$($decode:tt)*] [$($given:tt)*]
     $p:ident: level, $($rest:tt)*) => {
        function!(@read $i, $name, $r, $body, $cx, $caller, $source, $state,
            [$($pattern)* $p,] [$($ty)* $crate::abi::Level,] [$($copy)*] [$($flat)* $p: u32,]
            [$($check)* let $p = $crate::abi::Level::case($p)?;]
            [$($decode)*] [$($given)* $p,] $($rest)*)
    };
    (@read $i:ident, $name:literal, $r:ident, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     [$($pattern:tt)*] [$($ty:tt)*] [$($copy:tt)*] [$($flat:tt)*] [$($check:tt)*] [$($decode:tt)*] [$($given:tt)*]
     $p:ident: scope, $($rest:tt)*) => {
        function!(@read $i, $name, $r, $body, $cx, $caller, $source, $state,
            [$($pattern)* $p,] [$($ty)* $crate::abi::Scope,] [$($copy)*] [$($flat)* $p: u32,]
            [$($check)* let $p = $crate::abi::Scope::case($p)?;]
            [$($decode)*] [$($given)* $p,] $($rest)*)
    };

    (@read $i:ident, $name:literal, memory, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     $pattern:tt $ty:tt $copy:tt [$($flat:tt)*] $check:tt $decode:tt $given:tt) => {{
        function!(@component $i, $name, $body, $cx, $pattern $ty $copy $given, result => (result,))?;
        function!(@core $i, $name, $body, $caller, $source, $state, [$($flat)* to: u32,] $check $decode $given,
            memory, result => {
                $crate::direct::memory::Sink::new(wasmtime::AsContextMut::as_context_mut(&mut $caller), memory)
                    .result(to, &result)
            })
    }};
    (@read $i:ident, $name:literal, flat, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     $pattern:tt $ty:tt $copy:tt $flat:tt $check:tt $decode:tt $given:tt) => {{
        function!(@component $i, $name, $body, $cx, $pattern $ty $copy $given, result => (result,))?;
        function!(@core $i, $name, $body, $caller, $source, $state, $flat $check $decode $given,
            memory, result => Ok::<_, wasmtime::Error>($crate::direct::canon::Flat::flat(result)))
    }};
    (@read $i:ident, $name:literal, nothing, $body:expr, $cx:ident, $caller:ident, $source:ident, $state:ident,
     $pattern:tt $ty:tt $copy:tt $flat:tt $check:tt $decode:tt $given:tt) => {{
        function!(@component $i, $name, $body, $cx, $pattern $ty $copy $given, result => result)?;
        function!(@core $i, $name, $body, $caller, $source, $state, $flat $check $decode $given,
            memory, result => Ok::<(), wasmtime::Error>(result))
    }};

    (@component $i:ident, $name:literal, $body:expr, $cx:ident,
     [$($pattern:tt)*] [$($ty:tt)*] [$($copy:tt)*] [$($given:tt)*], $result:ident => $returned:expr) => {
        {
            let name = ($i.name, $name);
            $i.component.func_wrap(
                $name,
                move |mut $cx: wasmtime::StoreContextMut<'_, $crate::state::State>, ($($pattern)*): ($($ty)*)| {
                    $cx.data_mut().usage.host_call()?;
                    $($copy)*
                    let $result = $crate::trace::host_call($cx.data_mut(), name, ($($given)*), |state| {
                        $body(state, $($given)*)
                    })?;
                    Ok($returned)
                },
            )
        }
    };
    (@core $i:ident, $name:literal, $body:expr, $caller:ident, $source:ident, $state:ident,
     [$($flat:tt)*] [$($check:tt)*] [$($decode:tt)*] [$($given:tt)*], $memory:ident, $result:ident => $returned:expr) => {{
        let name = ($i.name, $name);
        match &mut $i.core {
            Some((core, interface)) => core
                .func_wrap(
                    interface,
                    $name,
                    move |mut $caller: wasmtime::Caller<'_, $crate::state::State>, $($flat)*| {
                        let $memory = $crate::direct::guest::leave(&mut $caller)?;
                        let $result = {
                            let (mut $source, $state) = $crate::direct::guest::parts(&mut $caller, $memory);
                            // Some read nothing of the memory.
                            let _ = &mut $source;
                            $($check)*
                            $state.usage.host_call()?;
                            $($decode)*
                            $crate::trace::host_call($state, name, ($($given)*), |state| {
                                $body(state, $($given)*)
                            })?
                        };
                        let _ = $memory;
                        $returned
                    },
                )
                .map(|_| ()),
            None => Ok(()),
        }
    }};
}
pub(super) use function;
