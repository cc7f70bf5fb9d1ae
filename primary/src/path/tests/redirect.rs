//! Packets that leave by the interface that they came in by; what their senders are told, and how they leave.

use packet::builder::{Ipv4Builder, Ipv6Builder};
use packet::ethernet::{EthernetHeader, VlanTags};
use packet::{EtherType, Icmpv4, Icmpv6, PacketBuilder, Protocol, VlanTag};

use super::*;

/// The neighbour that packets go back to, by its link-local address too.
const BETTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 80);
const BETTER6: &str = "2001:db8:1::80";
const BETTER_LINK_LOCAL: &str = "fe80::80";
const BEHIND: Ipv4Addr = Ipv4Addr::new(10, 80, 0, 1);
const BEHIND6: &str = "2001:db8:80::1";

fn six(address: &str) -> Ipv6Addr {
    address.parse().unwrap()
}

fn from4(source: Ipv4Addr, destination: Ipv4Addr) -> Ipv4Builder {
    PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv4(source, destination)
}

fn from6(source: Ipv6Addr, destination: &str) -> Ipv6Builder {
    PacketBuilder::ethernet(GATEWAY[0], SENDER).ipv6(source, six(destination))
}

/// What the sender of a packet that goes back is told, how the packet leaves, and the MTU that it is cut to.
fn back(bench: &Bench, frame: Vec<u8>) -> (Option<Vec<u8>>, Vec<u8>, u16) {
    let mut frames = [frame];
    let note = bench.run(&mut frames)[0];
    let Disposition::Redirect {
        interface: 0,
        adjacency,
    } = note.disposition
    else {
        panic!("does not go back but {:?}", note.disposition);
    };
    let [frame] = frames;
    let mut leaving = frame[usize::from(note.trim)..usize::from(note.length)].to_vec();
    let redirect = bench.path.redirect_for(0, adjacency, &leaving, note.family());
    let redirect = redirect.map(|redirect| {
        let quote = &leaving[redirect.quote_at..redirect.quote_at + redirect.quote_len];
        [redirect.headers(), quote].concat()
    });
    bench.path.complete(0, &mut leaving, &note).unwrap();
    (redirect, leaving, note.detail)
}

fn told(bench: &Bench, frame: Vec<u8>) -> Option<Vec<u8>> {
    back(bench, frame).0
}

/// Type, code and gateway of a redirect that comes from the gateway and quotes all of `frame`.
fn redirect4(redirect: &[u8], frame: &[u8]) -> (u8, u8, Ipv4Addr) {
    let (link, rest) = EthernetHeader::parse(redirect).unwrap();
    assert_eq!(
        (link.destination, link.source, link.ethertype),
        (SENDER, GATEWAY[0], EtherType::IPV4)
    );
    let ip = Ipv4::parse(rest).unwrap();
    assert_eq!((ip.source(), ip.destination(), ip.ttl()), (OWN, HOST_A, 64));
    let message = Icmpv4::parse(ip.payload()).unwrap();
    assert!(message.checksum_is_valid());
    assert_eq!(message.data(), &frame[HEADER_LEN..], "the packet as it came");
    let gateway: [u8; 4] = ip.payload()[4..8].try_into().unwrap();
    (message.message_type(), message.code(), gateway.into())
}

/// Target and destination of a redirect that comes from the gateway's link-local address.
fn redirect6(redirect: &[u8], frame: &[u8]) -> (Ipv6Addr, Ipv6Addr) {
    let (link, rest) = EthernetHeader::parse(redirect).unwrap();
    assert_eq!(
        (link.destination, link.source, link.ethertype),
        (SENDER, GATEWAY[0], EtherType::IPV6)
    );
    let ip = Ipv6::parse(rest).unwrap();
    let host = Ipv6::parse(&frame[HEADER_LEN..]).unwrap().source();
    assert_eq!(
        (ip.source(), ip.destination(), ip.hop_limit()),
        (LINK_LOCAL, host, 255)
    );
    let message = Icmpv6::parse(ip.payload()).unwrap();
    assert!(message.checksum_is_valid(LINK_LOCAL, host));
    assert_eq!((message.message_type(), message.code()), (137, 0));
    let body = ip.payload();
    assert_eq!(body[40..48], [&[2, 1][..], &NEIGHBOR.octets()].concat());
    let quote = &body[56..];
    assert_eq!((usize::from(body[49]) - 1) * 8, quote.len());
    assert_eq!(
        quote,
        &frame[HEADER_LEN..HEADER_LEN + quote.len()],
        "the packet as it came"
    );
    let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&body[at..at + 16]).unwrap());
    (address(8), address(24))
}

