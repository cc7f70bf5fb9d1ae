//! Network cards that DPDK drives itself, in a virtual machine: `cargo xtask test --vm`.
//!
//! Everywhere else in these tests the kernel is between DPDK and the wire (net_af_packet). Here the primary finds PCI devices, maps their
//! registers, and is told by them whether there is a link.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as expected"
)]

mod guest;
mod transfer;

use std::time::Duration;

use guest::{Guest, Setup};
use tests::machine::{Card, LIMIT};
use tests::{Counters, Family, Random};
use transfer::transfer;

/// TCP over IPv4 and IPv6, each way.
const BYTES: usize = 3 << 20;

const E1000: Card = Card {
    model: "e1000",
    driver: "net_e1000_em",
};
const VIRTIO: Card = Card {
    model: "virtio-net-pci",
    driver: "net_virtio",
};

#[test]
#[ignore = "boots a virtual machine: cargo xtask test --vm"]
fn a_guest_forwards_between_e1000_and_virtio_and_notices_their_links() {
    let mut guest = Guest::start(Setup {
        cards: [E1000, VIRTIO],
        mtu: 1500,
    });
    forwards(&mut guest, [E1000, VIRTIO]);
    for (card, link) in ["a0", "b0"].into_iter().enumerate() {
        let families = Family::BOTH.map(|family| {
            if card == 0 {
                family.address_a()
            } else {
                family.address_b()
            }
        });
        let leads_there = |guest: &mut Guest, address: &str| {
            let found = guest.ctl(&format!("route get {address}"));
            found[0]["interface"] == link
        };
        for up in [false, true] {
            guest.set_link(card, up);
            let words = if up {
                "routes are back"
            } else {
                "routes are withdrawn"
            };
            guest.until(&format!("{words}: {link}"), |guest| {
                families.iter().all(|address| leads_there(guest, address) == up)
            });
            let links = guest.ctl(&format!("link show {link}"));
            assert_eq!(links[0]["link"], if up { "up" } else { "down" }, "{links}");
            pings(&guest, up);
        }
    }
    captures_name_cards_by_their_addresses(&mut guest);
    ends_well(guest);
}

#[test]
#[ignore = "boots a virtual machine: cargo xtask test --vm"]
fn a_guest_forwards_jumbo_frames_between_two_e1000() {
    forwards_and_ends([E1000, E1000], 9000);
}

#[test]
#[ignore = "boots a virtual machine: cargo xtask test --vm"]
fn a_guest_forwards_between_a_legacy_and_a_modern_virtio() {
    let legacy = Card {
        model: "virtio-net-pci,disable-modern=on",
        ..VIRTIO
    };
    forwards_and_ends([legacy, VIRTIO], 1500);
}

fn forwards_and_ends(cards: [Card; 2], mtu: u16) {
    let mut guest = Guest::start(Setup { cards, mtu });
    forwards(&mut guest, cards);
    ends_well(guest);
}

/// What a user of the cards sees: their drivers, their links, two workers with a share of the work each, pings, TCP.
fn forwards(guest: &mut Guest, cards: [Card; 2]) {
    let links = guest.ctl("link show");
    for (link, card) in links.as_array().unwrap().iter().zip(cards) {
        assert_eq!(link["driver"], card.driver, "{link}");
        assert_eq!(
            (&link["admin"], &link["link"]),
            (&"up".into(), &"up".into()),
            "{link}"
        );
    }
    pings(guest, true);
    let mut random = Random::printed("what is sent by TCP");
    for family in Family::BOTH {
        for (from, to, address) in [
            (&guest.host_a, &guest.host_b, family.address_b()),
            (&guest.host_b, &guest.host_a, family.address_a()),
        ] {
            let bytes: Vec<u8> = std::iter::repeat_with(|| random.number().to_le_bytes())
                .take(BYTES / 8)
                .flatten()
                .collect();
            let received = transfer(from, to, address, bytes.clone());
            assert!(
                received == bytes,
                "{} of {} bytes to {address}",
                received.len(),
                bytes.len()
            );
        }
    }
    let workers = guest.ctl("worker show");
    let workers = workers.as_array().unwrap();
    assert_eq!(workers.len(), 2);
    for worker in workers {
        assert!(worker["packets"].as_u64().unwrap() > 0, "{worker}");
    }
    let stages = guest.ctl("stage show").to_string();
    for stage in ["ip4_input", "ip6_input", "rewrite"] {
        assert!(stages.contains(stage), "{stage} in {stages}");
    }
}

