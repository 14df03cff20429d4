//! Variables that rules keep in the host.

use std::sync::Arc;

/// The variables of one request or one flow, of all rules; each rule sees only its own.
///
/// They belong to the request or the flow and not to an instance, so they survive a
/// fault and a new version of the rule. Empty ones own no memory.
#[derive(Clone, Debug, Default)]
pub struct Vars {
    // A rule keeps a handful: a scan beats a hash, and an empty Vec costs nothing to move.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// The attachment's name.
    rule: Arc<str>,
    name: Box<str>,
    value: Vec<u8>,
}

/// Limits of `wit/capabilities.wit`.
pub(crate) const MAX_VARS: usize = 64;
pub(crate) const MAX_NAME: usize = 256;
pub(crate) const MAX_VALUE: usize = 4096;

impl Vars {
    /// Forgets all variables of all rules and keeps the memory: for the next request on
    /// the same connection.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn get(&self, rule: &Arc<str>, name: &str) -> Option<&[u8]> {
        self.position(rule, name).map(|index| self.entries[index].value.as_slice())
    }

    /// # Errors
    /// The limit that it would break, in words.
    pub fn set(&mut self, rule: &Arc<str>, name: String, value: Vec<u8>) -> Result<(), &'static str> {
        if name.len() > MAX_NAME {
            return Err("a variable's name is longer than 256 bytes");
        }
        if value.len() > MAX_VALUE {
            return Err("a variable's value is longer than 4096 bytes");
        }
        if let Some(index) = self.position(rule, &name) {
            self.entries[index].value = value;
            return Ok(());
        }
        if self.entries.iter().filter(|entry| same(&entry.rule, rule)).count() >= MAX_VARS {
            return Err("more than 64 variables of one scope");
        }
        self.entries.push(Entry { rule: rule.clone(), name: name.into(), value });
        Ok(())
    }

    pub(crate) fn remove(&mut self, rule: &Arc<str>, name: &str) {
        if let Some(index) = self.position(rule, name) {
            self.entries.swap_remove(index);
        }
    }

    fn position(&self, rule: &Arc<str>, name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| &*entry.name == name && same(&entry.rule, rule))
    }
}

/// By name: a reload makes a new attachment of the same name, and its variables are the same.
fn same(left: &Arc<str>, right: &Arc<str>) -> bool {
    Arc::ptr_eq(left, right) || left == right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_do_not_see_each_other() {
        let (a, b): (Arc<str>, Arc<str>) = ("shop/a".into(), "shop/b".into());
        let mut vars = Vars::default();
        vars.set(&a, "n".into(), b"1".to_vec()).unwrap();
        vars.set(&b, "n".into(), b"2".to_vec()).unwrap();
        vars.set(&a, "n".into(), b"3".to_vec()).unwrap();
        assert_eq!(vars.get(&a, "n"), Some(&b"3"[..]));
        assert_eq!(vars.get(&b, "n"), Some(&b"2"[..]));
        vars.remove(&a, "n");
        vars.remove(&a, "n");
        assert_eq!(vars.get(&a, "n"), None);
        assert_eq!(vars.get(&b, "n"), Some(&b"2"[..]));
    }

    #[test]
    fn a_new_version_of_the_rule_finds_its_variables() {
        let mut vars = Vars::default();
        vars.set(&"shop/a".into(), "n".into(), b"1".to_vec()).unwrap();
        assert_eq!(vars.get(&"shop/a".into(), "n"), Some(&b"1"[..]));
    }

    #[test]
    fn limits_count_per_rule() {
        let (a, b): (Arc<str>, Arc<str>) = ("shop/a".into(), "shop/b".into());
        let mut vars = Vars::default();
        for index in 0..MAX_VARS {
            vars.set(&a, index.to_string(), Vec::new()).unwrap();
        }
        assert!(vars.set(&a, "more".into(), b"".to_vec()).is_err());
        assert!(vars.set(&a, "0".into(), b"again".to_vec()).is_ok(), "one that is there can be set again");
        assert!(vars.set(&b, "more".into(), b"".to_vec()).is_ok());
        assert!(vars.set(&b, "n".repeat(MAX_NAME + 1), Vec::new()).is_err());
        assert!(vars.set(&b, "long".into(), vec![0; MAX_VALUE + 1]).is_err());
        assert!(vars.set(&b, "n".repeat(MAX_NAME), vec![0; MAX_VALUE]).is_ok());
    }
}
