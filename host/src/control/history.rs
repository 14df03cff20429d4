//! The versions of one rule: which are kept, which runs, and what ran before it.

use std::sync::Arc;

use shunt_rules::{Attachment, Digest};

use super::packs::Loaded;
use super::rules::Using;

/// Versions of a rule that are kept to go back to. A compiled rule is some hundred kilobytes.
const MOST_VERSIONS: usize = 8;

/// Steps that can be gone back.
const MOST_STEPS: usize = 32;

/// One version of a rule, compiled.
#[derive(Clone)]
pub(super) struct Version<R = Loaded> {
    pub(super) number: u64,
    pub(super) content: R,
    pub(super) loaded_unix_ms: u64,
    /// Its breaker opened: nothing goes back to it by itself.
    pub(super) faulty: bool,
}

/// What runs.
#[derive(Clone)]
pub(super) struct Running<A = Arc<Attachment>, U = Using> {
    pub(super) number: u64,
    pub(super) attachment: A,
    /// What it was attached with: another use of it means to attach it again.
    pub(super) using: U,
}

/// What a version is told apart by, besides its number.
pub(super) trait Content {
    type Digest: PartialEq;
    fn digest(&self) -> Self::Digest;
}

impl Content for Loaded {
    type Digest = Digest;

    fn digest(&self) -> Digest {
        self.rule.digest()
    }
}

/// The versions of one rule.
#[derive(Clone)]
pub(super) struct History<R = Loaded, A = Arc<Attachment>, U = Using> {
    /// Those that are kept, the oldest first.
    versions: Vec<Version<R>>,
    /// What runs; `None` while it is unloaded.
    running: Option<Running<A, U>>,
    /// What ran before, the latest last: where the ways back lead. A version that was gone back from is not
    /// in it.
    ran: Vec<u64>,
    last_number: u64,
    /// What the configuration's pack was when it was last read. While it stays the same, a reload keeps
    /// what was hot-loaded.
    pub(super) configured: Option<Digest>,
}

impl<R, A, U> Default for History<R, A, U> {
    fn default() -> Self {
        History { versions: Vec::new(), running: None, ran: Vec::new(), last_number: 0, configured: None }
    }
}

impl<R: Content, A, U> History<R, A, U> {
    /// Every version that is kept, the oldest first.
    pub(super) fn versions(&self) -> &[Version<R>] {
        &self.versions
    }

    pub(super) fn version(&self, number: u64) -> Option<&Version<R>> {
        self.versions.iter().find(|it| it.number == number)
    }

    /// What runs; `None` while it is unloaded.
    pub(super) fn running(&self) -> Option<&Running<A, U>> {
        self.running.as_ref()
    }

    pub(super) fn running_version(&self) -> Option<&Version<R>> {
        self.version(self.running.as_ref()?.number)
    }

    /// Keeps a version that was loaded; gives its number. The same pack loaded again is another version, so
    /// that each load can be undone by itself.
    pub(super) fn add(&mut self, content: R, loaded_unix_ms: u64) -> u64 {
        self.last_number += 1;
        if self.versions.len() == MOST_VERSIONS {
            self.forget_one();
        }
        self.versions.push(Version { number: self.last_number, content, loaded_unix_ms, faulty: false });
        self.last_number
    }

    /// Forgets the version that is least likely to run again: the oldest that no way back leads to, else the
    /// one that ran the longest ago. Never the one that runs.
    fn forget_one(&mut self) {
        let running = self.running.as_ref().map(|it| it.number);
        let idle = |it: &&Version<R>| Some(it.number) != running && !self.ran.contains(&it.number);
        let last_ran = |number: u64| self.ran.iter().rposition(|it| *it == number);
        let other = |it: &&Version<R>| Some(it.number) != running;
        let longest_ago = || self.versions.iter().filter(other).min_by_key(|it| last_ran(it.number));
        let number = self.versions.iter().find(idle).or_else(longest_ago).map(|it| it.number);
        if let Some(number) = number {
            self.versions.retain(|it| it.number != number);
            self.ran.retain(|it| *it != number);
            self.ran.dedup();
        }
    }

    /// Runs a version from now on. What ran so far is what ran before.
    pub(super) fn run(&mut self, next: Running<A, U>) {
        let number = next.number;
        if let Some(before) = self.running.replace(next)
            && before.number != number
        {
            self.ran_before(before.number);
        }
    }

    /// Runs nothing. What ran so far is what ran before.
    pub(super) fn unload(&mut self) {
        if let Some(before) = self.running.take() {
            self.ran_before(before.number);
        }
    }

    fn ran_before(&mut self, number: u64) {
        if self.ran.len() == MOST_STEPS {
            self.ran.remove(0);
        }
        self.ran.push(number);
    }

    /// The version that ran before the one that runs.
    pub(super) fn before(&self) -> Option<&Version<R>> {
        self.all_before().next()
    }

    /// The version that ran before the one that runs and was never found faulty.
    pub(super) fn good_before(&self) -> Option<&Version<R>> {
        self.all_before().find(|it| !it.faulty)
    }

    fn all_before(&self) -> impl Iterator<Item = &Version<R>> {
        let running = self.running.as_ref().map(|it| it.number);
        let ran = self.ran.iter().rev().filter(move |number| Some(**number) != running);
        ran.filter_map(|number| self.version(*number))
    }

