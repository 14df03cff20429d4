//! The grammar of names, addresses and paths, and what to say to those who missed it.

use shunt_rules::artefact::Reference;
use shunt_rules::builtin;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;

use http::HeaderValue;
use http::uri::PathAndQuery;
use regex_lite::Regex;
use shunt_engine::balance::groups::FailBack;
use shunt_engine::network::Prefix;
use shunt_wire::Address;
use shunt_wire::authority::is_host;

use super::monitors::Target;
use super::report::{Cause, Refusal};
use super::suggest::quoted;
use super::units::DURATION;

/// Names stand in URLs of the admin socket, in labels of metrics and in `virtual/rule`.
pub(super) const NAME_PATTERN: &str = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$";

/// RFC 6265 section 4.1.1: a token.
pub(super) const COOKIE_PATTERN: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$";

/// What the kernel takes as the name of an interface (`dev_valid_name`): fewer than 16 bytes.
pub(super) const INTERFACE_PATTERN: &str = r"^[^/:\s]{1,15}$";

pub(super) const PORTS_PATTERN: &str = "^[0-9]{1,5}(-[0-9]{1,5})?$";

/// Longest name of an interface, in bytes: `IFNAMSIZ` less the closing zero.
const INTERFACE_LONGEST: usize = 15;

/// Longest name of ours, in bytes.
const NAME_LONGEST: usize = 64;

/// Bytes of `sockaddr_un.sun_path` on Linux, less the closing zero (unix(7)).
const SOCKET_LONGEST: usize = 107;

pub(super) fn name(text: &str) -> Result<String, Refusal> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if first && text.len() <= NAME_LONGEST && text.bytes().all(inner) {
        return Ok(text.to_string());
    }
    Err(Refusal::new(Cause::BadValue, format!("{} is not a name", quoted(text))).help(format!(
        "a name has letters, digits, `.`, `_` and `-`, begins with a letter, a digit or `_`, and has at most {NAME_LONGEST} of them"
    )))
}

/// Port 0 means something to packet virtuals only: see [`has_port`].
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, Refusal> {
    address(text)
}

/// What a socket is bound to.
pub(super) fn has_port(address: SocketAddr) -> Result<(), Refusal> {
    if address.port() != 0 {
        return Ok(());
    }
    let message = format!("{} is not an address and port", quoted(&address.to_string()));
    let refusal = Refusal::new(Cause::BadValue, message);
    Err(refusal
        .label("a proxy cannot listen on port 0")
        .help("use a port from 1 to 65535; port 0 means every port at packet virtuals only"))
}

/// Somebody must be able to answer there.
pub(super) fn member_address(text: &str) -> Result<SocketAddr, Refusal> {
    let address = address(text)?;
    let refused = if address.ip().is_unspecified() {
        "it stands for every address of a host"
    } else if address.ip().is_multicast() {
        "it is a multicast group"
    } else {
        return Ok(address);
    };
    Err(Refusal::new(Cause::BadValue, format!("{} is not a member's address", quoted(text)))
        .label(refused)
        .help("write the address that the member listens on"))
}

/// An address that untrusted clients may send packets to, which Shunt owns alone.
pub(super) fn owned(address: IpAddr) -> Result<(), Refusal> {
    let ours = |why: &str| {
        let message = format!("Shunt cannot own {}", quoted(&address.to_string()));
        Refusal::new(Cause::BadValue, message).label(why)
    };
    if address.is_unspecified() {
        return Err(ours("it stands for every address").help("write the address of one host"));
    }
    if address.is_multicast() {
        return Err(ours("it is a multicast group").help("write the address of one host"));
    }
    if matches!(address, IpAddr::V4(v4) if v4.is_broadcast()) {
        return Err(ours("it is the broadcast address").help("write the address of one host"));
    }
    if address.is_loopback() {
        return Err(
            ours("it is a loopback address").help("write an address that other hosts have a route to")
        );
    }
    // RFC 4291 section 2.5.5.2: such addresses stand for IPv4 in programs, never in packets.
    if let IpAddr::V6(v6) = address
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        return Err(ours("no packet has such an address").help(format!("did you mean `{v4}`?")));
    }
    Ok(())
}

