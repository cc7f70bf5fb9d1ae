//! Rules for router alerts: what they must be like, how they lie in the table region, and how they are read from there.
//!
//! ```text
//!   AlertRule ─ check ─► primary ─ record ─► region ─ listed ─► tools, which look at one word to know whether it is still so
//! ```

use ipnet::IpNet;
use router_alert::Family;
use router_alert::matching::{Rule, is_name};
use router_alert::values::ValueSet;
use shm::TableReader;
use shm::records::{self, ALERT_RANGES, HANDLER_TEXT, NO_PREFIX, from_ip_field, from_text, ip_field, text};

use crate::instance::InstanceDir;
use crate::message::{AlertOrigin, AlertRate, AlertRule, ControlError, ErrorCode, FailMode};
use crate::tables;

/// The longest name of an interface, bytes.
const INTERFACE_NAME: usize = 16;

/// Why there can be no such rule. Each sentence says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlertRuleError {
    /// A name that is too long, or of other characters.
    #[error("'{0}' is no name of a rule: use 1 to 31 letters, digits, '_', '.' and '-'")]
    Name(String),
    /// More ranges of values than a record has room for.
    #[error(
        "the rule {name} has {ranges} ranges of values and {ALERT_RANGES} have room: make several rules of it"
    )]
    Ranges {
        /// The rule.
        name: String,
        /// How many it has.
        ranges: usize,
    },
    /// An interface that nobody can have.
    #[error("{interface:?} is no interface: the rule {name} needs one that 'tollgate-ctl link' lists")]
    Interface {
        /// The rule.
        name: String,
        /// Its interface.
        interface: String,
    },
    /// A prefix with bits behind its length.
    #[error("{prefix} has bits behind its length: write {} in the rule {name}", .prefix.trunc())]
    HostBits {
        /// The rule.
        name: String,
        /// The prefix.
        prefix: IpNet,
    },
    /// A prefix of IPv4 addresses in the form of IPv6.
    #[error("{prefix} is of addresses that no packet has: write it as IPv4 in the rule {name}")]
    Mapped {
        /// The rule.
        name: String,
        /// The prefix.
        prefix: IpNet,
    },
    /// A prefix that packets of the rule's family cannot have.
    #[error("the rule {name} is for {family} and {prefix} is not: leave one of them out")]
    Family {
        /// The rule.
        name: String,
        /// Its family, or that of its other prefix.
        family: Family,
        /// The prefix.
        prefix: IpNet,
    },
    /// A policer that lets nothing through.
    #[error("the rule {0} lets no packet through: give its rate and burst 1 or more, or leave them out")]
    Rate(String),
    /// What is done is longer than a record has room for.
    #[error("'{handler}' has {} bytes and {HANDLER_TEXT} have room: give the rule {name} a shorter one", .handler.len())]
    Handler {
        /// The rule.
        name: String,
        /// Its handler.
        handler: String,
    },
}

impl From<AlertRuleError> for ControlError {
    fn from(error: AlertRuleError) -> Self {
        Self::new(ErrorCode::Invalid, error.to_string())
    }
}

/// Whether there can be such a rule, whatever others there are.
///
/// # Errors
///
/// The first thing that is wrong with it.
pub fn check(rule: &AlertRule) -> Result<(), AlertRuleError> {
    let AlertRule {
        rule, rate, handler, ..
    } = rule;
    let name = || rule.name.clone();
    if !is_name(&rule.name) {
        return Err(AlertRuleError::Name(name()));
    }
    let ranges = rule.values.ranges().count();
    if ranges > ALERT_RANGES {
        return Err(AlertRuleError::Ranges { name: name(), ranges });
    }
    let is_interface = |text: &&String| {
        let plain = |character: char| !character.is_whitespace() && !character.is_control();
        (1..=INTERFACE_NAME).contains(&text.len()) && text.chars().all(plain)
    };
    if let Some(interface) = rule.interface.as_ref().filter(|text| !is_interface(text)) {
        return Err(AlertRuleError::Interface {
            name: name(),
            interface: interface.clone(),
        });
    }
    let mut family = rule.family;
    for prefix in [rule.source, rule.destination].into_iter().flatten() {
        if prefix.trunc() != prefix {
            return Err(AlertRuleError::HostBits { name: name(), prefix });
        }
        if is_mapped(&prefix) {
            return Err(AlertRuleError::Mapped { name: name(), prefix });
        }
        let of_prefix = if prefix.addr().is_ipv4() {
            Family::Four
        } else {
            Family::Six
        };
        match family {
            Some(family) if family != of_prefix => {
                return Err(AlertRuleError::Family {
                    name: name(),
                    family,
                    prefix,
                });
            }
            _ => family = Some(of_prefix),
        }
    }
    if rate.is_some_and(|rate| rate.rate == 0 || rate.burst == 0) {
        return Err(AlertRuleError::Rate(name()));
    }
    let handler = handler.to_string();
    if handler.len() > HANDLER_TEXT {
        return Err(AlertRuleError::Handler {
            name: name(),
            handler,
        });
    }
    Ok(())
}

fn is_mapped(prefix: &IpNet) -> bool {
    matches!(prefix, IpNet::V6(net) if net.addr().to_ipv4_mapped().is_some())
}

/// A rule in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRule {
    /// Its number: packets and counters have it.
    pub id: u16,
    /// The rule.
    pub rule: AlertRule,
    /// Who made it.
    pub origin: AlertOrigin,
}

