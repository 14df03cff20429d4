//! `#[rule]`: from the methods of a type to the exports of a component.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, Type, parse_quote};

use crate::hooks::{self, Hook};

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "`#[rule]` takes no arguments"));
    }
    let place = item.clone();
    let block: ItemImpl = syn::parse2(item).map_err(|_| {
        Error::new_spanned(place, "put `#[rule]` before the `impl YourRule { … }` that has the hooks")
    })?;
    let rule = type_of(&block)?;

    let mut hooks = Vec::new();
    let mut on_load = None;
    let mut errors: Option<Error> = None;
    for method in
        block.items.iter().filter_map(|item| if let ImplItem::Fn(f) = item { Some(f) } else { None })
    {
        let seen = if method.sig.ident == hooks::ON_LOAD {
            on_load = Some(method);
            check_on_load(method)
        } else {
            Hook::of(method).and_then(|hook| match hook {
                Some(hook) => hook.check(method).map(|()| hooks.push((hook, method))),
                None => Ok(()),
            })
        };
        // All errors are reported at once.
        match (seen, &mut errors) {
            (Ok(()), _) => {}
            (Err(error), Some(errors)) => errors.combine(error),
            (Err(error), none) => *none = Some(error),
        }
    }
    if errors.is_none() && hooks.is_empty() {
        let names: Vec<_> = hooks::HOOKS.iter().map(|hook| hook.name).collect();
        errors = Some(Error::new(
            block.self_ty.span(),
            format!(
                "this rule has no hook, so Shunt would never call it; add one of `{}`",
                names.join("`, `")
            ),
        ));
    }
    if let Some(errors) = errors {
        // The author's code stays, so that it is not reported as missing as well.
        let errors = errors.into_compile_error();
        return Ok(quote!(#block #errors));
    }

    let conversions = hooks.iter().map(|(hook, method)| hook.conversion(method));
    let exports = hooks.iter().map(|(hook, method)| hook.export(&rule, method));
    let load = export_on_load(&rule, on_load);
    let module = format_ident!("__shunt_rule_{rule}");
    let block_of_rule = with_light_format(&block);
    Ok(quote! {
        #block_of_rule

        #(#conversions)*

        // A component exports each hook once, so a crate cannot have a second rule.
        #[doc(hidden)]
        #[macro_export]
        macro_rules! a_crate_holds_one_rule {
            () => {};
        }

        #[doc(hidden)]
        #[allow(non_snake_case, non_upper_case_globals, unused_imports, dead_code)]
        mod #module {
            // `#rule` as a value is the rule itself if it is a unit struct. Otherwise there is
            // no such value to import, and the name means this constant.
            mod otherwise {
                pub(super) const #rule: ::shunt_sdk::__rt::FromSettings = ::shunt_sdk::__rt::FromSettings;
            }
            use otherwise::*;
            use super::#rule;

            struct Exports;

            ::std::thread_local! {
                static RULE: ::std::cell::OnceCell<#rule> = const { ::std::cell::OnceCell::new() };
            }

            #load
            #(#exports)*
        }
    })
}

/// The block, with `format!` in its methods being that of the SDK.
fn with_light_format(block: &ItemImpl) -> ItemImpl {
    let mut block = block.clone();
    for item in &mut block.items {
        if let ImplItem::Fn(method) = item {
            let import = parse_quote! {
                #[allow(unused_imports)]
                use ::shunt_sdk::__rt::format;
            };
            method.block.stmts.insert(0, import);
        }
    }
    block
}

/// The type that the block is for: a plain name, so that its value can be found too.
fn type_of(block: &ItemImpl) -> Result<Ident, Error> {
    if let Some((_, path, _)) = &block.trait_ {
        return Err(Error::new_spanned(
            path,
            "the hooks of a rule are methods of the type itself: write `impl YourRule { … }`",
        ));
    }
    if !block.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &block.generics,
            "a rule cannot be generic: the host makes one value of one type",
        ));
    }
    match &*block.self_ty {
        Type::Path(path) => path.path.get_ident().cloned(),
        _ => None,
    }
    .ok_or_else(|| {
        Error::new_spanned(&block.self_ty, "a rule must be a struct of this module, named without a path")
    })
}

const ON_LOAD_DECLARATION: &str = "fn on_load(&self) -> Result<(), String>";

fn check_on_load(method: &ImplItemFn) -> Result<(), Error> {
    hooks::check_qualifiers(method, ON_LOAD_DECLARATION)?;
    match method.sig.inputs.first() {
        Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() && method.sig.inputs.len() == 1 => {
            Ok(())
        }
        _ => Err(Error::new(
            method.sig.ident.span(),
            format!(
                "`on_load` takes `&self` or `&mut self` only: the settings are its fields\nwrite `{ON_LOAD_DECLARATION}`"
            ),
        )),
    }
}

/// Every rule exports `on-load`, which reads the settings and has panics reported.
///
/// Exports are for WebAssembly only. Their names have colons, which rust-lld does not accept in the list of exported
/// symbols: `cargo build` for the machine itself, as editors run it, would not link.
fn export_on_load(rule: &Ident, own: Option<&ImplItemFn>) -> TokenStream {
    let own = own.map(|method| {
        let cfgs = hooks::cfgs(&method.attrs);
        let name = &method.sig.ident;
        quote! {
            #(#cfgs)*
            ::shunt_sdk::__rt::loaded(#rule::#name(&mut rule))?;
        }
    });
    quote! {
        #[cfg(target_arch = "wasm32")]
        #[unsafe(link_section = "shunt:settings")]
        pub static SETTINGS: [u8; ::shunt_sdk::__rt::schema_len::<_, #rule>(&#rule)] =
            ::shunt_sdk::__rt::schema::<_, #rule, _>(&#rule);

        impl ::shunt_sdk::__rt::bindings::on_load::Guest for Exports {
            #[allow(unused_mut)]
            fn on_load(
                settings: ::std::vec::Vec<::shunt_sdk::__rt::bindings::on_load::Node>,
            ) -> ::core::result::Result<(), ::std::string::String> {
                let mut rule: #rule = ::shunt_sdk::__rt::load(#rule, &settings)?;
                #own
                ::shunt_sdk::__rt::keep(&RULE, rule)
            }
        }
        #[cfg(target_arch = "wasm32")]
        ::shunt_sdk::__rt::bindings::on_load::export!(
            Exports with_types_in ::shunt_sdk::__rt::bindings::on_load
        );
    }
}
