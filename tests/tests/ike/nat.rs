//! A gateway behind an address translation of the kernel: ESP goes in UDP, and the other end follows where it comes from.
//!
//! ```text
//!   host-a eth0 ─── a0  west  w0 ─── n0  nat  n1 ─── e0  east  b0 ─── eth0 host-b
//!          .1.2    .1.1    10.1.0.1   10.1.0.254  10.0.0.3   10.0.0.2      .2.1    .2.2
//! ```

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::TempDir;
use tests::{Family, Interface, Namespace, Primary, Privilege, wait_until};

use crate::site::{Changes, LIMIT, TUNNEL, configure, daemon_of};

const WEST: &str = "10.1.0.1";
const NAT: &str = "10.0.0.3";
const EAST: &str = "10.0.0.2";

fn namespace(name: &str) -> Namespace {
    Namespace::create(Privilege::detect(), name).unwrap()
}

/// A host behind a gateway, 1 or 2.
fn host(number: u8, gateway: &Namespace, link: &str) -> Namespace {
    let host = namespace(&format!("host-{number}"));
    host.connect("eth0", gateway, link).unwrap();
    host.add_address("eth0", &format!("192.168.{number}.2/24"))
        .unwrap();
    host.add_route("default", &format!("192.168.{number}.1")).unwrap();
    host
}

fn primary(number: u8, namespace: &Namespace, links: [&str; 2], ends: [&str; 2]) -> Primary {
    let ([inside, outside], [local, remote], there) = (links, ends, 3 - number);
    let inside = Interface::af_packet(inside).address(&format!("192.168.{number}.1/24"));
    let outside = Interface::af_packet(outside).address(&format!("{local}/24"));
    Primary::builder(Privilege::detect(), &format!("gw{number}"))
        .netns(namespace)
        .interface(inside)
        .interface(outside)
        .toml(&format!(
            "[[tunnel]]\nname = \"{TUNNEL}\"\nmode = \"esp\"\nlocal = \"{local}\"\nremote = \"{remote}\"\n\
             [[route]]\nprefix = \"192.168.{there}.0/24\"\ntunnel = \"{TUNNEL}\"\n"
        ))
        .start()
        .unwrap()
}

/// The configuration of a daemon between these ends.
fn written(folder: &Path, number: u8, ends: [&str; 2]) -> std::path::PathBuf {
    let path = configure(folder, Family::Ip4, number, Changes::default());
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| match line.split(" = ").next() {
        Some("local_address") => format!("local_address = \"{}\"\nlocal_id = \"gw{number}\"", ends[0]),
        // Nobody knows where it is who is behind the NAT.
        Some("remote_address") if number == 2 => "remote_id = \"gw1\"".to_owned(),
        Some("remote_address") => format!("remote_address = \"{}\"\nremote_id = \"gw2\"", ends[1]),
        _ => line.to_owned(),
    });
    fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
    path
}

#[test]
fn who_is_behind_a_nat_is_let_in_and_followed_when_it_rebinds() {
    let (west, nat, east) = (namespace("west"), namespace("nat"), namespace("east"));
    let _host_b = host(2, &east, "b0");
    let host_a = host(1, &west, "a0");
    west.connect("w0", &nat, "n0").unwrap();
    nat.connect("n1", &east, "e0").unwrap();
    nat.add_address("n0", "10.1.0.254/24").unwrap();
    nat.add_address("n1", &format!("{NAT}/24")).unwrap();
    nat.set_sysctls(&[("net/ipv4/ip_forward", "1")]).unwrap();
    let rules = "table ip nat { chain post { type nat hook postrouting priority 100; oifname \"n1\" udp dport 4500 masquerade to :20000-30000 random; \
                 oifname \"n1\" masquerade; }; }";
    nat.run("translates addresses", &["nft", rules])
        .unwrap()
        .success()
        .unwrap();
    let west = primary(1, &west, ["a0", "w0"], [WEST, EAST]);
    west.tell(&format!("route add {EAST}/32 via 10.1.0.254"));
    // It is made to end where the peer is.
    let east = primary(2, &east, ["b0", "e0"], [EAST, "192.0.2.99"]);
    let files = TempDir::new().unwrap();
    let daemons = [(1, &west, [WEST, EAST]), (2, &east, [EAST, ""])]
        .map(|(number, primary, ends)| daemon_of(primary, &written(files.path(), number, ends)));
    west.tell("ike initiate pr1");
    let ping = || {
        host_a
            .ping("192.168.2.2", &["-c", "3", "-i", "0.1", "-W", "1"], LIMIT)
            .unwrap()
    };
    ping().assert_all_answered();
    let shown = |primary: &Primary| -> Value {
        let all = primary.ctl_json(&["ike", "show"]).unwrap();
        all.as_array()
            .unwrap()
            .iter()
            .find(|sa| sa["state"] == "established")
            .cloned()
            .unwrap()
    };
    let (here, there) = (shown(&west), shown(&east));
    assert_eq!(
        (here["nat"].as_str(), there["nat"].as_str()),
        (Some("here"), Some("there"))
    );
    assert_eq!(there["remote_id"], "gw1");
    let before = there["remote"].as_str().unwrap().to_owned();
    assert!(before.starts_with(NAT) && !before.ends_with(":4500"), "{before}");
    let tunnel = east.ctl_json(&["tunnel", "show"]).unwrap();
    assert_eq!(tunnel[0]["remote"], NAT);
    // A NAT forgets what it has translated when its address goes, and chooses another port.
    nat.delete_address("n1", &format!("{NAT}/24")).unwrap();
    nat.add_address("n1", &format!("{NAT}/24")).unwrap();
    // It does so a while later.
    wait_until("that packets go both ways again, by another port", LIMIT, || {
        let pings = host_a.ping("192.168.2.2", &["-c", "1", "-W", "1"], LIMIT)?;
        let has_moved = shown(&east)["remote"] != before.as_str();
        Ok((has_moved && pings.all_answered()).then_some(()))
    })
    .unwrap();
    ping().assert_all_answered();
    assert_eq!(
        shown(&east)["initiator_spi"],
        there["initiator_spi"],
        "the same IKE SA"
    );
    west.tell("ike terminate pr1");
    wait_until("no SA at the other end", LIMIT, || {
        let sas = east.ctl_json(&["sa", "show"])?;
        Ok(sas.as_array().is_some_and(Vec::is_empty).then_some(()))
    })
    .unwrap_or_else(|error| {
        let shown =
            [&west, &east].map(|primary| primary.tell("ike show --details") + &primary.tell("sa show"));
        panic!(
            "{error}\n{}\n{}\n{}\n{}",
            shown[0],
            daemons[0].stderr(),
            shown[1],
            daemons[1].stderr()
        );
    });
}