/// A rule as it lies in the region. Of those of one priority the one with the lower `order` is asked first. What [`check`]
/// refuses is cut.
pub fn record(rule: &AlertRule, origin: AlertOrigin, order: u32) -> records::AlertRule {
    let AlertRule {
        rule,
        fail,
        see_expired,
        rate,
        handler,
    } = rule;
    let mut ranges = [[0; 2]; ALERT_RANGES];
    let mut range_count = 0;
    for (place, range) in ranges.iter_mut().zip(rule.values.ranges()) {
        *place = [*range.start(), *range.end()];
        range_count += 1;
    }
    let (source, source_length) = prefix_fields(rule.source);
    let (destination, destination_length) = prefix_fields(rule.destination);
    records::AlertRule {
        name: text(&rule.name),
        handler: text(&handler.to_string()),
        interface: text(rule.interface.as_deref().unwrap_or_default()),
        source,
        destination,
        ranges,
        priority: rule.priority,
        order,
        rate: rate.map_or(0, |rate| rate.rate),
        burst: rate.map_or(0, |rate| rate.burst),
        source_length,
        destination_length,
        family: match rule.family {
            None => 0,
            Some(Family::Four) => 4,
            Some(Family::Six) => 6,
        },
        has_protocol: u8::from(rule.protocol.is_some()),
        protocol: rule.protocol.unwrap_or(0),
        fail: match fail {
            None => 0,
            Some(FailMode::Open) => 1,
            Some(FailMode::Closed) => 2,
        },
        see_expired: u8::from(*see_expired),
        origin: match origin {
            AlertOrigin::Tool => 1,
            AlertOrigin::Operator => 2,
        },
        range_count,
        reserved: [0; 7],
    }
}

fn prefix_fields(prefix: Option<IpNet>) -> ([u8; 16], u8) {
    prefix.map_or(([0; 16], NO_PREFIX), |prefix| {
        (ip_field(prefix.addr()), prefix.prefix_len())
    })
}

/// The rules in the region, in the order in which they are asked. What is no rule is passed over, whatever wrote it.
pub fn listed(reader: &TableReader) -> Vec<ListedRule> {
    let mut records = reader.alert_rules();
    records.sort_unstable_by_key(|(_, record)| (std::cmp::Reverse(record.priority), record.order));
    records
        .iter()
        .filter_map(|(id, record)| parse(u16::try_from(*id).ok()?, record))
        .collect()
}

fn parse(id: u16, record: &records::AlertRule) -> Option<ListedRule> {
    let mut values = ValueSet::default();
    for [first, last] in record.ranges.get(..record.range_count.into())? {
        values.insert(*first..=*last);
    }
    let rule = AlertRule {
        rule: Rule {
            name: from_text(&record.name),
            priority: record.priority,
            family: match record.family {
                0 => None,
                4 => Some(Family::Four),
                6 => Some(Family::Six),
                _ => return None,
            },
            values,
            protocol: (record.has_protocol != 0).then_some(record.protocol),
            interface: Some(from_text(&record.interface)).filter(|name| !name.is_empty()),
            source: prefix(record.source, record.source_length)?,
            destination: prefix(record.destination, record.destination_length)?,
        },
        fail: match record.fail {
            0 => None,
            1 => Some(FailMode::Open),
            2 => Some(FailMode::Closed),
            _ => return None,
        },
        see_expired: record.see_expired != 0,
        rate: (record.rate != 0).then_some(AlertRate {
            rate: record.rate,
            burst: record.burst,
        }),
        handler: from_text(&record.handler).parse().ok()?,
    };
    let origin = match record.origin {
        1 => AlertOrigin::Tool,
        2 => AlertOrigin::Operator,
        _ => return None,
    };
    check(&rule).ok()?;
    Some(ListedRule { id, rule, origin })
}

/// What is in the fields of a prefix: `None` if that cannot be.
fn prefix(field: [u8; 16], length: u8) -> Option<Option<IpNet>> {
    if length == NO_PREFIX {
        return Some(None);
    }
    IpNet::new(from_ip_field(field), length).ok().map(Some)
}

/// The rules of an instance for a tool that looks at them again and again.
pub struct RuleTable {
    reader: TableReader,
    generation: u64,
    rules: Vec<ListedRule>,
}

impl RuleTable {
    /// Opens the tables of a living instance and reads its rules.
    ///
    /// # Errors
    ///
    /// It is dead, starting or ending, of another build, or may not be looked at.
    pub fn open(directory: &InstanceDir) -> Result<Self, ControlError> {
        Ok(Self::new(tables::open(directory)?))
    }

    fn new(reader: TableReader) -> Self {
        // Before the rules: a change in between is read again.
        let generation = reader.alert_generation();
        let rules = listed(&reader);
        Self {
            reader,
            generation,
            rules,
        }
    }

    /// Reads the rules again if they have changed, and says whether they have. Where not, it costs a look at one word.
    pub fn refresh(&mut self) -> bool {
        let generation = self.reader.alert_generation();
        let changed = generation != self.generation;
        if changed {
            self.generation = generation;
            self.rules = listed(&self.reader);
        }
        changed
    }

    /// The rules as they were when they were read, in the order in which they are asked.
    pub fn rules(&self) -> &[ListedRule] {
        &self.rules
    }

    /// The tables that they are read from.
    pub fn reader(&self) -> &TableReader {
        &self.reader
    }
}

#[cfg(test)]
mod tests;
