//! What the gateway writes into packets, what it answers as, and whom it does not answer.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use packet::{Icmpv4, Ipv4, Ipv6, MacAddress, PacketBuilder, Protocol};
use shm::DropReason;

use super::ip4::from_a;
use super::{Bench, GATEWAY, HOST_A6, HOST_B, HOST_B6, LINK_LOCAL, NEIGHBOR, OWN, OWN6, SENDER};
use crate::path::Disposition;

fn bench() -> Bench {
    let bench = Bench::new();
    let own = "192.168.2.1/24".parse().unwrap();
    let interface = bench.path.interfaces.get(1).unwrap();
    interface.sources.set(None, [own].into_iter(), std::iter::empty());
    bench
}

fn from(source: Ipv4Addr, destination: Ipv4Addr) -> packet::builder::Ipv4Builder {
    PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv4(source, destination)
}

fn options(packet: &[u8]) -> Vec<u8> {
    Ipv4::parse(&packet[14..]).unwrap().options().to_vec()
}

#[test]
fn a_route_is_recorded_on_the_way_out_and_other_options_stay() {
    let bench = bench();
    let packet = |destination| {
        from_a(destination)
            .options(&[1, 7, 7, 4, 0, 0, 0, 0, 9, 4, 1, 2])
            .udp(1, 2, b"x")
    };
    let (disposition, sent) = bench.one(packet(HOST_B));
    assert_eq!(disposition, Disposition::Transmit(1));
    assert_eq!(options(&sent), [1, 7, 7, 8, 192, 168, 2, 1, 9, 4, 1, 2]);
    // Whoever waits is written into once it leaves.
    let mut waiting = packet([10, 1, 0, 1].into());
    let before = waiting.clone();
    let note = bench.path.run_one(0, &mut waiting);
    assert!(matches!(note.disposition, Disposition::Wait { .. }) && waiting == before);
}

#[test]
fn a_chosen_station_alone_leaves_its_time() {
    let bench = bench();
    for (station, pointer) in [(OWN, 13), ([10, 0, 0, 9].into(), 5)] {
        let option = [&[68, 12, 5, 3], &station.octets()[..], &[0; 4]].concat();
        let (_, sent) = bench.one(from_a(HOST_B).options(&option).udp(1, 2, b"x"));
        assert_eq!(options(&sent)[2], pointer, "{station}");
    }
}

#[test]
fn an_echo_reply_has_the_recorded_route_and_no_other_option() {
    let request = from_a(OWN)
        .options(&[148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0])
        .echo_request(7, 9, b"data");
    let (disposition, reply) = Bench::new().one(request);
    assert_eq!(disposition, Disposition::Transmit(0));
    assert_eq!(options(&reply), [7, 7, 8, 192, 168, 1, 1, 0]);
    let ip = Ipv4::parse(&reply[14..]).unwrap();
    assert_eq!(usize::from(ip.total_len()), reply.len() - 14);
    let message = Icmpv4::parse(ip.payload()).unwrap();
    assert!(message.checksum_is_valid() && message.data() == b"data");
}

#[test]
fn an_echo_reply_has_no_reserved_flag_and_the_class_of_its_request() {
    let bench = Bench::new();
    let mut request = from_a(OWN).echo_request(7, 9, b"data");
    request[14 + 6] |= 0x80;
    packet::ipv4::fill_checksum(&mut request[14..34]);
    let (_, reply) = bench.one(request);
    assert_eq!(reply[14 + 6] & 0x80, 0);
    Ipv4::parse(&reply[14..]).unwrap();
    let mut request = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv6(HOST_A6, OWN6)
        .echo_request(7, 9, b"data");
    request[14] = 0x6b;
    request[15] |= 0x80;
    let (_, reply) = bench.one(request);
    assert_eq!(Ipv6::parse(&reply[14..]).unwrap().traffic_class(), 0xb8);
}

#[test]
fn udp_that_is_wrong_is_dropped_in_silence() {
    let bench = Bench::new();
    let six = |payload: &[u8]| {
        PacketBuilder::ethernet(GATEWAY[0], SENDER)
            .ipv6(HOST_A6, OWN6)
            .payload(Protocol::UDP, payload)
    };
    let four = |payload: &[u8]| from_a(OWN).payload(Protocol::UDP, payload);
    // Ports, length, checksum.
    for datagram in [
        &[0, 1, 0, 2, 0, 8, 0x12, 0x34][..],
        &[0, 1, 0, 2, 0, 7, 0, 0],
        &[0, 1, 0, 2, 0, 9, 0, 0],
        &[0, 1, 0, 2],
    ] {
        assert_eq!(
            bench.dropped(four(datagram)),
            DropReason::UdpMalformed,
            "{datagram:?}"
        );
        assert_eq!(
            bench.dropped(six(datagram)),
            DropReason::UdpMalformed,
            "{datagram:?}"
        );
    }
    // Without a checksum: RFC 768, RFC 8200 section 8.1.
    let without = [0, 1, 0, 2, 0, 8, 0, 0];
    assert_eq!(bench.dropped(four(&without)), DropReason::LocalUnhandled);
    assert_eq!(bench.dropped(six(&without)), DropReason::UdpMalformed);
    assert!(!crate::path::errors::is_told(DropReason::UdpMalformed));
}

