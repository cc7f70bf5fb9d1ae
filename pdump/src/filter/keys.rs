//! Filters by keys, as those have them who come from DPVS: `host=10.0.0.1,proto=tcp,proto-port=80`. They become an expression of
//! libpcap's language, which is what is compiled and shown.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The keys, in the order in which the expression has them.
const KEYS: [&str; 7] = [
    "proto",
    "host",
    "src-host",
    "dst-host",
    "proto-port",
    "src-port",
    "dst-port",
];

/// What people may write instead of a key, and what they mean.
const MEANT: [(&str, &str); 14] = [
    ("src", "src-host=ADDRESS"),
    ("dst", "dst-host=ADDRESS"),
    ("ip", "host=ADDRESS"),
    ("net", "host=ADDRESS/LENGTH"),
    ("port", "proto-port=PORT, or -i for the interface"),
    ("sport", "src-port=PORT"),
    ("dport", "dst-port=PORT"),
    ("protocol", "proto=PROTOCOL"),
    ("device_id", "-i with the name of the interface"),
    ("queue", "--queue"),
    ("rx-dev", "--point rx and -w"),
    ("tx-dev", "--point tx and -w"),
    ("ring-size", "--ring-size"),
    ("vlan", "-f 'vlan ID'"),
];

/// What packets have to be: all that the keys say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    expression: String,
}

/// Why a text is no list of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A part without an equals sign.
    #[error("'{0}' is no KEY=VALUE: write as in host=10.0.0.1,proto=udp,proto-port=53")]
    NoValue(String),
    /// There is no such key.
    #[error("there is no key '{key}'{}; the keys are {}", meant(key), KEYS.join(", "))]
    Unknown {
        /// What was written.
        key: String,
    },
    /// A key more than once.
    #[error(
        "'{0}' is there twice, and a packet has to fit all of it: use -f 'host A or host B' for one of several"
    )]
    Twice(&'static str),
    /// A value that the key cannot have.
    #[error("{key}={value}: {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it can have.
        expected: &'static str,
    },
    /// Two keys that no packet fits both of.
    #[error("no packet has both {one} and {other}")]
    Never {
        /// One of them, as in the expression.
        one: String,
        /// The other.
        other: String,
    },
}

fn meant(key: &str) -> String {
    let found = MEANT.into_iter().find(|(word, _)| *word == key);
    found.map_or_else(String::new, |(_, instead)| format!(": use {instead}"))
}

impl FromStr for Keys {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts: [Option<Part>; KEYS.len()] = Default::default();
        for word in text.split(',') {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| KeyError::NoValue(word.to_owned()))?;
            let (key, value) = (key.trim(), value.trim());
            let known = KEYS.into_iter().zip(&mut parts).find(|(known, _)| *known == key);
            let (key, place) = known.ok_or_else(|| KeyError::Unknown { key: key.to_owned() })?;
            let part = Part::parse(key, value).map_err(|expected| KeyError::Value {
                key,
                value: value.to_owned(),
                expected,
            })?;
            if place.replace(part).is_some() {
                return Err(KeyError::Twice(key));
            }
        }
        let parts: Vec<Part> = parts.into_iter().flatten().collect();
        for (number, one) in parts.iter().enumerate() {
            if let Some(other) = parts[number + 1..].iter().find(|other| one.excludes(other)) {
                return Err(KeyError::Never {
                    one: one.expression.clone(),
                    other: other.expression.clone(),
                });
            }
        }
        let expressions: Vec<_> = parts.into_iter().map(|part| part.expression).collect();
        Ok(Self {
            expression: expressions.join(" and "),
        })
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expression)
    }
}

/// One key and its value.
struct Part {
    expression: String,
    /// Which IP it speaks of: whether that is IPv6.
    is_v6: Option<bool>,
    ports: Ports,
}

/// What a key says about ports.
#[derive(PartialEq, Eq)]
enum Ports {
    /// Nothing.
    Any,
    /// There is one.
    Some,
    /// There are none.
    None,
}

