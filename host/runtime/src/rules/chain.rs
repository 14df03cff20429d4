//! The rules of a virtual on one hook: asked in their order, until one decides.

use std::slice;

use shunt_rules::{Fault, Hook};

use super::attached::{AfterFault, Link};

/// The rules that have not been asked yet.
pub struct Chain<'a, L> {
    hook: Hook,
    left: slice::Iter<'a, L>,
}

/// Why the rules that are left are not asked yet.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision<'a, V, P> {
    /// One decided.
    Verdict(V),
    /// One failed, and the operator wants the request or flow to be refused.
    Refuse,
    /// One failed, and the operator wants the request or flow to go to this pool.
    Pool(&'a P),
}

impl<'a, L: Link> Chain<'a, L> {
    pub fn new(hook: Hook, rules: &'a [L]) -> Self {
        Chain { hook, left: rules.iter() }
    }

    /// Asks the rules that are left and take part in the hook, until one decides or fails; `None`: each of them said
    /// `next`. After a decision that is none to the caller it may be called again, for the rules behind.
    ///
    /// `ask` gives what a rule decided, or `None` for `next`. What a rule decided that means nothing is a fault of
    /// the rule, as [`Runner::refuse_verdict`](shunt_rules::Runner::refuse_verdict) makes it.
    pub fn ask<V>(
        &mut self,
        mut ask: impl FnMut(&'a L) -> Result<Option<V>, Fault>,
    ) -> Option<Decision<'a, V, L::Pool>> {
        let hook = self.hook;
        for rule in self.left.by_ref().filter(|rule| rule.exports(hook)) {
            match ask(rule) {
                Ok(None) => {}
                Ok(Some(verdict)) => return Some(Decision::Verdict(verdict)),
                Err(fault) => match rule.faulted(&fault) {
                    AfterFault::Continue => {}
                    AfterFault::Refuse => return Some(Decision::Refuse),
                    AfterFault::Pool(pool) => return Some(Decision::Pool(pool)),
                },
            }
        }
        None
    }

    /// Tells each of the rules, of a hook that decides nothing.
    pub fn tell(mut self, mut tell: impl FnMut(&'a L) -> Result<(), Fault>) {
        while self.ask(|rule| tell(rule).map(|()| None::<()>)).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use shunt_rules::FaultKind;

    use super::*;

    /// What a rule says, and what its faults come to.
    struct Says(&'static str, AfterFault<u32>);

    impl Link for Says {
        type Pool = u32;

        fn exports(&self, hook: Hook) -> bool {
            self.0 != "not asked" && hook == Hook::OnFlow
        }

        fn faulted(&self, fault: &Fault) -> AfterFault<&u32> {
            assert_eq!(fault.message, "broken");
            match &self.1 {
                AfterFault::Continue => AfterFault::Continue,
                AfterFault::Refuse => AfterFault::Refuse,
                AfterFault::Pool(pool) => AfterFault::Pool(pool),
            }
        }
    }

    fn ask(rule: &Says) -> Result<Option<&'static str>, Fault> {
        match rule.0 {
            "next" => Ok(None),
            "broken" => {
                Err(Fault { kind: FaultKind::Verdict, hook: Hook::OnFlow, message: "broken".to_owned() })
            }
            "not asked" => panic!("it does not take part"),
            verdict => Ok(Some(verdict)),
        }
    }

    #[test]
    fn the_first_that_decides_ends_it() {
        use AfterFault::{Continue, Pool, Refuse};
        let table = [
            (vec![], None),
            (vec![Says("next", Refuse), Says("not asked", Refuse)], None),
            (vec![Says("next", Refuse), Says("a", Refuse), Says("b", Refuse)], Some(Decision::Verdict("a"))),
            (vec![Says("broken", Continue), Says("a", Refuse)], Some(Decision::Verdict("a"))),
            (vec![Says("broken", Refuse), Says("a", Refuse)], Some(Decision::Refuse)),
            (vec![Says("broken", Pool(7)), Says("a", Refuse)], Some(Decision::Pool(&7))),
        ];
        for (rules, expected) in table {
            assert_eq!(Chain::new(Hook::OnFlow, &rules).ask(ask), expected);
            assert_eq!(Chain::new(Hook::OnRequest, &rules).ask(ask), None);
        }
    }

    #[test]
    fn it_goes_on_behind_a_decision() {
        let rules = ["a", "broken", "next", "b"].map(|says| Says(says, AfterFault::Refuse));
        let mut chain = Chain::new(Hook::OnFlow, &rules);
        assert_eq!(chain.ask(ask), Some(Decision::Verdict("a")));
        assert_eq!(chain.ask(ask), Some(Decision::Refuse));
        assert_eq!(chain.ask(ask), Some(Decision::Verdict("b")));
        assert_eq!(chain.ask(ask), None);
    }

    #[test]
    fn all_are_told_whatever_fails() {
        let rules = ["a", "broken", "b", "not asked"].map(|says| Says(says, AfterFault::Refuse));
        let mut told = Vec::new();
        Chain::new(Hook::OnFlow, &rules).tell(|rule| {
            told.push(rule.0);
            ask(rule).map(drop)
        });
        assert_eq!(told, ["a", "broken", "b"]);
    }
}
