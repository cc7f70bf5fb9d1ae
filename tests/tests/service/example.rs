//! The first example of DPVS's tutorial: two web servers behind one address.

use tests::{Family, both_families};

use crate::site::{Arms, SERVERS, Site};

both_families! {
    clients_reach_servers_by_turns_two_arm,
    clients_reach_servers_by_turns_one_arm,
}

fn clients_reach_servers_by_turns_two_arm(family: Family) {
    servers_by_turns(family, Arms::Two);
}

fn clients_reach_servers_by_turns_one_arm(family: Family) {
    servers_by_turns(family, Arms::One);
}

fn servers_by_turns(family: Family, arms: Arms) {
    let mut site = Site::create(family, arms, 1);
    site.start_web_servers();
    site.serve("tcp", 80, "--scheduler rr");
    let answers: Vec<String> = (0..10).map(|_| site.curl(48)).collect();
    for number in SERVERS {
        let of_it = answers
            .iter()
            .filter(|answer| answer.starts_with(&format!("server {number}: ")));
        assert_eq!(of_it.count(), 5, "{answers:?}");
    }
    // The server sees the local address, and never the client.
    for pair in answers.windows(2) {
        assert_ne!(pair[0][..9], pair[1][..9], "by turns: {answers:?}");
    }
    for answer in &answers {
        let (_, seen) = answer.split_once(": ").unwrap();
        assert!(seen.starts_with(&format!("{}:", site.local())), "{answer}");
    }
    let shown = site.balancer.ctl_json(&["service", "show"]).unwrap();
    let service = &shown.as_array().unwrap()[0];
    assert_eq!(service["connections"], 10, "{shown}");
    for server in service["servers"].as_array().unwrap() {
        assert_eq!(server["connections"], 5, "{shown}");
        assert!(server["in_packets"].as_u64().unwrap() >= 5 * 4, "{shown}");
        assert!(server["out_packets"].as_u64().unwrap() >= 5 * 3, "{shown}");
    }
    site.assert_balanced();
}

#[test]
fn tables_are_printed_as_ipvsadm_prints_them() {
    let site = Site::create(Family::Ip4, Arms::Two, 1);
    site.serve("tcp", 80, "--scheduler rr");
    let shown = site.balancer.tell("service show --ipvsadm");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("IP Virtual Server version "), "{shown}");
    assert_eq!(
        lines[1..],
        [
            "Prot LocalAddress:Port Scheduler Flags",
            "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
            "TCP  10.0.0.100:80 rr",
            "  -> 192.168.100.2:80             FullNat 1      0          0",
            "  -> 192.168.100.3:80             FullNat 1      0          0",
        ],
        "{shown}"
    );
    let shown = site.balancer.tell("laddr show --ipvsadm");
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            "VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS",
            "10.0.0.100:80        1",
            "                              192.168.100.200      0          0",
        ],
        "{shown}"
    );
}

#[test]
fn services_are_saved_and_restored() {
    let site = Site::create(Family::Ip4, Arms::Two, 1);
    site.serve("tcp", 80, "--scheduler wlc --toa");
    site.serve("udp", 53, "--scheduler mh");
    let before = site.balancer.tell("service save");
    let file = site.gateway().name().to_owned();
    let path = std::env::temp_dir().join(format!("{file}.services"));
    std::fs::write(&path, &before).unwrap();
    site.balancer.tell("service flush");
    assert_eq!(
        site.balancer
            .ctl_json(&["service", "show"])
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        0
    );
    site.balancer.tell(&format!("service restore {}", path.display()));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(site.balancer.tell("service save"), before);
}
