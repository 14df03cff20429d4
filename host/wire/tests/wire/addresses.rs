//! Which addresses routers forward.

use std::net::IpAddr;

use shunt_wire::Address;

#[test]
fn what_routers_forward() {
    let table = [
        (true, "192.0.2.1 10.0.0.1 223.255.255.255 1.0.0.1 128.0.0.1 169.253.255.255 169.255.0.1 126.1.2.3"),
        (false, "0.0.0.0 0.1.2.3 127.0.0.1 127.255.255.255 169.254.0.1 169.254.255.255 224.0.0.1 240.0.0.1"),
        (false, "255.255.255.255 :: ::1 fe80::1 febf::1 ff02::1 ff0e::1"),
        (true, "::2 2001:db8::1 fe7f::1 fec0::1 fd00::1 64:ff9b::192.0.2.1"),
        // IPv4 addresses under another spelling.
        (true, "::ffff:192.0.2.1"),
        (false, "::ffff:127.0.0.1 ::ffff:224.0.0.1"),
    ];
    for (forwarded, addresses) in table {
        for text in addresses.split(' ') {
            let address = Address::from(text.parse::<IpAddr>().unwrap());
            assert_eq!(address.is_forwarded(), forwarded, "{text}");
        }
    }
}