#[test]
fn a_host_is_told_of_a_router_of_its_subnet() {
    let bench = Bench::new();
    let frame = from4(HOST_A, BEHIND).udp(1, 2, b"x");
    let redirect = told(&bench, frame.clone()).unwrap();
    assert_eq!(redirect4(&redirect, &frame), (5, 1, BETTER));

    let frame = from6(HOST_A6, BEHIND6).udp(1, 2, b"even");
    let redirect = told(&bench, frame.clone()).unwrap();
    assert_eq!(
        redirect6(&redirect, &frame),
        (six(BETTER_LINK_LOCAL), six(BEHIND6))
    );
}

#[test]
fn a_host_is_told_that_a_destination_is_on_its_link() {
    let bench = Bench::new();
    let frame = from4(HOST_A, BETTER).udp(1, 2, b"x");
    let redirect = told(&bench, frame.clone()).unwrap();
    assert_eq!(redirect4(&redirect, &frame), (5, 1, BETTER));

    let frame = from6(HOST_A6, BETTER6).udp(1, 2, b"x");
    let redirect = told(&bench, frame.clone()).unwrap();
    assert_eq!(redirect6(&redirect, &frame), (six(BETTER6), six(BETTER6)));
}

#[test]
fn a_packet_leaves_as_if_nobody_were_told() {
    let (on, off) = (Bench::on(false), Bench::on(false).without_redirects());
    let priority = VlanTag {
        tpid: EtherType::VLAN,
        tci: 0xe000,
    };
    let tagged = PacketBuilder::ethernet(GATEWAY[0], SENDER).tag(priority);
    for (number, frame) in [
        from4(HOST_A, BEHIND).udp(1, 2, b"x"),
        from4(HOST_A, BEHIND)
            .options(&[1, 7, 7, 4, 0, 0, 0, 0])
            .udp(1, 2, b"x"),
        tagged.clone().padded().ipv4(HOST_A, BEHIND).udp(1, 2, b"x"),
        from6(HOST_A6, BEHIND6).udp(1, 2, b"x"),
        tagged.ipv6(HOST_A6, six(BEHIND6)).udp(1, 2, b"x"),
    ]
    .into_iter()
    .enumerate()
    {
        let (redirect, leaving, _) = back(&on, frame.clone());
        assert!(redirect.is_some(), "packet {number}");
        assert_eq!(
            off.one(frame),
            (Disposition::Transmit(0), leaving),
            "packet {number}"
        );
    }
    let long = from4(HOST_A, BEHIND).udp(1, 2, &[7; 1600]);
    let (redirect, leaving, mtu) = back(&on, long.clone());
    assert_eq!((redirect.unwrap().len(), mtu), (HEADER_LEN + 576, 1500));
    assert_eq!(off.one(long), (Disposition::Fragment(0), leaving));
}

#[test]
fn a_redirect_has_at_most_1280_bytes() {
    let frame = from6(HOST_A6, BEHIND6).udp(1, 2, &[7; 1400]);
    let redirect = told(&Bench::new(), frame).unwrap();
    assert_eq!(redirect.len(), HEADER_LEN + 1280);
}

