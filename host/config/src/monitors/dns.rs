//! A DNS query must get a response.

use shunt_engine::datapath::Transport;

use super::{Kind, Udp};
use crate::containers::{one_or_list, table as in_table};
use crate::shape::{one_of, server_name};
use crate::walk::Table;

/// `dns = { name = "example.org" }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// In lower case, without the dot of the root.
    pub name: String,
    /// The number of the type of records (RFC 1035 section 3.2.2).
    pub record: u16,
    /// Numbers of response codes (RFC 1035 section 4.1.1). Default NOERROR alone.
    pub expect: Vec<u8>,
}

impl Kind for Dns {
    const KEY: &'static str = "dns";

    fn read(table: &mut Table<'_>) -> Option<Self> {
        table.optional(Self::KEY, "A DNS query over UDP must get a response.", in_table(dns))
    }

    fn passes(transport: Transport) -> bool {
        Udp::passes(transport)
    }
}

/// Types of records, by their numbers at IANA.
const RECORDS: &[(&str, u16)] = &[
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
];

/// Response codes.
pub const CODES: &[(&str, u8)] =
    &[("NOERROR", 0), ("FORMERR", 1), ("SERVFAIL", 2), ("NXDOMAIN", 3), ("NOTIMP", 4), ("REFUSED", 5)];

fn dns(table: &mut Table<'_>) -> Option<Dns> {
    let name = table.required("name", "The name that is asked for.", server_name());
    let record = table.or("type", "The type of records that are asked for.", one_of(RECORDS), 1);
    let expect = table.or(
        "expect",
        "The response codes with which the probe succeeds. With `NOERROR` alone there must be an answer too.",
        one_or_list(one_of(CODES)),
        vec![0],
    );
    Some(Dns { name: name?, record, expect })
}