pub(super) fn own_address(text: &str) -> Result<IpAddr, Refusal> {
    let refused = |help: String| {
        Refusal::new(Cause::BadValue, format!("{} is not an IP address", quoted(text))).help(help)
    };
    let address = text.parse::<IpAddr>().map_err(|_| match text.parse::<SocketAddr>() {
        Ok(address) => refused(format!("remove the port: `{}`", address.ip())),
        Err(_) => refused("write an address such as `192.0.2.10` or `2001:db8::10`".to_string()),
    })?;
    if address.is_unspecified() {
        return Err(refused(
            "`0.0.0.0` and `::` stand for every address; write one that no host has".to_string(),
        ));
    }
    owned(address).map(|()| address)
}

pub(super) fn target(text: &str) -> Result<Target, Refusal> {
    let (address, port) = match (text.parse::<IpAddr>(), text.parse::<SocketAddr>()) {
        (Ok(address), _) => (address, None),
        (_, Ok(address)) => (address.ip(), Some(address.port())),
        _ => {
            let message = format!("{} is not an address", quoted(text));
            let help = "write `192.0.2.1`, `192.0.2.1:80` or `[2001:db8::1]:80`";
            return Err(Refusal::new(Cause::BadValue, message).help(help));
        }
    };
    if address.is_unspecified() || address.is_multicast() || address.is_loopback() || port == Some(0) {
        let message = format!("{} is not the address of a host behind a member", quoted(text));
        return Err(Refusal::new(Cause::BadValue, message).help(
            "write the address of one that replies to probes, such as the load balancer on the other side",
        ));
    }
    Ok(Target { address, port })
}

pub(super) fn datagram(text: &str) -> Result<String, Refusal> {
    // It fits the smallest MTU of IPv6 with every header that a mode puts in front.
    const LONGEST: usize = 1024;
    if (1..=LONGEST).contains(&text.len()) {
        return Ok(text.to_string());
    }
    let message = format!("a probe cannot be a datagram of {} bytes", text.len());
    Err(Refusal::new(Cause::OutOfRange, message).help(format!("write 1 to {LONGEST} bytes")))
}

pub(super) fn source_address(text: &str) -> Result<IpAddr, Refusal> {
    match text.parse::<IpAddr>() {
        Ok(address) if !address.is_unspecified() && !address.is_multicast() => Ok(address),
        _ => Err(Refusal::new(Cause::BadValue, format!("{} is no address to send from", quoted(text)))
            .help("write an address of this host, without a port")),
    }
}

pub(super) fn up_to<const MOST: usize>(text: &str) -> Result<String, Refusal> {
    if (1..=MOST).contains(&text.len()) {
        return Ok(text.to_string());
    }
    let message = format!("a text of {} bytes is not within 1 to {MOST}", text.len());
    Err(Refusal::new(Cause::OutOfRange, message).help(format!("write 1 to {MOST} bytes")))
}

/// RFC 9110 section 5.5.
pub(super) fn field_value(text: &str) -> Result<String, Refusal> {
    match HeaderValue::from_str(text) {
        Ok(_) if text.len() <= 4096 => Ok(text.to_string()),
        _ => Err(Refusal::new(Cause::BadValue, format!("{} is not the value of a field", quoted(text)))
            .help("write visible characters and spaces, at most 4096 bytes")),
    }
}

/// RFC 9110 section 9: case matters, and all that are registered are in upper case.
pub(super) fn method(text: &str) -> Result<String, Refusal> {
    let refusal = Refusal::new(Cause::BadValue, format!("{} is not the method of a probe", quoted(text)));
    if text == "CONNECT" {
        return Err(refusal.help("a tunnel is no probe: use `GET`, `HEAD`, `OPTIONS` or `POST`"));
    }
    if (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(text.to_string());
    }
    Err(refusal.help("write it in upper case: `GET`, `HEAD`, `OPTIONS`, `POST`"))
}

/// PostgreSQL takes 63 bytes, MySQL 32 characters.
pub(super) fn user(text: &str) -> Result<String, Refusal> {
    if (1..=63).contains(&text.len()) && !text.contains('\0') {
        return Ok(text.to_string());
    }
    Err(Refusal::new(Cause::BadValue, format!("{} is not the name of a user", quoted(text)))
        .help("write 1 to 63 bytes"))
}

