use shunt_sdk::prelude::*;

/// Keeps the requests of a station at one server, those for its authentication and those for its accounting: EAP takes
/// several of them. By its address, and where that is not said by the name of its user.
struct RadiusStation;

/// Code, identifier, length, authenticator (RFC 2865 section 3).
const HEAD: usize = 20;
/// Attributes (RFC 2865 sections 5.1 and 5.31).
const USER_NAME: u8 = 1;
const CALLING_STATION_ID: u8 = 31;

#[rule]
impl RadiusStation {
    fn on_data(&self, _: &Flow, data: &Data) -> data::Verdict {
        let Some(attributes) = attributes(&data.bytes) else { return reject() };
        match value(attributes, CALLING_STATION_ID).or_else(|| value(attributes, USER_NAME)) {
            // Access points write the same address in several ways.
            Some(name) => to_pool("servers").persist(name.to_ascii_lowercase()),
            None => next(),
        }
    }
}

/// What is behind the head; octets behind the length that it says are padding. `None`: it is no request.
fn attributes(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    bytes.get(HEAD..length)
}

/// The value of the first attribute of this type: its type, its length with these two octets, the value.
fn value(mut attributes: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [kind, length, ..] = *attributes {
        let value = attributes.get(2..usize::from(length))?;
        if kind == wanted {
            return Some(value);
        }
        attributes = &attributes[usize::from(length)..];
    }
    None
}
