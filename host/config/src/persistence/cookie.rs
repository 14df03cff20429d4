//! A cookie of the client names the member that it is bound to.

use std::path::PathBuf;
use std::time::Duration;

use super::Kind;
use crate::containers::or_table;
use crate::reference::Type;
use crate::report::{Cause, Refusal};
use crate::shape::{Flag, OnlyTrue, Shape, Text, cookie, cookie_path, file, one_of, server_name};
use crate::suggest::quoted;
use crate::walk::{At, Table, Walk};

/// `cookie = "NAME"`, or a table with its attributes
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    pub name: String,
    /// The members set a cookie of this name, and Shunt puts the tag in the place of its value; it sets none itself.
    pub rewrite: bool,
    pub path: String,
    pub domain: Option<String>,
    /// `None`: over TLS.
    pub secure: Option<bool>,
    pub http_only: bool,
    pub same_site: SameSite,
    /// What tags are computed with; `None`: what everyone knows.
    pub keys: Option<PathBuf>,
}

/// RFC 6265bis section 4.1.2.7
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    Strict,
    Lax,
    None,
    /// The attribute is not set.
    Off,
}

impl SameSite {
    /// The value of the attribute.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            SameSite::Strict => Some("Strict"),
            SameSite::Lax => Some("Lax"),
            SameSite::None => Some("None"),
            SameSite::Off => None,
        }
    }
}

impl Cookie {
    /// With the attributes that a cookie has where none are written.
    #[must_use]
    pub fn named(name: String) -> Self {
        Cookie {
            name,
            rewrite: false,
            path: "/".to_owned(),
            domain: None,
            secure: None,
            http_only: true,
            same_site: SameSite::Lax,
            keys: None,
        }
    }
}

impl Kind for Cookie {
    const KEY: &'static str = "cookie";
    const TIMEOUT: Option<Duration> = None;
    const NO_PACKETS: Option<&'static str> = Some("packets have no cookies");
    const UNREAD: Option<&'static str> = Some("a cookie");

    fn read(table: &mut Table<'_>) -> Option<Self> {
        table.optional(
            Self::KEY,
            "Binds clients by a cookie of this name, which Shunt sets; with a table, its attributes.",
            or_table(Named(cookie()), attributes),
        )
    }

    fn without_tls(&self) -> Option<Refusal> {
        let message = if needs_tls(&self.name) {
            format!("browsers drop a cookie named {} where there is no TLS", quoted(&self.name))
        } else if self.same_site == SameSite::None && self.secure != Some(true) && !self.rewrite {
            let message = "browsers drop a cookie with `same-site = \"none\"` that is not `secure`";
            let refusal = Refusal::new(Cause::Conflict, message).label("this virtual has no `tls`");
            return Some(refusal.help("add `tls`, or `secure = true` where a proxy in front has TLS"));
        } else {
            return None;
        };
        let refusal = Refusal::new(Cause::Conflict, message).label("this virtual has no `tls`");
        Some(refusal.help("add `tls`, or give the cookie a name without that prefix, such as `SHUNT`"))
    }

    fn reads_answers(&self) -> bool {
        self.rewrite
    }

    fn without_timeout(&self) -> Option<&'static str> {
        self.rewrite.then_some("the members say how long their cookie lives")
    }
}

/// A cookie by its name alone.
struct Named(Text<String>);

impl Shape for Named {
    type Value = Cookie;

    fn describe(&self) -> Type {
        self.0.describe()
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<Cookie> {
        self.0.read(at, walk).map(Cookie::named)
    }
}

fn attributes(table: &mut Table<'_>) -> Option<Cookie> {
    let name = table.required("name", "The name of the cookie.", cookie());
    let rewrite = table.optional(
        "rewrite",
        "Shunt sets no cookie: where an answer of a member sets one of this name, Shunt replaces its value, and leaves its \
         attributes as they are.",
        OnlyTrue,
    );
    let path = table.or("path", "Its `Path`.", cookie_path(), "/".to_owned());
    let domain = table.derived("domain", "Its `Domain`.", server_name(), "the host of the request alone");
    let secure = table.derived(
        "secure",
        "Whether it is `Secure`: browsers send it over TLS only.",
        Flag,
        "over TLS `true`, else `false`",
    );
    let http_only = table.or("http-only", "Whether it is `HttpOnly`: scripts do not see it.", Flag, true);
    let same_site = table.or(
        "same-site",
        "Its `SameSite`: with `lax` a POST from another site comes without it, with `strict` every request from another \
         site; `none` is for sites within others, and needs TLS; with `off` the cookie has no such attribute.",
        one_of(&[
            ("lax", SameSite::Lax),
            ("strict", SameSite::Strict),
            ("none", SameSite::None),
            ("off", SameSite::Off),
        ]),
        SameSite::Lax,
    );
    let keys = table.derived(
        "keys",
        "A file with secret keys, so that no client can make the value for a member, or tell the member of a value: a key a \
         line, 16 bytes in base64 (`openssl rand -base64 16`). The first makes values, all are known. Balancers that share \
         clients need the same. Shunt reads the file at each reload.",
        file("the path of a file"),
        "values that someone who knows the name of the pool can compute",
    );
    if rewrite.is_some() {
        for name in ["path", "domain", "secure", "http-only", "same-site"] {
            if table.wrote(name) {
                let refusal =
                    Refusal::new(Cause::Conflict, format!("`{name}` means nothing beside `rewrite`"))
                        .label("the member says it")
                        .help("remove one of them");
                let refusal = table.also(refusal, "rewrite");
                table.refuse(name, refusal);
            }
        }
    }
    of_prefix(table, name.as_deref(), &path, secure);
    let rewrite = rewrite.is_some();
    Some(Cookie { name: name?, rewrite, path, domain, secure, http_only, same_site, keys })
}

/// What a browser wants of cookies with these names (RFC 6265bis section 5.7).
fn of_prefix(table: &mut Table<'_>, name: Option<&str>, path: &str, secure: Option<bool>) {
    let Some(name) = name.filter(|name| needs_tls(name)) else { return };
    let refusal = |key: &str, wants: &str| {
        let message = format!("browsers drop a cookie named {} with this `{key}`", quoted(name));
        Refusal::new(Cause::Conflict, message).help(wants.to_owned())
    };
    if secure == Some(false) {
        table.refuse("secure", refusal("secure", "remove `secure`"));
    }
    if name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("__host-")) {
        if path != "/" {
            table.refuse("path", refusal("path", "remove `path`: it must be `/`"));
        }
        if table.wrote("domain") {
            table.refuse("domain", refusal("domain", "remove `domain`, or the prefix of the name"));
        }
    }
}

/// Names that a browser takes only from a secure origin and with `Secure` (RFC 6265bis, sections 4.1.3 and 5.6).
fn needs_tls(cookie: &str) -> bool {
    ["__secure-", "__host-", "__http-"]
        .iter()
        .any(|prefix| cookie.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
}
