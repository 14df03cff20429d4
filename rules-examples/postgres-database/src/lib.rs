use shunt_sdk::prelude::*;

/// Chooses the pool of a PostgreSQL client by what its startup message says.
#[derive(Settings)]
struct PostgresDatabase {
    /// Databases whose clients go to the slot `named`.
    #[settings(default)]
    databases: Vec<String>,
    /// Users who go there as well.
    #[settings(default)]
    users: Vec<String>,
}

/// Length and version.
const HEAD: usize = 8;
/// What servers take at most (`MAX_STARTUP_PACKET_LENGTH`).
const MOST: usize = 10_000;
/// The version 3.x, by its upper half; requests for TLS, for GSSAPI and for a query to be cancelled have 1234.
const VERSION_3: u8 = 3;

#[rule]
impl PostgresDatabase {
    fn on_data(&self, _: &Flow, data: &Data) -> data::Verdict {
        let bytes = data.bytes.as_slice();
        let Some((head, _)) = bytes.split_first_chunk::<HEAD>() else {
            return if data.is_open() { data::need(HEAD - bytes.len()) } else { reject() };
        };
        let [a, b, c, d, 0, version, ..] = *head else {
            return if head[4..6] == [0x04, 0xd2] { next() } else { reject() };
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if version != VERSION_3 || !(HEAD..=MOST).contains(&length) {
            return reject();
        }
        let Some(message) = bytes.get(HEAD..length) else {
            return if data.is_open() { data::need(length - bytes.len()) } else { reject() };
        };
        let user = value(message, b"user");
        // Without a database it is the one that has the name of the user.
        let database = value(message, b"database").or(user);
        let is_named = |names: &[String], name: Option<&[u8]>| {
            name.is_some_and(|name| names.iter().any(|it| it.as_bytes() == name))
        };
        if is_named(&self.databases, database) || is_named(&self.users, user) {
            to_pool("named")
        } else {
            next()
        }
    }
}

/// The value of a name: both end with a zero, one after the other.
fn value<'a>(message: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut strings = message.split(|byte| *byte == 0);
    while let Some(found) = strings.next().filter(|it| !it.is_empty()) {
        let value = strings.next()?;
        if found == name {
            return Some(value);
        }
    }
    None
}
