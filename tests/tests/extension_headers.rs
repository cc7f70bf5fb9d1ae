//! IPv6 packets with extension headers go through the gateway as they came, RFC 8200 section 4.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::{fs, time::Duration};

use tests::{Family, Listener, Privilege, TwoHosts, wait_until};

const LIMIT: Duration = Duration::from_secs(30);
const IP6: Family = Family::Ip6;
/// Where the fields of a frame are: EtherType, hop limit, source address.
const ETHERTYPE: std::ops::Range<usize> = 12..14;
const HOP_LIMIT: usize = 21;
const SOURCE: std::ops::Range<usize> = 22..38;

/// What stands behind the IPv6 header of each packet.
const PAYLOADS: [&str; 19] = [
    "IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))])/UDP(dport=9)/b'padding'",
    "IPv6ExtHdrHopByHop(options=[RouterAlert(value=0)])/UDP(dport=9)/b'alert'",
    // Options that nobody knows, of all four kinds: a router that does not look at them passes them on.
    "IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x1e, optdata=b'skip')])/UDP(dport=9)/b'x'",
    "IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x5e, optdata=b'drop')])/UDP(dport=9)/b'x'",
    "IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x9e, optdata=b'tell')])/UDP(dport=9)/b'x'",
    "IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0xde, optdata=b'tell')])/UDP(dport=9)/b'x'",
    "IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0xde, optdata=b'theirs')])/UDP(dport=9)/b'x'",
    "IPv6ExtHdrRouting(type=253, segleft=1, addresses=['2001:db8:77::1'])/UDP(dport=9)/b'segments'",
    "IPv6ExtHdrHopByHop()/IPv6ExtHdrDestOpt()/IPv6ExtHdrRouting(type=253, segleft=0)/IPv6ExtHdrDestOpt()/TCP(dport=9)/b'all'",
    "IPv6ExtHdrDestOpt()/IPv6ExtHdrDestOpt()/IPv6ExtHdrDestOpt()/IPv6ExtHdrDestOpt()/IPv6ExtHdrDestOpt()/UDP(dport=9)",
    // In an order that they should not be in.
    "IPv6ExtHdrDestOpt()/IPv6ExtHdrHopByHop()/UDP(dport=9)/b'late'",
    "IPv6ExtHdrFragment(offset=0, m=1, id=7)/UDP(dport=9, len=1000, chksum=0x1234)/Raw(bytes(96))",
    "IPv6ExtHdrFragment(offset=13, m=0, id=7)/Raw(b'the rest of it')",
    "IPv6ExtHdrHopByHop()/IPv6ExtHdrFragment(offset=0, m=0, id=8)/UDP(dport=9)/b'whole'",
    "IPv6ExtHdrFragment(nh=58, offset=200, m=1, id=9)/Raw(bytes(64))",
    "ICMPv6EchoRequest(id=1, seq=1, data=b'echo')",
    "Raw(b'no next header')",
    "Raw(b'a protocol that nobody knows')",
    "Raw(b'')",
];

/// The next header of those that hold no header that says it.
fn next_header(payload: &str) -> &'static str {
    match payload {
        "Raw(b'no next header')" => ", nh=59",
        payload if payload.starts_with("Raw") => ", nh=253",
        _ => "",
    }
}

#[test]
fn packets_with_extension_headers_arrive_unchanged_and_in_order() {
    let hosts = TwoHosts::create_for(Privilege::detect(), &[IP6]).unwrap();
    let primary = hosts.primary("gw").start().unwrap();
    // Known before, so that nothing has to wait.
    let first = hosts.host_a.ping(IP6.address_b(), &["-c", "1", "-W", "2"], LIMIT);
    first.unwrap().assert_all_answered();
    let mut listener = Listener::start(&hosts.host_b, "eth0").unwrap();
    let (a, gateway) = (
        hosts.host_a.mac("eth0").unwrap(),
        hosts.gateway.mac(TwoHosts::PORT_A).unwrap(),
    );
    let expressions = PAYLOADS.map(|payload| {
        format!(
            "Ether(src='{a}', dst='{gateway}')/IPv6(src='{}', dst='{}', tc=0xb9, fl=0xabcde, hlim=2{})/{payload}",
            IP6.address_a(),
            IP6.address_b(),
            next_header(payload)
        )
    });
    let sent = hosts.host_a.send_frames("eth0", &expressions).unwrap();
    let expected: Vec<_> = sent.frames.iter().map(|frame| forwarded(frame)).collect();
    let last = expected.last().unwrap().clone();
    listener
        .wait_for("the last packet", LIMIT, |frame| frame[ETHERTYPE.start..] == last)
        .unwrap();
    let source = sent.frames[0][SOURCE].to_vec();
    let received: Vec<_> = listener
        .frames()
        .into_iter()
        .filter(|frame| frame[ETHERTYPE] == [0x86, 0xdd] && frame[SOURCE] == source)
        .map(|frame| frame[ETHERTYPE.start..].to_vec())
        .collect();
    for (number, (received, expected)) in received.iter().zip(&expected).enumerate() {
        assert_eq!(received, expected, "{}", PAYLOADS[number]);
    }
    assert_eq!(received.len(), expected.len());
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.drops(), [].into());
    counters.assert_balanced();
}

