//! Routes in words, as `ip route` takes and prints them.
//!
//! ```text
//!   [TYPE] PREFIX [via ADDR] [dev IFACE] [metric N] [mtu N] [src ADDR] [proto NAME]
//!                 nexthop via ADDR [dev IFACE] [weight N] nexthop …
//! ```

use std::net::IpAddr;
use std::str::FromStr;

use control::message::{MAX_WEIGHT, Route, RouteTarget, WeightedNextHop};
use shm::records::RouteProtocol;

use crate::prefix::{Family, Prefix};

/// How a route is written, for messages.
pub(crate) const FORM: &str = "[blackhole|unreachable|prohibit] PREFIX [via ADDR] [dev IFACE] | nexthop via ADDR [dev IFACE] \
                               [weight N] ... [metric N] [mtu N] [src ADDR] [proto NAME]";

/// What `ip route` prints with a value that says nothing here.
const IGNORED_PAIRS: [&str; 16] = [
    "scope", "pref", "error", "realm", "realms", "advmss", "hoplimit", "expires", "window", "rtt",
    "initcwnd", "initrwnd", "rto_min", "congctl", "nhid", "ssthresh",
];
/// The same without a value.
const IGNORED_FLAGS: [&str; 10] = [
    "onlink",
    "linkdown",
    "dead",
    "pervasive",
    "offload",
    "offload_failed",
    "trap",
    "rt_offload",
    "rt_trap",
    "unresolved",
];
/// Routes of these types come and go with addresses, or are of no packet that is forwarded.
const IGNORED_TYPES: [&str; 6] = ["local", "broadcast", "multicast", "anycast", "throw", "nat"];

/// Where words come from.
pub(crate) struct Reader<'a> {
    /// The family of `default` where nothing else says it.
    pub(crate) family: Option<Family>,
    /// Whether `ip route` may have printed them: what says nothing here is passed over.
    pub(crate) printed: bool,
    /// The name here of an interface, if there is one.
    pub(crate) interface: &'a dyn Fn(&str) -> Option<String>,
}

/// What is wrong, and with which word; the number of words where one is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) word: usize,
    pub(crate) message: String,
}

/// What words amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Route(Route),
    /// A route that the gateway has by itself, or that is not for packets that it forwards.
    Ignored,
}

/// A route as far as it was read.
#[derive(Default)]
struct Draft {
    nowhere: Option<RouteTarget>,
    via: Option<IpAddr>,
    interface: Option<String>,
    next_hops: Vec<(Option<IpAddr>, Option<String>, u16)>,
    ignored: bool,
}

struct Cursor<'a> {
    words: &'a [&'a str],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    /// The next word, which is `what` in the message when there is none.
    fn next(&mut self, what: &str) -> Result<&'a str, Fault> {
        let word = self.peek().ok_or_else(|| Fault {
            word: self.at,
            message: format!("{what} is missing"),
        })?;
        self.at += 1;
        Ok(word)
    }

    /// What is wrong with the word that was read last.
    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault {
            word: self.at.saturating_sub(1),
            message: message.into(),
        }
    }

    fn value<T: FromStr>(&mut self, what: &str, expected: &str) -> Result<T, Fault> {
        let word = self.next(what)?;
        word.parse()
            .map_err(|_| self.fault(format!("'{word}' is not {expected}")))
    }
}