#[test]
fn nothing_is_answered_to_an_own_address_or_to_everybody() {
    let bench = Bench::new();
    let everybody = [192, 168, 1, 255].into();
    for source in [OWN, everybody] {
        let packet = from(source, OWN).echo_request(1, 2, b"");
        assert_eq!(bench.dropped(packet), DropReason::Ip4MartianSource, "{source}");
        let dying = from(source, HOST_B).ttl(1).udp(1, 2, b"");
        assert_eq!(bench.dropped(dying.clone()), DropReason::TtlExpired);
        assert!(
            bench
                .path
                .error_for(0, &dying, DropReason::TtlExpired, 0)
                .is_none()
        );
    }
    for source in [OWN6, LINK_LOCAL] {
        let ethernet = || PacketBuilder::ethernet(GATEWAY[0], SENDER);
        for packet in [
            ethernet().ipv6(source, OWN6).echo_request(1, 2, b""),
            ethernet().ipv6(source, OWN6).udp(1, 2, b""),
        ] {
            assert_eq!(bench.dropped(packet), DropReason::Ip6MartianSource, "{source}");
        }
        let dying = ethernet().ipv6(source, HOST_B6).hop_limit(1).udp(1, 2, b"");
        assert!(
            bench
                .path
                .error_for(0, &dying, DropReason::TtlExpired, 0)
                .is_none()
        );
    }
}

#[test]
fn a_hop_limit_that_ran_out_comes_before_the_scope_of_the_source() {
    let bench = Bench::new();
    let packet = |hop_limit| {
        PacketBuilder::ethernet(GATEWAY[0], SENDER)
            .ipv6("fe80::7".parse().unwrap(), HOST_B6)
            .hop_limit(hop_limit)
            .udp(1, 2, b"")
    };
    assert_eq!(bench.dropped(packet(1)), DropReason::TtlExpired);
    assert_eq!(bench.dropped(packet(2)), DropReason::Ip6Scope);
}

#[test]
fn what_a_tool_sends_as_the_gateway_itself_is_looked_up_and_keeps_its_hop_limit() {
    let bench = bench();
    let frame4 = || {
        PacketBuilder::ethernet(MacAddress([0; 6]), MacAddress([0; 6]))
            .ipv4(OWN, HOST_B)
            .ttl(64)
            .udp(500, 500, b"ike")
    };
    let frame6 = PacketBuilder::ethernet(MacAddress([0; 6]), MacAddress([0; 6]))
        .ipv6(OWN6, HOST_B6)
        .hop_limit(255)
        .udp(500, 500, b"ike");
    for (mut frame, hop_limit) in [(frame4(), 64), (frame6, 254)] {
        // By the interface that it leaves by, too: nobody is told of a better next hop.
        for interface in [0, 1, 99] {
            let mut sent = frame.clone();
            let ingress = bench.path.originate(interface, &mut sent).unwrap();
            assert_eq!(ingress, if interface == 1 { 1 } else { 0 });
            let note = bench.path.run_one(ingress, &mut sent);
            match note.disposition {
                Disposition::Redirect { interface, adjacency } => {
                    let told = bench.path.redirect_for(ingress, adjacency, &sent, note.family());
                    assert!(told.is_none());
                    bench.path.complete(interface, &mut sent, &note).unwrap();
                }
                other => assert_eq!(other, Disposition::Transmit(1)),
            }
            assert_eq!(sent[..6], NEIGHBOR.0);
            let limit = match sent[14] >> 4 {
                4 => Ipv4::parse(&sent[14..]).unwrap().ttl(),
                _ => Ipv6::parse(&sent[14..]).unwrap().hop_limit(),
            };
            assert_eq!(limit, hop_limit);
        }
        frame.truncate(20);
        assert!(bench.path.originate(0, &mut frame).is_err());
    }
    // One that is down receives nothing, and with none up there is no way out.
    bench.up[0].store(false, Ordering::Relaxed);
    assert_eq!(bench.path.originate(0, &mut frame4()), Ok(1));
    bench.up[1].store(false, Ordering::Relaxed);
    assert_eq!(
        bench.path.originate(0, &mut frame4()),
        Err(DropReason::InterfaceDown)
    );
}
