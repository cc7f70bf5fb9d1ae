//! Rules for router alerts: tools that come with some or change theirs, and how workers learn of them.

use std::time::Duration;

use control::message::{AlertRule, Answer, ControlError, ErrorCode, PuntClass, PuntRequest, Reply};
use control::server::{Peer, Response};

use super::Control;
use super::workers::settle;
use crate::start::{AdjacencyStorage, FibStorage};
use crate::tables::Tables;
use crate::worker::LinkControl;

impl Control<'_> {
    /// Attaches a tool that decides about packets or watches them, with its rules, or does neither.
    pub(super) fn start_punt(
        &mut self,
        peer: &Peer,
        request: PuntRequest,
        now: Duration,
    ) -> Result<Response, ControlError> {
        let rules = request.rules.clone();
        if let Some(rules) = &rules {
            if request.observe || !request.classes.contains(&PuntClass::RouterAlert) {
                return Err(ControlError::new(
                    ErrorCode::Invalid,
                    "rules for router alerts are made by the tool that decides about them: leave them out",
                ));
            }
            self.tables.check_alert_rules(rules)?;
        }
        let response = self.attachments.start_punt(peer, request, now)?;
        if let Some(rules) = rules {
            self.alert_rule_change(|tables| tables.replace_alert_rules(rules))?;
        }
        Ok(response)
    }

    /// Tells workers of the rules for router alerts if these have changed, or what they are compiled with. If a worker is too far
    /// behind, this is for the next time.
    pub(super) fn tell_alert_rules(&mut self) {
        if let Some(fresh) = self.tables.take_alert_news() {
            self.alert_rules.change(fresh);
        }
        if !self.alert_rules.is_due() || !self.links.iter_mut().all(LinkControl::has_room) {
            return;
        }
        let tables = &self.tables;
        let rules = self.alert_rules.next(
            tables.alert_rules().map(|listed| (listed.id, &listed.rule)),
            self.attachments.fail_mode(PuntClass::RouterAlert),
            |name| tables.interface_index(name).ok(),
        );
        for worker in &mut self.links {
            worker.tell_rules(rules.clone());
        }
    }

    /// Gives the tool that decides about router alerts other rules.
    pub(super) fn set_alert_rules(&mut self, peer: &Peer, rules: Vec<AlertRule>) -> Answer {
        if !self.attachments.decides(peer.connection, PuntClass::RouterAlert) {
            return Err(ControlError::new(
                ErrorCode::Invalid,
                "this tool does not decide about router alerts: attach for them before their rules are set",
            ));
        }
        self.alert_rule_change(|tables| tables.replace_alert_rules(rules))
    }

    /// Changes rules for router alerts, and waits until workers go by it: who is answered may count on it.
    pub(super) fn alert_rule_change(
        &mut self,
        change: impl FnOnce(&mut Tables<FibStorage, AdjacencyStorage>) -> Result<(), ControlError>,
    ) -> Answer {
        change(&mut self.tables)?;
        settle(|| {
            self.tell_alert_rules();
            let under_way: usize = self.links.iter_mut().map(LinkControl::collect).sum();
            !self.alert_rules.is_due() && under_way == 0
        });
        Ok(Reply::Done)
    }
}
