//! What workers were told of rules, from the control thread's side.

use std::sync::Arc;

use control::message::{AlertRule, FailMode};

use super::RuleSet;

/// The rules that workers were told of last, and sets that they may still have.
#[derive(Debug, Default)]
pub struct Told {
    /// Whether they are to be told again.
    due: bool,
    /// Rules that they have not been told of yet.
    fresh: Vec<u16>,
    /// Each until this is the only place that has it: a worker would have to free it otherwise.
    sets: Vec<Arc<RuleSet>>,
}

impl Told {
    /// The rules, or what they are compiled with, have changed: workers are to be told. `fresh` are the ids of new rules.
    pub fn change(&mut self, fresh: impl IntoIterator<Item = u16>) {
        self.due = true;
        self.fresh.extend(fresh);
    }

    /// Whether there was a change since [`Told::next`] was called last.
    pub fn is_due(&self) -> bool {
        self.due
    }

    /// The set that workers are to be told of next, compiled as [`RuleSet::new`] does; `None` where there is no rule.
    pub fn next<'r>(
        &mut self,
        rules: impl IntoIterator<Item = (u16, &'r AlertRule)>,
        class: FailMode,
        index_of: impl Fn(&str) -> Option<u16>,
    ) -> Option<Arc<RuleSet>> {
        self.due = false;
        self.sets.retain(|set| Arc::strong_count(set) > 1);
        let set = RuleSet::new(rules, class, index_of, std::mem::take(&mut self.fresh));
        set.iter().next()?;
        let set = Arc::new(set);
        self.sets.push(set.clone());
        Some(set)
    }
}
