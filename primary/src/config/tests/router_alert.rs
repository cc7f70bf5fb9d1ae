//! `[router_alert]`, and `hop_by_hop` of an interface.

use ::router_alert::alert::{Beyond, Duplicates, Padding, Settings, Unrecognized};
use control::message::AlertRate;

use super::*;
use crate::worker::{AlertPolicy, Excess};

#[test]
fn what_is_made_of_router_alerts_is_as_the_file_says_or_as_a_router_should() {
    let defaults = parse(GOOD).unwrap().router_alert;
    let expected = Settings {
        unrecognized: Unrecognized::Skip,
        ..Settings::default()
    };
    assert_eq!(defaults.options.settings, expected);
    assert!(defaults.options.tells_length);
    let text = format!(
        "{GOOD}[router_alert]\npadding = \"strict\"\nduplicates = \"last\"\nwrong_length = \"silent\"\n\
         most_bytes = 64\nmost_options = 3\nbeyond = \"drop\"\n"
    );
    let options = parse(&text).unwrap().router_alert.options;
    let expected = Settings {
        padding: Padding::Strict,
        duplicates: Duplicates::Last,
        unrecognized: Unrecognized::Skip,
        beyond: Beyond::Refuse,
        most_bytes: 64,
        most_options: 3,
    };
    assert_eq!((options.settings, options.tells_length), (expected, false));
}

#[test]
fn hop_by_hop_headers_are_judged_where_the_interface_says_so() {
    let with = |keys: &str| {
        let port = "[[interface]]\nname = \"wan\"\ndevice = \"net_null0\"\n";
        let link = "[[interface]]\nname = \"wan.2\"\nlink = \"wan\"\nid = 2\n";
        parse(&format!(
            "[instance]\nname = \"blue\"\n{port}{keys}\n{link}{keys}\n"
        ))
    };
    for (keys, expected) in [
        ("", HopByHop::Ignore),
        ("hop_by_hop = \"ignore\"", HopByHop::Ignore),
        ("hop_by_hop = \"process\"", HopByHop::Process),
    ] {
        let config = with(keys).unwrap();
        let states: Vec<_> = config.hop_by_hop().collect();
        assert_eq!(states, [("wan", expected), ("wan.2", expected)], "{keys}");
        let judged = config.router_alert.on(expected);
        assert_eq!(judged.processes(), expected == HopByHop::Process);
        assert_eq!(HopByHop::of(&judged), expected);
    }
}

#[test]
fn words_that_are_not_known_and_limits_that_no_header_can_have_are_refused() {
    for (key, parts) in [
        ("padding = \"loose\"", ["'loose'", "\"lenient\" or \"strict\""]),
        (
            "duplicates = \"all\"",
            ["'all'", "\"drop\" or \"first\" or \"last\""],
        ),
        ("wrong_length = \"tell\"", ["'tell'", "\"answer\" or \"silent\""]),
        ("beyond = \"punt\"", ["'punt'", "\"forward\" or \"drop\""]),
    ] {
        let word = key.split_once("= ").unwrap().1;
        assert_added(&format!("[router_alert]\n{key}"), word, &parts);
    }
    for key in ["most_bytes = 7", "most_bytes = 2049", "most_options = 0"] {
        let number = key.split_once("= ").unwrap().1;
        assert_added(&format!("[router_alert]\n{key}"), number, &[]);
    }
    let text = GOOD.replace("name = \"lan\"", "name = \"lan\"\nhop_by_hop = \"judge\"");
    assert_problem(&text, "\"judge\"", &["\"ignore\" or \"process\""]);
}

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
