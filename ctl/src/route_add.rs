//! `route add`, `route replace`, `route del`: one route from the command line; with `--file`, many from a file.

use std::path::PathBuf;

use clap::Args;
use control::message::{Request, Route, RouteKey};

use crate::failure::Failure;
use crate::prefix::{FamilyArguments, Prefix};
use crate::route_words::{FORM, Fault, Meaning, Reader};
use crate::session::Session;
use crate::words::{Words, parse};
use crate::{route_file, route_load};

#[derive(Debug, Args)]
pub(crate) struct AddArguments {
    /// PREFIX via ADDR [dev IFACE]|dev IFACE|nexthop via ADDR [weight N] ...|blackhole|unreachable|prohibit, with metric N,
    /// mtu N, src ADDR, proto NAME as in ip-route(8); 'default' is all of the next hop's family, and 0.0.0.0/0 without one
    #[arg(required_unless_present = "file", conflicts_with = "file", value_name = "ROUTE", num_args = 1..)]
    route: Vec<String>,

    /// Add the routes of a file, one per line as above; '-' is stdin; '#' begins a comment
    #[arg(long)]
    file: Option<PathBuf>,

    /// Change a route that exists instead of refusing
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    family: FamilyArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ReplaceArguments {
    /// The route as 'route add' takes it; one to the same prefix and with the same metric is changed
    #[arg(required = true, value_name = "ROUTE", num_args = 1..)]
    route: Vec<String>,

    #[command(flatten)]
    family: FamilyArguments,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArguments {
    /// Its prefix; 'default' is 0.0.0.0/0, and with -6 or an IPv6 next hop ::/0. Of several, the one with the lowest metric
    /// goes unless a metric or a next hop is named
    #[arg(required = true, value_name = "PREFIX [via ADDR] [metric N]", num_args = 1..)]
    route: Vec<String>,

    #[command(flatten)]
    family: FamilyArguments,
}

/// `route add`.
pub(crate) fn add(arguments: &AddArguments, session: &Session) -> Result<(), Failure> {
    session.refuse_watch()?;
    let routes = match &arguments.file {
        Some(path) => {
            let as_written = |name: &str| Some(name.to_owned());
            let contents = route_file::read(path, arguments.family.family(), &as_written)?.whole()?;
            if contents.ignored > 0 {
                eprintln!("{}", route_load::left_out(contents.ignored));
            }
            contents.routes
        }
        None => vec![parse_route(&arguments.route, &arguments.family)?],
    };
    route_load::add(&routes, arguments.replace, session)
}

/// `route replace`.
pub(crate) fn replace(arguments: &ReplaceArguments, session: &Session) -> Result<(), Failure> {
    let route = parse_route(&arguments.route, &arguments.family)?;
    session.change(Request::RouteAdd {
        routes: vec![route],
        replace: true,
    })
}

/// `route del`.
pub(crate) fn delete(arguments: &DeleteArguments, session: &Session) -> Result<(), Failure> {
    let key = parse_key(&arguments.route, &arguments.family).map_err(Failure::Usage)?;
    session.change(Request::RouteDelete { routes: vec![key] })
}

fn parse_route(words: &[String], family: &FamilyArguments) -> Result<Route, Failure> {
    let reader = Reader {
        family: family.family(),
        printed: false,
        // The primary knows which there are.
        interface: &|name| Some(name.to_owned()),
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let usage = |message: String| Failure::Usage(format!("{message}: write {FORM}"));
    match reader.read(&words) {
        Ok(Meaning::Route(route)) => Ok(route),
        Ok(Meaning::Ignored) => Err(usage("this is no route that can be added".to_owned())),
        Err(Fault { message, .. }) => Err(usage(message)),
    }
}

fn parse_key(words: &[String], family: &FamilyArguments) -> Result<RouteKey, String> {
    let mut words = Words::new(words);
    let prefix: Prefix = words.next("the prefix")?.parse()?;
    let (mut metric, mut next_hop) = (None, None);
    while let Some(word) = words.next_if_any() {
        match word {
            "via" => next_hop = Some(parse(words.next("the next hop")?, "an IP address")?),
            "metric" => {
                metric = Some(parse(words.next("the metric")?, "a metric from 0 to 4294967295")?);
            }
            other => return Err(format!("'{other}' stands where 'via' or 'metric' is expected")),
        }
    }
    let family = family.family().or(next_hop.map(crate::prefix::Family::of));
    let prefix = prefix.within(family).map_err(|prefix| {
        format!("{prefix} is of the other address family: leave -4, -6 or the next hop out")
    })?;
    Ok(RouteKey {
        prefix,
        metric,
        next_hop,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_to_delete_is_named_by_prefix_metric_and_next_hop() {
        let key = |text: &str| {
            let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
            parse_key(&words, &FamilyArguments::default())
        };
        let expected = RouteKey {
            prefix: "::/0".parse().unwrap(),
            metric: Some(20),
            next_hop: Some("fe80::2".parse().unwrap()),
        };
        assert_eq!(key("default via fe80::2 metric 20"), Ok(expected));
        let all: ipnet::IpNet = "10.0.0.0/8".parse().unwrap();
        assert_eq!(key("10.0.0.0/8"), Ok(all.into()));
        for wrong in [
            "10.0.0.0/8 via fe80::2",
            "10.0.0.0/8 dev wan",
            "10.0.0.0/8 metric",
            "10.0.0.1/8",
        ] {
            key(wrong).unwrap_err();
        }
    }
}
