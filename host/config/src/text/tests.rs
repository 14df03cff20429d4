use super::*;
use proptest::prelude::*;

#[test]
fn addresses_that_are_none_say_why() {
    for (text, help) in [
        ("10.0.0.1", "add a port: `10.0.0.1:8080`"),
        ("::1", "add a port, and brackets around the IPv6 address: `[::1]:8080`"),
        ("[::1]", "add a port, and brackets around the IPv6 address: `[::1]:8080`"),
        ("8080", "did you mean `0.0.0.0:8080`, or `[::]:8080` for IPv6?"),
        (":8080", "did you mean `0.0.0.0:8080`, or `[::]:8080` for IPv6?"),
        ("*:8080", "did you mean `0.0.0.0:8080`, or `[::]:8080` for IPv6?"),
        ("localhost:80", "names are not resolved: did you mean `127.0.0.1:80`?"),
        ("shop.example:80", "names are not resolved: write the IP address"),
        ("http://10.0.0.1:80", "write address and port alone, such as `10.0.0.1:80`"),
        ("10.0.0.256:80", "`10.0.0.256` is not an IPv4 address"),
        ("10.0.0.1:70000", "`70000` is not a port: use one from 1 to 65535"),
        ("10.0.0.1:", "`\"\"` is not a port: use one from 1 to 65535"),
        ("[::g]:80", "`[::g]` is not an IPv6 address in brackets"),
        ("", "write an IP address and a port, such as `10.0.0.1:80` or `[2001:db8::1]:80`"),
    ] {
        assert_eq!(listen_address(text).unwrap_err().help.as_deref(), Some(help), "{text}");
    }
    assert!(has_port(listen_address("127.0.0.1:0").unwrap()).is_err());
    assert!(listen_address("[::]:443").is_ok() && listen_address("0.0.0.0:8443").is_ok());
    assert!(member_address("0.0.0.0:80").is_err() && member_address("224.0.0.1:80").is_err());
}

#[test]
fn names_are_safe_in_urls_and_labels() {
    for text in ["web", "web-next", "shop.example", "_x", "0"] {
        assert!(name(text).is_ok(), "{text}");
    }
    for text in ["", "a/b", "a b", "-a", ".", "größe", &"x".repeat(65)] {
        assert!(name(text).is_err(), "{text}");
    }
}

#[test]
fn hosts_and_paths_fit_a_request() {
    assert!(host("shop.example").is_ok() && host("[::1]:80").is_ok());
    for text in
        ["", "a b", "user@shop.example", "http://shop.example", "shop.example/x", ":80", "h:x", "[h]", "::1"]
    {
        assert!(host(text).is_err(), "{text}");
    }
    assert!(request_path("/health?deep=1").is_ok());
    for text in ["", "health", "/a b", "/a#b", "/caf\u{e9}", "http://shop.example/", "/\r\nX: y"] {
        assert!(request_path(text).is_err(), "{text}");
    }
}

#[test]
fn server_names_are_dns_names() {
    for (text, read) in [
        ("Shop.Example.", "shop.example"),
        ("localhost", "localhost"),
        ("_a.xn--bcher-kva.example", "_a.xn--bcher-kva.example"),
        ("*.Shop.example", "*.shop.example"),
    ] {
        assert_eq!(server_pattern(text).unwrap(), read);
    }
    for text in [
        "",
        ".",
        "a..b",
        "shop.example:443",
        "192.0.2.1",
        "::1",
        "b\u{fc}cher.example",
        "*",
        "w*.example",
        "*.*.a",
    ] {
        assert!(server_pattern(text).is_err(), "{text}");
    }
    assert!(server_name("*.shop.example").is_err());
    assert!(server_name(&"a.".repeat(128)).is_err());
}

#[test]
fn ranges_are_read() {
    let range = |first: &str, last: &str| first.parse().unwrap()..=last.parse().unwrap();
    assert_eq!(addresses("10.10.1.1").unwrap(), range("10.10.1.1", "10.10.1.1"));
    assert_eq!(addresses("10.10.1.1-10.10.1.4").unwrap(), range("10.10.1.1", "10.10.1.4"));
    assert_eq!(addresses("2001:db8::1 - 2001:db8::ff").unwrap(), range("2001:db8::1", "2001:db8::ff"));
    assert_eq!((ports("1024-65535").unwrap(), ports("40000").unwrap()), (1024..=65535, 40000..=40000));
}

#[test]
fn ranges_that_are_none_say_why() {
    let help = |refusal: Refusal| refusal.help.unwrap_or_default();
    for (text, expected) in [
        ("10.10.1.4-10.10.1.1", "write the lower one first: `10.10.1.1-10.10.1.4`"),
        ("10.10.1.0/24", "write a network as its first and its last address"),
        ("10.10.1.1:80", "remove the port, which belongs to `ports`: `10.10.1.1`"),
        ("10.10.1.1-::1", "use two IPv4 addresses, or two IPv6 addresses"),
        ("out", "write an address, or the first and the last with a dash: `10.10.1.1-10.10.1.4`"),
        ("127.0.0.1", "write an address that other hosts have a route to"),
        ("::ffff:10.0.0.1", "did you mean `10.0.0.1`?"),
    ] {
        assert_eq!(help(addresses(text).unwrap_err()), expected, "{text}");
    }
    for text in ["0-10", "70000", "1-", "-", "", "9-1", "http"] {
        assert!(ports(text).is_err(), "{text}");
    }
    for text in ["", ".", "..", "eth 0", "a/b", "eth0:1", "sixteen-letters-"] {
        assert!(interface(text).is_err(), "{text}");
    }
    assert!(interface("eth0").is_ok() && interface("fifteen-letters").is_ok());
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = (name(&text), listen_address(&text), member_address(&text), cookie(&text));
        let _ = (request_path(&text), host(&text), pack(&text));
        let _ = (cookie_path(&text), parameter(&text));
        let _ = (addresses(&text), ports(&text), interface(&text));
    }
}
