//! Selectors in words, and in the table.
//!
//! ```text
//!   sel [src RANGE] [dst RANGE] [proto PROTO] [sport N[-M]|opaque] [dport N[-M]|opaque] [type T[/CODE]]
//! ```

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use control::message::Selector;
use ipnet::IpNet;
use packet::Protocol;
use serde::Serialize;

use crate::words::{Words, parse, protocol};

/// A selector as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    source: Option<(IpAddr, IpAddr)>,
    destination: Option<(IpAddr, IpAddr)>,
    protocol: Option<u8>,
    source_ports: Option<(u16, u16)>,
    destination_ports: Option<(u16, u16)>,
    types: Option<(u16, u16)>,
}

impl Draft {
    /// Takes what follows the word; `false` if it is none of a selector's.
    pub(super) fn take(&mut self, word: &str, words: &mut Words<'_>) -> Result<bool, String> {
        let twice = match word {
            "src" => self
                .source
                .replace(addresses(words.next("the source")?)?)
                .is_some(),
            "dst" => self
                .destination
                .replace(addresses(words.next("the destination")?)?)
                .is_some(),
            "proto" => self
                .protocol
                .replace(protocol(words.next("the protocol")?)?)
                .is_some(),
            "sport" => self
                .source_ports
                .replace(ports(words.next("the source port")?)?)
                .is_some(),
            "dport" => self
                .destination_ports
                .replace(ports(words.next("the destination port")?)?)
                .is_some(),
            "type" => self.types.replace(types(words.next("the type")?)?).is_some(),
            _ => return Ok(false),
        };
        if twice {
            return Err(format!("'{word}' stands there twice in a selector"));
        }
        Ok(true)
    }

    /// The selector. Addresses of which nothing is said are any of the family of the others.
    pub(super) fn selector(self) -> Result<Selector, String> {
        let (source, destination) = match (self.source, self.destination) {
            (Some(source), Some(destination)) => (source, destination),
            (Some(source), None) => (source, any_like(source)),
            (None, Some(destination)) => (any_like(destination), destination),
            (None, None) => return Err("a selector has neither 'src' nor 'dst'".to_owned()),
        };
        if self.types.is_some() {
            let typed =
                |protocol: &u8| matches!(Protocol(*protocol), Protocol::ICMP | Protocol::ICMPV6 | MOBILITY);
            if !self.protocol.as_ref().is_some_and(typed) {
                return Err("'type' goes with 'proto icmp', 'proto ipv6-icmp' or 'proto 135'".to_owned());
            }
            if self.source_ports.is_some() {
                return Err("'type' and 'sport' are of different protocols".to_owned());
            }
        }
        let selector = Selector {
            source,
            destination,
            protocol: self.protocol,
            source_ports: self.types.or(self.source_ports).unwrap_or(Selector::ANY_PORT),
            destination_ports: self.destination_ports.unwrap_or(Selector::ANY_PORT),
        };
        control::sas::check_selector(&selector).map_err(|error| error.to_string())?;
        Ok(selector)
    }
}

/// The mobility header, RFC 6275.
const MOBILITY: Protocol = Protocol(135);

/// All addresses of the same family.
fn any_like((address, _): (IpAddr, IpAddr)) -> (IpAddr, IpAddr) {
    match address {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()),
        IpAddr::V6(_) => (
            Ipv6Addr::UNSPECIFIED.into(),
            Ipv6Addr::from_bits(u128::MAX).into(),
        ),
    }
}

fn addresses(word: &str) -> Result<(IpAddr, IpAddr), String> {
    const EXPECTED: &str = "an address, a prefix, or two addresses such as 10.0.0.1-10.0.0.9";
    if let Some((first, last)) = word.split_once('-') {
        return Ok((parse(first, EXPECTED)?, parse(last, EXPECTED)?));
    }
    if let Ok(address) = word.parse() {
        return Ok((address, address));
    }
    let net: IpNet = parse(word, EXPECTED)?;
    if net.trunc() != net {
        return Err(format!("{net} has bits behind its length: write {}", net.trunc()));
    }
    Ok((net.network(), net.broadcast()))
}

fn ports(word: &str) -> Result<(u16, u16), String> {
    const EXPECTED: &str = "a port, two such as 1024-65535, or 'opaque'";
    if word == "opaque" {
        return Ok(Selector::OPAQUE);
    }
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    Ok((parse(first, EXPECTED)?, parse(last, EXPECTED)?))
}

/// The type in the upper eight bits; all its codes if none is said.
fn types(word: &str) -> Result<(u16, u16), String> {
    const EXPECTED: &str = "a type, or type and code such as 3/4";
    let (kind, code) = match word.split_once('/') {
        Some((kind, code)) => (kind, Some(parse::<u8>(code, EXPECTED)?)),
        None => (word, None),
    };
    let kind = u16::from(parse::<u8>(kind, EXPECTED)?) << 8;
    Ok((
        kind | u16::from(code.unwrap_or(0)),
        kind | u16::from(code.unwrap_or(u8::MAX)),
    ))
}

/// A selector as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Shown {
    source: [IpAddr; 2],
    destination: [IpAddr; 2],
    protocol: Option<u8>,
    /// None for any; of ICMP, types and codes; 65535 and 0 for packets without.
    source_ports: Option<[u16; 2]>,
    /// None for any.
    destination_ports: Option<[u16; 2]>,
}

