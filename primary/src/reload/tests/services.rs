//! Plans for services that show one thing each.

use super::chosen::{VIA_9, assert_plan};
use super::*;

fn service(vip: &str, servers: &[&str], locals: &[(&str, &str)]) -> String {
    let servers: Vec<String> = servers
        .iter()
        .map(|address| format!("{{ address = \"{address}\" }}"))
        .collect();
    let locals: Vec<String> = locals
        .iter()
        .map(|(address, interface)| format!("{{ address = \"{address}\", interface = \"{interface}\" }}"))
        .collect();
    format!(
        "[[service]]\nprotocol = \"tcp\"\naddress = \"{vip}\"\nservers = [{}]\nlocal_addresses = [{}]\n",
        servers.join(", "),
        locals.join(", ")
    )
}

#[test]
fn services_that_both_have_are_left_alone_and_others_change_as_a_whole() {
    let with = |services: &[String]| config("10.0.0.1/24", "192.0.2.1/30", &services.concat());
    let stays = service("198.51.100.1:80", &["10.0.0.2:80"], &[("10.0.0.200", "lan")]);
    let goes = service("198.51.100.1:81", &["10.0.0.2:81"], &[]);
    let changes = service(
        "198.51.100.2:80",
        &["10.0.0.2:80", "10.0.0.3:80"],
        &[("10.0.0.200", "lan")],
    );
    let changed = service(
        "198.51.100.2:80",
        &["10.0.0.3:80", "10.0.0.4:80"],
        &[("10.0.0.201", "lan")],
    );
    let changed = format!("{changed}scheduler = \"wlc\"\ntoa = true\n");
    let comes = service("198.51.100.3:80", &[], &[]);
    let before = with(&[stays.clone(), goes, changes]);
    assert_plan(&before, &before.clone(), &[]);
    assert_plan(
        &before,
        &with(&[
            changed,
            comes,
            stays,
            "[load_balancer]\nudp = 7\nfragments = \"drop\"\n".to_owned(),
        ]),
        &[
            "~ service tcp 198.51.100.2:80 scheduler wlc (was rr) toa true (was default) +server 10.0.0.4:80 weight 1 \
             -server 10.0.0.2:80 +laddr 10.0.0.201 dev lan",
            "+ service tcp 198.51.100.3:80 scheduler rr",
            "- service tcp 198.51.100.1:81 scheduler rr server 10.0.0.2:81 weight 1",
            "~ service tcp 198.51.100.2:80 -laddr 10.0.0.200 dev lan",
            "~ load_balancer udp 7 (was 300) fragments drop (was join)",
        ],
    );
}

#[test]
fn a_local_address_that_is_in_the_way_leaves_its_service_first() {
    let at = |locals: &[(&str, &str)]| service("198.51.100.1:80", &["10.0.0.2:80"], locals);
    let link = |id: u16| format!("[[interface]]\nname = \"lan.1\"\nlink = \"lan\"\nid = {id}\n");
    let before = config(
        "10.0.0.1/24",
        "",
        &format!(
            "{}{}",
            link(1),
            at(&[("10.0.7.7", "lan.1"), ("10.0.0.200", "lan")])
        ),
    );
    let after = config(
        "10.0.0.1/24",
        "",
        &format!(
            "{}{}",
            link(2),
            at(&[("10.0.7.7", "lan.1"), ("10.0.0.200", "lan")])
        ),
    );
    assert_plan(
        &before,
        &after,
        &[
            "~ service tcp 198.51.100.1:80 -laddr 10.0.7.7 dev lan.1",
            "- link lan.1 link lan proto 802.1q id 1 mtu 1500",
            "+ link lan.1 link lan proto 802.1q id 2 mtu 1500",
            "~ service tcp 198.51.100.1:80 +laddr 10.0.7.7 dev lan.1",
        ],
    );
    // It becomes another host's.
    let after = config(
        "10.0.0.1/24",
        "",
        &format!(
            "{}{}{}",
            link(1),
            at(&[("10.0.7.7", "lan.1")]),
            VIA_9.replace("10.0.0.9", "10.0.0.200")
        ),
    );
    assert_plan(
        &before,
        &after,
        &[
            "~ service tcp 198.51.100.1:80 -laddr 10.0.0.200 dev lan",
            "+ route 172.16.0.0/12 via 10.0.0.200",
        ],
    );
    // It becomes the operator's as well, and stays.
    let after = config(
        "10.0.0.1/24 10.0.0.200/24",
        "",
        &format!(
            "{}{}",
            link(1),
            at(&[("10.0.7.7", "lan.1"), ("10.0.0.200", "lan")])
        ),
    );
    assert_plan(&before, &after, &["+ address 10.0.0.200/24 dev lan"]);
}

#[test]
fn what_is_refused_on_the_way_is_undone() {
    let with = |more: &str, services: &str| config("10.0.0.1/24", "", &format!("{services}{more}"));
    let one = service("198.51.100.1:80", &["10.0.0.2:80"], &[("10.0.0.200", "lan")]);
    let two = service("198.51.100.1:80", &["10.0.0.3:80"], &[("10.0.0.201", "lan")]);
    let before = with("", &one);
    let mut gateway = Gateway::new();
    let empty = gateway.running(&before);
    gateway
        .make(&plan(&empty, &before, &MACS, |_| true), |_| {})
        .unwrap();
    let running = gateway.running(&before);
    assert_eq!(running.services, before.services);
    // Where it stops halfway, what was before is reached again from there.
    let wanted = with(VIA_9, &two);
    let changes = plan(&running, &wanted, &MACS, |_| true);
    gateway.make(&changes[..changes.len() - 1], |_| {}).unwrap();
    let halfway = gateway.running(&before);
    gateway
        .make(&plan(&halfway, &before, &MACS, |_| true), |_| {})
        .unwrap();
    assert_eq!(gateway.running(&before).services, before.services);
    gateway
        .make(&plan(&gateway.running(&wanted), &wanted, &MACS, |_| true), |_| {})
        .unwrap();
    assert_eq!(gateway.running(&wanted).services, wanted.services);
}

#[test]
fn a_route_may_rest_on_a_local_address_alone() {
    let route = "[[route]]\nprefix = \"10.0.0.0/24\"\ninterface = \"lan\"\n";
    let of = |local: &str| {
        format!(
            "{}{route}",
            service("198.51.100.1:80", &["10.0.0.2:80"], &[(local, "lan")])
        )
    };
    let (none, one, other) = (
        config("", "", ""),
        config("", "", &of("10.0.0.200")),
        config("", "", &of("10.0.0.201")),
    );
    assert_plan(
        &none,
        &one,
        &[
            "+ service tcp 198.51.100.1:80 scheduler rr server 10.0.0.2:80 weight 1 laddr 10.0.0.200 dev lan",
            "+ route 10.0.0.0/24 dev lan",
        ],
    );
    assert_plan(
        &one,
        &other,
        &[
            "~ service tcp 198.51.100.1:80 +laddr 10.0.0.201 dev lan",
            "~ service tcp 198.51.100.1:80 -laddr 10.0.0.200 dev lan",
        ],
    );
    let mut gateway = Gateway::new();
    for wanted in [&one, &other, &none] {
        let running = gateway.running(wanted);
        let changes = plan(&running, wanted, &MACS, |_| true);
        gateway.make(&changes, |_| {}).unwrap();
        let reached = gateway.running(wanted);
        assert_eq!(lines(&plan(&reached, wanted, &MACS, |_| true)), [""; 0]);
        assert_eq!(reached.routes.len(), wanted.routes.len());
    }
}
