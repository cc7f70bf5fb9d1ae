//! Translated packets leave by the way that their connection has learned as they would by the stages: REQ-ICMP-42.

use lb::Path;
use packet::ethernet::VlanTags;
use packet::{EtherType, PacketBuilder, VlanTag};

use super::*;

const TO_B: Path = Path {
    interface: 1,
    destination: NEIGHBOR,
    source: GATEWAY[1],
};
const Q100: VlanTag = VlanTag {
    tpid: EtherType::VLAN,
    tci: 100,
};
const SUB: u16 = 2;

fn frames(ttl: u8, payload: usize) -> [Vec<u8>; 2] {
    let frame = || PacketBuilder::ethernet(GATEWAY[0], SENDER);
    let payload = vec![7; payload];
    [
        frame().ipv4(HOST_A, HOST_B).ttl(ttl).udp(1, 2, &payload),
        frame().ipv6(HOST_A6, HOST_B6).hop_limit(ttl).udp(1, 2, &payload),
    ]
}

fn bench() -> Bench {
    let mut bench = Bench::on(false);
    let sub = SubInterface {
        port: 0,
        parent: 0,
        tags: VlanTags::one(Q100),
    };
    let view = InterfaceView {
        up: Arc::new(AtomicBool::new(true)),
        sub: Some(sub),
        ..bench.path.interfaces.get(0).unwrap().clone()
    };
    bench.path.interfaces.set(SUB, view);
    bench
}

impl Bench {
    /// The frame as it leaves, unless the stages are to see to it; then it is as it was.
    fn by_path(&self, path: &Path, hop: Hop, frame: &[u8]) -> Option<Vec<u8>> {
        let mut changed = frame.to_vec();
        match self.path.leave_by(path, hop, &mut changed, 0) {
            Some(Ready { begin, end }) => Some(changed[begin..end].to_vec()),
            None => {
                assert_eq!(changed, frame);
                None
            }
        }
    }

    fn came_by(&self, frame: &[u8]) -> Option<u16> {
        let receiver = self.path.receiver(0).unwrap();
        self.path.came_by(0, receiver, frame)
    }
}

#[test]
fn req_icmp_42_what_leaves_is_what_the_stages_make() {
    let bench = bench();
    for frame in frames(64, 100).into_iter().chain(frames(2, 1)) {
        let (disposition, expected) = bench.one(frame.clone());
        assert_eq!(disposition, Disposition::Transmit(1));
        assert_eq!(bench.by_path(&TO_B, Hop::Counted, &frame), Some(expected.clone()));
        // Padding, and a tag that it came with, stay behind.
        let mut padded = frame.clone();
        padded.extend([0; 9]);
        assert_eq!(
            bench.by_path(&TO_B, Hop::Counted, &padded),
            Some(expected.clone())
        );
        let mut tagged = frame[..12].to_vec();
        tagged.extend([0x81, 0, 0, 100]);
        tagged.extend(&frame[12..]);
        assert_eq!(bench.by_path(&TO_B, Hop::Counted, &tagged), Some(expected));
    }
}

#[test]
fn a_packet_in_several_segments_is_as_long_as_all_of_them() {
    let bench = bench();
    for frame in frames(64, 1000) {
        let (first, behind) = frame.split_at(200);
        let (_, expected) = bench.one(frame.clone());
        let mut changed = first.to_vec();
        let ready = |first: &mut [u8], behind| bench.path.leave_by(&TO_B, Hop::Counted, first, behind);
        assert_eq!(ready(&mut changed, behind.len() - 1), None, "a byte is missing");
        let all = Ready {
            begin: 0,
            end: frame.len(),
        };
        assert_eq!(ready(&mut changed, behind.len()), Some(all));
        assert_eq!(changed, expected[..200]);
    }
}

#[test]
fn what_the_gateway_sends_keeps_its_ttl() {
    let bench = bench();
    for frame in frames(64, 10) {
        let left = bench.by_path(&TO_B, Hop::Kept, &frame).unwrap();
        assert_eq!(left[14..], frame[14..]);
        assert_eq!(left[..6], NEIGHBOR.octets());
    }
}

