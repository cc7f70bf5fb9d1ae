//! The rules of the primary, as this relay does what they say.

use std::collections::BTreeSet;
use std::time::Duration;

use control::alerts::ListedRule;
use control::message::{CaptureInterface, FailMode};
use router_alert::handler::Handler;
use router_alert::strip::How;

use crate::class::Class;
use crate::config::{holds, too_long};
use crate::helpers::HelperKey;
use crate::report::Report;

/// What is done with the packets of each rule, by the rule's id.
#[derive(Debug, Default)]
pub struct Rules {
    by_id: Vec<Option<Entry>>,
    /// What was said to be wrong with rules.
    said: BTreeSet<String>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Where the report counts it.
    pub place: usize,
    /// What is done.
    pub action: Action,
    /// What becomes of a packet that no helper decides about.
    pub fail: FailMode,
}

/// What is done with a packet, all names resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on.
    Relay,
    /// It is printed and goes on.
    Log,
    /// It goes on without the option.
    Strip(How),
    /// It goes on with this DSCP.
    Dscp(u8),
    /// It is dropped.
    Drop,
    /// It is dropped, and its sender told.
    Prohibit,
    /// It goes on, and a copy leaves by this interface, if there is one of that name.
    Mirror(Option<u16>),
    /// It goes on so much later.
    Hold(Duration),
    /// It goes on at once, since what its rule wants takes longer than the primary waits.
    CannotHold,
    /// This helper decides, if there is one of that name.
    Ask(Option<HelperKey>),
}

/// What names in rules mean now.
pub struct Names<'a> {
    /// The interfaces of the primary.
    pub interfaces: &'a [CaptureInterface],
    /// The helper of a name.
    pub helper: &'a dyn Fn(&str) -> Option<HelperKey>,
    /// What the class is like.
    pub class: Class,
}

impl Rules {
    /// Takes these rules. Gives what is wrong with them that was not said before, a sentence each.
    pub fn set(&mut self, rules: &[ListedRule], names: &Names<'_>, report: &mut Report) -> Vec<String> {
        let mut wrong = BTreeSet::new();
        self.by_id.clear();
        for ListedRule { id, rule, .. } in rules {
            let name = &rule.rule.name;
            let (action, fault) = action(name, &rule.handler, names);
            wrong.extend(fault);
            let id = usize::from(*id);
            if id >= self.by_id.len() {
                self.by_id.resize(id + 1, None);
            }
            self.by_id[id] = Some(Entry {
                place: report.place(name),
                name: name.clone(),
                action,
                fail: rule.fail.unwrap_or(names.class.fail),
            });
        }
        let news = wrong.difference(&self.said).cloned().collect();
        self.said = wrong;
        news
    }

    /// The rule of an id; `None` where a packet has none, or its rule is gone.
    #[inline]
    pub fn of(&self, id: Option<u16>) -> Option<&Entry> {
        self.by_id.get(usize::from(id?))?.as_ref()
    }
}

fn action(rule: &str, handler: &Handler, names: &Names<'_>) -> (Action, Option<String>) {
    let action = match handler {
        Handler::Relay => Action::Relay,
        Handler::Log => Action::Log,
        Handler::Strip(how) => Action::Strip(*how),
        Handler::Dscp(dscp) => Action::Dscp(*dscp),
        Handler::Drop => Action::Drop,
        Handler::DropProhibited => Action::Prohibit,
        Handler::Mirror(name) => {
            let is_it = |interface: &&CaptureInterface| interface.name == *name;
            let interface = names.interfaces.iter().find(is_it);
            let fault = format!(
                "the rule '{rule}' mirrors to '{name}', which was no interface when this relay began: packets go on and are not copied"
            );
            return (
                Action::Mirror(interface.map(|interface| interface.index)),
                interface.is_none().then_some(fault),
            );
        }
        Handler::Hold(milliseconds) if holds(*milliseconds, names.class.deadline) => {
            Action::Hold(Duration::from_millis((*milliseconds).into()))
        }
        Handler::Hold(milliseconds) => {
            let fault = too_long(rule, *milliseconds, names.class.deadline);
            return (
                Action::CannotHold,
                Some(format!("{fault}; until then they go on at once")),
            );
        }
        Handler::Helper(name) => {
            let key = (names.helper)(name);
            let fault = format!(
                "the rule '{rule}' asks the helper '{name}', which this relay's file does not have: its packets go the way of fail"
            );
            return (Action::Ask(key), key.is_none().then_some(fault));
        }
    };
    (action, None)
}

#[cfg(test)]
mod tests {
    use control::message::{AlertOrigin, AlertRule};
    use router_alert::matching::Rule;

    use super::*;

    fn listed(id: u16, name: &str, handler: &str) -> ListedRule {
        let rule = AlertRule::new(Rule::new(name, "any".parse().unwrap()), handler.parse().unwrap());
        let origin = AlertOrigin::Operator;
        ListedRule { id, rule, origin }
    }

    fn interface(index: u16, name: &str) -> CaptureInterface {
        CaptureInterface {
            index,
            name: name.to_owned(),
            device: String::new(),
            mac: packet::MacAddress([2, 0, 0, 0, 0, 1]),
            speed_mbps: 0,
        }
    }

    #[test]
    fn rules_are_found_by_id_and_what_is_wrong_with_one_is_said_once() {
        let mut report = Report::new(["a".to_owned()]);
        let interfaces = [interface(3, "wan")];
        let helper = |name: &str| (name == "policy").then_some(HelperKey(7));
        let class = Class {
            fail: FailMode::Closed,
            deadline: Duration::from_millis(200),
        };
        let names = Names {
            interfaces: &interfaces,
            helper: &helper,
            class,
        };
        let mut rules = Rules::default();
        let mut open = listed(9, "open", "helper policy");
        open.rule.fail = Some(FailMode::Open);
        let all = [
            listed(0, "a", "mirror wan"),
            listed(4, "b", "mirror lan"),
            open,
            listed(5, "c", "hold 199"),
            listed(6, "d", "hold 200"),
            listed(7, "e", "helper other"),
        ];
        let said = rules.set(&all, &names, &mut report);
        assert_eq!(said.len(), 3, "{said:?}");
        let of = |id| rules.of(Some(id)).map(|entry| (entry.action, entry.fail));
        let closed = FailMode::Closed;
        assert_eq!(of(0), Some((Action::Mirror(Some(3)), closed)));
        assert_eq!(of(4), Some((Action::Mirror(None), closed)));
        assert_eq!(of(9), Some((Action::Ask(Some(HelperKey(7))), FailMode::Open)));
        assert_eq!(of(5), Some((Action::Hold(Duration::from_millis(199)), closed)));
        assert_eq!(of(6), Some((Action::CannotHold, closed)));
        assert_eq!(of(7), Some((Action::Ask(None), closed)));
        assert_eq!((of(1), rules.of(None)), (None, None));
        // The report has what the file names first, and others as they come.
        assert_eq!(rules.of(Some(0)).map(|entry| entry.place), Some(0));
        assert_eq!(report.rules.len(), 6);

        assert_eq!(rules.set(&all, &names, &mut report), [""; 0]);
        assert_eq!(rules.set(&all[..1], &names, &mut report), [""; 0]);
        assert!(rules.of(Some(9)).is_none());
        assert_eq!(
            report.rules.len(),
            6,
            "what a rule that is gone did is still reported"
        );
        // Wrong once more, it is said once more.
        assert_eq!(rules.set(&all[1..2], &names, &mut report).len(), 1);
    }
}
