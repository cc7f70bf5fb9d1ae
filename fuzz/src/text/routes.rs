//! Files of routes for `tollgate-ctl route add --file`.

use control::message::{Route, RouteTarget};

/// A line of each form.
pub fn seeds() -> Vec<Vec<u8>> {
    let text = "# routes\n10.1.0.0/16 via 192.168.10.2\ndefault via fe80::2 dev wan # by this way\n2001:db8::/32 dev lan\n\
                192.0.2.1 blackhole\n::/0 via 2001:db8::2 interface wan\n";
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
    match &route.target {
        RouteTarget::Via {
            next_hop,
            interface: None,
        } => format!("{prefix} via {next_hop}\n"),
        RouteTarget::Via {
            next_hop,
            interface: Some(interface),
        } => format!("{prefix} via {next_hop} dev {interface}\n"),
        RouteTarget::Interface(interface) => format!("{prefix} dev {interface}\n"),
        RouteTarget::Blackhole => format!("{prefix} blackhole\n"),
    }
}
