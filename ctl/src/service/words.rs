//! How services, their servers and what is set of them are written on the command line and in files.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use control::message::{Scheduler, ServiceChange, ServiceId, ServiceOptions, ServiceProtocol};
use ipnet::IpNet;

use crate::failure::Failure;
use crate::prefix::Prefix;

/// An address that may have a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) address: IpAddr,
    pub(crate) port: Option<u16>,
}

impl FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(end) = text.parse::<SocketAddr>() {
            return Ok(Self {
                address: end.ip(),
                port: Some(end.port()),
            });
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address = match bare {
            Some(six) => six.parse().map(IpAddr::V6),
            None => text.parse(),
        };
        match address {
            Ok(address) => Ok(Self { address, port: None }),
            Err(_) => Err(format!(
                "'{text}' is no address with a port such as 10.0.0.100:80 or [2001:db8::1]:80, nor one without"
            )),
        }
    }
}

/// One service: its protocol, address and port.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ServiceArguments {
    /// What it takes
    #[arg(value_name = "PROTO", value_parser = protocols())]
    protocol: ServiceProtocol,

    /// Its address and port, [ADDR]:PORT for IPv6; the address alone for icmp and icmpv6
    #[arg(value_name = "ADDR:PORT")]
    address: End,
}

impl ServiceArguments {
    /// What is meant, if there can be such a service.
    pub(crate) fn id(&self) -> Result<ServiceId, String> {
        service(self.protocol, self.address)
    }
}

/// Those services that are asked for: all, or less.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct Which {
    /// Only services of this protocol
    #[arg(value_name = "PROTO", value_parser = protocols())]
    protocol: Option<ServiceProtocol>,

    /// Only those of this address, and of this port if there is one
    #[arg(value_name = "ADDR[:PORT]", requires = "protocol")]
    address: Option<End>,
}

impl Which {
    /// Whether a service is one of them.
    pub(crate) fn fits(&self, id: &ServiceId) -> bool {
        self.protocol.is_none_or(|protocol| protocol == id.protocol)
            && self
                .address
                .is_none_or(|end| end.address == id.address && end.port.is_none_or(|port| port == id.port))
    }

    /// Whether an address is named, of which there is to be a service.
    pub(crate) fn names_one(&self) -> bool {
        self.address.is_some()
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(protocol) = self.protocol else {
            return f.write_str("any protocol");
        };
        match self.address {
            None => write!(f, "{protocol}"),
            Some(End { address, port: None }) => write!(f, "{protocol} {address}"),
            Some(End {
                address,
                port: Some(port),
            }) => write!(f, "{protocol} {}", SocketAddr::new(address, port)),
        }
    }
}

/// The service of a protocol at an address, if there can be one.
pub(crate) fn service(protocol: ServiceProtocol, end: End) -> Result<ServiceId, String> {
    let id = ServiceId {
        protocol,
        address: end.address,
        port: end.port.unwrap_or(0),
    };
    id.check()?;
    Ok(id)
}

/// The address and port of a server: those of its service's port where it names none.
pub(crate) fn server(id: &ServiceId, end: End) -> Result<SocketAddr, String> {
    let End { address, port } = end;
    match port {
        Some(port) if port != 0 && id.protocol.is_icmp() => Err(format!(
            "a server of {} has no port, and {port} is one: write {address}",
            service_words(id)
        )),
        Some(0) if !id.protocol.is_icmp() => Err(format!(
            "the port of {address} cannot be 0: write one from 1 to 65535, or none for that of the service"
        )),
        port => Ok(SocketAddr::new(address, port.unwrap_or(id.port))),
    }
}

/// A service as the command line has it.
pub(crate) fn service_words(id: &ServiceId) -> String {
    format!("{} {}", id.protocol, end_words(id.protocol, id.address, id.port))
}

/// An address with its port, or without where the protocol has none.
pub(crate) fn end_words(protocol: ServiceProtocol, address: IpAddr, port: u16) -> String {
    if protocol.is_icmp() {
        address.to_string()
    } else {
        SocketAddr::new(address, port).to_string()
    }
}

/// Prefixes with commas between them; `none` for no prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefixes(Vec<IpNet>);

impl FromStr for Prefixes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        let prefix = |text: &str| match text.parse() {
            Ok(Prefix::Net(net)) => Ok(net),
            Ok(Prefix::Default) => Err("'default' is of no family: write 0.0.0.0/0 or ::/0".to_owned()),
            Err(error) => Err(error),
        };
        text.split(',').map(prefix).collect::<Result<_, _>>().map(Self)
    }
}

/// What is said of a service, new or there already.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct OptionArguments {
    /// How servers are chosen; rr for a new service that says nothing
    #[arg(long, short, value_parser = schedulers())]
    scheduler: Option<Scheduler>,

    /// Whether the first segments of TCP connections tell servers the client's address and port (option 254, TOA)
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on", value_parser = switch())]
    toa: Option<bool>,

    /// Whether packets go back by the interface and MAC address that those of the other way came by; on for a new service
    #[arg(long, value_name = "on|off", num_args = 0..=1, default_missing_value = "on", value_parser = switch())]
    fast_xmit: Option<bool>,

    /// The same as --fast-xmit off: packets go back by the routes
    #[arg(long, conflicts_with = "fast_xmit")]
    no_fast_xmit: bool,

    /// Only these clients' packets are taken: prefixes with commas between them, or 'none' for no such list
    #[arg(long, value_name = "PREFIXES")]
    allow: Option<Prefixes>,

    /// These clients' packets are dropped: prefixes with commas between them, or 'none'
    #[arg(long, value_name = "PREFIXES")]
    deny: Option<Prefixes>,

    /// Seconds without packets after which a connection of UDP or ICMP ends, and an established one of TCP; 0: as the
    /// configuration says for all
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,

    /// With a --timeout below 60 of icmp or icmpv6, for which RFC 5508 asks for more: it is taken all the same
    #[arg(long, requires = "timeout")]
    force: bool,
}

