//! Bonds of two links, between two gateways, with a host behind each.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::time::Duration;

use tests::{Interface, Namespace, Primary, Privilege, wait_until};

const LIMIT: Duration = Duration::from_secs(30);
const PORTS: [&str; 2] = ["m0", "m1"];

/// host1 ── gw1 ══ gw2 ── host2
struct Site {
    hosts: Vec<Namespace>,
    gateways: [Namespace; 2],
    primaries: Vec<Primary>,
}

impl Site {
    fn start(mode: u8) -> Self {
        Self::with_mtu(mode, 1500)
    }

    fn with_mtu(mode: u8, mtu: u16) -> Self {
        let privilege = Privilege::detect();
        let gateways = ["near", "far"].map(|name| Namespace::create(privilege, name).unwrap());
        let [near, far] = &gateways;
        for port in PORTS {
            near.connect(port, far, port).unwrap();
        }
        let (mut hosts, mut primaries) = (Vec::new(), Vec::new());
        for (number, other, gateway) in [(1, 2, near), (2, 1, far)] {
            let host = Namespace::behind(privilege, gateway, number).unwrap();
            let primary = Primary::builder(privilege, &format!("gw{number}"))
                .netns(gateway)
                // Packet buffers are as long as the MTU.
                .memory_mb(if mtu > 1500 { 384 } else { 256 })
                .interface(
                    Interface::af_packet("h0")
                        .mtu(mtu)
                        .address(&format!("192.168.{number}.1/24"))
                        .address(&format!("2001:db8:{number}::1/64")),
                )
                .toml(&format!(
                    "[[interface]]\nname = \"both\"\ndevice = \"net_bonding0\"\nmode = {mode}\n\
                     members = [\"net_af_packet10,iface=m0\", \"net_af_packet11,iface=m1\"]\n\
                     mtu = {mtu}\n\
                     addresses = [\"10.0.0.{number}/30\", \"2001:db8:f::{number}/64\"]"
                ))
                .route(&format!("192.168.{other}.0/24"), &format!("10.0.0.{other}"))
                .route(&format!("2001:db8:{other}::/64"), &format!("2001:db8:f::{other}"))
                .start()
                .unwrap();
            host.run(
                "takes long packets",
                &["ip", "link", "set", "eth0", "mtu", &mtu.to_string()],
            )
            .unwrap();
            hosts.push(host);
            primaries.push(primary);
        }
        Self {
            hosts,
            gateways,
            primaries,
        }
    }

    fn assert_pings(&self, count: u32) {
        for address in ["192.168.2.2", "2001:db8:2::2"] {
            let words = ["-c", &count.to_string(), "-i", "0.02", "-W", "2"];
            let pings = self.hosts[0].ping(address, &words, LIMIT).unwrap();
            assert_eq!((pings.sent, pings.answered), (count, count), "{address}");
        }
    }

    /// Packets that left the near gateway by each of its links.
    fn sent(&self) -> [u64; 2] {
        PORTS.map(|port| self.gateways[0].packets(port).unwrap().1)
    }

    /// Every packet is accounted for, and the primaries end as they should.
    fn end(mut self) {
        for primary in &mut self.primaries {
            primary.counters_at_rest().unwrap().assert_balanced();
            let status = primary.terminate().unwrap();
            assert!(status.success(), "{status}: {}", primary.process().stderr());
        }
    }

    fn wait_for_pings(&self) {
        wait_until("an answer over the bond", LIMIT, || {
            let words = ["-c", "1", "-W", "1"];
            let pings = self.hosts[0].ping("192.168.2.2", &words, LIMIT)?;
            Ok((pings.answered == 1).then_some(()))
        })
        .unwrap();
    }
}

#[test]
fn round_robin_uses_both_links_both_ways() {
    let site = Site::start(0);
    site.wait_for_pings();
    let before = site.sent();
    site.assert_pings(50);
    let after = site.sent();
    for (before, after) in before.iter().zip(after) {
        assert!(after - before >= 40, "{before} to {after}");
    }
    site.end();
}

#[test]
fn lacp_is_agreed_on_by_idle_workers_and_stays_so() {
    let site = Site::start(4);
    // Until both ends have agreed nothing is forwarded, and the workers have nothing to do but that.
    site.wait_for_pings();
    site.assert_pings(20);
    std::thread::sleep(Duration::from_secs(8));
    site.assert_pings(20);
    site.end();
}

#[test]
fn a_bond_carries_packets_of_nine_thousand_bytes() {
    for mode in [0, 4] {
        let site = Site::with_mtu(mode, 9000);
        site.wait_for_pings();
        for (address, header) in [("192.168.2.2", 28), ("2001:db8:2::2", 48)] {
            // Whole, by both ways; and nobody is told that it is too big.
            let size = (9000 - header).to_string();
            let words = ["-c", "20", "-i", "0.02", "-W", "2", "-M", "do", "-s", &size];
            let pings = site.hosts[0].ping(address, &words, LIMIT).unwrap();
            assert_eq!((pings.sent, pings.answered), (20, 20), "mode {mode}, {address}");
        }
        let show = ["ip", "-json", "link", "show", PORTS[0]];
        let link = site.gateways[0].run("looks at a member", &show).unwrap();
        assert_eq!(link.json().unwrap()[0]["mtu"], 9000);
        site.end();
    }
}
