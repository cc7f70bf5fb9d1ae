//! Sub-interfaces: tagged frames in, their interface noted; what leaves by one is untagged until it is sent.

use packet::ethernet::{EthernetHeader, TAG_LEN, VlanTags};
use packet::{EtherType, PacketBuilder, VlanTag};

use super::*;

/// Sub-interfaces of the bench: of interface 0 with one tag, of that one with two, and of interface 1.
const ONE: u16 = 2;
const TWO: u16 = 3;
const OTHER: u16 = 4;

const fn tag(tpid: EtherType, tci: u16) -> VlanTag {
    VlanTag { tpid, tci }
}

const Q100: VlanTag = tag(EtherType::VLAN, 100);
const AD200: VlanTag = tag(EtherType::SERVICE_VLAN, 200);
const Q7: VlanTag = tag(EtherType::VLAN, 7);

fn bench() -> Bench {
    with_sub_interfaces(Bench::new())
}

fn with_sub_interfaces(mut bench: Bench) -> Bench {
    for (index, port, parent, tags, own) in [
        (ONE, 0, 0, VlanTags::one(Q100), "192.168.1.1/24"),
        (TWO, 0, 5, VlanTags::two(AD200, Q7), "192.168.1.1/24"),
        (OTHER, 1, 1, VlanTags::one(Q100), "192.168.3.1/24"),
    ] {
        let view = InterfaceView {
            up: Arc::new(AtomicBool::new(true)),
            sub: Some(SubInterface { port, parent, tags }),
            ..bench.path.interfaces.get(usize::from(port)).unwrap().clone()
        };
        view.sources.set(
            Some(LINK_LOCAL),
            [own.parse().unwrap()].into_iter(),
            [LINK_LOCAL].into_iter(),
        );
        bench.path.interfaces.set(index, view);
    }
    bench
}

/// A frame from interface 0's link with these tags, and what its note says.
fn noted(bench: &Bench, tags: &[VlanTag], six: bool) -> (Note, Vec<u8>) {
    let frame = tags
        .iter()
        .fold(PacketBuilder::ethernet(GATEWAY[0], SENDER), |frame, tag| {
            frame.tag(*tag)
        });
    let frame = if six {
        frame.ipv6(HOST_A6, HOST_B6).udp(1, 2, b"payload")
    } else {
        frame.ipv4(HOST_A, HOST_B).udp(1, 2, b"payload")
    };
    let mut packets = [frame];
    let note = bench.run(&mut packets)[0];
    let [packet] = packets;
    (note, packet)
}

#[test]
fn frames_belong_to_the_sub_interface_of_their_tags() {
    let bench = bench();
    let prio = tag(EtherType::VLAN, 0xe000);
    let q100_with_priority = tag(EtherType::VLAN, 0xa000 | 100);
    for six in [false, true] {
        for (tags, sub) in [
            (&[][..], None),
            (&[prio], None),
            (&[Q100], Some(ONE)),
            (&[q100_with_priority], Some(ONE)),
            (&[prio, Q100], Some(ONE)),
            (&[Q100, prio], Some(ONE)),
            (&[AD200, Q7], Some(TWO)),
        ] {
            let (note, _) = noted(&bench, tags, six);
            assert_eq!(note.sub_interface(), sub, "{tags:?}");
            assert_eq!(note.disposition, Disposition::Transmit(1), "{tags:?}");
        }
        for tags in [
            &[Q7][..],
            &[AD200],
            &[Q7, AD200],
            &[Q100, Q7],
            &[tag(EtherType::SERVICE_VLAN, 100)],
        ] {
            let (note, _) = noted(&bench, tags, six);
            assert_eq!(
                note.disposition,
                Disposition::Drop(DropReason::UnknownVlan),
                "{tags:?}"
            );
            assert_eq!(note.sub_interface(), None, "{tags:?}");
        }
    }
}

