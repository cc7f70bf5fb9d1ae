//! What a gateway refuses at the end of a tunnel, by reason, and what it says about it. The other end is scapy.

use tests::Family;

use crate::outer::{MAC_A, OneArm};

#[test]
fn each_refusal_is_counted_by_its_reason_and_nothing_else_is_told_than_that_nobody_is_there() {
    let site = OneArm::create();
    let four = "IP(src='192.0.2.2', dst='192.0.2.1')";
    let six = "IPv6(src='2001:db8:9::2', dst='2001:db8:9::1')";
    let inner = "IP(src='10.9.0.2', dst='198.51.100.2')/UDP(sport=1, dport=2)/b'inside'";
    let inner6 = "IPv6(src='2001:db8:8::2', dst='2001:db8:7::2')/UDP(sport=1, dport=2)/b'inside'";
    let stranger = "IP(src='192.0.2.3', dst='192.0.2.1')";
    for (reason, packets) in [
        (
            "tunnel_unknown",
            vec![
                format!("{stranger}/{inner}"),
                format!("{four}/GRE(key_present=1, key=8)/{inner}"),
                format!("{six}/GRE(key_present=1, key=7)/{inner}"),
            ],
        ),
        (
            "tunnel_malformed",
            vec![
                // A bridge, a keepalive, flags and a version of other documents.
                format!("{four}/GRE()/Ether(dst='{MAC_A}', src='{MAC_A}')/{inner}"),
                format!("{four}/GRE(proto=0)"),
                format!("{four}/GRE(routing_present=1)/{inner}"),
                format!("{four}/GRE(version=1)/{inner}"),
                format!("{four}/GRE(chksum_present=1, chksum=0x1234)/{inner}"),
                format!("IP(src='192.0.2.2', dst='192.0.2.1', proto=47)/b'\\x00\\x00\\x08'"),
                // Another packet inside than the outer header says, and less than a header.
                format!("IP(src='192.0.2.2', dst='192.0.2.1', proto=4)/{inner6}"),
                format!("IP(src='192.0.2.2', dst='192.0.2.1', proto=4)/b'short'"),
                format!("IPv6(src='2001:db8:9::2', dst='2001:db8:9::1', nh=41)/b'short'"),
            ],
        ),
        (
            "tunnel_ecn",
            vec![format!("IP(src='192.0.2.2', dst='192.0.2.1', tos=3)/{inner}")],
        ),
        ("tunnel_loop", vec![format!("{four}/{four}/{four}/{inner}")]),
        (
            "tunnel_error",
            vec![
                format!(
                    "IP(src='192.0.2.9', dst='192.0.2.1')/ICMP(type=3, code=1)/IP(src='192.0.2.1', dst='192.0.2.2')/{inner}"
                ),
                format!(
                    "IPv6(src='2001:db8:9::9', dst='2001:db8:9::1')/ICMPv6TimeExceeded()/\
                     IPv6(src='2001:db8:9::1', dst='2001:db8:9::2')/{inner}"
                ),
            ],
        ),
    ] {
        let before = site.primary.counters_at_rest().unwrap();
        site.send(&packets);
        let counters = site.primary.counters_at_rest().unwrap();
        counters.assert_balanced();
        let count = |counters: &tests::Counters| counters.dropped(reason);
        assert_eq!(
            count(&counters) - count(&before),
            packets.len() as u64,
            "{reason}"
        );
        let told = |counters: &tests::Counters| counters.sum(|interface| interface.icmp_errors);
        let expected = if reason == "tunnel_unknown" { 3 } else { 0 };
        assert_eq!(told(&counters) - told(&before), expected, "{reason}");
    }
}

