//! The hooks of the contract, and sets of them.

use std::fmt;

/// A place where the host calls a rule. One interface of `wit/hooks.wit` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Hook {
    OnLoad,
    OnFlow,
    OnRequest,
    OnRequestBody,
    OnConnectFailed,
    OnResponse,
    OnDone,
}

impl Hook {
    /// How many there are; `hook as usize` is below it.
    pub const COUNT: usize = 7;

    /// All of them, in the order in which a request meets them.
    pub const ALL: [Hook; Hook::COUNT] = [
        Hook::OnLoad,
        Hook::OnFlow,
        Hook::OnRequest,
        Hook::OnRequestBody,
        Hook::OnConnectFailed,
        Hook::OnResponse,
        Hook::OnDone,
    ];

    /// The name in the contract: of the interface, and of the function in it.
    pub const fn name(self) -> &'static str {
        match self {
            Hook::OnLoad => "on-load",
            Hook::OnFlow => "on-flow",
            Hook::OnRequest => "on-request",
            Hook::OnRequestBody => "on-request-body",
            Hook::OnConnectFailed => "on-connect-failed",
            Hook::OnResponse => "on-response",
            Hook::OnDone => "on-done",
        }
    }

    /// The hook of that name.
    pub fn from_name(name: &str) -> Option<Hook> {
        Hook::ALL.into_iter().find(|hook| hook.name() == name)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of hooks.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct HookSet(u8);

impl HookSet {
    pub const EMPTY: HookSet = HookSet(0);
    pub const ALL: HookSet = HookSet((1 << Hook::COUNT) - 1);
    /// What a virtual of protocol `http` can fire.
    pub const HTTP: HookSet = HookSet::ALL;

    pub const fn contains(self, hook: Hook) -> bool {
        self.0 & (1 << hook as u8) != 0
    }

    #[must_use]
    pub const fn with(self, hook: Hook) -> HookSet {
        HookSet(self.0 | 1 << hook as u8)
    }

    #[must_use]
    pub const fn without(self, other: HookSet) -> HookSet {
        HookSet(self.0 & !other.0)
    }

    #[must_use]
    pub const fn union(self, other: HookSet) -> HookSet {
        HookSet(self.0 | other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Hook> {
        Hook::ALL.into_iter().filter(move |hook| self.contains(*hook))
    }
}

impl FromIterator<Hook> for HookSet {
    fn from_iter<I: IntoIterator<Item = Hook>>(hooks: I) -> HookSet {
        hooks.into_iter().fold(HookSet::EMPTY, HookSet::with)
    }
}

/// The names, with commas: `on-load, on-request`.
impl fmt::Display for HookSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, hook) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(hook.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for HookSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_is_found_by_its_name() {
        for (index, hook) in Hook::ALL.into_iter().enumerate() {
            assert_eq!(hook as usize, index);
            assert_eq!(Hook::from_name(hook.name()), Some(hook));
        }
        assert_eq!(Hook::from_name("on-timer"), None);
    }

    #[test]
    fn sets_join_and_differ() {
        let set: HookSet = [Hook::OnRequest, Hook::OnDone].into_iter().collect();
        assert_eq!(set.to_string(), "on-request, on-done");
        assert!(set.without(HookSet::ALL).is_empty());
        assert_eq!(HookSet::ALL.iter().count(), Hook::COUNT);
        assert_eq!(set.union(HookSet::EMPTY.with(Hook::OnFlow)).iter().count(), 3);
    }
}
