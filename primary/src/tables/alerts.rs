//! Rules for router alerts: made, changed and deleted at run time, all that one request says or nothing of it.
//!
//! ```text
//!   tool ─ PuntStart, AlertRules ─► replace all of tools ─┐                ┌─► region: records, generation
//!   operator ─ add, delete ─────────► one of operators ───┴─► AlertSet ────┼─► event
//!                                                                          └─► news: workers get the rules anew
//! ```
//!
//! A rule is known by its name, and has a number as long as it is there: packets, counters and its record go by that. A number
//! is used again when all others have been in between, and workers set its counters to zero when they learn of the new rule.
//! Rules outlive the tool that made them and the interfaces that they name.

use std::cmp::Reverse;
use std::collections::VecDeque;

use control::alerts::{self, ListedRule};
use control::event::Event;
use control::message::{ALERT_RULES, AlertOrigin, AlertRule, ControlError, ErrorCode};
use router_alert::handler::Handler;
use shm::AlertRuleTable;

use super::Tables;
use super::refusal::{list, refuse};
use crate::adjacency;

/// All rules for router alerts.
pub(super) struct AlertSet {
    /// In the order in which they are asked.
    rules: Vec<Made>,
    /// Numbers of no rule, the one that has been free the longest first.
    free: VecDeque<u16>,
    published: AlertRuleTable,
    /// Numbers of rules that are new since somebody has asked, once anything has changed.
    news: Option<Vec<u16>>,
}

/// A rule, and when it was made: one with a lower order was before.
struct Made {
    order: u32,
    listed: ListedRule,
}

impl Made {
    fn name(&self) -> &str {
        &self.listed.rule.rule.name
    }
}

impl AlertSet {
    /// None yet; the records of the region become its to write.
    pub(super) fn new(region: &shm::TableWriter) -> Option<Self> {
        Some(Self {
            rules: Vec::new(),
            free: (0..ALERT_RULES as u16).collect(),
            published: region.alert_rules()?,
            news: None,
        })
    }

    fn get(&self, name: &str) -> Option<&ListedRule> {
        let found = self.rules.iter().find(|made| made.name() == name);
        found.map(|made| &made.listed)
    }

    /// Those of tools, in the order in which they were given.
    fn of_tools(&self) -> Vec<&AlertRule> {
        let of_tools = |made: &&Made| made.listed.origin == AlertOrigin::Tool;
        let mut found: Vec<_> = self.rules.iter().filter(of_tools).collect();
        found.sort_unstable_by_key(|made| made.order);
        found.iter().map(|made| &made.listed.rule).collect()
    }

    /// Takes out the rules of which `goes` says so.
    fn take(&mut self, goes: impl Fn(&Made) -> bool) -> Vec<Made> {
        self.rules.extract_if(.., |made| goes(made)).collect()
    }

    /// Puts rules in, behind all others of their priority. Those of the same name among what was `taken` out give their numbers to them,
    /// all others are gone; gives the names of these.
    fn put(&mut self, taken: Vec<Made>, rules: Vec<AlertRule>, origin: AlertOrigin) -> Vec<String> {
        let mut new = Vec::new();
        let is_back = |made: &Made| rules.iter().any(|rule| rule.rule.name == made.name());
        let (back, gone): (Vec<_>, Vec<_>) = taken.into_iter().partition(is_back);
        for made in &gone {
            self.published.clear(made.listed.id);
            self.free.push_back(made.listed.id);
        }
        let last = self.rules.iter().map(|made| made.order).max();
        let orders = last.map_or(0, |last| last + 1)..;
        for (order, rule) in orders.zip(rules) {
            let before = back.iter().find(|made| made.name() == rule.rule.name);
            let id = before.map(|made| made.listed.id).or_else(|| {
                let id = self.free.pop_front();
                new.extend(id);
                id
            });
            // There are as many numbers as there can be rules.
            let Some(id) = id else { continue };
            self.published.set(id, &alerts::record(&rule, origin, order));
            let listed = ListedRule { id, rule, origin };
            self.rules.push(Made { order, listed });
        }
        self.rules
            .sort_unstable_by_key(|made| (Reverse(made.listed.rule.rule.priority), made.order));
        self.published.changed();
        self.news.get_or_insert_default().extend(new);
        gone.into_iter().map(|made| made.listed.rule.rule.name).collect()
    }
}

impl<F: fib::Storage, A: adjacency::Storage> Tables<F, A> {
    /// The rules for router alerts, in the order in which they are asked.
    pub fn alert_rules(&self) -> impl Iterator<Item = &ListedRule> {
        self.alerts.rules.iter().map(|made| &made.listed)
    }

    /// Whether the rules have changed since the last call; if so, the numbers of those that are new: whoever counts sets their counters
    /// to zero before the first packet of them.
    pub fn take_alert_news(&mut self) -> Option<Vec<u16>> {
        self.alerts.news.take()
    }