    /// Runs a version that ran before, in place of all that ran since.
    pub(super) fn go_back(&mut self, next: Running<A, U>) {
        if let Some(at) = self.ran.iter().rposition(|it| *it == next.number) {
            self.ran.truncate(at);
        }
        self.running = Some(next);
    }

    /// The version that runs was found faulty, and with it every other of the same content.
    pub(super) fn found_faulty(&mut self) {
        let Some(digest) = self.running_version().map(|it| it.content.digest()) else { return };
        for version in self.versions.iter_mut().filter(|it| it.content.digest() == digest) {
            version.faulty = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Content for &'static str {
        type Digest = &'static str;

        fn digest(&self) -> &'static str {
            self
        }
    }

    type Versions = History<&'static str, (), ()>;

    fn running(number: u64) -> Running<(), ()> {
        Running { number, attachment: (), using: () }
    }

    fn load(history: &mut Versions, content: &'static str) -> u64 {
        let number = history.add(content, 0);
        history.run(running(number));
        number
    }

    /// Goes back, and gives what runs then.
    fn back(history: &mut Versions) -> Option<u64> {
        let number = history.before()?.number;
        history.go_back(running(number));
        Some(number)
    }

    fn numbers(history: &Versions) -> Vec<u64> {
        history.versions().iter().map(|it| it.number).collect()
    }

    #[test]
    fn the_way_back_leads_to_what_ran_before() {
        let mut history = Versions::default();
        assert_eq!(load(&mut history, "one"), 1);
        assert_eq!(back(&mut history), None);
        assert_eq!(load(&mut history, "two"), 2);
        assert_eq!(back(&mut history), Some(1));
        // Version 2 was thrown out.
        assert_eq!(load(&mut history, "three"), 3);
        assert_eq!(back(&mut history), Some(1));
        assert_eq!(back(&mut history), None);
    }

    #[test]
    fn each_load_is_undone_by_itself() {
        let mut history = Versions::default();
        for content in ["one", "two", "two", "three"] {
            load(&mut history, content);
        }
        let all: Vec<_> = std::iter::from_fn(|| back(&mut history)).collect();
        assert_eq!(all, [3, 2, 1]);
    }

    #[test]
    fn what_was_unloaded_comes_back() {
        let mut history = Versions::default();
        load(&mut history, "one");
        load(&mut history, "two");
        back(&mut history);
        history.unload();
        assert_eq!((history.running().is_none(), back(&mut history)), (true, Some(1)));
        history.unload();
        // Loaded again, the way back leads to what was unloaded.
        load(&mut history, "three");
        assert_eq!(back(&mut history), Some(1));
    }

    #[test]
    fn a_version_that_is_named_can_be_undone_as_well() {
        let mut history = Versions::default();
        for content in ["one", "two", "three"] {
            load(&mut history, content);
        }
        history.run(running(1));
        assert_eq!(back(&mut history), Some(3));
        assert_eq!(back(&mut history), Some(2));
        // To name what runs is no step.
        history.run(running(2));
        assert_eq!(back(&mut history), Some(1));
        assert_eq!(back(&mut history), None);
    }

    #[test]
    fn a_breaker_does_not_go_back_to_what_was_found_faulty() {
        let breaks = |history: &mut Versions| {
            history.found_faulty();
            let number = history.good_before()?.number;
            history.go_back(running(number));
            Some(number)
        };
        let mut history = Versions::default();
        for content in ["good", "bad", "bad"] {
            load(&mut history, content);
        }
        assert_eq!(breaks(&mut history), Some(1));
        load(&mut history, "worse");
        assert_eq!(breaks(&mut history), Some(1));
        let faulty: Vec<_> = history.versions().iter().map(|it| it.faulty).collect();
        assert_eq!(faulty, [false, true, true, true]);
        // With nothing good before it, it stays. The operator may still go back to it.
        assert_eq!(breaks(&mut history), None);
        load(&mut history, "better");
        assert_eq!(history.good_before().map(|it| it.number), None);
        assert_eq!(back(&mut history), Some(1));
    }

    #[test]
    fn what_runs_and_what_ran_before_are_kept_the_longest() {
        let mut history = Versions::default();
        load(&mut history, "one");
        // Each of these is thrown out again.
        for _ in 0..20 {
            load(&mut history, "next");
            assert_eq!(back(&mut history), Some(1));
        }
        assert_eq!(numbers(&history).len(), MOST_VERSIONS);
        assert_eq!((history.running_version().map(|it| it.number), numbers(&history)[0]), (Some(1), 1));
        // More than can be kept ran one after the other.
        let mut history = Versions::default();
        for number in 1..=20 {
            assert_eq!(load(&mut history, "next"), number);
        }
        assert_eq!(numbers(&history), (13..=20).collect::<Vec<_>>());
        let all: Vec<_> = std::iter::from_fn(|| back(&mut history)).collect();
        assert_eq!(all, (13..=19).rev().collect::<Vec<_>>());
        // Two that take turns.
        for number in [13, 14].repeat(50) {
            history.run(running(number));
        }
        assert_eq!(history.ran.len(), MOST_STEPS);
    }
}
