//! Rules for router alerts in words.
//!
//! ```text
//!   NAME values V [family ipv4|ipv6] [proto PROTO] [dev IFACE] [from PREFIX] [to PREFIX] [prio N]
//!        [fail open|closed] [see-expired] [rate PPS [burst N]] handler HANDLER …
//! ```

use std::collections::HashSet;
use std::net::IpAddr;

use control::message::{AlertRate, AlertRule, FailMode};
use ipnet::IpNet;
use router_alert::Family;
use router_alert::handler::{Handler, HandlerError};
use router_alert::matching::Rule;
use router_alert::values::{ValueSet, ValueSetError};

use crate::words::{Words, parse, protocol};

/// How a rule is written, for messages.
pub(super) const FORM: &str = "NAME values V [family ipv4|ipv6] [proto PROTO] [dev IFACE] [from PREFIX] [to PREFIX] [prio N] \
                               [fail open|closed] [see-expired] [rate PPS [burst N]] handler HANDLER";

/// Reads a rule.
pub(super) fn rule(words: &[String]) -> Result<AlertRule, String> {
    let mut words = Words::new(words);
    let name = words.next("the name of the rule")?;
    let mut rule = AlertRule::new(Rule::new(name, ValueSet::default()), Handler::Relay);
    let (mut rate, mut burst) = (None, None);
    let mut seen = HashSet::new();
    while let Some(word) = words.next_if_any() {
        if !seen.insert(word) {
            return Err(format!("'{word}' stands there twice"));
        }
        let matched = &mut rule.rule;
        match word {
            "values" => {
                let values = words.next("what 'values' are meant")?;
                matched.values = values.parse().map_err(|error: ValueSetError| error.to_string())?;
            }
            "family" => matched.family = Some(family(words.next("the family")?)?),
            "proto" => matched.protocol = Some(protocol(words.next("the protocol")?)?),
            "dev" => matched.interface = Some(words.next("the interface")?.to_owned()),
            "from" => matched.source = Some(prefix(words.next("the source")?)?),
            "to" => matched.destination = Some(prefix(words.next("the destination")?)?),
            "prio" => {
                matched.priority = parse(words.next("the priority")?, "a priority from 0 to 4294967295")?;
            }
            "fail" => rule.fail = Some(fail(words.next("the fail mode")?)?),
            "see-expired" => rule.see_expired = true,
            "rate" => rate = Some(parse(words.next("the rate")?, "a number of packets per second")?),
            "burst" => burst = Some(parse(words.next("the burst")?, "a number of packets")?),
            "handler" => {
                let rest: Vec<_> = std::iter::from_fn(|| words.next_if_any()).collect();
                let handler = rest.join(" ").parse();
                rule.handler = handler.map_err(|error: HandlerError| error.to_string())?;
            }
            other => {
                return Err(format!(
                    "'{other}' stands where 'values', 'handler' or another keyword is expected"
                ));
            }
        }
    }
    for needed in ["values", "handler"] {
        if !seen.contains(needed) {
            return Err(format!("'{needed}' is missing"));
        }
    }
    rule.rate = match (rate, burst) {
        (Some(rate), burst) => Some(AlertRate {
            rate,
            burst: burst.unwrap_or(default_burst(rate)),
        }),
        (None, Some(_)) => return Err("'burst' goes with 'rate'".to_owned()),
        (None, None) => None,
    };
    control::alerts::check(&rule).map_err(|error| error.to_string())?;
    Ok(rule)
}

/// The burst of a rule that says none: what comes in a quarter of a second.
fn default_burst(rate: u32) -> u32 {
    (rate / 4).max(1)
}

fn family(word: &str) -> Result<Family, String> {
    [Family::Four, Family::Six]
        .into_iter()
        .find(|family| family.to_string() == word)
        .ok_or_else(|| format!("'{word}' is no family: use ipv4 or ipv6, or leave it out for both"))
}

fn fail(word: &str) -> Result<FailMode, String> {
    [FailMode::Open, FailMode::Closed]
        .into_iter()
        .find(|mode| mode.name() == word)
        .ok_or_else(|| format!("'{word}' is no fail mode: use open or closed"))
}

/// A prefix, or one address.
fn prefix(word: &str) -> Result<IpNet, String> {
    let address = word.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| parse(word, "a prefix such as 10.0.0.0/8 or 2001:db8::/32"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use router_alert::strip::How;

    fn read(words: &str) -> Result<AlertRule, String> {
        let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        rule(&words)
    }

    #[test]
    fn req_ra_15_a_rule_has_what_the_words_say() {
        let all = read(
            "rsvp values 1,4-35 family ipv6 proto rsvp dev lan from 2001:db8::/32 to 2001:db8:1::1 prio 10 fail closed \
             see-expired rate 100 burst 20 handler strip pad",
        )
        .unwrap();
        let expected = AlertRule {
            rule: Rule {
                name: "rsvp".into(),
                priority: 10,
                family: Some(Family::Six),
                values: "1,4-35".parse().unwrap(),
                protocol: Some(46),
                interface: Some("lan".into()),
                source: Some("2001:db8::/32".parse().unwrap()),
                destination: Some("2001:db8:1::1/128".parse().unwrap()),
            },
            fail: Some(FailMode::Closed),
            see_expired: true,
            rate: Some(AlertRate { rate: 100, burst: 20 }),
            handler: Handler::Strip(How::Pad),
        };
        assert_eq!(all, expected);
        let least = read("rest handler log").unwrap_err();
        assert_eq!(least, "'values' is missing");
        let least = read("rest values any handler log").unwrap();
        let expected = AlertRule::new(Rule::new("rest", ValueSet::any()), Handler::Log);
        assert_eq!(least, expected);
        let policed = read("rest values any rate 2 handler log").unwrap();
        assert_eq!(policed.rate, Some(AlertRate { rate: 2, burst: 1 }));
        assert_eq!(
            read("a values 0 proto 253 handler log").unwrap().rule.protocol,
            Some(253)
        );
    }

    #[test]
    fn req_ra_15_what_is_no_rule_is_refused_with_what_is_wrong() {
        for (words, said) in [
            ("", "the name of the rule is missing"),
            ("a", "'values' is missing"),
            ("a values", "what 'values' are meant is missing"),
            ("a values 1", "'handler' is missing"),
            ("a values 9-4 handler log", "write 4-9"),
            ("a values 1 values 2 handler log", "'values' stands there twice"),
            ("a values 1 handler", "'' is no handler: use relay, log"),
            (
                "a values 1 handler log prio 3",
                "is one word too many behind 'log'",
            ),
            ("a values 1 famly ipv4 handler log", "'famly' stands where"),
            (
                "a values 1 family v4 handler log",
                "'v4' is no family: use ipv4 or ipv6",
            ),
            ("a values 1 proto rvsp handler log", "'rvsp' is no protocol"),
            ("a values 1 proto 256 handler log", "'256' is no protocol"),
            (
                "a values 1 from 10/8 handler log",
                "'10/8' is not a prefix such as",
            ),
            ("a values 1 from 10.0.0.1/8 handler log", "write 10.0.0.0/8"),
            ("a values 1 fail shut handler log", "use open or closed"),
            ("a values 1 burst 3 handler log", "'burst' goes with 'rate'"),
            ("a values 1 rate 0 handler log", "lets no packet through"),
            ("a values 1 prio -1 handler log", "'-1' is not a priority"),
            ("a/b values 1 handler log", "'a/b' is no name of a rule"),
        ] {
            let refused = read(words).unwrap_err();
            assert!(refused.contains(said), "{words:?}: {refused}");
        }
    }
}
