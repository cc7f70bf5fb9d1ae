//! `route add`: one route from the command line, or many from a file with a route per line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use control::message::{ErrorCode, ROUTES_PER_REQUEST, Reply, Request, Route, RouteTarget};

use crate::failure::Failure;
use crate::prefix::{Family, Prefix};
use crate::session::{Session, unexpected};
use crate::words::{Words, parse};

const FORM: &str = "PREFIX via NEXT_HOP [dev IFACE] | dev IFACE | blackhole";

#[derive(Debug, Args)]
pub(crate) struct AddArguments {
    /// The route; 'default' is all of the next hop's family, and 0.0.0.0/0 without one
    #[arg(required_unless_present = "file", conflicts_with = "file", value_name = "PREFIX via NEXT_HOP [dev IFACE]|dev IFACE|blackhole", num_args = 1..)]
    route: Vec<String>,

    /// Add the routes of a file, one per line as above; '-' is stdin; '#' begins a comment
    #[arg(long)]
    file: Option<PathBuf>,

    /// Change a route that exists instead of refusing
    #[arg(long)]
    replace: bool,
}

pub(crate) fn run(arguments: &AddArguments, session: &Session) -> Result<(), Failure> {
    session.refuse_watch()?;
    let routes = match &arguments.file {
        Some(path) => read_file(path)?,
        None => vec![parse_route(&arguments.route).map_err(Failure::Usage)?],
    };
    let mut client = session.client()?;
    for (batch, chunk) in routes.chunks(ROUTES_PER_REQUEST).enumerate() {
        let request = Request::RouteAdd {
            routes: chunk.to_vec(),
            replace: arguments.replace,
        };
        match session.call(&mut client, request) {
            Ok(Reply::Done) => {}
            Ok(other) => return Err(unexpected(&other)),
            Err(Failure::Refused(mut error)) if routes.len() > ROUTES_PER_REQUEST => {
                let (done, all) = (batch * ROUTES_PER_REQUEST, routes.len());
                error.message = format!("{} (the first {done} of {all} routes were added)", error.message);
                return Err(error.into());
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<Vec<Route>, Failure> {
    let (name, lines): (_, Box<dyn BufRead>) = if path == Path::new("-") {
        ("stdin".to_owned(), Box::new(io::stdin().lock()))
    } else {
        let unreadable = |error| {
            let code = match io::Error::kind(&error) {
                io::ErrorKind::PermissionDenied => ErrorCode::PermissionDenied,
                io::ErrorKind::NotFound => ErrorCode::NotFound,
                _ => ErrorCode::Failed,
            };
            Failure::refused(code, format!("cannot read {}: {error}", path.display()))
        };
        (
            path.display().to_string(),
            Box::new(BufReader::new(File::open(path).map_err(unreadable)?)),
        )
    };
    parse_lines(&name, lines)
}

pub(crate) fn parse_lines(name: &str, lines: impl BufRead) -> Result<Vec<Route>, Failure> {
    let mut routes = Vec::new();
    for (index, line) in lines.lines().enumerate() {
        let line = line.map_err(|error| {
            Failure::refused(
                ErrorCode::Failed,
                format!("cannot read {name}:{}: {error}", index + 1),
            )
        })?;
        let content = line.split_once('#').map_or(line.as_str(), |(content, _)| content);
        let words: Vec<_> = content.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            continue;
        }
        routes.push(parse_route(&words).map_err(|error| {
            Failure::refused(
                ErrorCode::Invalid,
                format!("{name}:{}: {error}; no route was added", index + 1),
            )
        })?);
    }
    Ok(routes)
}

fn parse_route(words: &[String]) -> Result<Route, String> {
    let parsed = || {
        let mut words = Words::new(words);
        let prefix: Prefix = words.next("the prefix")?.parse()?;
        let (family, target) = match words.next("where the route leads")? {
            "via" => {
                let next_hop = parse(words.next("the next hop")?, "an IP address")?;
                let target = via(next_hop, words.device_if_any()?)?;
                (Some(Family::of(next_hop)), target)
            }
            "dev" | "interface" => {
                let interface = words.next("the interface")?.to_owned();
                (None, RouteTarget::Interface(interface))
            }
            "blackhole" => (None, RouteTarget::Blackhole),
            other => {
                return Err(format!(
                    "'{other}' stands where 'via', 'dev' or 'blackhole' is expected"
                ));
            }
        };
        words.end()?;
        let prefix = prefix.within(family).map_err(|prefix| {
            let wanted = Family::of(prefix.addr()).name();
            format!("the next hop of {prefix} is not an {wanted} address")
        })?;
        Ok(Route { prefix, target })
    };
    parsed().map_err(|error| format!("{error}: write {FORM}"))
}

fn via(next_hop: IpAddr, interface: Option<String>) -> Result<RouteTarget, String> {
    // RFC 4291 section 2.5.6.
    let anywhere = matches!(next_hop, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if anywhere && interface.is_none() {
        return Err(format!(
            "the next hop {next_hop} is link-local, which every link may have, so 'dev IFACE' must say which is meant"
        ));
    }
    Ok(RouteTarget::Via { next_hop, interface })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn route(text: &str) -> Result<Route, String> {
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        parse_route(&words)
    }

    #[test]
    fn routes_read_as_in_ip() {
        let expected = |prefix: &str, target| {
            Ok(Route {
                prefix: prefix.parse().unwrap(),
                target,
            })
        };
        let via = || via([192, 168, 10, 2].into(), None).unwrap();
        assert_eq!(
            route("10.1.0.0/16 via 192.168.10.2"),
            expected("10.1.0.0/16", via())
        );
        assert_eq!(route("default via 192.168.10.2"), expected("0.0.0.0/0", via()));
        assert_eq!(route("10.1.2.3 via 192.168.10.2"), expected("10.1.2.3/32", via()));
        assert_eq!(
            route("10.1.0.0/16 dev wan"),
            expected("10.1.0.0/16", RouteTarget::Interface("wan".into()))
        );
        assert_eq!(route("10.1.0.0/16 interface wan"), route("10.1.0.0/16 dev wan"));
        assert_eq!(
            route("10.1.0.0/16 blackhole"),
            expected("10.1.0.0/16", RouteTarget::Blackhole)
        );
    }

    #[test]
    fn ipv6_routes_read_the_same() {
        let expected = |prefix: &str, target| {
            Ok(Route {
                prefix: prefix.parse().unwrap(),
                target,
            })
        };
        let via = |next_hop: &str, interface: Option<&str>| {
            via(next_hop.parse().unwrap(), interface.map(str::to_owned)).unwrap()
        };
        assert_eq!(
            route("2001:db8:1::/48 via 2001:DB8::2"),
            expected("2001:db8:1::/48", via("2001:db8::2", None))
        );
        assert_eq!(
            route("2001:db8:1::/48 via fe80::2 dev wan"),
            expected("2001:db8:1::/48", via("fe80::2", Some("wan")))
        );
        assert_eq!(
            route("2001:db8:1::7 blackhole"),
            expected("2001:db8:1::7/128", RouteTarget::Blackhole)
        );
        assert_eq!(
            route("default via fe80::2 interface wan"),
            expected("::/0", via("fe80::2", Some("wan")))
        );
        assert_eq!(
            route("::/0 dev wan"),
            expected("::/0", RouteTarget::Interface("wan".into()))
        );
        assert_eq!(
            route("default dev wan"),
            expected("0.0.0.0/0", RouteTarget::Interface("wan".into()))
        );
        assert_eq!(
            route("10.1.0.0/16 via 192.168.10.2 dev wan"),
            expected("10.1.0.0/16", via("192.168.10.2", Some("wan")))
        );
    }

    #[test]
    fn what_is_wrong_with_a_route_is_named() {
        for (wrong, named) in [
            ("", "the prefix is missing"),
            ("10.1.0.0/16", "where the route leads is missing"),
            ("10.1.0.0/33 blackhole", "'10.1.0.0/33' is not a prefix"),
            ("10.1.0.1/16 blackhole", "10.1.0.0/16 has not"),
            ("2001:db8::/129 blackhole", "'2001:db8::/129' is not a prefix"),
            ("2001:db8::1/32 blackhole", "2001:db8::/32 has not"),
            ("10.1.0.0/16 via", "the next hop is missing"),
            ("10.1.0.0/16 via wan", "'wan' is not an IP address"),
            ("10.1.0.0/16 via 192.168.10.2 dev", "'dev IFACE' is missing"),
            (
                "10.1.0.0/16 via 192.168.10.2 wan",
                "'wan' stands where 'dev IFACE'",
            ),
            ("10.1.0.0/16 over wan", "'over' stands where"),
            (
                "10.1.0.0/16 via 2001:db8::2",
                "next hop of 10.1.0.0/16 is not an IPv4 address",
            ),
            (
                "2001:db8:1::/48 via 192.168.10.2",
                "next hop of 2001:db8:1::/48 is not an IPv6 address",
            ),
            (
                "default via fe80::2",
                "fe80::2 is link-local, which every link may have, so 'dev IFACE' must say",
            ),
            (
                "10.1.0.0/16 via 192.168.10.2 dev wan up",
                "'up' is one word too many",
            ),
        ] {
            let message = route(wrong).unwrap_err();
            assert!(message.contains(named), "{wrong}: {message}");
            assert!(message.ends_with(FORM), "{message}");
        }
    }

    #[test]
    fn a_file_has_a_route_per_line_and_comments() {
        let text = "# ours\n10.1.0.0/16 blackhole\n\n  default via 192.168.10.2  # out\ndefault via fe80::2 dev wan\n";
        let prefixes: Vec<_> = parse_lines("routes.txt", text.as_bytes())
            .unwrap()
            .iter()
            .map(|route| route.prefix.to_string())
            .collect();
        assert_eq!(prefixes, ["10.1.0.0/16", "0.0.0.0/0", "::/0"]);
    }

    #[test]
    fn a_bad_line_is_named_with_its_place() {
        let text = "10.1.0.0/16 blackhole\n\n10.2.0.0/16 vai 192.168.10.2\n";
        let message = parse_lines("routes.txt", text.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("routes.txt:3: 'vai' stands where"),
            "{message}"
        );
        assert!(message.ends_with("no route was added"), "{message}");
    }

    proptest! {
        #[test]
        fn no_words_make_it_panic(words in prop::collection::vec("\\PC{0,12}", 0..6)) {
            drop(parse_route(&words));
        }
    }
}
