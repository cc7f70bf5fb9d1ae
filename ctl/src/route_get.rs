//! `route get`: where packets of a flow go, and why.

use std::net::IpAddr;

use clap::Args;
use control::message::{Flow, Reply, Request, RouteExplanation};

use crate::failure::Failure;
use crate::present::Show;
use crate::rates::Rates;
use crate::session::{Session, unexpected};
use crate::table::{Column, Table, left, right};
use crate::words::{Words, parse};

/// Protocols that `ipproto` knows by name.
const PROTOCOLS: [(&str, u8); 7] = [
    ("icmp", 1),
    ("tcp", 6),
    ("udp", 17),
    ("gre", 47),
    ("esp", 50),
    ("ipv6-icmp", 58),
    ("sctp", 132),
];

#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    /// The destination, and what else tells the flow: 'from ADDR', 'ipproto PROTO', 'sport N', 'dport N', 'flowlabel N'. With
    /// several next hops, the flow says which of them it goes to
    #[arg(required = true, value_name = "ADDR [from ADDR] [ipproto PROTO] [sport N] [dport N] [flowlabel N]", num_args = 1..)]
    flow: Vec<String>,
}

pub(crate) fn run(arguments: &GetArguments, session: &Session) -> Result<(), Failure> {
    let flow = parse_flow(&arguments.flow).map_err(Failure::Usage)?;
    let mut client = session.client()?;
    session.show(|| match session.call(&mut client, Request::RouteGet { flow })? {
        Reply::Route(explanation) => Ok(vec![*explanation].into()),
        other => Err(unexpected(&other)),
    })
}

fn parse_flow(words: &[String]) -> Result<Flow, String> {
    let mut words = Words::new(words);
    let address = |word: &str| parse::<IpAddr>(word, "an IP address");
    let mut flow = Flow::to(address(words.next("the destination")?)?);
    let (mut from, mut to) = (None, None);
    while let Some(word) = words.next_if_any() {
        let mut number = |what| words.next(what);
        match word {
            "from" => flow.source = Some(address(number("the source")?)?),
            "ipproto" => {
                let name = number("the protocol")?;
                let known = PROTOCOLS.iter().find(|(known, _)| *known == name);
                flow.protocol = known.map_or_else(
                    || parse(name, "a protocol such as tcp, udp, icmp, or its number"),
                    |(_, number)| Ok(*number),
                )?;
            }
            "sport" => from = Some(parse(number("the source port")?, "a port")?),
            "dport" => to = Some(parse(number("the destination port")?, "a port")?),
            "flowlabel" => flow.label = parse(number("the flow label")?, "a flow label")?,
            other => {
                return Err(format!(
                    "'{other}' stands where 'from', 'ipproto', 'sport', 'dport' or 'flowlabel' is expected"
                ));
            }
        }
    }
    if flow
        .source
        .is_some_and(|source| source.is_ipv4() != flow.destination.is_ipv4())
    {
        return Err(format!("the source is not of the family of {}", flow.destination));
    }
    if from.is_some() || to.is_some() {
        flow.ports = Some((from.unwrap_or(0), to.unwrap_or(0)));
    }
    Ok(flow)
}

impl Show for RouteExplanation {
    const COLUMNS: &'static [Column] = &[
        left("DESTINATION"),
        left("PREFIX"),
        left("KIND"),
        left("PROTO"),
        right("METRIC"),
        left("NEXT HOP"),
        left("DEV"),
        left("NEIGHBOR"),
        left("MAC"),
        right("MTU"),
    ];

    fn lines(&self, table: &mut Table, _: Option<&Rates>) {
        table
            .cell(self.destination)
            .optional(self.prefix)
            .optional(self.kind.as_ref())
            .optional(self.protocol.as_ref())
            .optional(self.metric)
            .optional(self.next_hop)
            .optional(self.interface.as_ref())
            .optional(self.neighbor_state.as_ref())
            .optional(self.mac)
            .optional(self.mtu);
    }

    fn note(&self) -> Option<String> {
        let shared = self.next_hops.map_or_else(String::new, |(all, serving)| {
            format!("; the route has {all} next hops, {serving} of them in service, and this is the flow's")
        });
        Some(format!("{}{shared}", self.outcome))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(text: &str) -> Result<Flow, String> {
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        parse_flow(&words)
    }

    #[test]
    fn a_flow_reads_as_in_ip_route_get() {
        let expected = Flow {
            destination: "10.1.2.3".parse().unwrap(),
            source: Some("10.0.0.2".parse().unwrap()),
            protocol: 6,
            ports: Some((1000, 443)),
            label: 0,
        };
        assert_eq!(
            flow("10.1.2.3 from 10.0.0.2 ipproto tcp sport 1000 dport 443"),
            Ok(expected)
        );
        assert_eq!(flow("10.1.2.3"), Ok(Flow::to("10.1.2.3".parse().unwrap())));
        assert_eq!(flow("2001:db8::1 flowlabel 7").unwrap().label, 7);
        for wrong in [
            "",
            "10.0.0.0/8",
            "10.1.2.3 from",
            "10.1.2.3 from 2001:db8::1",
            "10.1.2.3 sport x",
            "10.1.2.3 oif wan",
        ] {
            flow(wrong).unwrap_err();
        }
    }
}
