//! Clients that stay with their member: by a key in a table, or by what their cookie says.

mod away;
pub mod cookie;
mod key;
mod largest;
pub mod shown;
mod source;
mod table;
mod tag;
#[cfg(test)]
mod tests;

pub use away::is_away;
pub use key::{Key, group_prefix, key_prefix};
pub use largest::{Share, outweighs};
pub use source::Source;
pub use table::{Bound, Counts, Listed, MAX_KEY, PersistenceTable};
pub use tag::{MemberTag, TagKeys};
