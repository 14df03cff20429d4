//! What runs and is not what the configuration says: made by commands, or changed in the file since. A restart
//! forgets it.

use shunt_api::status::Difference;
use shunt_engine::member::Admin;

use super::Control;
use super::operate::shown;
use super::rules;

impl Control {
    /// Everything that a restart would change.
    pub(super) fn differences(&self) -> Vec<Difference> {
        let mut differences = Vec::new();
        for rules::RuleUse { name, .. } in rules::uses(&self.config) {
            let Some(history) = self.rules.get(&name) else { continue };
            let how = match history.running_version() {
                None => "is unloaded, and the configuration has it".to_owned(),
                Some(version) if Some(version.content.shipped) != history.configured => {
                    format!("runs version {}, which is not the configured pack", shown(history))
                }
                Some(_) => continue,
            };
            differences.push(Difference { kind: "rule".to_owned(), what: name.to_string(), how });
        }
        let snapshot = self.snapshot.load();
        for pool in &snapshot.pools {
            for member in pool.members.iter().filter(|it| it.state.has_set_priority()) {
                differences.push(Difference {
                    kind: "member".to_owned(),
                    what: format!("{} in pool {}", member.settings.address, pool.settings.name),
                    how: format!(
                        "has priority {}, which is configured as {}",
                        member.state.priority(),
                        member.settings.priority
                    ),
                });
            }
            for member in pool.members.iter().filter(|it| it.state.admin() != Admin::Enabled) {
                differences.push(Difference {
                    kind: "member".to_owned(),
                    what: format!("{} in pool {}", member.settings.address, pool.settings.name),
                    how: format!("is {}", member.state.admin()),
                });
            }
        }
        let changed = self.files.changed();
        differences.extend(changed.into_iter().map(|path| Difference {
            kind: "file".to_owned(),
            what: path.display().to_string(),
            how: "has changed since it was read".to_owned(),
        }));
        differences
    }
}
