//! Lines of files that `service restore` reads and `service save` writes, each as on the command line of this tool; those of
//! `ipvsadm -S -n` are understood as well.

use std::fmt;
use std::net::IpAddr;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use control::message::{RealServer, Service, ServiceId, ServiceOptions};
use control::tool;

use super::words::{end_words, service_words};
use super::{AddArguments, ipvsadm_rules};
use crate::{laddr, server};

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// That there is a service.
    Service(ServiceId, ServiceOptions),
    /// That a service has a server.
    Server(ServiceId, RealServer),
    /// That a service has a local address, and on which interface, if that is said.
    Local(ServiceId, IpAddr, Option<String>),
}

impl Rule {
    /// The service that it is about.
    pub(super) fn id(&self) -> &ServiceId {
        match self {
            Self::Service(id, _) | Self::Server(id, _) | Self::Local(id, ..) => id,
        }
    }

    /// What a line says; nothing, if it is empty or a comment.
    pub(super) fn parse(line: &str) -> Result<Option<Self>, String> {
        let content = line.split_once('#').map_or(line, |(content, _)| content);
        let mut words: Vec<_> = content.split_whitespace().collect();
        let program = |word: &str| word.rsplit('/').next().map(str::to_owned);
        match words.first().and_then(|word| program(word)).as_deref() {
            None => return Ok(None),
            Some("ipvsadm" | "tollgate-ctl") => drop(words.remove(0)),
            Some(_) => {}
        }
        if words.first().is_none_or(|word| word.starts_with('-')) {
            return ipvsadm_rules::parse(&words).map(Some);
        }
        let line = Line::try_parse_from(&words).map_err(|error| match error.kind() {
            ErrorKind::InvalidSubcommand | ErrorKind::MissingSubcommand => format!(
                "{}: a line is a command that adds, 'service add', 'server add' or 'laddr add', or one of ipvsadm",
                tool::sentence(&error)
            ),
            _ => tool::sentence(&error),
        })?;
        match line.object {
            Object::Service {
                verb: ServiceVerb::Add(added),
            } => Ok(Self::Service(added.service.id()?, added.options.options())),
            Object::Server {
                verb: ServerVerb::Add(added),
            } => {
                let (id, server) = added.server()?;
                Ok(Self::Server(id, server))
            }
            Object::Laddr {
                verb: LaddrVerb::Add(added),
            } => {
                let (id, address, interface) = added.local()?;
                Ok(Self::Local(id, address, interface))
            }
        }
        .map(Some)
    }

    /// The lines of a service.
    pub(super) fn of(service: &Service) -> impl Iterator<Item = Self> {
        let id = service.id;
        let servers = service.servers.iter().cloned();
        let locals = service.locals.iter().cloned();
        [Self::Service(id, service.options.clone())]
            .into_iter()
            .chain(servers.map(move |server| Self::Server(id, server)))
            .chain(locals.map(move |local| Self::Local(id, local.address, Some(local.interface))))
    }
}

/// A line, by the words that make the same on the command line.
#[derive(Debug, Parser)]
#[command(
    no_binary_name = true,
    disable_help_flag = true,
    disable_help_subcommand = true
)]
struct Line {
    #[command(subcommand)]
    object: Object,
}

#[derive(Debug, Subcommand)]
#[command(disable_help_flag = true, disable_help_subcommand = true)]
enum Object {
    #[command(arg_required_else_help = false)]
    Service {
        #[command(subcommand)]
        verb: ServiceVerb,
    },
    #[command(arg_required_else_help = false)]
    Server {
        #[command(subcommand)]
        verb: ServerVerb,
    },
    #[command(arg_required_else_help = false)]
    Laddr {
        #[command(subcommand)]
        verb: LaddrVerb,
    },
}

#[derive(Debug, Subcommand)]
enum ServiceVerb {
    Add(AddArguments),
}

#[derive(Debug, Subcommand)]
enum ServerVerb {
    Add(server::AddArguments),
}

