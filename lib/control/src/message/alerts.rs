//! What is said about rules for router alerts.

use router_alert::handler::Handler;
use router_alert::matching::Rule;
use serde::{Deserialize, Serialize};

use super::FailMode;

pub use shm::records::ALERT_RULES;

/// A rule for packets with a router alert: which, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRule {
    /// Which packets, and its name.
    pub rule: Rule,
    /// What becomes of them while no tool takes them; `None`: what becomes of their class.
    pub fail: Option<FailMode>,
    /// Whether observers get copies of those whose hops have run out. No tool is asked about these, and their senders are told.
    pub see_expired: bool,
    /// How many of them a tool is asked about; `None`: only the policers of all router alerts count.
    pub rate: Option<AlertRate>,
    /// What the tool does with them.
    pub handler: Handler,
}

impl AlertRule {
    /// A rule whose packets fare as its class does without a tool, without a policer of its own.
    pub fn new(rule: Rule, handler: Handler) -> Self {
        Self {
            rule,
            fail: None,
            see_expired: false,
            rate: None,
            handler,
        }
    }
}

/// A policer of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRate {
    /// Packets per second, at least 1.
    pub rate: u32,
    /// Packets at once, at least 1.
    pub burst: u32,
}

/// Who made a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertOrigin {
    /// The tool that decides about router alerts. Its next rules take the place of all of these.
    Tool,
    /// An operator. It stays until it is deleted.
    Operator,
}

impl AlertOrigin {
    /// The name as tables and JSON have it.
    pub fn name(self) -> &'static str {
        ["tool", "operator"][self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Envelope, PuntClass, PuntRequest, Request};

    #[test]
    fn as_many_rules_as_there_can_be_fit_into_a_frame() {
        let values = (0..shm::records::ALERT_RANGES)
            .map(|range| format!("{}-{}", 60_000 + 9 * range, 60_001 + 9 * range));
        let rule = AlertRule {
            rule: Rule {
                name: "x".repeat(router_alert::matching::NAME_MAX),
                priority: u32::MAX,
                family: Some(router_alert::Family::Six),
                values: values.collect::<Vec<_>>().join(",").parse().unwrap(),
                protocol: Some(u8::MAX),
                interface: Some("a-name-of-sixtee".to_owned()),
                source: Some("2001:db8::/128".parse().unwrap()),
                destination: Some("2001:db8::/128".parse().unwrap()),
            },
            fail: Some(FailMode::Closed),
            see_expired: true,
            rate: Some(AlertRate {
                rate: u32::MAX,
                burst: u32::MAX,
            }),
            handler: Handler::Mirror("x".repeat(shm::records::HANDLER_TEXT)),
        };
        let request = Request::PuntStart(PuntRequest {
            classes: PuntClass::ALL.to_vec(),
            observe: false,
            rules: Some(vec![rule; ALERT_RULES]),
        });
        let frame = postcard::to_stdvec(&Envelope {
            id: u32::MAX,
            body: request.clone(),
        })
        .unwrap();
        assert!(frame.len() <= crate::client::MAX_FRAME, "{}", frame.len());
        let read: Envelope<Request> = postcard::from_bytes(&frame).unwrap();
        assert_eq!(read.body, request);
    }
}