    /// Whether these can take the place of all rules that tools have made.
    pub fn check_alert_rules(&self, rules: &[AlertRule]) -> Result<(), ControlError> {
        for (number, rule) in rules.iter().enumerate() {
            self.check_alert_rule(rule)?;
            let name = &rule.rule.name;
            if rules
                .iter()
                .take(number)
                .any(|earlier| earlier.rule.name == *name)
            {
                return Err(refuse(
                    ErrorCode::Invalid,
                    format!("two of the rules are called {name}: give one of them another name"),
                ));
            }
            let there = self.alerts.get(name);
            if there.is_some_and(|listed| listed.origin == AlertOrigin::Operator) {
                return Err(refuse(
                    ErrorCode::Exists,
                    format!(
                        "an operator has made a rule {name}: give this one another name, or delete that with \
                         'tollgate-ctl ra rule del {name}'"
                    ),
                ));
            }
        }
        let others = self.alerts.rules.len() - self.alerts.of_tools().len();
        check_room(others + rules.len())
    }

    /// These take the place of all rules that tools have made, all or none of them. A rule whose name stays keeps its number and its
    /// counters.
    pub fn replace_alert_rules(&mut self, rules: Vec<AlertRule>) -> Result<(), ControlError> {
        self.check_alert_rules(&rules)?;
        if self.alerts.of_tools().into_iter().eq(&rules) {
            return Ok(());
        }
        let differs = |rule: &&AlertRule| {
            let there = self.alerts.get(&rule.rule.name);
            there.is_none_or(|there| there.rule != **rule)
        };
        let differing = rules.iter().filter(differs);
        let added = differing.map(|rule| rule.rule.name.clone()).collect();
        let taken = self.alerts.take(|made| made.listed.origin == AlertOrigin::Tool);
        let deleted = self.alerts.put(taken, rules, AlertOrigin::Tool);
        self.tell(Event::AlertRules {
            origin: AlertOrigin::Tool,
            added,
            deleted,
        });
        Ok(())
    }

    /// Makes a rule for an operator.
    pub fn alert_rule_add(&mut self, rule: AlertRule) -> Result<(), ControlError> {
        self.check_alert_rule(&rule)?;
        let name = rule.rule.name.clone();
        if let Some(there) = self.alerts.get(&name) {
            let whose = match there.origin {
                AlertOrigin::Tool => "a tool",
                AlertOrigin::Operator => "an operator",
            };
            return Err(refuse(
                ErrorCode::Exists,
                format!(
                    "{whose} has made a rule {name}: give this one another name, or delete that with \
                     'tollgate-ctl ra rule del {name}'"
                ),
            ));
        }
        check_room(self.alerts.rules.len() + 1)?;
        self.alerts.put(Vec::new(), vec![rule], AlertOrigin::Operator);
        self.tell(Event::AlertRules {
            origin: AlertOrigin::Operator,
            added: vec![name],
            deleted: Vec::new(),
        });
        Ok(())
    }

    /// Deletes a rule, whoever made it.
    pub fn alert_rule_delete(&mut self, name: &str) -> Result<(), ControlError> {
        let Some(there) = self.alerts.get(name) else {
            let names = list(self.alerts.rules.iter().map(Made::name));
            return Err(refuse(
                ErrorCode::NotFound,
                format!("there is no rule '{name}': there are {names}"),
            ));
        };
        let origin = there.origin;
        let taken = self.alerts.take(|made| made.name() == name);
        let deleted = self.alerts.put(taken, Vec::new(), origin);
        self.tell(Event::AlertRules {
            origin,
            added: Vec::new(),
            deleted,
        });
        Ok(())
    }

    /// Whether there can be such a rule, whatever other rules there are.
    fn check_alert_rule(&self, rule: &AlertRule) -> Result<(), ControlError> {
        alerts::check(rule)?;
        let mirror = match &rule.handler {
            Handler::Mirror(interface) => Some(interface),
            _ => None,
        };
        for name in rule.rule.interface.iter().chain(mirror) {
            if self.interface_index(name).is_err() {
                let names = list(self.interfaces.iter().map(|interface| &interface.name));
                return Err(refuse(
                    ErrorCode::UnknownInterface,
                    format!(
                        "{name} is no interface: the rule {} can name one of {names}",
                        rule.rule.name
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// Fails if there would be more rules than there can be.
fn check_room(rules: usize) -> Result<(), ControlError> {
    if rules <= ALERT_RULES {
        return Ok(());
    }
    Err(refuse(
        ErrorCode::LimitReached,
        format!(
            "there would be {rules} rules for router alerts and {ALERT_RULES} have room: delete some, or make one of several"
        ),
    ))
}
