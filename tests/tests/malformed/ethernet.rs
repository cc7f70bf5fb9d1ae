//! Ethernet: whose frame it is, tags, EtherTypes, and frames cut at every byte.

use packet::{EtherType, MacAddress, PacketBuilder, VlanTag};

use crate::{
    gateway::{Case, FAR, FAR6, GATEWAY_A, Gateway, HOST_A, HOST_A_MAC, HOST_A6, Outcome},
    router::ETHERNET,
};
use Outcome::{Dropped, Echo4, Forwarded};

const SERVICE: EtherType = EtherType::SERVICE_VLAN;

fn tag(tpid: EtherType, tci: u16) -> VlanTag {
    VlanTag { tpid, tci }
}

pub(crate) fn frames_that_are_not_for_us_or_of_no_vlan_of_ours_are_dropped_by_name(gateway: &Gateway) {
    let mac = gateway.mac;
    let from = |destination, source| {
        PacketBuilder::ethernet(destination, source)
            .ipv4(HOST_A, FAR)
            .udp(1, 2, b"payload")
    };
    let from6 = |destination, source| {
        PacketBuilder::ethernet(destination, source)
            .ipv6(HOST_A6, FAR6)
            .udp(1, 2, b"payload")
    };
    let other = MacAddress([2, 0, 0, 0, 0x0a, 9]);
    let mut cases = vec![
        Case::new(
            "for another station",
            from(other, HOST_A_MAC),
            Dropped("other_host"),
        ),
        Case::new(
            "for no station",
            from(MacAddress::ZERO, HOST_A_MAC),
            Dropped("other_host"),
        ),
        Case::new(
            "from everybody",
            from(mac, MacAddress::BROADCAST),
            Dropped("ethernet_source"),
        ),
        Case::new(
            "from a group",
            from(mac, MacAddress([1, 0, 0x5e, 0, 0, 5])),
            Dropped("ethernet_source"),
        ),
        Case::new(
            "IPv4 for one host, to everybody",
            from(MacAddress::BROADCAST, HOST_A_MAC),
            Dropped("ip4_link_broadcast"),
        ),
        Case::new(
            "IPv4 for one host, to a group",
            from(MacAddress([1, 0, 0x5e, 0, 0, 1]), HOST_A_MAC),
            Dropped("ip4_link_broadcast"),
        ),
        Case::new(
            "IPv6 for one host, to a group",
            from6(MacAddress([0x33, 0x33, 0, 0, 0, 1]), HOST_A_MAC),
            Dropped("ip6_link_multicast"),
        ),
        Case::new(
            "IPv6 for one host, to everybody",
            from6(MacAddress::BROADCAST, HOST_A_MAC),
            Dropped("ip6_link_multicast"),
        ),
    ];
    // An IEEE 802.3 length, PUP, X.75, LLC's SNAP length, MPLS, PPPoE, LLDP, PTP, reserved.
    for ethertype in [
        0x0000, 0x0040, 0x05ff, 0x0600, 0x0801, 0x8847, 0x8863, 0x8864, 0x88cc, 0x88f7, 0xffff,
    ] {
        let frame = gateway.frame().payload(EtherType(ethertype), &[0x45; 60]);
        let name = format!("EtherType {ethertype:#06x}");
        cases.push(Case::new(name, frame, Dropped("unknown_ethertype")));
    }
    let tagged = |tags: &[VlanTag]| {
        let frame = tags.iter().fold(gateway.frame(), |frame, tag| frame.tag(*tag));
        (
            frame.clone().ipv4(HOST_A, FAR).udp(1, 2, b"payload"),
            frame.ipv6(HOST_A6, FAR6).udp(1, 2, b"payload"),
        )
    };
    let vlan = EtherType::VLAN;
    for (name, tags, outcome) in [
        ("a priority tag", &[tag(vlan, 0xe000)][..], Forwarded),
        ("a priority tag of 0", &[tag(vlan, 0)], Forwarded),
        (
            "a priority tag that may be dropped",
            &[tag(vlan, 0x1000)],
            Forwarded,
        ),
        (
            "two priority tags",
            &[tag(vlan, 0x2000), tag(vlan, 0x4000)],
            Forwarded,
        ),
        (
            "a service priority tag",
            &[tag(SERVICE, 0), tag(vlan, 0)],
            Forwarded,
        ),
        ("VLAN 5", &[tag(vlan, 5)], Dropped("unknown_vlan")),
        ("VLAN 4095", &[tag(vlan, 0x0fff)], Dropped("unknown_vlan")),
        ("a service VLAN", &[tag(SERVICE, 7)], Dropped("unknown_vlan")),
        (
            "VLAN in VLAN",
            &[tag(SERVICE, 7), tag(vlan, 5)],
            Dropped("unknown_vlan"),
        ),
        (
            "a VLAN in a priority tag",
            &[tag(vlan, 0), tag(vlan, 5)],
            Dropped("unknown_vlan"),
        ),
        (
            "a priority tag in a VLAN",
            &[tag(vlan, 5), tag(vlan, 0)],
            Dropped("unknown_vlan"),
        ),
    ] {
        let (four, six) = tagged(tags);
        cases.push(Case::new(format!("{name}, IPv4"), four, outcome.clone()));
        cases.push(Case::new(format!("{name}, IPv6"), six, outcome));
    }
    let three = gateway
        .frame()
        .tag(tag(vlan, 0))
        .tag(tag(vlan, 0))
        .payload(vlan, &[0, 0, 8, 0, 0x45, 0, 0, 20]);
    cases.push(Case::new("three tags", three, Dropped("vlan_depth")));
    let echo = gateway
        .frame()
        .tag(tag(vlan, 0xe000))
        .ipv4(HOST_A, GATEWAY_A)
        .echo_request(1, 2, b"priority");
    cases.push(Case::new("an echo request with priority", echo, Echo4(GATEWAY_A)));
    gateway.assert_all(&cases);
}

pub(crate) fn frames_cut_at_every_byte_are_dropped_for_what_is_cut_off(gateway: &Gateway) {
    let mut cases = Vec::new();
    let four = gateway.through4().udp(1000, 2000, &[7; 40]);
    let six = gateway.through6().udp(1000, 2000, &[7; 40]);
    // No kernel takes a frame without a whole link header; the streams below have them.
    for length in ETHERNET..=60 {
        let reason = if length < ETHERNET + 20 {
            "ip4_truncated"
        } else {
            "ip4_total_length"
        };
        let name = format!("{length} bytes of IPv4");
        cases.push(Case::new(name, four[..length].to_vec(), Dropped(reason)));
        let reason = if length < ETHERNET + 40 {
            "ip6_truncated"
        } else {
            "ip6_payload_length"
        };
        let name = format!("{length} bytes of IPv6");
        cases.push(Case::new(name, six[..length].to_vec(), Dropped(reason)));
    }
    for (name, whole) in [("IPv4", four), ("IPv6", six)] {
        let one_less = whole[..whole.len() - 1].to_vec();
        let reason = if name == "IPv4" {
            "ip4_total_length"
        } else {
            "ip6_payload_length"
        };
        cases.push(Case::new(
            format!("{name} but its last byte"),
            one_less,
            Dropped(reason),
        ));
        let more = [&whole[..], &[0xee; 9]].concat();
        cases.push(Case::new(format!("{name} and more behind it"), more, Forwarded));
        cases.push(Case::new(format!("{name}, whole"), whole, Forwarded));
    }
    gateway.assert_all(&cases);
}
