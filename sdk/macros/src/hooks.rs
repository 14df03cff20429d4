//! The hooks that a rule can have, and what their methods look like.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Error, FnArg, Ident, ImplItemFn, Path, ReturnType, Type, parse_quote};

/// One argument of a hook after `&self`.
pub(crate) struct Argument {
    /// Its name in the contract and in messages.
    name: &'static str,
    /// Its type as a rule writes it, behind `&`.
    shown: &'static str,
    crossing: Crossing,
}

/// How an argument of the contract becomes that of the rule's method.
enum Crossing {
    /// A resource of this interface: the SDK's type wraps the contract's.
    Resource(&'static str),
    /// One that may be missing: an `Option` of it.
    Optional(&'static str),
    /// A record: the SDK's type is made from it.
    Record,
    /// The contract's type is the SDK's.
    Same,
}

/// A hook after `on_load`.
pub(crate) struct Hook {
    pub(crate) name: &'static str,
    arguments: &'static [Argument],
    /// What it returns, as a rule writes it; empty for nothing.
    returns: &'static str,
    /// The type of the SDK that stands for the hook.
    marker: &'static str,
}

const FLOW: Argument = Argument { name: "flow", shown: "Flow", crossing: Crossing::Record };
const REQUEST: Argument =
    Argument { name: "request", shown: "Request", crossing: Crossing::Resource("http") };

/// `on_load` is not among [`HOOKS`]: every rule exports it, to read the settings.
pub(crate) const ON_LOAD: &str = "on_load";

pub(crate) const HOOKS: &[Hook] = &[
    Hook { name: "on_flow", arguments: &[FLOW], returns: "flow::Verdict", marker: "flow::OnFlow" },
    Hook {
        name: "on_client_hello",
        arguments: &[Argument { name: "hello", shown: "ClientHello", crossing: Crossing::Resource("tls") }],
        returns: "client_hello::Verdict",
        marker: "client_hello::OnClientHello",
    },
    Hook {
        name: "on_data",
        arguments: &[FLOW, Argument { name: "data", shown: "Data", crossing: Crossing::Record }],
        returns: "data::Verdict",
        marker: "data::OnData",
    },
    Hook {
        name: "on_request",
        arguments: &[REQUEST],
        returns: "request::Verdict",
        marker: "request::OnRequest",
    },
    Hook {
        name: "on_request_body",
        arguments: &[
            REQUEST,
            Argument { name: "body", shown: "request_body::Body", crossing: Crossing::Same },
        ],
        returns: "request_body::Verdict",
        marker: "request_body::OnRequestBody",
    },
    Hook {
        name: "on_selected",
        arguments: &[
            Argument { name: "request", shown: "Request", crossing: Crossing::Optional("http") },
            Argument { name: "selection", shown: "selected::Selection", crossing: Crossing::Record },
        ],
        returns: "selected::Verdict",
        marker: "selected::OnSelected",
    },
    Hook {
        name: "on_connect_failed",
        arguments: &[
            REQUEST,
            Argument { name: "failure", shown: "connect_failed::Failure", crossing: Crossing::Record },
        ],
        returns: "connect_failed::Verdict",
        marker: "connect_failed::OnConnectFailed",
    },
    Hook {
        name: "on_response",
        arguments: &[
            REQUEST,
            Argument { name: "response", shown: "Response", crossing: Crossing::Resource("http") },
        ],
        returns: "response::Verdict",
        marker: "response::OnResponse",
    },
    Hook {
        name: "on_response_body",
        arguments: &[
            REQUEST,
            Argument { name: "response", shown: "Response", crossing: Crossing::Resource("http") },
            Argument { name: "body", shown: "response_body::Body", crossing: Crossing::Same },
        ],
        returns: "response_body::Verdict",
        marker: "response_body::OnResponseBody",
    },
    Hook {
        name: "on_done",
        arguments: &[Argument { name: "summary", shown: "done::Summary", crossing: Crossing::Record }],
        returns: "",
        marker: "done::OnDone",
    },
    Hook {
        name: "on_probe",
        arguments: &[Argument { name: "probe", shown: "Probe", crossing: Crossing::Record }],
        returns: "probe::Verdict",
        marker: "probe::OnProbe",
    },
];

impl Hook {
    /// The hook of the method's name. `None` for other methods; an error for a name that
    /// begins with `on_` and is not a hook.
    pub(crate) fn of(method: &ImplItemFn) -> Result<Option<&'static Hook>, Error> {
        let name = method.sig.ident.to_string();
        if let Some(hook) = HOOKS.iter().find(|hook| hook.name == name) {
            return Ok(Some(hook));
        }
        if !name.starts_with("on_") {
            return Ok(None);
        }
        let names: Vec<&str> = [ON_LOAD].into_iter().chain(HOOKS.iter().map(|hook| hook.name)).collect();
        let near = names.iter().min_by_key(|known| distance(known, &name));
        let hint = match near.filter(|known| distance(known, &name) <= 1 + name.len() / 4) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the hooks are `{}`; other methods may not begin with `on_`", names.join("`, `")),
        };
        Err(Error::new(method.sig.ident.span(), format!("there is no hook `{name}`: {hint}")))
    }