#[test]
fn marks_of_congestion_come_out_as_rfc_6040_says() {
    let mut site = OneArm::create();
    // By inner and outer codepoint: 0 none, 1 ECT(1), 2 ECT(0), 3 CE.
    let table = [
        [Some(0), Some(0), Some(0), None],
        [Some(1), Some(1), Some(1), Some(3)],
        [Some(2), Some(1), Some(2), Some(3)],
        [Some(3), Some(3), Some(3), Some(3)],
    ];
    for (family, tunnel) in [(Family::Ip4, "four"), (Family::Ip6, "six")] {
        for (inner, row) in table.iter().enumerate() {
            for (outer, expected) in row.iter().enumerate() {
                let (inside, outside) = (0xb8 | inner, 0x28 | outer);
                let text = format!("{tunnel} {inner} in {outer}");
                let packet = family.choose(
                    format!("IP(src='192.0.2.2', dst='192.0.2.1', tos={outside})/IP(src='10.9.0.2', dst='198.51.100.2', tos={inside}, ttl=9)/UDP(sport=1, dport=2)/b'{text}'"),
                    format!("IPv6(src='2001:db8:9::2', dst='2001:db8:9::1', tc={outside})/IPv6(src='2001:db8:8::2', dst='2001:db8:7::2', tc={inside}, hlim=9)/UDP(sport=1, dport=2)/b'{text}'"),
                );
                site.send(&[packet]);
                let Some(expected) = expected else { continue };
                let class = 0xb8 | expected;
                let came = site.hears(&text);
                let left = family.choose(
                    format!("IP(src='10.9.0.2', dst='198.51.100.2', tos={class}, ttl=8)/UDP(sport=1, dport=2)/b'{text}'"),
                    format!("IPv6(src='2001:db8:8::2', dst='2001:db8:7::2', tc={class}, hlim=8)/UDP(sport=1, dport=2)/b'{text}'"),
                );
                assert_eq!(came, site.bytes(&left), "{text}");
            }
        }
    }
    let counters = site.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(counters.dropped("tunnel_ecn"), 2);
}

#[test]
fn an_error_from_the_path_makes_the_tunnel_smaller_and_senders_are_told() {
    let mut site = OneArm::create();
    let long = |df: &str, text: &str| {
        format!(
            "IP(src='198.51.100.2', dst='10.9.0.2', flags={df}, ttl=9)/UDP(sport=1, dport=2)/(b'x' * 1300 + b'{text}')"
        )
    };
    site.send(&[long("'DF'", "before")]);
    site.hears("before");
    site.send(&[
        "IP(src='192.0.2.9', dst='192.0.2.1')/ICMP(type=3, code=4, nexthopmtu=1200)/IP(src='192.0.2.1', dst='192.0.2.2', \
         len=1400, proto=4)/IP(src='198.51.100.2', dst='10.9.0.2')/b'12345678'"
            .to_owned(),
    ]);
    site.primary.counters_at_rest().unwrap();
    site.send(&[long("'DF'", "after")]);
    let told = site.heard(|packet| packet.first() == Some(&0x45) && packet[9] == 1 && packet[20] == 3);
    assert_eq!(told[20..28][1], 4);
    assert_eq!(
        told[26..28],
        1180_u16.to_be_bytes(),
        "1200 bytes, of which 20 are the outer header"
    );
    // What may be cut is, and nothing of it is longer than the path takes.
    site.send(&[long("0", "pieces")]);
    let last = site.hears("pieces");
    assert!(last.len() <= 1200, "{}", last.len());
    let counters = site.primary.counters_at_rest().unwrap();
    counters.assert_balanced();
    assert_eq!(
        (counters.dropped("tunnel_error"), counters.dropped("too_big")),
        (1, 1)
    );
    assert_eq!(counters.of("four").unwrap().fragmented, 1);
    // It counts on while the ends are the same, whatever else is changed.
    site.primary.tell("tunnel set four ttl 65");
    site.send(&[long("'DF'", "still")]);
    let counters = site.primary.counters_at_rest().unwrap();
    assert_eq!(counters.dropped("too_big"), 2);
    // A tunnel that is made anew has learned nothing.
    site.primary.tell("tunnel del four");
    site.primary
        .tell("tunnel add four mode ipip local 192.0.2.1 remote 192.0.2.2 unnumbered t0");
    site.primary.tell("route add 10.9.0.0/16 dev four");
    site.send(&[long("'DF'", "anew")]);
    site.hears("anew");
}