#[test]
fn a_port_that_loses_the_outer_ethertype_finds_the_service_vlan_by_its_number() {
    let mut bench = bench();
    let lost = tag(EtherType::VLAN, 200);
    assert_eq!(noted(&bench, &[lost, Q7], false).0.sub_interface(), None);
    let view = InterfaceView {
        any_tpid: true,
        ..bench.path.interfaces.get(0).unwrap().clone()
    };
    bench.path.interfaces.set(0, view);
    assert_eq!(noted(&bench, &[lost, Q7], false).0.sub_interface(), Some(TWO));
}

#[test]
fn what_leaves_has_no_tag_of_where_it_came_from() {
    let bench = bench();
    for six in [false, true] {
        let (note, packet) = noted(&bench, &[AD200, Q7], six);
        let leaves = &packet[usize::from(note.trim)..usize::from(note.length)];
        let (link, _) = EthernetHeader::parse(leaves).unwrap();
        assert_eq!(
            (link.tags, link.source, link.destination),
            (VlanTags::NONE, GATEWAY[1], NEIGHBOR)
        );
    }
}

#[test]
fn packets_of_one_burst_leave_by_a_sub_interface_and_by_its_port() {
    // Usual bursts go their own way where no kernel interface feeds them.
    for kernel_device in [true, false] {
        one_burst(&with_sub_interfaces(Bench::on(kernel_device)));
    }
}

fn one_burst(bench: &Bench) {
    bench.adjacencies.set(
        bench.to_b,
        Adjacency::Forward {
            interface: OTHER,
            mac: NEIGHBOR,
        },
    );
    let four = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv4(HOST_A, HOST_B)
        .udp(1, 2, b"payload");
    let six = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv6(HOST_A6, HOST_B6)
        .udp(1, 2, b"payload");
    for same in [vec![four.clone(); 3], vec![four.clone()]] {
        let (together, notes) = bench.burst(same);
        assert_eq!(together, None);
        assert!(
            notes
                .iter()
                .all(|note| note.disposition == Disposition::Transmit(OTHER))
        );
    }
    let (together, notes) = bench.burst(vec![four.clone(), six, four]);
    // By a sub-interface nothing leaves unseen: the tags are still to be written.
    assert_eq!(together, None);
    let leave: Vec<_> = notes.iter().map(|note| note.disposition).collect();
    assert_eq!(leave, [OTHER, 1, OTHER].map(Disposition::Transmit));
}

#[test]
fn an_echo_reply_leaves_by_the_sub_interface_untagged_for_now() {
    let bench = bench();
    for (index, tags) in [(ONE, &[Q100][..]), (TWO, &[AD200, Q7])] {
        let frame = tags
            .iter()
            .fold(PacketBuilder::ethernet(GATEWAY[0], SENDER), |frame, tag| {
                frame.tag(*tag)
            });
        let (disposition, reply) = bench.one(frame.clone().ipv4(HOST_A, OWN).echo_request(1, 2, b"abc"));
        assert_eq!(disposition, Disposition::Transmit(index));
        let wanted = PacketBuilder::ethernet(SENDER, GATEWAY[0]);
        let (link, payload) = EthernetHeader::parse(&reply).unwrap();
        assert_eq!(link.tags, VlanTags::NONE);
        let wanted = wanted.ipv4(OWN, HOST_A).echo_reply(1, 2, b"abc");
        assert_eq!((link.source, link.destination), (GATEWAY[0], SENDER));
        assert_eq!(payload[20..], wanted[34..]);
        let (disposition, reply) = bench.one(frame.ipv6(HOST_A6, OWN6).echo_request(1, 2, b"abc"));
        assert_eq!(disposition, Disposition::Transmit(index));
        assert_eq!(&reply[12..14], [0x86, 0xdd]);
    }
}

#[test]
fn a_sub_interface_that_is_down_drops_its_own_frames_only() {
    let bench = bench();
    bench
        .path
        .interfaces
        .get(usize::from(ONE))
        .unwrap()
        .up
        .store(false, Ordering::Relaxed);
    let (note, _) = noted(&bench, &[Q100], false);
    assert_eq!(note.disposition, Disposition::Drop(DropReason::InterfaceDown));
    assert_eq!(note.sub_interface(), Some(ONE));
    assert_eq!(noted(&bench, &[], false).0.disposition, Disposition::Transmit(1));
    assert_eq!(
        noted(&bench, &[AD200, Q7], false).0.disposition,
        Disposition::Transmit(1)
    );
}

