//! What must be so before a version may take the place of another: it is no older than what ran, and asks for no more.

use shunt_rules::trust::{Source, is_older};
use shunt_rules::{Grants, Manifest};

use super::highest::Highest;
use super::history::{History, Version};
use super::rules::{LoadError, RuleName};

/// What an operator allows of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// A version may be older than the highest that ran.
    pub downgrade: bool,
    /// A version may ask for more than what ran.
    pub grants: bool,
}

/// What ran at a rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    /// What the version that runs may do, or while none does, the last that ran, with its name; `None`: none ran yet.
    grants: Option<(Grants, String)>,
    /// Of the pack that is asked about.
    highest: Option<String>,
}

impl Before {
    pub(super) fn of(
        rule: &RuleName,
        pack: &Manifest,
        history: Option<&History>,
        highest: &Highest,
    ) -> Before {
        let told = |of: &Manifest, how: &str| {
            (of.grants.clone(), format!("{} {}, which {how}", of.name, of.version))
        };
        let of = |version: &Version, how| told(version.content.rule.manifest(), how);
        let runs = history.and_then(|it| Some(of(it.running_version()?, "runs here")));
        let ran = || history.and_then(|it| Some(of(it.before()?, "ran here last")));
        let name = &pack.name;
        let highest_ran = highest.of(rule, name).map(str::to_owned);
        // After a restart there is no history.
        let kept = || {
            let version = highest_ran.as_ref()?;
            Some((highest.grants_of(rule, name)?.clone(), format!("{name} {version}, which ran here")))
        };
        Before { grants: runs.or_else(ran).or_else(kept), highest: highest_ran }
    }

    /// Gives what a pack may do beyond what ran, a line each.
    ///
    /// # Errors
    /// It is older, or asks for more, and that is not allowed.
    pub(super) fn check(
        &self,
        manifest: &Manifest,
        source: &Source,
        allow: Allow,
    ) -> Result<Vec<String>, LoadError> {
        if let Some(highest) = &self.highest
            && is_older(&manifest.version.to_string(), highest)
            && !allow.downgrade
        {
            let (name, version) = (manifest.name.clone(), manifest.version.to_string());
            return Err(LoadError::Older { name, version, highest: highest.clone() });
        }
        // What comes with Shunt is trusted.
        let before = self.grants.as_ref().filter(|_| !matches!(source, Source::BuiltIn(_)));
        let Some((grants, before)) = before else { return Ok(Vec::new()) };
        let grown: Vec<String> = manifest.grants.beyond(grants).iter().map(ToString::to_string).collect();
        if grown.is_empty() || allow.grants {
            return Ok(grown);
        }
        let (name, version) = (manifest.name.clone(), manifest.version.to_string());
        Err(LoadError::Grown { name, version, before: before.clone(), grown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(version: &str, capabilities: &str) -> Manifest {
        let text = format!(
            "[pack]\nname = \"canary\"\nversion = \"{version}\"\nwit = \"0.1\"\n[capabilities]\n{capabilities}"
        );
        Manifest::parse(&text).unwrap()
    }

    /// After a restart, and after the rule was out of the configuration for a while, there is no history.
    #[test]
    fn what_is_kept_is_asked_where_there_is_no_history() {
        let (rule, source) = ("shop/canary".parse().unwrap(), Source::Sent);
        let (old, new) = (manifest("1.0.0", ""), manifest("1.1.0", "random = true"));
        let mut highest = Highest::default();
        let check = |highest: &Highest, manifest: &Manifest, allow| {
            Before::of(&rule, manifest, None, highest).check(manifest, &source, allow)
        };
        assert!(check(&highest, &new, Allow::default()).unwrap().is_empty());
        highest.runs(&rule, &old);
        let refused = check(&highest, &new, Allow::default()).unwrap_err();
        let says =
            "canary 1.1.0 asks for more than canary 1.0.0, which ran here; accept it by --accept-grants";
        assert!(refused.to_string().starts_with(says), "{refused}");
        let grown = check(&highest, &new, Allow { grants: true, ..Allow::default() }).unwrap();
        assert_eq!(grown, ["get random numbers"]);
        highest.runs(&rule, &new);
        assert!(matches!(check(&highest, &old, Allow::default()), Err(LoadError::Older { .. })));
    }
}