impl Part {
    /// Gives what a value of the key has to be, if it is not.
    fn parse(key: &str, value: &str) -> Result<Self, &'static str> {
        let (way, kind) = match key {
            "proto" => return Self::protocol(value),
            "host" => ("", "host"),
            "proto-port" => ("", "port"),
            _ => key.split_once('-').unwrap_or(("", key)),
        };
        let way = if way.is_empty() {
            String::new()
        } else {
            format!("{way} ")
        };
        if kind == "port" {
            let port: u16 = value.parse().map_err(|_| "a port is a number from 0 to 65535")?;
            return Ok(Self {
                expression: format!("{way}port {port}"),
                is_v6: None,
                ports: Ports::Some,
            });
        }
        let expected = "an address is as 10.0.0.1, 10.0.0.0/8, 2001:db8::1 or 2001:db8::/32";
        let (address, length) = match value.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u8>().map_err(|_| expected)?)),
            None => (value, None),
        };
        let address: IpAddr = address.parse().map_err(|_| expected)?;
        let expression = match length {
            None => format!("{way}host {address}"),
            Some(length) => format!("{way}net {}/{length}", network(address, length).ok_or(expected)?),
        };
        Ok(Self {
            expression,
            is_v6: Some(address.is_ipv6()),
            ports: Ports::Any,
        })
    }

    fn protocol(value: &str) -> Result<Self, &'static str> {
        let (is_v6, ports) = match value {
            "tcp" | "udp" => (None, Ports::Any),
            "icmp" => (Some(false), Ports::None),
            "icmp6" => (Some(true), Ports::None),
            _ => return Err("a protocol is tcp, udp, icmp or icmp6; use -f for others"),
        };
        Ok(Self {
            expression: value.to_owned(),
            is_v6,
            ports,
        })
    }

    /// Whether no packet can be both.
    fn excludes(&self, other: &Self) -> bool {
        let families = self
            .is_v6
            .zip(other.is_v6)
            .is_some_and(|(one, other)| one != other);
        let ports = |one: &Self, other: &Self| one.ports == Ports::None && other.ports == Ports::Some;
        families || ports(self, other) || ports(other, self)
    }
}

/// The network that an address with a prefix length is in; `None`: no such length.
fn network(address: IpAddr, length: u8) -> Option<IpAddr> {
    let host_bits = |bits: u8| bits.checked_sub(length).map(u32::from);
    Some(match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(host_bits(32)?).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(host_bits(128)?).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Filter;

    fn expression(text: &str) -> String {
        text.parse::<Keys>().unwrap().to_string()
    }

    fn refused(text: &str) -> String {
        text.parse::<Keys>().unwrap_err().to_string()
    }

    #[test]
    fn keys_become_an_expression_that_compiles() {
        for (keys, expected) in [
            ("proto=icmp", "icmp"),
            ("host=10.0.0.1", "host 10.0.0.1"),
            (
                "dst-port=80,proto=tcp,src-host=10.0.0.1",
                "tcp and src host 10.0.0.1 and dst port 80",
            ),
            (
                "proto=udp, proto-port=53, dst-host=2001:db8::1",
                "udp and dst host 2001:db8::1 and port 53",
            ),
            ("src-host=10.1.2.3/8", "src net 10.0.0.0/8"),
            (
                "host=2001:db8::5/32,src-port=0",
                "net 2001:db8::/32 and src port 0",
            ),
            ("host=1.2.3.4/0", "net 0.0.0.0/0"),
            ("host=1.2.3.4/32", "net 1.2.3.4/32"),
            ("host=::1/128,proto=icmp6", "icmp6 and net ::1/128"),
        ] {
            assert_eq!(expression(keys), expected);
            Filter::compile(expected).unwrap();
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_was_meant() {
        for (keys, part) in [
            ("", "'' is no KEY=VALUE"),
            ("host", "'host' is no KEY=VALUE: write as in host=10.0.0.1"),
            (
                "sport=80",
                "there is no key 'sport': use src-port=PORT; the keys are proto, host",
            ),
            ("queue=0", "use --queue"),
            ("colour=red", "there is no key 'colour'; the keys are"),
            ("host=10.0.0.1,host=10.0.0.2", "'host' is there twice"),
            ("host=10.0.0", "host=10.0.0: an address is as 10.0.0.1"),
            ("host=10.0.0.1/33", "an address is as"),
            ("dst-host=gateway", "an address is as"),
            ("proto-port=65536", "a port is a number from 0 to 65535"),
            ("proto-port=http", "a port is a number"),
            ("proto=esp", "a protocol is tcp, udp, icmp or icmp6"),
            (
                "host=10.0.0.1,proto=icmp6",
                "no packet has both icmp6 and host 10.0.0.1",
            ),
            (
                "src-host=::1,dst-host=10.0.0.1",
                "no packet has both src host ::1 and dst host 10.0.0.1",
            ),
            ("proto=icmp,proto-port=7", "no packet has both icmp and port 7"),
        ] {
            let said = refused(keys);
            assert!(said.contains(part), "{keys}: {said}");
        }
    }
}