#[test]
fn nobody_is_told_who_must_not_be() {
    let bench = Bench::new();
    let far = Ipv4Addr::new(203, 0, 113, 1);
    let destination_unreachable = [3, 1, 0xfc, 0xfe, 0, 0, 0, 0];
    let to_itself = PacketBuilder::ethernet(GATEWAY[0], NEIGHBOR);
    for (number, frame) in [
        // Sources from elsewhere, and next hops on no subnet of the source.
        from4(far, BEHIND).udp(1, 2, b"x"),
        from4(HOST_A, [10, 81, 0, 1].into()).udp(1, 2, b"x"),
        from6(six("2001:db8:ff::1"), BEHIND6).udp(1, 2, b"x"),
        // A router that is not known by its link-local address: RFC 4861 section 8.2.
        from6(HOST_A6, "2001:db8:81::1").udp(1, 2, b"x"),
        // The gateway's own addresses, and everybody on the link.
        from4(OWN, BEHIND).udp(1, 2, b"x"),
        from4([192, 168, 1, 255].into(), BEHIND).udp(1, 2, b"x"),
        from6(OWN6, BEHIND6).udp(1, 2, b"x"),
        from6(LINK_LOCAL, BEHIND6).udp(1, 2, b"x"),
        // An error, of IPv4, and a fragment other than the first.
        from4(HOST_A, BEHIND).payload(Protocol::ICMP, &destination_unreachable),
        from4(HOST_A, BEHIND).fragment(8, false).udp(1, 2, b"x"),
        // The better next hop itself.
        to_itself.clone().ipv4(BETTER, BEHIND).udp(1, 2, b"x"),
        to_itself.ipv6(six(BETTER6), six(BEHIND6)).udp(1, 2, b"x"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(told(&bench, frame), None, "packet {number}");
    }
}

#[test]
fn who_is_told_why_a_packet_goes_no_further_is_told_nothing_else() {
    let bench = Bench::on(false);
    for (frame, reason) in [
        (
            from4(HOST_A, BEHIND).ttl(1).udp(1, 2, b"x"),
            DropReason::TtlExpired,
        ),
        (
            from6(HOST_A6, BEHIND6).hop_limit(1).udp(1, 2, b"x"),
            DropReason::TtlExpired,
        ),
        (
            from4(HOST_A, BEHIND).dont_fragment().udp(1, 2, &[7; 1600]),
            DropReason::TooBig,
        ),
        (from6(HOST_A6, BEHIND6).udp(1, 2, &[7; 1600]), DropReason::TooBig),
    ] {
        assert_eq!(bench.dropped(frame), reason);
    }
}

#[test]
fn a_packet_from_a_link_local_address_goes_back_to_its_link_and_to_no_other() {
    let bench = Bench::new();
    let host = six("fe80::2");
    let frame = from6(host, BEHIND6).udp(1, 2, b"x");
    let (redirect, leaving, _) = back(&bench, frame.clone());
    assert_eq!(
        redirect6(&redirect.unwrap(), &frame),
        (six(BETTER_LINK_LOCAL), six(BEHIND6))
    );
    let off = bench.without_redirects();
    assert_eq!(off.one(frame), (Disposition::Transmit(0), leaving));
    let elsewhere = from6(host, &HOST_B6.to_string()).udp(1, 2, b"x");
    assert_eq!(off.dropped(elsewhere), DropReason::Ip6Scope);
}

#[test]
fn a_usual_burst_back_goes_through_the_stages_only_where_redirects_are_on() {
    let (on, off) = (Bench::on(false), Bench::on(false).without_redirects());
    for frame in [
        from4(HOST_A, BEHIND).udp(1, 2, b"x"),
        from6(HOST_A6, BEHIND6).udp(1, 2, b"x"),
    ] {
        let burst = vec![frame; BURST];
        assert_eq!(off.burst(burst.clone()).0, Some(0));
        let (together, notes) = on.burst(burst);
        assert_eq!(together, None);
        for note in notes {
            assert!(matches!(
                note.disposition,
                Disposition::Redirect { interface: 0, .. }
            ));
            assert_eq!(note.passed.iter().last(), Some(PathStage::Redirect));
        }
    }
}

#[test]
fn from_a_sub_interface_to_its_port_is_not_back() {
    let mut bench = Bench::new();
    let tag = VlanTag {
        tpid: EtherType::VLAN,
        tci: 100,
    };
    let sub = SubInterface {
        port: 0,
        parent: 0,
        tags: VlanTags::one(tag),
    };
    let view = InterfaceView {
        sub: Some(sub),
        ..bench.path.interfaces.get(0).unwrap().clone()
    };
    bench.path.interfaces.set(2, view);
    let tagged = PacketBuilder::ethernet(GATEWAY[0], SENDER).tag(tag);
    let frame = tagged.ipv4(HOST_A, BEHIND).udp(1, 2, b"x");
    assert_eq!(bench.one(frame).0, Disposition::Transmit(0));
}
