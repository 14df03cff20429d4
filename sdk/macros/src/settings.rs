//! `#[derive(Settings)]`: how a struct is read, and its schema.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, ExprLit, ExprUnary, Field, Fields, Ident, Lit, Meta, UnOp,
};

pub(crate) fn expand(input: DeriveInput) -> Result<TokenStream, Error> {
    let name = &input.ident;
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => fields.named.iter().collect(),
            Fields::Unit => Vec::new(),
            Fields::Unnamed(_) => {
                return Err(Error::new_spanned(name, "settings are a struct with named fields"));
            }
        },
        Data::Enum(_) => {
            return Err(Error::new_spanned(
                name,
                "settings are a struct with named fields; for a choice, use a `String` and check it in `on_load`",
            ));
        }
        Data::Union(_) => return Err(Error::new_spanned(name, "settings are a struct with named fields")),
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "settings cannot be generic: they have one schema"));
    }

    let settings = collect(fields.iter().map(|field| Setting::of(field)))?;
    let descriptions = settings.iter().map(Setting::description);
    let reads = settings.iter().map(Setting::read);
    Ok(quote! {
        #[automatically_derived]
        impl ::shunt_sdk::Settings for #name {
            const FIELDS: &'static [::shunt_sdk::__rt::Field] = &[#(#descriptions),*];
        }

        #[automatically_derived]
        impl ::shunt_sdk::settings::Setting for #name {
            const KIND: ::shunt_sdk::__rt::Kind =
                ::shunt_sdk::__rt::Kind::Table(<#name as ::shunt_sdk::Settings>::FIELDS);

            fn read(
                value: &::shunt_sdk::__rt::Value<'_>,
            ) -> ::core::result::Result<Self, ::std::string::String> {
                ::core::result::Result::Ok(#name { #(#reads),* })
            }
        }
    })
}

/// A field of the struct.
struct Setting<'a> {
    field: &'a Field,
    ident: &'a Ident,
    /// Its name as the operator writes it.
    key: String,
    /// Its documentation, as the inside of a JSON string.
    doc: String,
    default: Option<Default>,
}

/// The value of a field when the operator does not write it.
enum Default {
    /// `#[settings(default)]`: the value of Rust's `Default`.
    OfType,
    /// `#[settings(default = …)]`: a value, and the same as JSON.
    Value { value: TokenStream, json: String },
}

