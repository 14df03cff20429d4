//! The macros of `shunt-sdk`: [`macro@rule`] and [`macro@Settings`]. Rules use them
//! through the SDK, which documents them with examples.

use proc_macro::TokenStream;

mod format;
mod hooks;
mod rule;
mod settings;

/// Makes a type a rule: exports each hook among the methods of this `impl`.
#[proc_macro_attribute]
pub fn rule(arguments: TokenStream, item: TokenStream) -> TokenStream {
    rule::expand(arguments.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// The `format!` of the methods of a rule.
#[doc(hidden)]
#[proc_macro]
pub fn format(arguments: TokenStream) -> TokenStream {
    format::expand(arguments.into()).into()
}

/// Reads a struct from the settings that the operator writes, and gives the host
/// their schema.
#[proc_macro_derive(Settings, attributes(settings))]
pub fn settings(item: TokenStream) -> TokenStream {
    let result = syn::parse(item).and_then(settings::expand);
    result.unwrap_or_else(syn::Error::into_compile_error).into()
}
