//! `source` of pools.

use std::net::IpAddr;

use toml::de::DeValue;

use super::super::containers::one_or_list;
use super::super::model::ConnectFrom;
use super::super::reference::Type;
use super::super::shape::{Shape, one_of, source_address};
use super::super::walk::{At, Walk};

/// `"client"`, an address, or a list of addresses
pub(super) struct OfPool;

const WORDS: &[(&str, ConnectFrom)] = &[("client", ConnectFrom::Client)];

/// What HAProxy, nginx, F5 and others call it.
const ELSEWHERE: &[(&str, &str)] = &[
    ("clientip", "use `\"client\"`"),
    ("usesrc", "use `\"client\"`"),
    ("transparent", "use `\"client\"`"),
    ("$remote_addr", "use `\"client\"`"),
    ("none", "use `\"client\"`"),
    ("automap", "remove `source`: connections come from the address of the interface toward the member"),
    ("auto", "remove `source`: connections come from the address of the interface toward the member"),
];

impl OfPool {
    fn addresses() -> impl Shape<Value = Vec<IpAddr>> {
        one_or_list(source_address())
    }
}

impl Shape for OfPool {
    type Value = ConnectFrom;

    fn describe(&self) -> Type {
        Type::Either(Box::new(one_of(WORDS).describe()), Box::new(Self::addresses().describe()))
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<ConnectFrom> {
        match at.value {
            // What has neither a dot nor a colon was not meant as an address.
            DeValue::String(text) if !text.contains(['.', ':']) => {
                one_of(WORDS).instead(ELSEWHERE).read_among(at, &self.describe(), walk)
            }
            _ => Self::addresses().read(at, walk).map(ConnectFrom::Addresses),
        }
    }
}
