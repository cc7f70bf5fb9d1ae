//! The stages that packets pass, as their notes have them and as a recorder writes them down.

use packet::{Arp, PacketBuilder, Protocol};

use super::*;

fn to4(destination: [u8; 4]) -> Vec<u8> {
    PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv4(HOST_A, destination.into())
        .echo_request(1, 1, &[0; 8])
}

fn to6(destination: Ipv6Addr) -> Vec<u8> {
    PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv6(HOST_A6, destination)
        .udp(1, 2, &[0; 8])
}

fn names(passed: Passed) -> String {
    let names: Vec<_> = passed.iter().map(PathStage::name).collect();
    names.join(" ")
}

/// What a packet passes in a burst of its own, and the same when it is traced.
fn passed(bench: &Bench, packet: &[u8]) -> String {
    let mut packets = [packet.to_vec()];
    let note = bench.run(&mut packets)[0];
    let mut traced = packet.to_vec();
    let mut recorder = Recorder::new();
    let other = bench.path.run_traced(0, &mut traced, &mut recorder);
    assert_eq!((other.disposition, other.passed), (note.disposition, note.passed));
    assert_eq!(
        traced, packets[0],
        "a traced packet has the same bytes in the end"
    );
    let entered: Vec<_> = recorder.steps().iter().map(|(stage, _)| stage.name()).collect();
    assert_eq!(entered.join(" "), names(note.passed));
    let ticks: Vec<_> = recorder.steps().iter().map(|(_, ticks)| *ticks).collect();
    assert!(ticks.is_sorted(), "{ticks:?}");
    names(note.passed)
}

#[test]
fn each_packet_says_which_stages_it_passed() {
    let mut bench = Bench::new();
    let sub = InterfaceView {
        sub: Some(SubInterface {
            port: 0,
            parent: 0,
            tags: packet::ethernet::VlanTags::one(packet::VlanTag {
                tpid: packet::EtherType::VLAN,
                tci: 100,
            }),
        }),
        ..bench.path.interfaces.get(0).unwrap().clone()
    };
    bench.path.interfaces.set(2, sub);
    let arp = PacketBuilder::ethernet(MacAddress([0xff; 6]), SENDER).arp(&Arp::request(SENDER, HOST_A, OWN));
    let expired = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv4(HOST_A, HOST_B)
        .ttl(1)
        .udp(1, 2, &[0; 8]);
    let mut checksum = to4([192, 168, 2, 2]);
    checksum[24] ^= 1;
    let options = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv4(HOST_A, HOST_B)
        .options(&[1, 1, 1, 0])
        .payload(Protocol::UDP, &[0; 8]);
    let route = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv4(HOST_A, HOST_B)
        .options(&[7, 7, 4, 0, 0, 0, 0, 0])
        .payload(Protocol::UDP, &[0; 8]);
    // Too long for its route, and to be cut.
    let long = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv4(HOST_A, [10, 8, 1, 1].into())
        .udp(1, 2, &[0; 1350]);
    let tagged = |id| {
        PacketBuilder::ethernet(GATEWAY[0], SENDER)
            .vlan(id)
            .ipv4(HOST_A, HOST_B)
            .udp(1, 2, &[0; 8])
    };
    let overrun = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv4(HOST_A, HOST_B)
        .options(&[7, 200, 4, 0])
        .payload(Protocol::UDP, &[0; 8]);
    for (packet, expected) in [
        (to4([192, 168, 2, 2]), "ethernet ip4_input lookup rewrite"),
        (expired, "ethernet ip4_input lookup rewrite"),
        (checksum, "ethernet ip4_input"),
        (options, "ethernet ip4_input ip4_options lookup rewrite"),
        (overrun, "ethernet ip4_input ip4_options"),
        (route, "ethernet ip4_input ip4_options lookup rewrite ip4_record"),
        (to4([10, 9, 1, 1]), "ethernet ip4_input lookup multipath rewrite"),
        (long, "ethernet ip4_input lookup multipath rewrite"),
        (tagged(100), "ethernet vlan ip4_input lookup rewrite"),
        (tagged(101), "ethernet"),
        (to4([192, 168, 1, 1]), "ethernet ip4_input lookup local4"),
        (to4([10, 1, 0, 1]), "ethernet ip4_input lookup"),
        (to4([203, 0, 113, 1]), "ethernet ip4_input lookup"),
        (to6(HOST_B6), "ethernet ip6_input lookup rewrite"),
        (to6(OWN6), "ethernet ip6_input lookup local6"),
        (to6(LINK_LOCAL), "ethernet ip6_input local6"),
        (to6("ff02::5".parse().unwrap()), "ethernet ip6_input"),
        (arp, "ethernet"),
        (vec![0; 60], "ethernet"),
    ] {
        assert_eq!(passed(&bench, &packet), expected, "{packet:x?}");
    }
}

#[test]
fn packets_of_a_mixed_burst_have_the_ways_that_they_have_alone() {
    let bench = Bench::new();
    let packets = [
        to4([192, 168, 2, 2]),
        to6(HOST_B6),
        to4([10, 3, 0, 1]),
        to6(OWN6),
        to4([192, 168, 1, 1]),
        vec![0; 10],
    ];
    let notes = bench.run(&mut packets.clone());
    for (packet, note) in packets.iter().zip(notes) {
        assert_eq!(names(note.passed), passed(&bench, packet));
    }
}

#[test]
fn a_burst_that_leaves_together_says_how_many_are_ipv6() {
    let bench = Bench::new();
    let mut packets = [to4([192, 168, 2, 2]), to6(HOST_B6), to6(HOST_B6)];
    let mut notes = NOTES;
    let together = bench.path.run(
        0,
        &mut Burst {
            packets: &mut packets,
            notes: &mut notes,
        },
    );
    assert_eq!(together, Some(Together { egress: 1, six: 2 }));
}

#[test]
fn a_packet_for_an_interface_that_is_down_passes_nothing() {
    let bench = Bench::new();
    bench.up[0].store(false, Ordering::Relaxed);
    assert_eq!(passed(&bench, &to4([192, 168, 2, 2])), "");
}

#[test]
fn what_follows_the_stages_is_told_in_order() {
    let mut recorder = Recorder::new();
    recorder.enter(PathStage::Ethernet);
    recorder.enter(PathStage::Ip4Input);
    let passed = Passed::NONE
        .with(PathStage::Rx)
        .with(PathStage::Ethernet)
        .with(PathStage::Ip4Input)
        .with(PathStage::Errors)
        .with(PathStage::Tx);
    recorder.end(passed, Some(DropReason::NoRoute));
    let entered: Vec<_> = recorder.steps().iter().map(|(stage, _)| stage.name()).collect();
    assert_eq!(entered, ["ethernet", "ip4_input", "errors", "tx"]);
    assert_eq!(recorder.refused, Some(DropReason::NoRoute));
}