#[derive(Debug, Subcommand)]
enum LaddrVerb {
    Add(laddr::AddArguments),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = service_words(self.id());
        match self {
            Self::Service(_, options) => {
                write!(f, "service add {service} --scheduler {}", options.scheduler)?;
                if options.toa {
                    f.write_str(" --toa")?;
                }
                if !options.fast_xmit {
                    f.write_str(" --no-fast-xmit")?;
                }
                for (word, prefixes) in [("allow", &options.allow), ("deny", &options.deny)] {
                    if !prefixes.is_empty() {
                        let prefixes: Vec<_> = prefixes.iter().map(ToString::to_string).collect();
                        write!(f, " --{word} {}", prefixes.join(","))?;
                    }
                }
                if let Some(seconds) = options.timeout {
                    write!(f, " --timeout {seconds}")?;
                }
                f.write_str(if options.icmp_short { " --force" } else { "" })
            }
            Self::Server(id, server) => {
                let end = end_words(id.protocol, server.address, server.port);
                write!(f, "server add {service} {end} --weight {}", server.weight)?;
                match server.max_connections {
                    0 => Ok(()),
                    most => write!(f, " --max-connections {most}"),
                }
            }
            Self::Local(_, address, interface) => {
                write!(f, "laddr add {service} {address}")?;
                match interface {
                    Some(interface) => write!(f, " --dev {interface}"),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::message::{LocalAddress, Scheduler, ServiceProtocol};
    use ipnet::{IpNet, Ipv4Net, Ipv6Net};
    use proptest::prelude::*;

    fn id(protocol: ServiceProtocol, address: &str, port: u16) -> ServiceId {
        ServiceId {
            protocol,
            address: address.parse().unwrap(),
            port,
        }
    }

    #[test]
    fn lines_are_commands() {
        let tcp = id(ServiceProtocol::Tcp, "10.0.0.100", 80);
        for (line, rule) in [
            ("", None),
            ("  # nothing", None),
            (
                "service add tcp 10.0.0.100:80",
                Some(Rule::Service(tcp, ServiceOptions::new(Scheduler::Rr))),
            ),
            (
                "tollgate-ctl server add tcp 10.0.0.100:80 192.168.100.2 # first",
                Some(Rule::Server(tcp, RealServer::new([192, 168, 100, 2].into(), 80))),
            ),
            (
                "laddr add icmpv6 2001:db8::1 2001:db8:1::7",
                Some(Rule::Local(
                    id(ServiceProtocol::Icmpv6, "2001:db8::1", 0),
                    "2001:db8:1::7".parse().unwrap(),
                    None,
                )),
            ),
        ] {
            assert_eq!(Rule::parse(line), Ok(rule), "{line}");
        }
    }

    #[test]
    fn what_is_no_line_is_a_sentence() {
        for (line, said) in [
            ("service del tcp 10.0.0.100:80", "unrecognized subcommand 'del'"),
            ("service add tcp 10.0.0.100", "needs a port"),
            (
                "route add 10.0.0.0/8 blackhole",
                "unrecognized subcommand 'route'",
            ),
            (
                "server add tcp 10.0.0.100:80",
                "required arguments were not provided",
            ),
            ("service", "requires a subcommand"),
            ("help", "unrecognized subcommand 'help'"),
            ("service add --help", "unexpected argument '--help'"),
        ] {
            let sentence = Rule::parse(line).unwrap_err();
            assert!(sentence.contains(said), "{line}: {sentence}");
        }
    }

    prop_compose! {
        fn address()(six: bool, bits in 1u32..0x7e00_0000) -> IpAddr {
            match six {
                true => IpAddr::V6((0x2001_0db8_u128 << 96 | u128::from(bits)).into()),
                false => IpAddr::V4((0x0100_0000 + bits % 0x6000_0000).into()),
            }
        }
    }

    fn prefix() -> impl Strategy<Value = IpNet> {
        (any::<u128>(), 0u8..=128, any::<bool>()).prop_map(|(bits, length, six)| {
            if six {
                IpNet::V6(Ipv6Net::new(bits.into(), length).unwrap().trunc())
            } else {
                IpNet::V4(Ipv4Net::new((bits as u32).into(), length % 33).unwrap().trunc())
            }
        })
    }

    fn options() -> impl Strategy<Value = ServiceOptions> {
        let prefixes = || prop::collection::vec(prefix(), 0..4);
        (
            prop::sample::select(Scheduler::ALL),
            any::<(bool, bool, bool)>(),
            prefixes(),
            prefixes(),
            prop::option::of(1u32..),
        )
            .prop_map(
                |(scheduler, (toa, fast_xmit, force), allow, deny, timeout)| ServiceOptions {
                    scheduler,
                    toa,
                    fast_xmit,
                    allow,
                    deny,
                    timeout,
                    icmp_short: force && timeout.is_some(),
                },
            )
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_it_was(
            protocol in prop::sample::select(ServiceProtocol::ALL),
            address in address(),
            port in 1u16..,
            options in options(),
            servers in prop::collection::vec((address(), 1u16.., any::<u16>(), any::<u32>()), 0..4),
            locals in prop::collection::vec((address(), "[a-z][a-z0-9.]{0,14}"), 0..4),
        ) {
            let (protocol, port) = match (protocol, address) {
                (ServiceProtocol::Icmp | ServiceProtocol::Icmpv6, IpAddr::V4(_)) => (ServiceProtocol::Icmp, 0),
                (ServiceProtocol::Icmp | ServiceProtocol::Icmpv6, IpAddr::V6(_)) => (ServiceProtocol::Icmpv6, 0),
                (protocol, _) => (protocol, port),
            };
            let service = Service {
                id: ServiceId { protocol, address, port },
                options,
                servers: servers.into_iter().map(|(address, server_port, weight, max_connections)| RealServer {
                    weight,
                    max_connections,
                    ..RealServer::new(address, if port == 0 { 0 } else { server_port })
                }).collect(),
                locals: locals.into_iter().map(|(address, interface)| LocalAddress { address, interface }).collect(),
            };
            for rule in Rule::of(&service) {
                prop_assert_eq!(Rule::parse(&rule.to_string()), Ok(Some(rule)));
            }
        }

        #[test]
        fn no_line_upsets_it(line in ".{0,80}") {
            let _ = Rule::parse(&line);
        }
    }
}
