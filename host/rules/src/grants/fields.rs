//! Header fields by name and by prefix: `x-team`, `x-*`.

use std::fmt;

use http::HeaderName;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Patterns in one list: a lookup walks them.
const MOST: usize = 64;

/// Fields that identify a client or prove who somebody is. No prefix stands for them: a list that means one of these
/// has its whole name.
///
/// RFC 9110 section 11 and RFC 6265; the last two are what interfaces without these use.
const SENSITIVE: [&str; 8] = [
    "authentication-info",
    "authorization",
    "cookie",
    "proxy-authentication-info",
    "proxy-authorization",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
];

/// Fields that Shunt vouches for, and members believe: who may write them says who the client is. No prefix stands for them
/// either where fields are written.
///
/// RFC 7239, and what came before it.
const VOUCHED_FOR: [&str; 5] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"];

/// What is done to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Which header fields something may be done to. Names are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Sorted.
    names: Vec<String>,
    /// Sorted, without the `*`.
    prefixes: Vec<String>,
}

/// Whether a field has its own grant only, see [`SENSITIVE`].
#[inline]
pub(crate) fn is_sensitive(name: &str) -> bool {
    SENSITIVE.iter().any(|sensitive| sensitive.eq_ignore_ascii_case(name))
}

impl Fields {
    /// # Errors
    /// A pattern is none; the text says which, and what to write.
    pub fn parse<T: AsRef<str>>(patterns: &[T]) -> Result<Fields, String> {
        if patterns.len() > MOST {
            return Err(format!(
                "{} fields are named, and at most {MOST} may be; use prefixes",
                patterns.len()
            ));
        }
        let mut fields = Fields::default();
        for pattern in patterns {
            let pattern = pattern.as_ref().to_ascii_lowercase();
            let (name, list) = match pattern.strip_suffix('*') {
                Some(prefix) => (prefix, &mut fields.prefixes),
                None => (pattern.as_str(), &mut fields.names),
            };
            if let (Some(_), true) = (pattern.strip_suffix('*'), is_sensitive(name)) {
                return Err(format!(
                    "{pattern:?} does not stand for `{name}`, which holds credentials; write {name:?}, its whole name"
                ));
            }
            let is_token = !name.contains('*') && HeaderName::from_bytes(name.as_bytes()).is_ok();
            if !is_token && pattern != "*" {
                return Err(format!(
                    "{pattern:?} cannot be the name of a field; write one such as \"x-team\", or a prefix such as \"x-*\""
                ));
            }
            list.push(name.to_owned());
        }
        for list in [&mut fields.names, &mut fields.prefixes] {
            list.sort_unstable();
            list.dedup();
        }
        Ok(fields)
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.prefixes.is_empty()
    }

    /// Whether a field is among them, to be read. Its name may be in any case.
    #[inline]
    pub fn contains(&self, name: &str) -> bool {
        self.allows(Access::Read, name)
    }

    /// As [`Fields::contains`], for what is done.
    #[inline]
    pub(crate) fn allows(&self, access: Access, name: &str) -> bool {
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
            || (self.prefixes.iter().any(|prefix| begins_with(name, prefix)) && !access.needs_name(name))
    }

    /// As they are written: `x-team`, `x-*`.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        let prefixes = self.prefixes.iter().map(|prefix| format!("{prefix}*"));
        self.names.iter().cloned().chain(prefixes)
    }

    /// The patterns that stand for a field with which `other` does not allow the same.
    pub(crate) fn beyond(&self, access: Access, other: &Fields) -> Vec<String> {
        let names = self.names.iter().filter(|name| !other.allows(access, name)).cloned();
        let within = |prefix: &&String| other.prefixes.iter().any(|wider| prefix.starts_with(wider.as_str()));
        let prefixes =
            self.prefixes.iter().filter(|prefix| !within(prefix)).map(|prefix| format!("{prefix}*"));
        names.chain(prefixes).collect()
    }
}

impl Access {
    /// Whether a field has to be written by its whole name for this.
    #[inline]
    fn needs_name(self, name: &str) -> bool {
        let is_vouched_for = || VOUCHED_FOR.iter().any(|own| own.eq_ignore_ascii_case(name));
        is_sensitive(name) || (self == Access::Write && is_vouched_for())
    }
}

