//! Plans that show one thing each.

use super::*;

#[track_caller]
pub(super) fn assert_plan(before: &Config, after: &Config, expected: &[&str]) {
    let changes = plan(&normalized(before.clone()), after, &MACS, is_by_hand);
    assert_eq!(lines(&changes), expected);
}

pub(super) const VIA_9: &str = "[[route]]\nprefix = \"172.16.0.0/12\"\nvia = \"10.0.0.9\"\n";

#[test]
fn the_same_in_other_words_is_no_change() {
    let before = config("10.0.0.1/24 10.0.0.2/24", "192.0.2.1/30", VIA_9);
    let route = "[[route]]\nprefix = \"172.16.0.0/12\"\nnexthops = [{ via = \"10.0.0.9\", weight = 7 }]\nmetric = 0\nproto = \"static\"\n";
    let after = config("10.0.0.2/24 10.0.0.1/24", "192.0.2.1/30", route);
    assert_plan(&before, &after, &[]);
}

#[test]
fn a_new_next_hop_is_reached_before_the_old_one_is_not() {
    let before = config("10.0.0.1/24", "", VIA_9);
    let after = config("", "192.0.2.1/30", &VIA_9.replace("10.0.0.9", "192.0.2.2"));
    assert_plan(
        &before,
        &after,
        &[
            "+ address 192.0.2.1/30 dev wan",
            "~ route 172.16.0.0/12 via 192.0.2.2 (was 172.16.0.0/12 via 10.0.0.9)",
            "- address 10.0.0.1/24 dev lan",
        ],
    );
}

#[test]
fn a_subnet_that_moves_takes_what_it_reaches_along() {
    let before = config("10.0.0.1/24", "", VIA_9);
    let after = config("", "10.0.0.1/24", VIA_9);
    assert_plan(
        &before,
        &after,
        &[
            "- address 10.0.0.1/24 dev lan",
            "+ address 10.0.0.1/24 dev wan",
            "~ route 172.16.0.0/12 via 10.0.0.9 (again, as the subnet of its next hop is)",
        ],
    );
}

#[test]
fn routes_of_protocols_stay_as_long_as_they_can() {
    let ospf = "[[route]]\nprefix = \"10.9.0.0/16\"\nvia = \"10.0.0.9\"\nproto = \"ospf\"\n";
    let by_hand = "[[route]]\nprefix = \"10.8.0.0/16\"\nvia = \"10.0.0.9\"\nproto = \"boot\"\n";
    let before = config("10.0.0.1/24", "", &format!("{by_hand}{ospf}"));
    assert_plan(
        &before,
        &config("10.0.0.1/24", "", ""),
        &["- route 10.8.0.0/16 via 10.0.0.9 proto boot"],
    );
    assert_plan(
        &before,
        &config("", "", ""),
        &[
            "- route 10.8.0.0/16 via 10.0.0.9 proto boot",
            "- route 10.9.0.0/16 via 10.0.0.9 proto ospf",
            "- address 10.0.0.1/24 dev lan",
        ],
    );
}

#[test]
fn a_link_that_changes_is_made_again_with_all_that_is_on_it() {
    let link = |id: u16| {
        format!(
            "[[interface]]\nname = \"lan.7\"\nlink = \"lan\"\nid = {id}\naddresses = [\"10.7.0.1/24\"]\n\
             [[neighbor]]\naddress = \"10.7.0.9\"\nmac = \"02:00:00:00:00:09\"\ninterface = \"lan.7\"\n"
        )
    };
    assert_plan(
        &config("", "", &link(7)),
        &config("", "", &link(8)),
        &[
            "- address 10.7.0.1/24 dev lan.7",
            "- link lan.7 link lan proto 802.1q id 7 mtu 1500",
            "+ link lan.7 link lan proto 802.1q id 8 mtu 1500",
            "+ address 10.7.0.1/24 dev lan.7",
            "~ neighbor 10.7.0.9 lladdr 02:00:00:00:00:09 dev lan.7",
        ],
    );
}