impl<'a> Setting<'a> {
    fn of(field: &'a Field) -> Result<Self, Error> {
        let ident = field.ident.as_ref().ok_or_else(|| Error::new_spanned(field, "settings have names"))?;
        let key = ident.to_string().trim_start_matches("r#").replace('_', "-");
        if !key.is_ascii() {
            return Err(Error::new_spanned(ident, "the name of a setting must be ASCII"));
        }
        let mut default = None;
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("settings")) {
            attribute.parse_nested_meta(|meta| {
                if !meta.path.is_ident("default") {
                    return Err(meta.error("expected `default` or `default = …`"));
                }
                default = Some(if meta.input.peek(syn::Token![=]) {
                    let literal: Expr = meta.value()?.parse()?;
                    let (value, json) = literal_of(&literal)?;
                    Default::Value { value, json }
                } else {
                    Default::OfType
                });
                Ok(())
            })?;
        }
        Ok(Setting { field, ident, key, doc: json_escaped(&doc_of(&field.attrs)), default })
    }

    /// The field in the schema.
    fn description(&self) -> TokenStream {
        let Setting { field, key, doc, default, .. } = self;
        let ty = &field.ty;
        let required = if default.is_some() {
            quote!(false)
        } else {
            quote!(<#ty as ::shunt_sdk::settings::Setting>::REQUIRED)
        };
        let default = match default {
            Some(Default::Value { json, .. }) => quote!(::core::option::Option::Some(#json)),
            Some(Default::OfType) | None => quote!(::core::option::Option::None),
        };
        quote! {
            ::shunt_sdk::__rt::Field {
                name: #key,
                kind: <#ty as ::shunt_sdk::settings::Setting>::KIND,
                required: #required,
                default: #default,
                doc: #doc,
            }
        }
    }

    /// The field in the expression that makes the struct.
    fn read(&self) -> TokenStream {
        let Setting { field, ident, key, default, .. } = self;
        let ty = &field.ty;
        let default = match default {
            Some(Default::Value { value, .. }) => quote!(::core::option::Option::Some(|| #value)),
            Some(Default::OfType) => {
                quote!(::core::option::Option::Some(<#ty as ::core::default::Default>::default))
            }
            None => quote!(::core::option::Option::None),
        };
        quote!(#ident: value.field::<#ty>(#key, #default)?)
    }
}

/// A default as a Rust expression and as JSON. Only a literal can be put in the schema.
fn literal_of(literal: &Expr) -> Result<(TokenStream, String), Error> {
    match literal {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            // The type is named, so that the compiler reports a field of another type.
            let own = quote_spanned!(text.span()=> ::std::string::String::from(#text));
            Ok((own, format!("\"{}\"", json_escaped(&text.value()))))
        }
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => {
            Ok((quote!(#number), number.base10_digits().to_owned()))
        }
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => {
            Ok((quote!(#number), format!("{:?}", number.base10_parse::<f64>()?)))
        }
        Expr::Lit(ExprLit { lit: Lit::Bool(own), .. }) => Ok((quote!(#own), own.value.to_string())),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. })
            if matches!(&**expr, Expr::Lit(ExprLit { lit: Lit::Int(_) | Lit::Float(_), .. })) =>
        {
            let (value, json) = literal_of(expr)?;
            Ok((quote!(-#value), format!("-{json}")))
        }
        Expr::Array(array) => {
            let elements = collect(array.elems.iter().map(literal_of))?;
            let (values, json): (Vec<_>, Vec<_>) = elements.into_iter().unzip();
            Ok((quote!(::std::vec::Vec::from([#(#values),*])), format!("[{}]", json.join(","))))
        }
        other => Err(Error::new(
            other.span(),
            "a default must be a literal: a number, a string, `true`, `false` or a list of them in `[…]`",
        )),
    }
}

/// The documentation of a field in one paragraph.
fn doc_of(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) => Some(line.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Text as the inside of a JSON string (RFC 8259 section 7).
fn json_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => escaped.extend(['\\', c]),
            c if c < ' ' => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

/// All values, or all errors.
fn collect<T>(results: impl Iterator<Item = Result<T, Error>>) -> Result<Vec<T>, Error> {
    let mut values = Vec::new();
    let mut errors: Option<Error> = None;
    for result in results {
        match (result, &mut errors) {
            (Ok(value), _) => values.push(value),
            (Err(error), Some(errors)) => errors.combine(error),
            (Err(error), none) => *none = Some(error),
        }
    }
    match errors {
        Some(errors) => Err(errors),
        None => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_of(literal: &str) -> Result<String, String> {
        let literal = syn::parse_str(literal).expect("is Rust");
        literal_of(&literal).map(|(_, json)| json).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_become_json() {
        assert_eq!(json_of("1_000u32"), Ok("1000".into()));
        assert_eq!(json_of("-5"), Ok("-5".into()));
        assert_eq!(json_of("1."), Ok("1.0".into()));
        assert_eq!(json_of("true"), Ok("true".into()));
        assert_eq!(json_of("\"a \\\"b\\\"\""), Ok("\"a \\\"b\\\"\"".into()));
        assert_eq!(json_of("[\"a\", \"b\"]"), Ok("[\"a\",\"b\"]".into()));
        assert!(json_of("Vec::new()").is_err_and(|error| error.contains("literal")));
        assert!(json_of("-true").is_err());
    }

    #[test]
    fn json_escapes_what_it_must() {
        assert_eq!(json_escaped("a\"b\\c\td\u{e9}"), "a\\\"b\\\\c\\u0009dé");
    }
}