    /// How the method is declared, for messages.
    fn declaration(&self) -> String {
        let arguments: String = self
            .arguments
            .iter()
            .map(|argument| format!(", {}: {}", argument.name, argument.written()))
            .collect();
        let arrow = if self.returns.is_empty() { "" } else { " -> " };
        format!("fn {}(&self{arguments}){arrow}{}", self.name, self.returns)
    }

    /// Checks what can be seen without types: receiver, qualifiers, number of arguments.
    pub(crate) fn check(&self, method: &ImplItemFn) -> Result<(), Error> {
        let declaration = self.declaration();
        check_qualifiers(method, &declaration)?;
        match method.sig.inputs.first() {
            Some(FnArg::Receiver(receiver))
                if receiver.reference.is_some() && receiver.mutability.is_none() => {}
            Some(FnArg::Receiver(receiver)) => {
                return Err(Error::new(
                    receiver.span(),
                    format!(
                        "a hook takes `&self`: keep state in `vars`, not in the rule\nwrite `{declaration}`"
                    ),
                ));
            }
            _ => {
                return Err(Error::new(
                    method.sig.ident.span(),
                    format!("a hook takes `&self`\nwrite `{declaration}`"),
                ));
            }
        }
        if method.sig.inputs.len() != 1 + self.arguments.len() {
            let span = method
                .sig
                .inputs
                .iter()
                .nth(1 + self.arguments.len())
                .map_or(method.sig.ident.span(), Spanned::span);
            return Err(Error::new(
                span,
                format!("`{}` has the wrong number of arguments\nwrite `{declaration}`", self.name),
            ));
        }
        if matches!(method.sig.output, ReturnType::Default) && !self.returns.is_empty() {
            return Err(Error::new(
                method.sig.ident.span(),
                format!("`{}` returns a verdict\nwrite `{declaration}`", self.name),
            ));
        }
        Ok(())
    }

    /// The module of the hook in the SDK's bindings.
    fn module(&self) -> Ident {
        format_ident!("{}", self.name)
    }

    /// What the hook returns in the contract.
    fn wire(&self) -> TokenStream {
        let module = self.module();
        if self.returns.is_empty() {
            quote!(())
        } else {
            quote!(::shunt_sdk::__rt::bindings::#module::Verdict)
        }
    }

    /// The name of the constant that converts what the method returns to the contract's type.
    fn convert(&self) -> Ident {
        format_ident!("__shunt_{}", self.name)
    }

    /// That constant. It is in the author's scope, where the return type of the method can be
    /// named, and where the compiler reports a type that does not fit, once.
    pub(crate) fn conversion(&self, method: &ImplItemFn) -> TokenStream {
        let nothing: Type = parse_quote!(());
        let returned = match &method.sig.output {
            ReturnType::Type(_, returned) => returned,
            ReturnType::Default => &nothing,
        };
        let Hook { marker, .. } = self;
        let marker: Path = match syn::parse_str(marker) {
            Ok(marker) => marker,
            Err(error) => return error.to_compile_error(),
        };
        let wire = self.wire();
        let convert = self.convert();
        let cfgs = cfgs(&method.attrs);
        quote! {
            #(#cfgs)*
            #[doc(hidden)]
            #[allow(non_upper_case_globals)]
            const #convert: fn(#returned) -> #wire =
                ::shunt_sdk::__rt::into_wire::<#returned, ::shunt_sdk::#marker>;
        }
    }

    /// The export: what the host calls, and what it calls in turn.
    pub(crate) fn export(&self, rule: &Ident, method: &ImplItemFn) -> TokenStream {
        let module = self.module();
        let name = Ident::new(self.name, method.sig.ident.span());
        let wire = self.wire();
        let convert = self.convert();
        let cfgs = cfgs(&method.attrs);
        let types = method.sig.inputs.iter().skip(1).map(|argument| match argument {
            FnArg::Typed(argument) => argument.ty.span(),
            FnArg::Receiver(receiver) => receiver.span(),
        });
        let (parameters, shown): (Vec<_>, Vec<_>) =
            self.arguments.iter().zip(types).map(|(argument, span)| argument.cross(self, span)).unzip();
        quote! {
            #(#cfgs)*
            impl ::shunt_sdk::__rt::bindings::#module::Guest for Exports {
                fn #module(#(#parameters),*) -> #wire {
                    ::shunt_sdk::__rt::call(&RULE, |rule| super::#convert(#rule::#name(rule, #(#shown),*)))
                }
            }
            #(#cfgs)*
            #[cfg(target_arch = "wasm32")]
            ::shunt_sdk::__rt::bindings::#module::export!(
                Exports with_types_in ::shunt_sdk::__rt::bindings::#module
            );
        }
    }
}

