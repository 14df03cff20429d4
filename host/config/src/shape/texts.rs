//! Values that are written as text.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use regex_lite::Regex;
use shunt_engine::balance::groups::FailBack;
use shunt_engine::network::Prefix;

use super::super::monitors::Target;
use super::super::names::{self, MemberAt};
use super::super::reference::Type;
use super::super::text;
use super::super::units::DURATION;
use super::Text;

/// The name of something of ours: letters, digits, `.`, `_`, `-`, at most 64.
pub(crate) fn name() -> Text<String> {
    let what = Type::Text { what: "a name", pattern: Some(text::NAME_PATTERN) };
    Text { what, parse: text::name, write: String::clone }
}

/// A line of a set: an entry, with its value behind it.
pub(crate) fn set_line() -> Text<String> {
    let what = Type::Text { what: "an entry, and its value behind a space", pattern: None };
    Text { what, parse: |line| Ok(line.to_owned()), write: String::clone }
}

/// Address and port to listen on.
pub(crate) fn listen_address() -> Text<SocketAddr> {
    let what = Type::Text { what: "an address and port", pattern: None };
    Text { what, parse: text::listen_address, write: SocketAddr::to_string }
}

/// Where members are: address and port, or a name that stands for such.
pub(crate) fn member_at() -> Text<MemberAt> {
    let what =
        Type::Text { what: "an address and port, a name and port, or the name of a service", pattern: None };
    Text { what, parse: names::member_at, write: MemberAt::to_string }
}

/// A server of DNS.
pub(crate) fn dns_server() -> Text<SocketAddr> {
    let what = Type::Text { what: "an IP address, with a port where it is not 53", pattern: None };
    Text { what, parse: names::dns_server, write: SocketAddr::to_string }
}

/// When higher priority groups are used again.
pub(crate) fn fail_back() -> Text<FailBack> {
    let what = Type::Text { what: "`immediate`, `manual` or a duration", pattern: None };
    let write = |fail_back: &FailBack| match fail_back {
        FailBack::Immediate => "immediate".to_owned(),
        FailBack::Manual => "manual".to_owned(),
        FailBack::After(time) => DURATION.show(*time),
    };
    Text { what, parse: text::fail_back, write }
}

/// A cookie's name.
pub(crate) fn cookie() -> Text<String> {
    let what = Type::Text { what: "the name of a cookie", pattern: Some(text::COOKIE_PATTERN) };
    Text { what, parse: text::cookie, write: String::clone }
}

/// The name of a header field.
pub(crate) fn header_field() -> Text<String> {
    let what = Type::Text { what: "the name of a header field", pattern: Some(text::COOKIE_PATTERN) };
    Text { what, parse: text::header_field, write: String::clone }
}

/// The path of a cookie.
pub(crate) fn cookie_path() -> Text<String> {
    let what = Type::Text { what: "a path that begins with `/`", pattern: Some("^/") };
    Text { what, parse: text::cookie_path, write: String::clone }
}

/// A parameter of a URL.
pub(crate) fn parameter() -> Text<String> {
    let what = Type::Text { what: "the name of a parameter", pattern: None };
    Text { what, parse: text::parameter, write: String::clone }
}

/// Path and query of a request.
pub(crate) fn request_path() -> Text<String> {
    let what = Type::Text { what: "a path that begins with `/`", pattern: Some("^/") };
    Text { what, parse: text::request_path, write: String::clone }
}

/// What a Host field may hold.
pub(crate) fn host() -> Text<String> {
    let what = Type::Text { what: "a host name, with a port where it needs one", pattern: None };
    Text { what, parse: text::host, write: String::clone }
}

/// A registry of packs.
pub(crate) fn registry() -> Text<String> {
    let what = Type::Text { what: "the host of a registry, with its port if that is not 443", pattern: None };
    Text { what, parse: text::registry, write: String::clone }
}

/// What a server is called in TLS.
pub(crate) fn server_name() -> Text<String> {
    let what = Type::Text { what: "the name of a server", pattern: None };
    Text { what, parse: text::server_name, write: String::clone }
}

/// The same, or all names with one more label.
pub(crate) fn server_pattern() -> Text<String> {
    let what = Type::Text { what: "the name of a server, or `*.` and a name", pattern: None };
    Text { what, parse: text::server_pattern, write: String::clone }
}

/// The name of a network interface.
pub(crate) fn interface() -> Text<String> {
    let what = Type::Text { what: "the name of an interface", pattern: Some(text::INTERFACE_PATTERN) };
    Text { what, parse: text::interface, write: String::clone }
}

/// An IP address, or the first and the last of some.
pub(crate) fn addresses() -> Text<RangeInclusive<IpAddr>> {
    let what = Type::Text { what: "an IP address, or the first and the last of several", pattern: None };
    Text { what, parse: text::addresses, write: |range| format!("{}-{}", range.start(), range.end()) }
}

/// An address that Shunt alone is to have.
pub(crate) fn own_address() -> Text<IpAddr> {
    let what = Type::Text { what: "an IP address", pattern: None };
    Text { what, parse: text::own_address, write: IpAddr::to_string }
}

/// An address of this host to send from.
pub(crate) fn source_address() -> Text<IpAddr> {
    let what = Type::Text { what: "an IP address of this host", pattern: None };
    Text { what, parse: text::source_address, write: IpAddr::to_string }
}

/// Where a probe goes beyond a member.
pub(crate) fn target() -> Text<Target> {
    let what = Type::Text { what: "an address, with a port where it needs one", pattern: None };
    let write = |target: &Target| match target.port {
        Some(port) => SocketAddr::new(target.address, port).to_string(),
        None => target.address.to_string(),
    };
    Text { what, parse: text::target, write }
}

/// What a datagram holds.
pub(crate) fn datagram() -> Text<String> {
    let what = Type::Text { what: "text of 1 to 1024 bytes", pattern: None };
    Text { what, parse: text::datagram, write: String::clone }
}

/// Text of at least one byte and at most `MOST`.
pub(crate) fn text_up_to<const MOST: usize>() -> Text<String> {
    Text {
        what: Type::Text { what: "text", pattern: None },
        parse: text::up_to::<MOST>,
        write: String::clone,
    }
}

/// The value of a field of HTTP.
pub(crate) fn field_value() -> Text<String> {
    let what = Type::Text { what: "the value of a field", pattern: None };
    Text { what, parse: text::field_value, write: String::clone }
}

/// A method of HTTP.
pub(crate) fn method() -> Text<String> {
    let what = Type::Text { what: "a method", pattern: Some("^[A-Z]+$") };
    Text { what, parse: text::method, write: String::clone }
}

/// The name of a user of a database.
pub(crate) fn user() -> Text<String> {
    Text {
        what: Type::Text { what: "the name of a user", pattern: None },
        parse: text::user,
        write: String::clone,
    }
}

/// A regular expression.
pub(crate) fn pattern() -> Text<Regex> {
    let what = Type::Text { what: "a regular expression", pattern: None };
    Text { what, parse: text::regex, write: |regex| regex.as_str().to_owned() }
}

/// A prefix of addresses, or one address.
pub(crate) fn prefix() -> Text<Prefix> {
    let what = Type::Text { what: "a prefix of IP addresses", pattern: None };
    Text { what, parse: text::prefix, write: Prefix::to_string }
}

/// A port, or the first and the last of some.
pub(crate) fn ports() -> Text<RangeInclusive<u16>> {
    let what = Type::Text { what: "the first and the last port", pattern: Some(text::PORTS_PATTERN) };
    Text { what, parse: text::ports, write: |range| format!("{}-{}", range.start(), range.end()) }
}
