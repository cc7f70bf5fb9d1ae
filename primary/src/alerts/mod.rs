//! The rules for router alerts as workers have them.
//!
//! ```text
//!   tables/alerts.rs ─ list ─► Told::next ─ Arc<RuleSet> ─► LinkControl ─► each worker: Punts, Consumers
//!                                └─ keeps each set until no worker has it, so that none frees memory
//! ```
//!
//! A set is compiled by the control thread and never changed. When rules or interfaces or what becomes of the class change,
//! workers get another one.

mod told;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use control::message::{AlertRate, AlertRule, FailMode};
use router_alert::Family;
use router_alert::alert::Alert;
use router_alert::matching::{Key, Rules};

pub use self::told::Told;

/// What holds for the packets of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The rule's number: its slot in the region, and its counters.
    pub id: u16,
    /// What becomes of its packets while no tool takes them.
    pub fail: FailMode,
    /// Whether observers get copies of those whose hops have run out.
    pub see_expired: bool,
    /// How many of them a tool may be asked about, if that is limited.
    pub rate: Option<AlertRate>,
}

/// Rules, compiled.
#[derive(Debug)]
pub struct RuleSet {
    rules: Rules,
    /// By number among the rules as they were given.
    terms: Vec<Terms>,
    /// By id: the place of its terms.
    places: Vec<Option<usize>>,
    /// Rules whose counters may still be those of others before them.
    fresh: Vec<u16>,
}

impl RuleSet {
    /// Compiles rules, in the order in which those of one priority are asked. A rule that does not say what becomes of its packets
    /// without a tool has that of the class. `index_of` knows interfaces by their names; `fresh` are the rules whose counters
    /// begin now.
    pub fn new<'r>(
        rules: impl IntoIterator<Item = (u16, &'r AlertRule)>,
        class: FailMode,
        index_of: impl Fn(&str) -> Option<u16>,
        fresh: Vec<u16>,
    ) -> Self {
        let (terms, rules): (Vec<_>, Vec<_>) = rules
            .into_iter()
            .map(|(id, rule)| {
                let terms = Terms {
                    id,
                    fail: rule.fail.unwrap_or(class),
                    see_expired: rule.see_expired,
                    rate: rule.rate,
                };
                (terms, rule.rule.clone())
            })
            .unzip();
        let mut places = Vec::new();
        for (place, Terms { id, .. }) in terms.iter().enumerate() {
            let id = usize::from(*id);
            places.resize(places.len().max(id + 1), None);
            places[id] = Some(place);
        }
        Self {
            rules: Rules::new(rules, index_of),
            terms,
            places,
            fresh,
        }
    }

    /// The rule that a packet with a router alert belongs to, which came in by `ingress`. `packet` begins with the IP header, which
    /// was checked.
    pub fn find(&self, alert: &Alert, ingress: u16, packet: &[u8]) -> Option<&Terms> {
        let (source, destination) = addresses(alert.family, packet)?;
        let key = Key {
            family: alert.family,
            value: alert.value,
            protocol: alert.protocol,
            interface: ingress,
            source,
            destination,
        };
        self.terms.get(self.rules.find(&key)?)
    }

    /// A rule by its id.
    pub fn rule(&self, id: u16) -> Option<&Terms> {
        self.terms.get((*self.places.get(usize::from(id))?)?)
    }

    /// All rules, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &Terms> {
        self.terms.iter()
    }

    /// Ids of the rules whose counters begin with this set.
    pub fn fresh(&self) -> &[u16] {
        &self.fresh
    }
}

fn addresses(family: Family, packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    Some(match family {
        Family::Four => {
            let [source, destination] = *packet.get(12..20)?.as_chunks::<4>().0.first_chunk()?;
            (Ipv4Addr::from(source).into(), Ipv4Addr::from(destination).into())
        }
        Family::Six => {
            let [source, destination] = *packet.get(8..40)?.as_chunks::<16>().0.first_chunk()?;
            (Ipv6Addr::from(source).into(), Ipv6Addr::from(destination).into())
        }
    })
}

#[cfg(test)]
pub(crate) mod tests;