impl From<&Selector> for Shown {
    fn from(selector: &Selector) -> Self {
        let some = |ports: (u16, u16)| (ports != Selector::ANY_PORT).then(|| ports.into());
        Self {
            source: selector.source.into(),
            destination: selector.destination.into(),
            protocol: selector.protocol,
            source_ports: some(selector.source_ports),
            destination_ports: some(selector.destination_ports),
        }
    }
}

/// As it could be written.
impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sel src {} dst {}",
            Range(self.source),
            Range(self.destination)
        )?;
        let Some(protocol) = self.protocol.map(Protocol) else {
            return Ok(());
        };
        write!(f, " proto {protocol}")?;
        let typed = matches!(protocol, Protocol::ICMP | Protocol::ICMPV6 | MOBILITY);
        match self.source_ports {
            None => {}
            Some([first, last]) if typed && first & 0xff == 0 && last == first | 0xff => {
                write!(f, " type {}", first >> 8)?
            }
            Some([first, last]) if typed && first == last => {
                write!(f, " type {}/{}", first >> 8, first & 0xff)?
            }
            Some(ports) => write!(f, " sport {}", Ports(ports))?,
        }
        match self.destination_ports {
            None => Ok(()),
            Some(ports) => write!(f, " dport {}", Ports(ports)),
        }
    }
}

struct Ports([u16; 2]);

impl Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == <[u16; 2]>::from(Selector::OPAQUE) {
            f.write_str("opaque")
        } else {
            Range(self.0).fmt(f)
        }
    }
}

struct Range<T>([T; 2]);

impl<T: Display + PartialEq> Display for Range<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([first, last]) = self;
        if first == last {
            write!(f, "{first}")
        } else {
            write!(f, "{first}-{last}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Selector, String> {
        let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        let mut words = Words::new(&words);
        let mut draft = Draft::default();
        while let Some(word) = words.next_if_any() {
            assert!(draft.take(word, &mut words)?, "{word}");
        }
        draft.selector()
    }

    #[test]
    fn selectors_are_shown_as_they_could_be_written() {
        for (written, shown) in [
            ("src 10.0.0.1", "sel src 10.0.0.1 dst 0.0.0.0-255.255.255.255"),
            (
                "dst 2001:db8::/64 proto tcp sport 1-9 dport 80",
                "sel src ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff dst 2001:db8::-2001:db8::ffff:ffff:ffff:ffff proto tcp sport 1-9 \
                 dport 80",
            ),
            (
                "src 10.0.0.0/31 dst 10.1.0.1-10.1.0.3 proto icmp type 8",
                "sel src 10.0.0.0-10.0.0.1 dst 10.1.0.1-10.1.0.3 proto icmp type 8",
            ),
            (
                "src 10.0.0.1 dst 10.1.0.1 proto udp sport opaque dport opaque",
                "sel src 10.0.0.1 dst 10.1.0.1 proto udp sport opaque dport opaque",
            ),
            (
                "src 10.0.0.1 dst 10.1.0.1 proto icmp type 3/4",
                "sel src 10.0.0.1 dst 10.1.0.1 proto icmp type 3/4",
            ),
        ] {
            let selector = read(written).unwrap();
            let text = Shown::from(&selector).to_string();
            assert_eq!(text, shown);
            assert_eq!(read(text.strip_prefix("sel ").unwrap()), Ok(selector));
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_with_what_is_wrong() {
        for (words, said) in [
            ("proto udp", "a selector has neither 'src' nor 'dst'"),
            (
                "src 10.0.0.1 src 10.0.0.2",
                "'src' stands there twice in a selector",
            ),
            (
                "src 10.0.0.1/8",
                "10.0.0.1/8 has bits behind its length: write 10.0.0.0/8",
            ),
            ("src ten", "'ten' is not an address, a prefix, or two"),
            (
                "src 10.0.0.9-10.0.0.1",
                "the range from 10.0.0.9 to 10.0.0.1 is empty",
            ),
            ("src 10.0.0.1 dst ::1", "are of different families"),
            ("src 10.0.0.1 dport 53", "ports need a protocol"),
            ("src 10.0.0.1 proto esp dport 53", "esp has no ports"),
            (
                "src 10.0.0.1 proto udp dport 70000",
                "'70000' is not a port, two such as",
            ),
            ("src 10.0.0.1 type 8", "'type' goes with 'proto icmp'"),
            (
                "src 10.0.0.1 proto icmp type 8 sport 9",
                "'type' and 'sport' are of different",
            ),
            ("src 10.0.0.1 proto icmp type 256", "'256' is not a type, or"),
            ("src 10.0.0.1 proto", "the protocol is missing"),
        ] {
            let refused = read(words).unwrap_err();
            assert!(refused.contains(said), "{words}: {refused}");
        }
    }

    #[test]
    fn the_json_form_is_stable() {
        let selector = read("src 10.0.0.1 dst 10.1.0.0/31 proto udp dport 53").unwrap();
        assert_eq!(
            serde_json::to_string(&Shown::from(&selector)).unwrap(),
            r#"{"source":["10.0.0.1","10.0.0.1"],"destination":["10.1.0.0","10.1.0.1"],"protocol":17,"source_ports":null,"destination_ports":[53,53]}"#
        );
    }
}
