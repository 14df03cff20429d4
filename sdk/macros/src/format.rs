//! `format!` in the methods of a rule: text without the formatting code of the standard library, which would be a
//! third of a small rule.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::quote;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitStr, Token};

/// What stands in a format string.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `{}`
    Next,
    /// `{name}`
    Named(String),
}

/// Expands to pieces that are appended one after the other; to `std::format!` where a place needs more than that.
pub(crate) fn expand(arguments: TokenStream) -> TokenStream {
    light(arguments.clone()).unwrap_or_else(|_| quote!(::std::format!(#arguments)))
}

fn light(arguments: TokenStream) -> Result<TokenStream, Error> {
    let arguments = flat(arguments);
    let (text, values) = parse.parse2(arguments)?;
    let parts = parts(&text.value()).ok_or_else(|| Error::new(text.span(), "more than pieces"))?;
    let wanted = parts.iter().filter(|part| **part == Part::Next).count();
    // `std::format!` reports the mistake.
    if wanted != values.len() || values.iter().any(|value| matches!(value, Expr::Assign(_))) {
        return Err(Error::new(text.span(), "not as many values as places"));
    }
    let mut values = values.iter();
    let pieces = parts.iter().map(|part| match part {
        Part::Text(text) => quote!(text.push_str(#text);),
        Part::Next => {
            let value = values.next();
            quote!((&::shunt_sdk::__rt::Piece(&(#value))).put(&mut text);)
        }
        Part::Named(name) => {
            let name = Ident::new(name, text.span());
            quote!((&::shunt_sdk::__rt::Piece(&#name)).put(&mut text);)
        }
    });
    let pieces: Vec<TokenStream> = pieces.collect();
    Ok(quote! {{
        #[allow(unused_imports)]
        use ::shunt_sdk::__rt::{Display as _, Light as _};
        let mut text = ::std::string::String::new();
        #(#pieces)*
        text
    }})
}

/// Without the invisible groups in which macros pass their arguments on.
fn flat(tokens: TokenStream) -> TokenStream {
    let flattened = tokens.into_iter().map(|token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => flat(group.stream()),
        TokenTree::Group(group) => {
            let mut same = Group::new(group.delimiter(), flat(group.stream()));
            same.set_span(group.span());
            TokenTree::Group(same).into()
        }
        other => other.into(),
    });
    flattened.collect()
}

fn parse(input: ParseStream<'_>) -> Result<(LitStr, Vec<Expr>), Error> {
    let text: LitStr = input.parse()?;
    if input.is_empty() {
        return Ok((text, Vec::new()));
    }
    input.parse::<Token![,]>()?;
    let values = Punctuated::<Expr, Token![,]>::parse_terminated(input)?;
    Ok((text, values.into_iter().collect()))
}

/// `None`: it has a place that is more than a value, such as `{:?}`, `{0}` or `{:>8}`.
fn parts(text: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '{' | '}' if rest.peek() == Some(&c) => {
                rest.next();
                literal.push(c);
            }
            '{' => {
                let name: String = rest.by_ref().take_while(|c| *c != '}').collect();
                let part = if name.is_empty() {
                    Part::Next
                } else {
                    syn::parse_str::<Ident>(&name).ok()?;
                    Part::Named(name)
                };
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(part);
            }
            '}' => return None,
            c => literal.push(c),
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found() {
        let text = |text: &str| Part::Text(text.into());
        assert_eq!(parts("a {} b"), Some(vec![text("a "), Part::Next, text(" b")]));
        assert_eq!(parts("{x}{}"), Some(vec![Part::Named("x".into()), Part::Next]));
        assert_eq!(parts("{{{}}}"), Some(vec![text("{"), Part::Next, text("}")]));
        assert_eq!(parts(""), Some(vec![]));
        for more in ["{:?}", "{0}", "{x:>8}", "{x.y}", "}", "{ }"] {
            assert_eq!(parts(more), None, "{more}");
        }
    }

    #[test]
    fn what_is_more_than_pieces_is_left_to_the_standard_library() {
        for (arguments, light) in [
            (quote!("a {}", 1), true),
            (quote!("a {} {b}", 1,), true),
            (quote!("a"), true),
            (quote!("{:?}", 1), false),
            (quote!("{} {}", 1), false),
            (quote!("{x}", x = 1), false),
            (quote!(concat!("a", "{}"), 1), false),
        ] {
            let expanded = expand(arguments.clone()).to_string();
            assert_eq!(!expanded.contains("format !"), light, "{arguments}: {expanded}");
        }
    }
}