#[test]
fn what_the_stages_would_not_just_send_is_left_to_them() {
    let bench = bench();
    let longest = usize::from(MTU) - 28;
    let [four, _] = frames(64, longest);
    assert!(bench.by_path(&TO_B, Hop::Counted, &four).is_some());
    let router_alert = PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv6(HOST_A6, HOST_B6);
    let options = PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv4(HOST_A, HOST_B);
    let odd = [
        router_alert.router_alert(0).udp(1, 2, b"x"),
        options.options(&[7, 3, 4, 0]).udp(1, 2, b"x"),
        four[..60].to_vec(),
    ];
    for frame in frames(64, longest + 1).into_iter().chain(frames(1, 1)).chain(odd) {
        assert_eq!(bench.by_path(&TO_B, Hop::Counted, &frame), None, "{frame:02x?}");
    }
    let nowhere = Path { interface: 9, ..TO_B };
    let [four, _] = frames(64, 1);
    assert_eq!(bench.by_path(&nowhere, Hop::Counted, &four), None);
    bench.up[1].store(false, Ordering::Relaxed);
    assert_eq!(bench.by_path(&TO_B, Hop::Counted, &four), None, "REQ-ICMP-41");
}

#[test]
fn only_what_is_for_the_gateways_mac_is_judged() {
    let bench = bench();
    for frame in frames(64, 1) {
        assert_eq!(bench.came_by(&frame), Some(0));
        let mut other = frame.clone();
        other[5] ^= 1;
        assert_eq!(bench.came_by(&other), None);
        let mut group = frame.clone();
        group[6] |= 1;
        assert_eq!(bench.came_by(&group), None);
        for (vid, interface) in [(0, Some(0)), (100, Some(SUB)), (101, None)] {
            let mut tagged = frame[..12].to_vec();
            tagged.extend([0x81, 0, 0, vid]);
            tagged.extend(&frame[12..]);
            assert_eq!(bench.came_by(&tagged), interface, "{vid}");
        }
    }
    assert_eq!(bench.came_by(&[0; 13]), None);
}

#[test]
fn what_a_kernel_left_to_hardware_is_not_judged() {
    let partial = PacketBuilder::ethernet(GATEWAY[0], SENDER)
        .ipv4(HOST_A, HOST_B)
        .partial_checksum()
        .udp(1, 2, b"payload");
    let [long, long6] = frames(64, 1600);
    let [whole, whole6] = frames(64, 100);
    for kernel_device in [false, true] {
        let bench = Bench::on(kernel_device);
        let receiver = bench.path.receiver(0).unwrap();
        for frame in [&partial, &long, &long6] {
            assert_eq!(receiver.has_left_work(frame, 0), kernel_device);
        }
        for frame in [&whole, &whole6] {
            assert!(!receiver.has_left_work(frame, 0));
        }
    }
}

#[test]
fn what_is_to_be_cut_is_told_how_long_it_may_leave() {
    let bench = bench();
    assert_eq!(bench.path.longest_by(&TO_B), Some(MTU));
    for (four, six, longest) in [
        ("192.168.2.2", "2001:db8:2::2", MTU),
        // Neighbours that nobody has asked for yet.
        ("192.168.1.77", "2001:db8:1::77", 1500),
        ("10.1.0.1", "2001:db8:a1::1", MTU),
        // Routes with several next hops, and with an MTU of their own.
        ("10.9.0.1", "2001:db8:b0::1", MTU),
        ("10.8.0.1", "2001:db8:b8::1", 1300),
        // Nobody cuts what does not leave.
        ("10.3.0.1", "2001:db8:a3::1", u16::MAX),
        ("192.168.1.1", "2001:db8:1::1", u16::MAX),
    ] {
        let frame = || PacketBuilder::ethernet(GATEWAY[0], SENDER);
        let frames = [
            frame().ipv4(HOST_A, four.parse().unwrap()).udp(1, 2, &[7; 4000]),
            frame().ipv6(HOST_A6, six.parse().unwrap()).udp(1, 2, &[7; 4000]),
        ];
        for frame in frames {
            assert_eq!(
                bench.path.longest_towards(&frame[..200]),
                longest,
                "{four}, {six}"
            );
        }
    }
    bench.up[1].store(false, Ordering::Relaxed);
    assert_eq!(bench.path.longest_by(&TO_B), None);
}