#[test]
fn a_tunnel_changes_where_it_is_unless_something_is_in_the_way() {
    let tunnel = |name: &str, remote: u8, more: &str| {
        format!(
            "[[tunnel]]\nname = \"{name}\"\nmode = \"ipip\"\nlocal = \"192.0.2.1\"\nremote = \"198.51.100.{remote}\"\n{more}\n"
        )
    };
    let route = "[[route]]\nprefix = \"10.9.0.0/16\"\ntunnel = \"a\"\n";
    let with = |tunnels: &str| config("", "192.0.2.1/30", &format!("{tunnels}{route}"));
    let words = |name: &str, remote: u8, mtu: &str| {
        format!("{name} mode ipip local 192.0.2.1 remote 198.51.100.{remote}{mtu} ttl 64 df copy dscp copy")
    };
    let plain = with(&tunnel("a", 1, ""));
    assert_plan(
        &plain,
        &with(&tunnel("a", 2, "mtu = 1300")),
        &[&format!(
            "~ tunnel {} (was {})",
            words("a", 2, " mtu 1300"),
            words("a", 1, "")
        )],
    );
    // New, with all that is on it, and gone again.
    let less = config("", "192.0.2.1/30", "");
    let more = with(&tunnel("a", 1, "addresses = [\"10.255.0.1/30\"]\nup = false"));
    let (add, delete) = (
        format!("+ tunnel {}", words("a", 1, "")),
        format!("- tunnel {}", words("a", 1, "")),
    );
    assert_plan(
        &less,
        &more,
        &[
            &add,
            "+ address 10.255.0.1/30 dev a",
            "+ route 10.9.0.0/16 dev a",
            "~ link a admin down",
        ],
    );
    assert_plan(
        &more,
        &less,
        &[
            "- route 10.9.0.0/16 dev a",
            "- address 10.255.0.1/30 dev a",
            &delete,
        ],
    );
    // Two that change places: each is in the other's way.
    let (one, other) = (
        with(&(tunnel("a", 1, "") + &tunnel("b", 2, ""))),
        with(&(tunnel("a", 2, "") + &tunnel("b", 1, ""))),
    );
    assert_plan(
        &one,
        &other,
        &[
            &delete,
            &format!("- tunnel {}", words("b", 2, "")),
            &format!("+ tunnel {}", words("a", 2, "")),
            &format!("+ tunnel {}", words("b", 1, "")),
            "~ route 10.9.0.0/16 dev a (again, as the subnet of its next hop is)",
        ],
    );
    // The interface whose addresses it uses is made anew.
    let link = |id: u16| format!("[[interface]]\nname = \"lan.7\"\nlink = \"lan\"\nid = {id}\n");
    let on = |id| with(&(link(id) + &tunnel("a", 1, "unnumbered = \"lan.7\"")));
    assert_plan(
        &on(7),
        &on(8),
        &[
            &format!("{delete} unnumbered lan.7"),
            "- link lan.7 link lan proto 802.1q id 7 mtu 1500",
            "+ link lan.7 link lan proto 802.1q id 8 mtu 1500",
            &format!("{add} unnumbered lan.7"),
            "~ route 10.9.0.0/16 dev a (again, as the subnet of its next hop is)",
        ],
    );
}

#[test]
fn states_policers_and_the_log_are_changes_as_well() {
    let before = config("", "", "");
    let mut after = config(
        "",
        "",
        "[[punt]]\nclass = \"ike\"\nfail = \"closed\"\nrate = 5\nburst = 6\n\
         [router_alert]\nexcess = \"drop\"\nsource_rate = 9\n[log]\nlevel = \"info,arp=debug\"\n",
    );
    after.interfaces[1].up = false;
    let there = [
        "~ link wan admin down",
        "~ punt ike rate 5 burst 6 fail closed deadline_ms 1000",
        "~ router_alert padding lenient duplicates drop wrong_length answer beyond forward most_bytes 256 most_options 8 excess drop source_rate 9 source_burst 2",
        "~ log level info,arp=debug target stderr",
    ];
    assert_plan(&before, &after, &there);
    let back = [
        "~ link wan admin up",
        "~ punt ike rate 10000 burst 2048 fail open deadline_ms 1000",
        "~ router_alert padding lenient duplicates drop wrong_length answer beyond forward most_bytes 256 most_options 8 excess forward",
        "~ log level info target stderr",
    ];
    assert_plan(&after, &before, &back);
}

#[test]
fn where_there_is_no_room_for_both_the_old_ones_go_first() {
    let routes = |second: u8| -> String {
        (0..1000u32)
            .map(|third| {
                format!(
                    "[[route]]\nprefix = \"10.{second}.{}.{}/30\"\nblackhole = true\n",
                    third / 64,
                    third % 64 * 4
                )
            })
            .collect()
    };
    let (before, after) = (
        config("192.0.2.1/30", "", &routes(1)),
        config("192.0.2.1/30", "", &routes(2)),
    );
    let mut gateway = Gateway::new();
    for wanted in [&before, &after] {
        let running = gateway.running(wanted);
        gateway
            .make(&plan(&running, wanted, &MACS, is_by_hand), |_| {})
            .unwrap();
        let left = plan(&gateway.running(wanted), wanted, &MACS, is_by_hand);
        assert_eq!(lines(&left), [""; 0]);
    }
}