impl Argument {
    /// Its type as a rule writes it.
    fn written(&self) -> String {
        match self.crossing {
            Crossing::Optional(_) => format!("Option<&{}>", self.shown),
            Crossing::Resource(_) | Crossing::Record | Crossing::Same => format!("&{}", self.shown),
        }
    }

    /// The parameter as the contract declares it, and the expression that is passed to the
    /// rule's method. The compiler reports a wrong type at `span`, where the author wrote it.
    fn cross(&self, hook: &Hook, span: Span) -> (TokenStream, TokenStream) {
        let name = format_ident!("{}", self.name);
        let shown: Type = match syn::parse_str(self.shown) {
            Ok(shown) => shown,
            Err(error) => return (error.to_compile_error(), TokenStream::new()),
        };
        let last = self.shown.rsplit("::").next().unwrap_or(self.shown);
        let last = format_ident!("{last}");
        let module = hook.module();
        match self.crossing {
            Crossing::Resource(interface) => {
                let interface = format_ident!("{interface}");
                (
                    quote!(#name: &::shunt_sdk::__rt::bindings::#interface::#last),
                    quote_spanned!(span=> ::shunt_sdk::__rt::wrap::<::shunt_sdk::#shown, _>(#name)),
                )
            }
            Crossing::Optional(interface) => {
                let interface = format_ident!("{interface}");
                (
                    quote!(#name: ::core::option::Option<&::shunt_sdk::__rt::bindings::#interface::#last>),
                    quote_spanned!(span=> #name.map(::shunt_sdk::__rt::wrap::<::shunt_sdk::#shown, _>)),
                )
            }
            Crossing::Record => (
                quote!(#name: ::shunt_sdk::__rt::bindings::#module::#last),
                quote_spanned!(span=> &<::shunt_sdk::#shown as ::core::convert::From<_>>::from(#name)),
            ),
            Crossing::Same => {
                (quote!(#name: ::shunt_sdk::__rt::bindings::#module::#last), quote_spanned!(span=> &#name))
            }
        }
    }
}

/// Refuses what a function of the contract cannot be.
pub(crate) fn check_qualifiers(method: &ImplItemFn, declaration: &str) -> Result<(), Error> {
    let signature = &method.sig;
    let refuse = |span: Span, what: &str| Err(Error::new(span, format!("{what}\nwrite `{declaration}`")));
    if let Some(token) = &signature.asyncness {
        return refuse(
            token.span,
            "a hook cannot be async: calls of the host return at once, so there is nothing to await",
        );
    }
    if let Some(token) = &signature.constness {
        return refuse(token.span, "a hook cannot be const");
    }
    if let Some(token) = &signature.unsafety {
        return refuse(token.span, "a hook cannot be unsafe");
    }
    if let Some(abi) = &signature.abi {
        return refuse(abi.extern_token.span, "a hook cannot be extern: the macro writes the export");
    }
    if let Some(parameter) = signature.generics.params.first() {
        return refuse(parameter.span(), "a hook cannot be generic: the host calls it with one type");
    }
    Ok(())
}

/// The conditions under which a method is compiled.
pub(crate) fn cfgs(attributes: &[Attribute]) -> Vec<&Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect()
}

/// How many letters must be added, removed or replaced (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_words() {
        assert_eq!(distance("on_request", "on_request"), 0);
        assert_eq!(distance("on_request", "on_reqest"), 1);
        assert_eq!(distance("on_request", "on_response"), 5);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn declarations_are_what_an_author_writes() {
        let declarations: Vec<String> = HOOKS.iter().map(Hook::declaration).collect();
        assert_eq!(declarations[0], "fn on_flow(&self, flow: &Flow) -> flow::Verdict");
        assert_eq!(declarations[HOOKS.len() - 1], "fn on_probe(&self, probe: &Probe) -> probe::Verdict");
        assert!(declarations.contains(&"fn on_done(&self, summary: &done::Summary)".to_owned()));
        for declaration in declarations {
            syn::parse_str::<syn::TraitItemFn>(&format!("{declaration};")).expect("is Rust");
        }
    }
}
