//! What the gateway itself wrote leaves as it does by the stages.

use packet::{PacketBuilder, Protocol};

use super::*;

fn written(to: IpAddr) -> Vec<u8> {
    let frame = PacketBuilder::ethernet(GATEWAY[0], SENDER);
    match to {
        IpAddr::V4(to) => frame.ipv4(HOST_A, to).payload(Protocol::ESP, &[7; 60]),
        IpAddr::V6(to) => frame.ipv6(HOST_A6, to).payload(Protocol::ESP, &[7; 60]),
    }
}

#[test]
fn what_leaves_at_once_is_as_by_the_stages() {
    let bench = Bench::new().without_redirects();
    for (to, egress, mtu) in [
        ("192.168.2.2", 1, MTU),
        ("10.80.0.1", 0, 1500),
        ("2001:db8:2::2", 1, MTU),
        ("2001:db8:80::1", 0, 1500),
    ] {
        let to = to.parse().unwrap();
        let way = bench.path.way_out(to).unwrap();
        let mut frame = written(to);
        way.write(&mut frame);
        let expected = (Disposition::Transmit(way.egress), frame);
        assert_eq!(bench.one(written(to)), expected, "{to}");
        assert_eq!((way.egress, way.longest), (egress, usize::from(mtu) + HEADER_LEN));
    }
}

#[test]
fn what_does_not_leave_at_once_has_no_way() {
    let bench = Bench::new();
    for to in [
        "192.168.1.1",
        "192.168.1.7",
        "192.168.1.255",
        "10.1.0.1",
        "10.2.0.1",
        "10.3.0.1",
        "10.4.0.1",
        "10.5.0.1",
        "10.9.0.1",
        "203.0.113.1",
        "2001:db8:1::1",
        "2001:db8:a1::1",
        "2001:db8:a3::1",
        "2001:db8:b0::1",
        "2001:db8:ff::1",
    ] {
        assert!(bench.path.way_out(to.parse().unwrap()).is_none(), "{to}");
    }
    bench.up[1].store(false, std::sync::atomic::Ordering::Relaxed);
    assert!(
        bench.path.way_out(HOST_B.into()).is_none(),
        "its interface is down"
    );
}