impl OptionArguments {
    /// What is to be different.
    pub(super) fn change(self) -> ServiceChange {
        ServiceChange {
            scheduler: self.scheduler,
            toa: self.toa,
            fast_xmit: if self.no_fast_xmit {
                Some(false)
            } else {
                self.fast_xmit
            },
            allow: self.allow.map(|prefixes| prefixes.0),
            deny: self.deny.map(|prefixes| prefixes.0),
            timeout: self.timeout,
            icmp_short: self.force.then_some(true),
        }
    }

    /// What a new service has.
    pub(super) fn options(self) -> ServiceOptions {
        let said = self.change();
        said.apply(&ServiceOptions::new(Scheduler::Rr))
    }
}

/// A wrong word, as wrong usage.
pub(crate) fn usage(message: String) -> Failure {
    Failure::Usage(message)
}

/// Protocols by name; shells complete them.
pub(crate) fn protocols() -> impl TypedValueParser<Value = ServiceProtocol> {
    let names = ServiceProtocol::ALL.iter().map(|protocol| protocol.name());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<ServiceProtocol>())
}

fn schedulers() -> impl TypedValueParser<Value = Scheduler> {
    let names = Scheduler::ALL.iter().map(|scheduler| scheduler.name());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Scheduler>())
}

fn switch() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["on", "off"]).map(|word| word == "on")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(protocol: ServiceProtocol, text: &str) -> Result<ServiceId, String> {
        service(protocol, text.parse()?)
    }

    #[test]
    fn services_are_written_as_they_are_shown() {
        for (protocol, text) in [
            (ServiceProtocol::Tcp, "10.0.0.100:80"),
            (ServiceProtocol::Udp, "[2001:db8::1]:53"),
            (ServiceProtocol::Icmp, "10.0.0.100"),
            (ServiceProtocol::Icmpv6, "2001:db8::1"),
        ] {
            assert_eq!(
                service_words(&id(protocol, text).unwrap()),
                format!("{protocol} {text}")
            );
        }
        let bare = id(ServiceProtocol::Icmpv6, "[2001:db8::1]");
        assert_eq!(bare, id(ServiceProtocol::Icmpv6, "[2001:db8::1]:0"));
    }

    #[test]
    fn what_cannot_be_a_service_is_a_sentence() {
        for (protocol, text, said) in [
            (ServiceProtocol::Tcp, "10.0.0.100", "needs a port"),
            (ServiceProtocol::Tcp, "2001:db8::1", "needs a port"),
            (ServiceProtocol::Icmp, "10.0.0.100:80", "has no port"),
            (ServiceProtocol::Icmp, "2001:db8::1", "use icmpv6"),
            (
                ServiceProtocol::Tcp,
                "10.0.0.100:http",
                "is no address with a port",
            ),
            (
                ServiceProtocol::Tcp,
                "[10.0.0.100]:80",
                "is no address with a port",
            ),
            (
                ServiceProtocol::Udp,
                "224.0.0.1:53",
                "is no address that clients can reach",
            ),
        ] {
            let sentence = id(protocol, text).unwrap_err();
            assert!(sentence.contains(said), "{text}: {sentence}");
        }
    }

    #[test]
    fn a_server_has_the_port_of_its_service_unless_it_says_another() {
        let tcp = id(ServiceProtocol::Tcp, "10.0.0.100:80").unwrap();
        let icmp = id(ServiceProtocol::Icmp, "10.0.0.100").unwrap();
        let of = |id, text: &str| server(id, text.parse().unwrap()).map(|server| server.to_string());
        assert_eq!(of(&tcp, "192.168.100.2"), Ok("192.168.100.2:80".into()));
        assert_eq!(of(&tcp, "192.168.100.2:8080"), Ok("192.168.100.2:8080".into()));
        assert_eq!(of(&tcp, "2001:db8::2"), Ok("[2001:db8::2]:80".into()));
        assert_eq!(of(&icmp, "192.168.100.2"), Ok("192.168.100.2:0".into()));
        assert!(of(&icmp, "192.168.100.2:8").unwrap_err().contains("has no port"));
        assert!(of(&tcp, "192.168.100.2:0").unwrap_err().contains("cannot be 0"));
    }

    #[test]
    fn lists_of_prefixes_have_commas() {
        let prefixes = |text: &str| text.parse::<Prefixes>().map(|prefixes| prefixes.0.len());
        assert_eq!(prefixes("10.0.0.0/8,192.0.2.1,2001:db8::/32"), Ok(3));
        assert_eq!(prefixes("none"), Ok(0));
        for wrong in ["", "10.0.0.1/8", "10.0.0.0/8,", "default"] {
            assert!(prefixes(wrong).is_err(), "{wrong}");
        }
    }
}