pub(super) fn regex(text: &str) -> Result<Regex, Refusal> {
    let refusal = |why: String| {
        Refusal::new(Cause::BadValue, format!("{} is not a regular expression: {why}", quoted(text)))
            .help("write a backslash as `\\\\`, or the whole in single quotes: `'^\\+OK'`")
    };
    if text.len() > 1024 {
        return Err(refusal("it is longer than 1024 bytes".to_owned()));
    }
    Regex::new(text).map_err(|error| refusal(error.to_string()))
}

pub(super) fn statuses(text: &str, within: &RangeInclusive<u16>) -> Result<RangeInclusive<u16>, Refusal> {
    let read = text.split_once('-').and_then(|(first, last)| {
        let range = first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?;
        (within.contains(range.start()) && within.contains(range.end()) && !range.is_empty()).then_some(range)
    });
    read.ok_or_else(|| {
        Refusal::new(Cause::BadValue, format!("{} is not a range of statuses", quoted(text))).help(
            "write the first and the last of 200 to 599: `\"200-399\"`; a single one without quotes: `200`",
        )
    })
}

pub(super) fn addresses(text: &str) -> Result<RangeInclusive<IpAddr>, Refusal> {
    let refusal = |help: String| {
        Refusal::new(Cause::BadValue, format!("{} is not a range of addresses", quoted(text))).help(help)
    };
    let form =
        || "write an address, or the first and the last with a dash: `10.10.1.1-10.10.1.4`".to_string();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (Ok(first), Ok(last)) = (first.trim().parse::<IpAddr>(), last.trim().parse::<IpAddr>()) else {
        return Err(match text.parse::<SocketAddr>() {
            Ok(address) => refusal(format!("remove the port, which belongs to `ports`: `{}`", address.ip())),
            Err(_) if text.contains('/') => {
                refusal("write a network as its first and its last address".into())
            }
            Err(_) => refusal(form()),
        });
    };
    if first.is_ipv4() != last.is_ipv4() {
        return Err(refusal("use two IPv4 addresses, or two IPv6 addresses".into()));
    }
    if first > last {
        return Err(refusal(format!("write the lower one first: `{last}-{first}`")));
    }
    owned(first)?;
    owned(last)?;
    Ok(first..=last)
}

/// A prefix with its length in bits; an address is the prefix of all its bits. What stands behind the prefix is zero.
pub(super) fn prefix(text: &str) -> Result<Prefix, Refusal> {
    let refusal = |help: String| {
        Refusal::new(Cause::BadValue, format!("{} is not a prefix of addresses", quoted(text))).help(help)
    };
    let form =
        || refusal("write an address and the length of the prefix: `192.0.2.0/24`, `64:ff9b::/96`".into());
    let (bits, length) = text.split_once('/').map_or((text, None), |(bits, length)| (bits, Some(length)));
    let address = bits.parse::<IpAddr>().map_err(|_| form())?;
    let (word, most) = if address.is_ipv4() { ("IPv4", 32) } else { ("IPv6", 128) };
    let length = match length.map(str::parse::<u8>) {
        None => most,
        Some(Ok(length)) if length <= most => length,
        Some(Ok(_)) => return Err(refusal(format!("an {word} address has {most} bits"))),
        Some(Err(_)) => return Err(form()),
    };
    if matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        return Err(refusal("write the IPv4 address: no packet has a v4-mapped one".into()));
    }
    let prefix = Prefix::new(address.into(), length).ok_or_else(form)?;
    if prefix.first() != Address::from(address) {
        return Err(refusal(format!("clear the bits behind the prefix: `{prefix}`")));
    }
    Ok(prefix)
}

pub(super) fn ports(text: &str) -> Result<RangeInclusive<u16>, Refusal> {
    let refusal = Refusal::new(Cause::BadValue, format!("{} is not a range of ports", quoted(text)));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
        (Ok(0), Ok(_)) => Err(refusal.help("use ports from 1 to 65535")),
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        (Ok(first), Ok(last)) => Err(refusal.help(format!("write the lower one first: `{last}-{first}`"))),
        _ => Err(refusal.help("write the first and the last with a dash: `1024-65535`")),
    }
}

