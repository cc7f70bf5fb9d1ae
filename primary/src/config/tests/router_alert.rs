//! `[router_alert]`.

use control::message::AlertRate;

use super::*;
use crate::worker::{AlertPolicy, Excess};

fn limits(text: &str) -> AlertPolicy {
    let config = parse(&format!("{GOOD}\n[router_alert]\n{text}")).unwrap();
    config.router_alert.limits
}

#[test]
fn req_ra_31_limits_are_read_and_excess_is_forwarded_unless_more_is_said() {
    assert_eq!(parse(GOOD).unwrap().router_alert.limits, AlertPolicy::DEFAULT);
    assert_eq!(AlertPolicy::DEFAULT.excess, Excess::Forward);
    let expected = AlertPolicy {
        excess: Excess::Drop,
        interface: Some(AlertRate { rate: 100, burst: 25 }),
        source: Some(AlertRate { rate: 3, burst: 7 }),
    };
    let text = "excess = \"drop\"\ninterface_rate = 100\nsource_rate = 3\nsource_burst = 7\n";
    assert_eq!(limits(text), expected);
    assert_eq!(
        limits("source_rate = 1").source,
        Some(AlertRate { rate: 1, burst: 1 })
    );
}

#[test]
fn what_is_wrong_with_limits_is_said_where_it_stands() {
    for (text, needle, part) in [
        ("excess = \"pass\"", "\"pass\"", "use \"forward\" or \"drop\""),
        ("source_rate = 0", "0", "source_rate"),
        ("interface_burst = 5", "5", "give interface_rate as well"),
        ("sources_rate = 5", "sources_rate", "source_rate"),
    ] {
        let text = format!("{GOOD}\n[router_alert]\n{text}\n");
        assert_problem(&text, needle, &[part]);
    }
}

#[test]
fn limits_are_written_out_as_they_were_read() {
    for text in [
        "excess = \"drop\"\n",
        "interface_rate = 9\ninterface_burst = 4\nsource_rate = 7\nsource_burst = 1\n",
    ] {
        let config = parse(&format!("{GOOD}\n[router_alert]\n{text}")).unwrap();
        let written = config.render(&Overrides::default());
        assert_eq!(
            parse(&written).unwrap().router_alert,
            config.router_alert,
            "{written}"
        );
    }
}