#[test]
fn what_needs_a_restart_is_named_with_its_lines_in_one_sentence() {
    let before = config("", "", "");
    let refused = |text: &str| check_restart(&before, &parse(text).unwrap()).unwrap_err();
    let text = with_ports(&[], &[], "[workers]\nidle = \"busy\"\n")
        .replace("neighbors = 100", "neighbors = 99")
        .replace("net_null1", "net_null7");
    assert_eq!(
        refused(&text),
        "neighbors in [limits] (blue.toml:7), idle in [workers] (blue.toml:20), device of wan (blue.toml:17) cannot change while the \
         primary runs: restart it to apply blue.toml, or put back what runs"
    );
    let gone = with_ports(&[], &[], "").replace("\"wan\"", "\"dmz\"");
    let sentence = refused(&gone);
    assert!(
        sentence.starts_with("the port wan (not in blue.toml), the new port dmz (blue.toml:17) cannot"),
        "{sentence}"
    );
    let default = with_ports(&[], &[], "").replace("groups = 16\n", "");
    assert!(refused(&default).starts_with("groups in [limits] (not in blue.toml) cannot"));
    let crypto = with_ports(&[], &[], "[crypto]\ndevices = [\"crypto_aesni_mb0\"]\n");
    let sentence = refused(&crypto);
    assert!(
        sentence.starts_with("devices in [crypto] (blue.toml:20) cannot"),
        "{sentence}"
    );
    let mut swapped = before.clone();
    swapped.interfaces.reverse();
    assert_eq!(check_restart(&before, &swapped), Ok(()));
}

#[test]
fn a_tap_of_a_sub_interface_comes_and_goes_with_the_primary() {
    let with = |tap: &str| {
        config(
            "",
            "",
            &format!("[[interface]]\nname = \"wan.7\"\nlink = \"wan\"\nid = 7\n{tap}"),
        )
    };
    let (bare, tap, other) = (
        with(""),
        with("tap = true\n"),
        with("tap = true\ntap_name = \"t7\"\n"),
    );
    assert_eq!(check_restart(&tap, &tap), Ok(()));
    for (running, wanted, sentence) in [
        (&bare, &tap, "tap of wan.7 (blue.toml:"),
        (&tap, &bare, "tap of wan.7 (blue.toml:"),
        (&tap, &other, "tap of wan.7 (blue.toml:"),
        (&config("", "", ""), &tap, "tap of wan.7 (blue.toml:"),
        (&tap, &config("", "", ""), "tap of wan.7 (not in blue.toml)"),
    ] {
        let refused = check_restart(running, wanted).unwrap_err();
        assert!(refused.starts_with(sentence), "{refused}");
    }
}

/// By the address that lan makes itself.
const FROM_MADE: &str =
    "[[route]]\nprefix = \"2001:db8:7::/48\"\nvia = \"2001:db8::9\"\nsrc = \"fe80::ff:fe00:1\"\n";

#[test]
fn a_route_from_a_link_local_address_that_an_interface_makes_itself_is_shown_and_applied() {
    let mut gateway = Gateway::new();
    let wanted = config("2001:db8::1/64", "", FROM_MADE);
    let running = gateway.running(&wanted);
    gateway
        .make(&plan(&running, &wanted, &MACS, is_by_hand), |_| {})
        .unwrap();
    let running = gateway.running(&wanted);
    assert_eq!(running.routes[0].source, wanted.routes[0].source);
    let again = parse(&running.render(&Overrides::default())).unwrap();
    assert_eq!(check_sources(&again, &MACS), Ok(()));
    assert_plan(&running, &again, &[]);
    // One that a protocol made so stays when others change.
    let mut of_ospf = running.clone();
    of_ospf.routes[0].protocol = Some(188);
    assert_plan(
        &of_ospf,
        &config("2001:db8::1/64", "10.0.0.1/24", ""),
        &["+ address 10.0.0.1/24 dev wan"],
    );
}

#[test]
fn a_route_from_a_link_local_address_is_made_again_where_the_interface_makes_that_again() {
    let before = config("2001:db8::1/64", "", FROM_MADE);
    let route = "2001:db8:7::/48 via 2001:db8::9 src fe80::ff:fe00:1";
    let again = format!("~ route {route} (again, as the subnet of its next hop is)");
    assert_plan(
        &before,
        &config("2001:db8::1/48", "", FROM_MADE),
        &[
            "- address 2001:db8::1/64 dev lan",
            "+ address 2001:db8::1/48 dev lan",
            &again,
        ],
    );
}

