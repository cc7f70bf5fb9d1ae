//! What the primary has counted of router alerts, by rule.

use control::alerts::RuleTable;
use shm::{AlertCounter, InterfaceCounter, TableReader};
use tests::Primary;

use crate::rules::directory;

/// What the primary has counted.
pub(crate) struct Counts(RuleTable);

impl Counts {
    pub(crate) fn of_primary(primary: &Primary) -> Self {
        Self(RuleTable::open(&directory(primary)).unwrap())
    }

    /// What has happened to packets of a rule.
    pub(crate) fn all(&self, name: &str) -> Vec<(&'static str, u64)> {
        let all = AlertCounter::ALL.iter();
        let all = all.map(|counter| (counter.name(), self.of(name, *counter)));
        all.filter(|(_, count)| *count > 0).collect()
    }

    pub(crate) fn reader(&self) -> &TableReader {
        self.0.reader()
    }

    pub(crate) fn id(&self, name: &str) -> u16 {
        let mut rules = self.0.rules().iter();
        rules.find(|listed| listed.rule.rule.name == name).unwrap().id
    }

    pub(crate) fn of(&self, name: &str, counter: AlertCounter) -> u64 {
        self.0.reader().counters().alert(self.id(name), counter)
    }

    pub(crate) fn sum(&self, name: &str, counters: &[AlertCounter]) -> u64 {
        counters.iter().map(|counter| self.of(name, *counter)).sum()
    }

    pub(crate) fn interfaces(&self, counter: InterfaceCounter) -> u64 {
        let view = self.0.reader().counters();
        (0..2).map(|index| view.interface(index, counter)).sum()
    }

    /// Checks that each packet was counted once, nothing being with a tool.
    pub(crate) fn assert_balanced(&self) {
        use AlertCounter::{
            BypassDead, BypassDeadline, BypassDied, BypassFull, ClosedDead, ClosedDeadline, ClosedDied,
            ClosedFull, Dropped, Expired, LimitedGlobal, LimitedInterface, LimitedRule, LimitedSource,
            Matched, Punted, Refused, Relayed, Replaced,
        };
        let mut of_rules = 0;
        for listed in self.0.rules() {
            let name = &listed.rule.rule.name;
            let not_asked = [
                BypassDead,
                ClosedDead,
                BypassFull,
                ClosedFull,
                LimitedGlobal,
                LimitedInterface,
                LimitedRule,
                LimitedSource,
            ];
            let ends = [
                Relayed,
                Replaced,
                Dropped,
                Refused,
                BypassDeadline,
                ClosedDeadline,
                BypassDied,
                ClosedDied,
            ];
            let punted = self.of(name, Punted);
            let all = self.all(name);
            assert_eq!(
                self.of(name, Matched),
                punted + self.sum(name, &not_asked),
                "{name}: {all:?}"
            );
            assert_eq!(punted, self.sum(name, &ends), "{name}: {all:?}");
            of_rules += self.sum(name, &[Matched, Expired]);
        }
        assert_eq!(
            self.interfaces(InterfaceCounter::AlertsSeen),
            self.interfaces(InterfaceCounter::AlertsUnmatched) + of_rules
        );
    }
}
