//! Packs that come with Shunt, for those who build none: `pack = "builtin:https-redirect"`.
//!
//! They are the examples of these names, built by `shunt rule build`. Their components are committed, so that Shunt
//! builds without the target of rules; `cargo xtask test` builds the examples and compares.

use super::suggest::nearest;
use super::{Pack, PackError};

/// What a path begins with that names one of them.
pub const PREFIX: &str = "builtin:";

/// Their names, and their components.
const ALL: [(&str, &[u8]); 3] = [
    ("headers", include_bytes!("../builtin/headers.wasm")),
    ("https-redirect", include_bytes!("../builtin/https-redirect.wasm")),
    ("maintenance", include_bytes!("../builtin/maintenance.wasm")),
];

/// The names of all of them.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// The component of one of them.
#[must_use]
pub fn component(name: &str) -> Option<&'static [u8]> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, component)| *component)
}

/// What to do about a name that none of them has.
#[must_use]
pub fn hint(name: &str) -> String {
    nearest(name, names()).map_or_else(
        || format!("the built-in packs are {}", names().collect::<Vec<_>>().join(", ")),
        |near| format!("did you mean {PREFIX}{near}?"),
    )
}

impl Pack {
    /// One of them.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn builtin(name: &str) -> Result<Pack, PackError> {
        let component = component(name).ok_or_else(|| PackError::NotBuiltIn { name: name.to_owned() })?;
        Pack::from_bytes(component.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one may weigh: all of them are in every binary.
    const MOST: usize = 40 << 10;

    #[test]
    fn each_is_a_small_pack_of_its_name() {
        for name in names() {
            let pack = Pack::builtin(name).unwrap();
            assert_eq!(pack.manifest().name, name);
            assert!(pack.bytes().len() <= MOST, "{name}: {}", pack.bytes().len());
        }
        assert!(Pack::builtin("none").is_err());
        assert_eq!(hint("https-redirct"), "did you mean builtin:https-redirect?");
        assert_eq!(hint("x"), "the built-in packs are headers, https-redirect, maintenance");
    }
}
