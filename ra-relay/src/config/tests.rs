use std::path::Path;
use std::time::Duration;

use control::message::{AlertRate, FailMode};
use router_alert::Family;
use router_alert::strip::How;

use super::*;

fn read(text: &str) -> Result<Config, String> {
    Config::read(text, Path::new("ra.toml")).map_err(|errors| errors.to_string())
}

#[test]
fn a_rule_has_what_the_file_says() {
    let config = read(
        r#"
        [[rule]]
        name        = "rsvp"
        priority    = 10
        family      = "ipv6"
        values      = "1,4-35"
        protocol    = 46
        interface   = "lan"
        source      = "2001:db8::/32"
        destination = "2001:db8:1::/48"
        fail        = "closed"
        see_expired = true
        rate        = 1000
        handler     = "strip"
        strip       = "pad"

        [[rule]]
        name    = "rest"
        values  = "any"
        rate    = 10
        burst   = 50
        handler = "log"
        "#,
    )
    .unwrap();
    let [rsvp, rest] = &config.rules[..] else {
        panic!("{config:?}");
    };
    let rule = &rsvp.rule;
    assert_eq!(
        (rule.name.as_str(), rule.priority, rule.protocol),
        ("rsvp", 10, Some(46))
    );
    assert_eq!(
        (rule.family, rule.interface.as_deref()),
        (Some(Family::Six), Some("lan"))
    );
    assert_eq!(rule.values.to_string(), "1,4-35");
    assert_eq!(rule.source, Some("2001:db8::/32".parse().unwrap()));
    assert_eq!(rule.destination, Some("2001:db8:1::/48".parse().unwrap()));
    assert_eq!((rsvp.fail, rsvp.see_expired), (Some(FailMode::Closed), true));
    assert_eq!(
        rsvp.rate,
        Some(AlertRate {
            rate: 1000,
            burst: 250
        })
    );
    assert_eq!(rsvp.handler, Handler::Strip(How::Pad));
    assert_eq!((rest.rule.family, rest.rule.priority, rest.fail), (None, 0, None));
    assert!(rest.rule.values.contains(65535) && !rest.see_expired);
    assert_eq!(rest.rate, Some(AlertRate { rate: 10, burst: 50 }));
    assert_eq!(rest.handler, Handler::Log);
}

#[test]
fn a_handler_is_one_text_or_has_its_word_in_a_key() {
    let helper = "[[helper]]\nname = \"policy\"\nexec = [\"/bin/sh\", \"-c\", \"exit\"]\n";
    for (handler, expected) in [
        ("\"strip\"", "strip remove"),
        ("\"strip pad\"", "strip pad"),
        ("\"dscp 46\"", "dscp 46"),
        ("\"dscp\"\ndscp = 0", "dscp 0"),
        ("\"drop\"", "drop"),
        ("\"drop\"\ndrop = \"prohibited\"", "drop prohibited"),
        ("\"mirror\"\nmirror = \"wan\"", "mirror wan"),
        ("\"hold\"\nhold = 250", "hold 250"),
        ("\"hold 250\"", "hold 250"),
        ("\"helper\"\nhelper = \"policy\"", "helper policy"),
    ] {
        let config = read(&format!(
            "{helper}[[rule]]\nname = \"a\"\nvalues = \"any\"\nhandler = {handler}"
        ))
        .unwrap();
        assert_eq!(config.rules[0].handler.to_string(), expected);
    }
}

#[test]
fn a_helper_has_what_the_file_says() {
    let config = read(
        r#"
        [[helper]]
        name       = "policy"
        exec       = ["/bin/sh", "-c", "true; false"]
        user       = "root"
        timeout_ms = 50
        queue      = 8

        [[helper]]
        name   = "other"
        socket = "/run/other.sock"
        "#,
    )
    .unwrap();
    let [policy, other] = &config.helpers[..] else {
        panic!("{config:?}");
    };
    let words = ["/bin/sh", "-c", "true; false"].map(str::to_owned).to_vec();
    let user = Some("root".to_owned());
    assert_eq!(policy.transport, Transport::Exec { words, user });
    let second = Duration::from_secs(1);
    assert_eq!(
        (policy.timeout(second), policy.queue),
        (Duration::from_millis(50), 8)
    );
    assert_eq!(other.transport.socket(), Some(Path::new("/run/other.sock")));
    assert_eq!(other.timeout(second), Duration::from_millis(500));
    assert_eq!(other.timeout(second / 5), Duration::from_millis(100));
}