pub(super) fn interface(text: &str) -> Result<String, Refusal> {
    let letter = |byte: u8| byte > b' ' && byte != 0x7f && !b"/:".contains(&byte);
    let sound = !text.is_empty()
        && text.len() <= INTERFACE_LONGEST
        && text != "."
        && text != ".."
        && text.bytes().all(letter);
    if sound {
        return Ok(text.to_string());
    }
    Err(Refusal::new(Cause::BadValue, format!("{} is not the name of an interface", quoted(text)))
        .help("write a name that `ip link` lists, such as `eth0`"))
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.len() <= NAME_LONGEST && text.bytes().all(letter)
}

/// In lower case, as fields have no case.
pub(super) fn header_field(text: &str) -> Result<String, Refusal> {
    if is_token(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Refusal::new(Cause::BadValue, format!("{} cannot be the name of a header field", quoted(text)))
        .help(format!("write at most {NAME_LONGEST} letters, digits and dashes, such as `x-user`")))
}

pub(super) fn cookie(text: &str) -> Result<String, Refusal> {
    if is_token(text) {
        return Ok(text.to_string());
    }
    Err(Refusal::new(Cause::BadValue, format!("{} cannot be the name of a cookie", quoted(text)))
        .help(format!("write at most {NAME_LONGEST} letters, digits and dashes, such as `SHUNT`")))
}

pub(super) fn cookie_path(text: &str) -> Result<String, Refusal> {
    // RFC 6265 section 4.1.1: path-value.
    if text.starts_with('/') && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b';') {
        return Ok(text.to_string());
    }
    Err(Refusal::new(Cause::BadValue, format!("{} is not the path of a cookie", quoted(text)))
        .help("begin it with `/`, and use ASCII without `;`: `/shop`"))
}

pub(super) fn parameter(text: &str) -> Result<String, Refusal> {
    // RFC 3986 section 2.3: unreserved.
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !text.is_empty() && text.len() <= NAME_LONGEST && text.bytes().all(letter) {
        return Ok(text.to_string());
    }
    Err(Refusal::new(Cause::BadValue, format!("{} cannot be the name of a parameter", quoted(text)))
        .help(format!("write at most {NAME_LONGEST} letters, digits, `-`, `.`, `_` and `~`: `jsessionid`")))
}

pub(super) fn request_path(text: &str) -> Result<String, Refusal> {
    // RFC 3986 section 2: a target is ASCII. The parser takes `#` for the end and other octets as they come.
    if text.starts_with('/') && !text.contains('#') && text.is_ascii() && text.parse::<PathAndQuery>().is_ok()
    {
        return Ok(text.to_string());
    }
    let refusal = Refusal::new(Cause::BadValue, format!("{} is not the path of a request", quoted(text)));
    if text.contains("://") {
        return Err(refusal
            .help("write the path alone: a probe goes to the member's address, and `host` sets its Host"));
    }
    Err(refusal.help("begin it with `/`, and percent-encode what a URL cannot have: `/health?deep=1`"))
}

pub(super) fn host(text: &str) -> Result<String, Refusal> {
    // RFC 9110 section 7.2: no user information.
    if !text.is_empty() && is_host(text.as_bytes()) {
        return Ok(text.to_string());
    }
    Err(Refusal::new(Cause::BadValue, format!("{} is not a host", quoted(text)))
        .help("write a name or address, and a port where it is not 80: `shop.example`, `shop.example:8080`"))
}