/// By `config apply`, without a packet lost.
#[test]
fn req_ra_10_hop_by_hop_headers_are_judged_from_when_the_configuration_says_so() {
    let hosts = TwoHosts::create_for(Privilege::detect(), &[IP6]).unwrap();
    let primary = hosts.primary("gw").start().unwrap();
    let first = hosts.host_a.ping(IP6.address_b(), &["-c", "1", "-W", "2"], LIMIT);
    first.unwrap().assert_all_answered();
    let mut listeners = [&hosts.host_a, &hosts.host_b].map(|host| Listener::start(host, "eth0").unwrap());
    let (a, gateway) = (
        hosts.host_a.mac("eth0").unwrap(),
        hosts.gateway.mac(TwoHosts::PORT_A).unwrap(),
    );
    let send = |text: &str| {
        let frame = format!(
            "Ether(src='{a}', dst='{gateway}')/IPv6(src='{}', dst='{}')/\
             IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x9e, optdata=b'tell')])/UDP(dport=9)/b'{text}'",
            IP6.address_a(),
            IP6.address_b()
        );
        let sent = hosts.host_a.send_frames("eth0", &[frame]).unwrap();
        sent.frames[0].clone()
    };
    let through = forwarded(&send("before"));
    listeners[1]
        .wait_for("what is not judged", LIMIT, |frame| {
            frame[ETHERTYPE.start..] == through
        })
        .unwrap();
    let shown = || {
        let shown = primary.ctl(&["config", "show"]).unwrap();
        shown.success().unwrap().stdout
    };
    let off = shown();
    assert_eq!(off.matches("\nhop_by_hop = \"ignore\"\n").count(), 2, "{off}");
    let text = off
        .replacen("\"ignore\"", "\"process\"", 1)
        .replace("padding = \"lenient\"", "padding = \"strict\"");
    let file = primary.config_path().with_file_name("other.toml");
    fs::write(&file, text).unwrap();
    let words = ["config", "apply", file.to_str().unwrap(), "--dry-run"];
    let said = primary.ctl(&words).unwrap().success().unwrap().stdout;
    let expected = format!(
        "~ link {} hop_by_hop process\n~ router_alert padding strict ",
        TwoHosts::PORT_A
    );
    assert!(said.starts_with(&expected), "{said}");
    primary.ctl(&words[..3]).unwrap().success().unwrap();
    let on = shown();
    assert_eq!(on.matches("\nhop_by_hop = \"process\"\n").count(), 1, "{on}");
    assert!(on.contains("\npadding = \"strict\"\n"), "{on}");
    // The last word is still under way to the workers when a tool has its answer.
    wait_until("a drop", LIMIT, || {
        send("after");
        let counters = primary.counters_at_rest()?;
        Ok((counters.dropped("hop_by_hop_option") > 0).then_some(()))
    })
    .unwrap();
    listeners[0]
        .wait_for("a parameter problem, code 2, pointer 42", LIMIT, |frame| {
            let message = frame.get(54..).unwrap_or_default();
            message.get(..2) == Some(&[4, 2]) && message[4..8] == [0, 0, 0, 42]
        })
        .unwrap();
    primary.counters_at_rest().unwrap().assert_balanced();
}

/// What is to be received of a frame, from the EtherType on: all but one hop.
fn forwarded(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[HOP_LIMIT] -= 1;
    frame[ETHERTYPE.start..].to_vec()
}

/// RFC 8200 section 4.5: the sender is told, and the fragment is not kept. On its way through it is forwarded as any other.
#[test]
fn a_first_fragment_for_the_gateway_must_have_its_upper_layer_header() {
    let hosts = TwoHosts::create_for(Privilege::detect(), &[IP6]).unwrap();
    let primary = hosts.primary("gw").start().unwrap();
    let first = hosts.host_a.ping(IP6.address_b(), &["-c", "1", "-W", "2"], LIMIT);
    first.unwrap().assert_all_answered();
    let mut listeners = [&hosts.host_a, &hosts.host_b].map(|host| Listener::start(host, "eth0").unwrap());
    let (a, gateway) = (
        hosts.host_a.mac("eth0").unwrap(),
        hosts.gateway.mac(TwoHosts::PORT_A).unwrap(),
    );
    let own = "2001:db8:1::1";
    let fragment = |destination: &str| {
        format!(
            "Ether(src='{a}', dst='{gateway}')/IPv6(src='{}', dst='{destination}')/\
             IPv6ExtHdrFragment(nh=6, offset=0, m=1, id=7)/Raw(b'12345678')",
            IP6.address_a()
        )
    };
    let frames = [own, IP6.address_b()].map(fragment);
    let sent = hosts.host_a.send_frames("eth0", &frames).unwrap();
    let about = sent.frames[0][ETHERTYPE.end..].to_vec();
    listeners[0]
        .wait_for("a parameter problem, code 3, pointer 0", LIMIT, |frame| {
            let message = frame.get(54..).unwrap_or_default();
            message.get(..2) == Some(&[4, 3]) && message[4..8] == [0; 4] && message[8..] == about
        })
        .unwrap();
    let through = forwarded(&sent.frames[1]);
    listeners[1]
        .wait_for("the other fragment", LIMIT, |frame| {
            frame[ETHERTYPE.start..] == through
        })
        .unwrap();
    let counters = primary.counters_at_rest().unwrap();
    assert_eq!(counters.dropped("ip6_first_fragment"), 1);
    assert_eq!(counters.sum(|interface| interface.waiting), 0);
    counters.assert_balanced();
}
