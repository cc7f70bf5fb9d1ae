//! `route add`: one route from the command line, or many from a file with a route per line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use clap::Args;
use control::message::{ErrorCode, ROUTES_PER_REQUEST, Reply, Request, Route, RouteTarget};
use ipnet::Ipv4Net;

use crate::failure::Failure;
use crate::session::{Session, unexpected};
use crate::words::{Words, parse};

const FORM: &str = "PREFIX via NEXT_HOP | dev IFACE | blackhole";

#[derive(Debug, Args)]
pub(crate) struct AddArguments {
    /// The route; 'default' is 0.0.0.0/0
    #[arg(required_unless_present = "file", conflicts_with = "file", value_name = "PREFIX via NEXT_HOP|dev IFACE|blackhole", num_args = 1..)]
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

fn parse_lines(name: &str, lines: impl BufRead) -> Result<Vec<Route>, Failure> {
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
        let prefix = parse_prefix(words.next("the prefix")?)?;
        let target = match words.next("where the route leads")? {
            "via" => {
                let next_hop: Ipv4Addr = parse(words.next("the next hop")?, "an IPv4 address")?;
                RouteTarget::Via(next_hop)
            }
            "dev" | "interface" => RouteTarget::Interface(words.next("the interface")?.to_owned()),
            "blackhole" => RouteTarget::Blackhole,
            other => {
                return Err(format!(
                    "'{other}' stands where 'via', 'dev' or 'blackhole' is expected"
                ));
            }
        };
        words.end().map(|()| Route { prefix, target })
    };
    parsed().map_err(|error| format!("{error}: write {FORM}"))
}

/// A prefix as `ip` takes it: `default` is 0.0.0.0/0, an address alone is itself.
pub(crate) fn parse_prefix(text: &str) -> Result<Ipv4Net, String> {
    if text == "default" {
        return Ok(Ipv4Net::default());
    }
    let prefix = match text.parse::<Ipv4Addr>() {
        Ok(address) => Ipv4Net::from(address),
        Err(_) => parse(text, "an IPv4 prefix such as 10.1.0.0/16, nor 'default'")?,
    };
    if prefix.trunc() != prefix {
        return Err(format!(
            "'{text}' has bits set behind its length; {} has not",
            prefix.trunc()
        ));
    }
    Ok(prefix)
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
        let via = || RouteTarget::Via([192, 168, 10, 2].into());
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
    fn what_is_wrong_with_a_route_is_named() {
        for (wrong, named) in [
            ("", "the prefix is missing"),
            ("10.1.0.0/16", "where the route leads is missing"),
            ("10.1.0.0/33 blackhole", "'10.1.0.0/33' is not an IPv4 prefix"),
            ("10.1.0.1/16 blackhole", "10.1.0.0/16 has not"),
            ("2001:db8::/32 blackhole", "'2001:db8::/32' is not an IPv4 prefix"),
            ("10.1.0.0/16 via", "the next hop is missing"),
            ("10.1.0.0/16 via wan", "'wan' is not an IPv4 address"),
            ("10.1.0.0/16 over wan", "'over' stands where"),
            (
                "10.1.0.0/16 via 192.168.10.2 dev wan",
                "'dev' is one word too many",
            ),
        ] {
            let message = route(wrong).unwrap_err();
            assert!(message.contains(named), "{wrong}: {message}");
            assert!(message.ends_with(FORM), "{message}");
        }
    }

    #[test]
    fn a_file_has_a_route_per_line_and_comments() {
        let text = "# ours\n10.1.0.0/16 blackhole\n\n  default via 192.168.10.2  # out\n";
        assert_eq!(parse_lines("routes.txt", text.as_bytes()).unwrap().len(), 2);
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
        fn every_prefix_comes_back(bits: u32, length in 0..=32u8) {
            let prefix = Ipv4Net::new(bits.into(), length).unwrap().trunc();
            prop_assert_eq!(parse_prefix(&prefix.to_string()), Ok(prefix));
        }

        #[test]
        fn no_words_make_it_panic(words in prop::collection::vec("\\PC{0,12}", 0..6)) {
            drop(parse_route(&words));
        }
    }
}