/// `-i` takes the PCI address of a card, with and without its domain: pings to host-b are seen at the card of host-a and of no other.
fn captures_name_cards_by_their_addresses(guest: &mut Guest) {
    let address = Card::address_of(0);
    let short = address.trim_start_matches("0000:");
    for name in [&address, short] {
        let start = format!(
            "rm -f /run/ended; (tollgate-pdump -i {name} -f icmp -c 10 -w /run/pings.pcapng 2>/run/pdump.log; echo $? >/run/ended) & \
             until grep -q ^capturing /run/pdump.log || [ -e /run/ended ]; do sleep 0.1; done; cat /run/pdump.log; [ ! -e /run/ended ]"
        );
        guest.succeed(&start);
        let words = ["-c", "5", "-i", "0.2", "-W", "10"];
        let pings = guest.host_a.ping(Family::Ip4.address_b(), &words, LIMIT).unwrap();
        pings.assert_all_answered();
        guest.until("the capture has its packets", |guest| {
            guest.succeed("cat /run/ended 2>/dev/null || true").trim() == "0"
        });
        let lines = guest.succeed("tollgate-pdump -q -r /run/pings.pcapng --json");
        let points: Vec<_> = lines
            .lines()
            .map(|line| {
                let packet: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(packet["interface"], "a0", "{packet}");
                packet["point"].as_str().unwrap().to_owned()
            })
            .collect();
        for point in ["rx", "tx"] {
            assert_eq!(points.iter().filter(|seen| *seen == point).count(), 5, "{lines}");
        }
    }
    let (status, said) = guest.refusal("tollgate-pdump -i 0000:00:09.0 -c 1");
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("0000:00:09.0") && said.contains("a0, b0"), "{said}");
}

/// Both families, both hosts at a time: all answered, or none.
fn pings(guest: &Guest, answered: bool) {
    for family in Family::BOTH {
        let (count, wait) = if answered { ("5", "10") } else { ("2", "1") };
        let words = ["-c", count, "-i", "0.2", "-W", wait];
        let pings = guest.host_a.ping(family.address_b(), &words, LIMIT).unwrap();
        if answered {
            pings.assert_all_answered();
        } else {
            assert_eq!(pings.answered, 0, "{family}: {pings:?}");
        }
    }
}

/// Every packet is accounted for; SIGTERM ends the primary, which gives back all that it had; the guest switches itself off.
fn ends_well(mut guest: Guest) {
    guest.until("counters at rest", |guest| {
        let before = guest.ctl("counter show");
        std::thread::sleep(Duration::from_millis(500));
        before == guest.ctl("counter show")
    });
    let counters: Counters = serde_json::from_value(guest.ctl("counter show")).unwrap();
    counters.assert_balanced();
    let (status, log) = guest.terminate_primary();
    assert_eq!(status, "0", "{log}");
    // As an error it says as well if something of its memory is still in use.
    let errors: Vec<_> = log
        .lines()
        .filter(|line| {
            line.split_whitespace()
                .nth(1)
                .is_some_and(|level| level == "err" || level == "crit")
        })
        .collect();
    assert_eq!(errors, [""; 0], "{log}");
    guest.succeed("set -- $(grep -E 'HugePages_(Total|Free)' /proc/meminfo); [ $2 -gt 0 ] && [ $2 = $4 ]");
    guest.power_off();
}