#[test]
fn a_deleted_sub_interface_has_no_frames_and_still_says_its_port() {
    let mut bench = bench();
    bench.path.interfaces.remove(ONE);
    let (note, _) = noted(&bench, &[Q100], false);
    assert_eq!(note.disposition, Disposition::Drop(DropReason::UnknownVlan));
    assert_eq!(bench.path.interfaces.port_of(ONE), 0);
    assert_eq!(bench.path.refusal(ONE, 100), Some(DropReason::InterfaceDown));
}

#[test]
fn errors_are_told_without_tags_and_from_the_sub_interface() {
    let bench = bench();
    let frame = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .tag(Q100)
        .ipv4(HOST_A, HOST_B)
        .ttl(1)
        .udp(1, 2, b"payload");
    let mut packets = [frame];
    let note = bench.run(&mut packets)[0];
    assert_eq!(note.disposition, Disposition::Drop(DropReason::TtlExpired));
    let error = bench
        .path
        .error_for(ONE, &packets[0], DropReason::TtlExpired, note.detail)
        .unwrap();
    let (link, _) = EthernetHeader::parse(error.headers()).unwrap();
    assert_eq!((link.destination, link.tags), (SENDER, VlanTags::NONE));
    assert_eq!(error.quote_at, 14 + TAG_LEN);
}

#[test]
fn tags_are_written_between_addresses_and_ethertype() {
    let frame = PacketBuilder::ethernet(NEIGHBOR, GATEWAY[1])
        .ipv4(HOST_A, HOST_B)
        .udp(1, 2, b"payload");
    for tags in [VlanTags::one(Q100), VlanTags::two(AD200, Q7)] {
        let mut tagged = [vec![0xff; TAG_LEN * tags.count()], frame.clone()].concat();
        write_tags(&mut tagged, &tags);
        let (link, payload) = EthernetHeader::parse(&tagged).unwrap();
        assert_eq!(
            (link.destination, link.source, link.tags, link.ethertype),
            (NEIGHBOR, GATEWAY[1], tags, EtherType::IPV4)
        );
        assert_eq!(payload, &frame[14..]);
    }
}

#[test]
fn the_kernel_gets_what_comes_by_the_sub_interface_that_has_a_tap() {
    let mut bench = bench();
    let view = InterfaceView {
        tap: true,
        ..bench.path.interfaces.get(usize::from(ONE)).unwrap().clone()
    };
    bench.path.interfaces.set(ONE, view);
    let refused = Disposition::Drop(DropReason::Ip4Multicast);
    for (tags, disposition) in [
        (&[][..], refused),
        (&[Q100], Disposition::Kernel(ONE)),
        (&[AD200, Q7], refused),
    ] {
        let frame = PacketBuilder::ethernet(GATEWAY[0], SENDER);
        let frame = tags.iter().fold(frame, |frame, tag| frame.tag(*tag));
        let all_ospf = [224, 0, 0, 5].into();
        let hello = frame
            .ipv4(HOST_A, all_ospf)
            .payload(packet::Protocol::OSPF, b"hello");
        assert_eq!(bench.one(hello).0, disposition, "{tags:?}");
    }
}

#[test]
fn tags_that_are_taken_off_leave_the_frame_that_had_none() {
    let plain = |tags: &[VlanTag]| {
        let frame = PacketBuilder::ethernet(GATEWAY[0], SENDER);
        let frame = tags.iter().fold(frame, |frame, tag| frame.tag(*tag));
        frame.ipv4(HOST_A, HOST_B).udp(1, 2, b"payload")
    };
    for tags in [&[][..], &[Q100], &[AD200, Q7]] {
        let mut frame = plain(tags);
        let begin = take_tags(&mut frame);
        assert_eq!(begin, tags.len() * TAG_LEN);
        assert_eq!(frame[begin..], plain(&[]), "{tags:?}");
    }
}
