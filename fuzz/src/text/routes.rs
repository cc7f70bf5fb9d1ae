//! Files of routes for `tollgate-ctl route load`.

use std::net::IpAddr;

use control::message::{Route, RouteTarget};

/// A line of each form.
pub fn seeds() -> Vec<Vec<u8>> {
    let text = "# routes\n10.1.0.0/16 via 192.168.10.2\ndefault via fe80::2 dev wan # by this way\n2001:db8::/32 dev lan\n\
                192.0.2.1 blackhole\n::/0 via 2001:db8::2 interface wan\n\
                unreachable 10.9.0.0/16 metric 4278198272 error -113\ndefault proto bird metric 20 \n\tnexthop via 10.0.0.2 dev wan \
                weight 3 linkdown\n\tnexthop via 10.0.0.3\n10.8.0.0/13 via 10.0.0.2 dev wan mtu lock 1400 src 10.0.0.1 onlink\n";
    let lines = text.lines().map(|line| line.as_bytes().to_vec());
    lines.chain([text.as_bytes().to_vec()]).collect()
}

/// What is understood can be written down again and is the same then; what is not is answered with the line.
pub fn body(bytes: &[u8]) {
    match ctl::parse_routes("routes", bytes) {
        Ok(routes) => {
            let text: String = routes.iter().map(line).collect();
            assert_eq!(ctl::parse_routes("again", text.as_bytes()), Ok(routes), "{text}");
        }
        Err(sentence) => assert!(sentence.contains("routes:"), "{sentence}"),
    }
}

fn line(route: &Route) -> String {
    let prefix = route.prefix;
    let mut line = match &route.target {
        RouteTarget::Via { next_hop, interface } => {
            format!("{prefix}{}", via(next_hop, interface.as_deref()))
        }
        RouteTarget::Interface(interface) => format!("{prefix} dev {interface}"),
        RouteTarget::Blackhole => format!("blackhole {prefix}"),
        RouteTarget::Unreachable => format!("unreachable {prefix}"),
        RouteTarget::Prohibit => format!("prohibit {prefix}"),
        RouteTarget::Multipath(several) => {
            let next_hops = several.iter().map(|one| {
                let via = via(&one.next_hop, one.interface.as_deref());
                format!(" nexthop{via} weight {}", one.weight)
            });
            format!("{prefix}{}", next_hops.collect::<String>())
        }
    };
    for (word, value) in [
        ("metric", route.metric.map(|metric| metric.to_string())),
        ("mtu", route.mtu.map(|mtu| mtu.to_string())),
        ("src", route.source.map(|source| source.to_string())),
        ("proto", route.protocol.map(|protocol| protocol.to_string())),
    ] {
        line.extend(value.map(|value| format!(" {word} {value}")));
    }
    line + "\n"
}

fn via(next_hop: &IpAddr, interface: Option<&str>) -> String {
    let interface = interface.map_or(String::new(), |interface| format!(" dev {interface}"));
    format!(" via {next_hop}{interface}")
}