#[inline]
fn begins_with(name: &str, prefix: &str) -> bool {
    name.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.patterns().collect::<Vec<_>>().join(", "))
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        Fields::parse(&Vec::<String>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.patterns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(patterns: &[&str]) -> Fields {
        Fields::parse(patterns).unwrap()
    }

    #[test]
    fn names_and_prefixes_in_any_case() {
        let fields = fields(&["Accept-Language", "x-*", "x-*"]);
        for name in ["accept-language", "ACCEPT-LANGUAGE", "x-team", "X-Team", "x-"] {
            assert!(fields.contains(name), "{name}");
        }
        for name in ["accept", "accept-language-x", "x", "y-team", ""] {
            assert!(!fields.contains(name), "{name}");
        }
        assert_eq!(fields.to_string(), "accept-language, x-*");
        assert!(!Fields::default().contains("x"));
    }

    #[test]
    fn a_credential_has_its_own_grant() {
        for name in SENSITIVE {
            let upper = name.to_ascii_uppercase();
            for prefix in ["*", &format!("{}*", &name[..4])] {
                assert!(!fields(&[prefix]).contains(name), "{name} by {prefix}");
                assert!(!fields(&[prefix]).contains(&upper), "{name} by {prefix}");
            }
            assert!(fields(&[name, "*"]).contains(&upper));
            // Who writes this means it, and would not get it.
            let error = Fields::parse(&[format!("{upper}*")]).unwrap_err();
            assert!(error.contains(&format!("write {name:?}, its whole name")), "{error}");
        }
        assert!(fields(&["*"]).contains("anything-else"));
    }

    #[test]
    fn what_shunt_vouches_for_is_written_by_its_own_grant_alone() {
        let (all, prefix) = (fields(&["*"]), fields(&["x-*"]));
        for name in VOUCHED_FOR {
            assert!(all.allows(Access::Read, name) && !all.allows(Access::Write, name), "{name}");
            let upper = name.to_ascii_uppercase();
            assert!(!all.allows(Access::Write, &upper) && fields(&[name]).allows(Access::Write, &upper));
            assert_eq!(fields(&[name]).beyond(Access::Write, &all), [name]);
            assert!(fields(&[name]).beyond(Access::Read, &all).is_empty());
        }
        assert!(prefix.allows(Access::Write, "x-team") && prefix.allows(Access::Write, "x-forwarded"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for wrong in ["", "**", "x-*-y", "a b", "*x", "é", "a:"] {
            let error = Fields::parse(&[wrong]).unwrap_err();
            assert!(error.contains("a prefix such as \"x-*\""), "{wrong:?}: {error}");
        }
        let many: Vec<String> = (0..=MOST).map(|number| format!("x-{number}")).collect();
        assert!(Fields::parse(&many).unwrap_err().contains("at most 64"));
    }

    #[test]
    fn what_others_do_not_have_is_beyond_them() {
        let allowed = fields(&["accept", "x-*", "cookie"]);
        let asked = fields(&["accept", "x-team", "x-a-*", "cookie", "set-cookie", "*", "y-*", "x-api-key"]);
        for access in [Access::Read, Access::Write] {
            assert_eq!(asked.beyond(access, &allowed), ["set-cookie", "x-api-key", "*", "y-*"]);
            assert!(allowed.beyond(access, &allowed).is_empty());
            assert!(fields(&[]).beyond(access, &allowed).is_empty());
        }
    }

    proptest::proptest! {
        /// `beyond` says nothing exactly where every name of the one is among the other.
        #[test]
        fn beyond_agrees_with_what_is_allowed(
            asked in proptest::collection::vec("[ab]{1,3}\\*?|\\*|cookie|forwarded", 0..5),
            allowed in proptest::collection::vec("[ab]{1,3}\\*?|\\*|cookie|forwarded", 0..5),
            name in "[ab]{1,4}|cookie|forwarded",
        ) {
            let (asked, allowed) = (Fields::parse(&asked).unwrap(), Fields::parse(&allowed).unwrap());
            for access in [Access::Read, Access::Write] {
                if asked.beyond(access, &allowed).is_empty() && asked.allows(access, &name) {
                    proptest::prop_assert!(allowed.allows(access, &name));
                }
            }
        }
    }
}