#[test]
fn what_takes_longer_than_the_deadline_is_refused() {
    let rule = "[[rule]]\nname = \"late\"\nvalues = \"any\"\nhandler = \"hold 300\"\n";
    let helper = "[[helper]]\nname = \"policy\"\nexec = [\"/bin/sh\"]\ntimeout_ms = 400\n";
    let config = read(&format!("{rule}{helper}")).unwrap();
    assert_eq!(config.fits(Duration::from_millis(401)), Ok(()));
    let refused = config.fits(Duration::from_millis(400)).unwrap_err();
    assert!(
        refused.starts_with("the helper 'policy' has 400 ms to answer, and the primary waits 400 ms"),
        "{refused}"
    );
    let refused = config.fits(Duration::from_millis(300)).unwrap_err();
    assert!(
        refused.starts_with("the rule 'late' holds packets for 300 ms, and the primary waits 300 ms"),
        "{refused}"
    );
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let rule = |more: &str| format!("[[rule]]\nname = \"a\"\nvalues = \"any\"\nhandler = {more}");
    let helper = |more: &str| format!("[[helper]]\nname = \"a\"\n{more}");
    for (text, said) in [
        (
            String::new(),
            "ra.toml: there is no rule, so nothing would be relayed: write [[rule]]",
        ),
        (
            "[[rule]]\nname = \"a\"\nhandler = \"log\"".to_owned(),
            "ra.toml:1:1: [[rule]] has no values: write values = \"0,4-35\", or \"any\"",
        ),
        (
            rule("\"stripp\""),
            "ra.toml:4:11: 'stripp' is no handler: did you mean 'strip'?",
        ),
        (
            rule("\"log\"\nstrip = \"pad\""),
            "ra.toml:5:9: strip is for the handler strip, and this is log: remove it",
        ),
        (
            rule("\"strip\"\nstrip = \"all\""),
            "ra.toml:5:9: 'strip all' is not known: write strip remove or strip pad",
        ),
        (
            rule("\"dscp\""),
            "ra.toml:4:11: the handler dscp needs to know which: write dscp = 46",
        ),
        (
            rule("\"log\"\nfamily = \"v6\""),
            "ra.toml:5:10: 'v6' is no family: use ipv4 or ipv6, or leave it out for both",
        ),
        (
            rule("\"log\"\nfail = \"shut\""),
            "ra.toml:5:8: fail = 'shut' is not known: use open or closed, or leave it to the class",
        ),
        (
            rule("\"log\"\nburst = 5"),
            "ra.toml:5:9: burst is of a policer, and there is no rate: write rate = 1000, or remove it",
        ),
        (
            rule("\"helper policy\""),
            "ra.toml:1:1: there is no helper 'policy': write [[helper]] and name = \"policy\"",
        ),
        (
            helper("exec = [\"policy\"]"),
            "ra.toml:3:9: 'policy' is no whole path: begin it with /",
        ),
        (
            helper("exec = [\"/nowhere/policy\"]"),
            "ra.toml:3:9: there is no program /nowhere/policy: write where it is",
        ),
        (
            helper("exec = [\"/bin/sh\"]\nuser = \"no such user\""),
            "ra.toml:4:8: this host has no user 'no such user'",
        ),
        (
            helper("exec = [\"/bin/sh\"]\nsocket = \"/run/a.sock\""),
            "ra.toml:1:1: a helper has either socket or exec: remove one of them",
        ),
        (
            helper("socket = \"/run/a.sock\"\nuser = \"root\""),
            "ra.toml:4:8: user is for exec: whoever may write to a socket connects to it",
        ),
        (
            helper("queue = 1"),
            "ra.toml:1:1: [[helper]] has neither socket nor exec: write exec = [\"/usr/local/bin/policy\"], or socket = \
             \"/run/tollgate/policy.sock\"",
        ),
        (
            format!(
                "{}\n{}",
                helper("socket = \"/run/a.sock\""),
                helper("socket = \"/run/a.sock\"")
            ),
            "ra.toml:4:1: there is a helper 'a' already: give this one another name",
        ),
    ] {
        let refused = read(&text).unwrap_err();
        assert!(
            refused.lines().any(|line| line == said),
            "{refused}\nwanted: {said}"
        );
    }
}