impl Reader<'_> {
    /// The route that the words are.
    pub(crate) fn read(&self, words: &[&str]) -> Result<Meaning, Fault> {
        let mut cursor = Cursor { words, at: 0 };
        let mut draft = Draft::default();
        self.read_type(&mut cursor, &mut draft);
        let word = cursor.next("the prefix")?;
        let prefix: Prefix = word.parse().map_err(|error: String| cursor.fault(error))?;
        let prefix_at = cursor.at - 1;
        let mut route = Route::new(ipnet::Ipv4Net::default().into(), RouteTarget::Blackhole);
        while let Some(word) = cursor.peek() {
            cursor.at += 1;
            self.read_keyword(word, &mut cursor, &mut draft, &mut route)?;
        }
        if draft.ignored {
            return Ok(Meaning::Ignored);
        }
        let first = draft
            .via
            .or(draft.next_hops.first().and_then(|next_hop| next_hop.0));
        let family = first.or(route.source).map(Family::of).or(self.family);
        route.prefix = prefix.within(family).map_err(|prefix| Fault {
            word: prefix_at,
            message: match family {
                Some(family) if first.is_some() => {
                    let wanted = Family::of(prefix.addr()).name();
                    format!(
                        "the next hop of {prefix} is not an {wanted} address but one of {}",
                        family.name()
                    )
                }
                _ => format!("{prefix} is of the other address family"),
            },
        })?;
        if self.printed && first.is_none() && is_of_link(&route) {
            return Ok(Meaning::Ignored);
        }
        route.target = draft.into_target(&cursor)?;
        Ok(Meaning::Route(route))
    }

    fn read_type(&self, cursor: &mut Cursor<'_>, draft: &mut Draft) {
        let Some(word) = cursor.peek() else {
            return;
        };
        if let Some(nowhere) = nowhere(word) {
            draft.nowhere = Some(nowhere);
        } else if self.printed && IGNORED_TYPES.contains(&word) {
            draft.ignored = true;
        } else if word != "unicast" {
            return;
        }
        cursor.at += 1;
    }

    fn read_keyword(
        &self,
        word: &str,
        cursor: &mut Cursor<'_>,
        draft: &mut Draft,
        route: &mut Route,
    ) -> Result<(), Fault> {
        match word {
            "via" => {
                if matches!(cursor.peek(), Some("inet" | "inet6")) {
                    cursor.at += 1;
                }
                let address = cursor.value("the next hop", "an IP address")?;
                let place = draft
                    .next_hops
                    .last_mut()
                    .map_or(&mut draft.via, |next_hop| &mut next_hop.0);
                if place.replace(address).is_some() {
                    return Err(cursor.fault(format!(
                        "{address} is a second next hop: write 'nexthop via ADDR' for each of several"
                    )));
                }
            }
            "dev" | "interface" => {
                let name = cursor.next("the interface after 'dev'")?;
                let known = (self.interface)(name);
                if known.is_none() && !draft.ignored && draft.nowhere.is_none() {
                    return Err(cursor.fault(format!("there is no interface '{name}'")));
                }
                let place = draft
                    .next_hops
                    .last_mut()
                    .map_or(&mut draft.interface, |next_hop| &mut next_hop.1);
                *place = known;
            }
            "nexthop" => draft.next_hops.push((None, None, 1)),
            "weight" => {
                let weight = cursor.value("the weight", "a weight from 1 to 256")?;
                let Some(next_hop) = draft.next_hops.last_mut() else {
                    return Err(cursor.fault("a weight stands behind no 'nexthop'"));
                };
                if !(1..=MAX_WEIGHT).contains(&weight) {
                    return Err(cursor.fault(format!("'{weight}' is not a weight from 1 to {MAX_WEIGHT}")));
                }
                next_hop.2 = weight;
            }
            "metric" | "preference" | "priority" => {
                route.metric = Some(cursor.value("the metric", "a metric from 0 to 4294967295")?);
            }
            "mtu" => {
                if cursor.peek() == Some("lock") {
                    cursor.at += 1;
                }
                route.mtu = Some(cursor.value("the MTU", "a number of bytes up to 65535")?);
            }
            "src" => route.source = Some(cursor.value("the source", "an IP address")?),
            "proto" | "protocol" => {
                let name = cursor.next("the protocol")?;
                let protocol: RouteProtocol =
                    name.parse().map_err(|error| cursor.fault(format!("{error}")))?;
                // The gateway has those of its own addresses.
                draft.ignored |= self.printed && protocol == RouteProtocol::KERNEL;
                route.protocol = Some(protocol.0);
            }
            _ if nowhere(word).is_some() => draft.nowhere = nowhere(word),
            "table" if self.printed => draft.ignored |= !matches!(cursor.next("the table")?, "main" | "254"),
            _ if self.printed && IGNORED_PAIRS.contains(&word) => {
                cursor.next(&format!("the value after '{word}'"))?;
            }
            _ if self.printed && IGNORED_FLAGS.contains(&word) => {}
            _ => {
                return Err(cursor.fault(format!(
                    "'{word}' stands where 'via', 'dev', 'nexthop' or another keyword is expected"
                )));
            }
        }
        Ok(())
    }
}

impl Draft {
    fn into_target(self, cursor: &Cursor<'_>) -> Result<RouteTarget, Fault> {
        let fault = |message: String| Fault {
            word: cursor.at,
            message,
        };
        let leads = usize::from(self.nowhere.is_some())
            + usize::from(self.via.is_some())
            + usize::from(!self.next_hops.is_empty());
        if leads > 1 {
            return Err(fault(
                "the route leads to more than one thing: name one".to_owned(),
            ));
        }
        if let Some(nowhere) = self.nowhere {
            return Ok(nowhere);
        }
        if let Some(next_hop) = self.via {
            check_link(next_hop, self.interface.as_ref()).map_err(fault)?;
            return Ok(RouteTarget::Via {
                next_hop,
                interface: self.interface,
            });
        }
        if !self.next_hops.is_empty() {
            let mut next_hops = Vec::with_capacity(self.next_hops.len());
            for (next_hop, interface, weight) in self.next_hops {
                let Some(next_hop) = next_hop else {
                    return Err(fault("a 'nexthop' has no 'via', and each needs one".to_owned()));
                };
                check_link(next_hop, interface.as_ref()).map_err(fault)?;
                next_hops.push(WeightedNextHop {
                    next_hop,
                    interface,
                    weight,
                });
            }
            return Ok(RouteTarget::Multipath(next_hops));
        }
        match self.interface {
            Some(interface) => Ok(RouteTarget::Interface(interface)),
            None => Err(fault("where the route leads is missing".to_owned())),
        }
    }
}

/// Whether it is a route of each link by itself, if it has no next hop: to link-local or multicast addresses.
fn is_of_link(route: &Route) -> bool {
    match route.prefix {
        ipnet::IpNet::V4(net) => net.addr().is_multicast(),
        ipnet::IpNet::V6(net) => {
            net.addr().is_multicast() || net.prefix_len() >= 10 && net.addr().is_unicast_link_local()
        }
    }
}

fn nowhere(word: &str) -> Option<RouteTarget> {
    match word {
        "blackhole" => Some(RouteTarget::Blackhole),
        "unreachable" => Some(RouteTarget::Unreachable),
        "prohibit" => Some(RouteTarget::Prohibit),
        _ => None,
    }
}

/// Fails when a next hop could be on any link and none is named: RFC 4291 section 2.5.6.
fn check_link(next_hop: IpAddr, interface: Option<&String>) -> Result<(), String> {
    let anywhere = matches!(next_hop, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if anywhere && interface.is_none() {
        return Err(format!(
            "the next hop {next_hop} is link-local, which every link may have, so 'dev IFACE' must say which is meant"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