/// What SNI may hold (RFC 6066 section 3): a DNS name, in lower case and without the dot of the root.
pub(super) fn server_name(text: &str) -> Result<String, Refusal> {
    let refusal = |help: &str| {
        Refusal::new(Cause::BadValue, format!("{} is not the name of a server", quoted(text))).help(help)
    };
    if text.parse::<IpAddr>().is_ok() {
        return Err(refusal("write a name: addresses are not sent in TLS (RFC 6066 section 3)"));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(inner);
    if name.len() <= 253 && name.split('.').all(is_label) {
        return Ok(name.to_ascii_lowercase());
    }
    Err(refusal("write a DNS name without port or path, such as `shop.example`; other letters as `xn--…`"))
}

/// A word, or how long.
pub(super) fn fail_back(text: &str) -> Result<FailBack, Refusal> {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    match text {
        "immediate" => Ok(FailBack::Immediate),
        "manual" => Ok(FailBack::Manual),
        _ if text.starts_with(|it: char| it.is_ascii_digit()) => {
            DURATION.parse(text, &(1..=DAY)).map(FailBack::After)
        }
        _ => {
            let message = format!("{} does not say when to fail back", quoted(text));
            Err(Refusal::new(Cause::BadValue, message)
                .help("use `\"immediate\"`, `\"manual\"` or a time such as `\"30s\"`"))
        }
    }
}

/// A name, or a wildcard for one label (RFC 9525 section 6.3).
pub(super) fn server_pattern(text: &str) -> Result<String, Refusal> {
    match text.strip_prefix("*.") {
        Some(rest) => server_name(rest).map(|rest| format!("*.{rest}")),
        None => server_name(text).map_err(|refusal| match text.contains('*') {
            true => refusal.help("a wildcard is the whole first label: `*.shop.example`"),
            false => refusal,
        }),
    }
}

pub(super) fn path(text: &str) -> Result<(), Refusal> {
    if !text.is_empty() && !text.contains('\0') {
        return Ok(());
    }
    Err(Refusal::new(Cause::BadValue, format!("{} is not a path", quoted(text)))
        .help("write the path of a file"))
}

pub(super) fn pack(text: &str) -> Result<(), Refusal> {
    if let Some(name) = text.strip_prefix(builtin::PREFIX) {
        let message = format!("there is no built-in pack {}", quoted(name));
        return if builtin::component(name).is_some() {
            Ok(())
        } else {
            Err(Refusal::new(Cause::BadValue, message).help(builtin::hint(name)))
        };
    }
    path(text)
}

/// A registry that is asked without TLS.
pub(super) fn registry(text: &str) -> Result<String, Refusal> {
    match Reference::parse(&format!("{text}/a")) {
        Ok(reference) if text.contains(['.', ':']) || text == "localhost" => {
            Ok(reference.registry().to_owned())
        }
        _ => Err(Refusal::new(Cause::BadValue, format!("{} is no registry", quoted(text)))
            .help("write its host, and its port if that is not 443: `registry.example:5000`")),
    }
}

/// `resolved`: with the folder that a relative path starts from.
pub(super) fn socket(text: &str, resolved: &Path) -> Result<(), Refusal> {
    path(text)?;
    let length = resolved.as_os_str().len();
    if length <= SOCKET_LONGEST {
        return Ok(());
    }
    let message =
        format!("the path of the socket is {length} bytes long; the kernel takes at most {SOCKET_LONGEST}");
    Err(Refusal::new(Cause::OutOfRange, message)
        .help("choose a shorter one, such as `/run/shunt/admin.sock`"))
}

pub(super) fn address(text: &str) -> Result<SocketAddr, Refusal> {
    let message = format!("{} is not an address and port", quoted(text));
    let refusal = Refusal::new(Cause::BadValue, message);
    match text.parse::<SocketAddr>() {
        Ok(address) => Ok(address),
        Err(_) => Err(refusal.help(meant(text))),
    }
}

/// What somebody meant who wrote no address and port.
fn meant(text: &str) -> String {
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return match ip {
            // `::1:80` is an address without a port as much as one with it.
            IpAddr::V6(ip) => format!("add a port, and brackets around the IPv6 address: `[{ip}]:8080`"),
            IpAddr::V4(ip) => format!("add a port: `{ip}:8080`"),
        };
    }
    let everywhere = |port: u16| format!("did you mean `0.0.0.0:{port}`, or `[::]:{port}` for IPv6?");
    if let Ok(port) = text.parse() {
        return everywhere(port);
    }
    if text.contains("://") {
        return "write address and port alone, such as `10.0.0.1:80`".to_string();
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return "write an IP address and a port, such as `10.0.0.1:80` or `[2001:db8::1]:80`".to_string();
    };
    let Ok(port) = port.parse::<u16>() else {
        return format!("{} is not a port: use one from 1 to 65535", quoted(port));
    };
    match host {
        "" | "*" => everywhere(port),
        "localhost" => format!("names are not resolved: did you mean `127.0.0.1:{port}`?"),
        _ if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
            format!("{} is not an IPv4 address", quoted(host))
        }
        _ if host.contains(':') => format!("{} is not an IPv6 address in brackets", quoted(host)),
        _ => "names are not resolved: write the IP address".to_string(),
    }
}

#[cfg(test)]
mod tests;