#[test]
fn a_route_from_a_link_local_address_waits_until_another_has_made_room_for_that() {
    let before = config("2001:db8::1/64 fe80::2/64", "", "");
    let after = config("2001:db8::1/64", "", FROM_MADE);
    let route = "route 2001:db8:7::/48 via 2001:db8::9 src fe80::ff:fe00:1";
    let (gone, back) = ("- address fe80::2/64 dev lan", "+ address fe80::2/64 dev lan");
    assert_plan(&before, &after, &[gone, &format!("+ {route}")]);
    assert_plan(&after, &before, &[&format!("- {route}"), back]);
}

#[test]
fn a_route_from_a_link_local_address_that_no_interface_will_have_is_refused() {
    let sentence = |config: &Config| check_sources(config, &MACS).unwrap_err();
    let refused = sentence(&config(
        "2001:db8::1/64 fe80::1/64",
        "2001:db8:1::1/64",
        FROM_MADE,
    ));
    assert!(
        refused.contains("'fe80::ff:fe00:1'") && refused.contains("2001:db8:7::/48"),
        "{refused}"
    );
    // Of no interface that makes one.
    let text = with_ports(&["2001:db8::1/64".into(), "fe80::1/64".into()], &[], FROM_MADE);
    assert!(
        parse(&text)
            .unwrap_err()
            .to_string()
            .contains("no address of an [[interface]]")
    );
}

#[test]
fn a_log_that_the_command_line_raised_stays_so_when_the_file_is_applied_again() {
    let overrides = Overrides {
        verbose: 1,
        ..Overrides::default()
    };
    let file = with_ports(&[], &[], "[log]\nlevel = \"warning\"\n");
    let running = parse_with(&file, &overrides).unwrap();
    assert_eq!(running.log.levels.to_string(), "debug,eal=warning");
    for text in [file, running.render(&overrides)] {
        let again = parse_with(&text, &overrides).unwrap();
        assert_plan(&running, &again, &[]);
    }
}

#[test]
fn what_was_said_by_the_command_line_is_not_written_into_the_file() {
    let overrides = Overrides {
        eal_args: vec!["--iova-mode=va".to_owned()],
        ..Overrides::default()
    };
    let mut running = config("", "", "[eal]\nargs = [\"--match-allocations\"]\n");
    running.eal.args.extend(overrides.eal_args.iter().cloned());
    let text = running.render(&overrides);
    assert!(text.contains("args = [\"--match-allocations\"]"), "{text}");
}

#[test]
fn redirects_are_switched_where_they_differ_and_off_for_a_new_link_that_wants_none() {
    let link = "[[interface]]\nname = \"wan.7\"\nlink = \"wan\"\nid = 7\n";
    let before = config("", "", "");
    let mut after = config("", "", &format!("{link}redirects = false\n"));
    after.interfaces[0].redirects = false;
    assert_plan(
        &before,
        &after,
        &[
            "+ link wan.7 link wan proto 802.1q id 7 mtu 1500",
            "~ link lan redirects off",
            "~ link wan.7 redirects off",
        ],
    );
    assert_eq!(check_restart(&before, &after), Ok(()));
    let mut again = after.clone();
    again.interfaces[0].redirects = true;
    again.sub_interfaces[0].redirects = true;
    assert_plan(
        &after,
        &again,
        &["~ link lan redirects on", "~ link wan.7 redirects on"],
    );
}

#[test]
fn hop_by_hop_headers_are_judged_where_that_differs_and_router_alerts_change_for_all() {
    let link = "[[interface]]\nname = \"wan.7\"\nlink = \"wan\"\nid = 7\n";
    let before = config("", "", "");
    let mut after = config("", "", &format!("{link}hop_by_hop = \"process\"\n"));
    after.interfaces[0].hop_by_hop = HopByHop::Process;
    after.router_alert.options.settings.most_options = 4;
    let router_alert = "~ router_alert padding lenient duplicates drop wrong_length answer beyond forward most_bytes 256 most_options";
    assert_plan(
        &before,
        &after,
        &[
            "+ link wan.7 link wan proto 802.1q id 7 mtu 1500",
            "~ link lan hop_by_hop process",
            "~ link wan.7 hop_by_hop process",
            &format!("{router_alert} 4 excess forward"),
        ],
    );
    assert_eq!(check_restart(&before, &after), Ok(()));
    let mut again = after.clone();
    again.interfaces[0].hop_by_hop = HopByHop::Ignore;
    again.router_alert.options.settings.most_options = 8;
    assert_plan(
        &after,
        &again,
        &[
            "~ link lan hop_by_hop ignore",
            &format!("{router_alert} 8 excess forward"),
        ],
    );
}
