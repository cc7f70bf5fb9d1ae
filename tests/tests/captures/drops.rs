//! What is dropped, by whichever thread and wherever it lies then, and what is seen of it.

use std::collections::BTreeMap;

use control::capture::Way;
use control::message::{CapturePoint, CaptureRequest};
use tests::watch::Watched;
use tests::{Primary, TwoHosts, wait_until};

use crate::points::{accounted, at, frame, sent, warm};
use crate::{LIMIT, hosts};

/// Packets whose fragments are kept at a time.
const REASSEMBLIES: u64 = 4;

/// Drops by reason; each is as the packet came in, by its number, on the interface that it came in by, and in its stage.
#[track_caller]
fn seen(packets: &[Watched]) -> BTreeMap<&'static str, u64> {
    let mut seen = BTreeMap::new();
    for packet in packets.iter().filter(|packet| packet.way == Way::Drop) {
        let (reason, stage) = packet.dropped.unwrap();
        *seen.entry(reason.name()).or_insert(0) += 1;
        let came = packets
            .iter()
            .find(|other| other.way == Way::Rx && other.id == packet.id);
        assert!(came.is_some(), "{packet:?} has not come in");
        let came = came.unwrap();
        assert_eq!(came.data, packet.data, "it is as it came: {reason} at {stage}");
        assert_eq!(packet.interface, came.interface);
        let expected = match reason.name() {
            "ttl_expired" => "rewrite",
            "no_route" => "lookup",
            "arp_malformed" | "nd_malformed" => "control",
            "reassembly_overlap" | "reassembly_full" | "reassembly_timeout" => "reassembly",
            "kernel_refused" => "kernel",
            _ => continue,
        };
        assert_eq!(stage.name(), expected, "{reason}");
    }
    seen
}

/// What was counted since `before`.
fn counted(primary: &Primary, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let counters = primary.counters_at_rest().unwrap();
    let mut counted: BTreeMap<_, _> = owned(counters.drops());
    for (reason, packets) in before {
        *counted.get_mut(reason).unwrap() -= packets;
    }
    counted.retain(|_, packets| *packets > 0);
    counted
}

fn owned(drops: BTreeMap<&str, u64>) -> BTreeMap<String, u64> {
    drops
        .into_iter()
        .map(|(reason, packets)| (reason.to_owned(), packets))
        .collect()
}

/// Frames from host-a that are dropped by workers, by the control thread, or as fragments.
fn send_what_is_dropped(hosts: &TwoHosts) {
    let (to_mac, from_mac) = (
        hosts.gateway.mac("a0").unwrap(),
        hosts.host_a.mac("eth0").unwrap(),
    );
    let (host, gateway) = (TwoHosts::ADDRESS_A, TwoHosts::GATEWAY_A);
    let to_gateway = format!("Ether(dst='{to_mac}', src='{from_mac}')");
    // A reverse request, RFC 903, and a solicitation for a group.
    let arp = format!("{to_gateway}/ARP(op=3, psrc='{host}', pdst='{gateway}')");
    let solicitation = format!(
        "Ether(dst='33:33:ff:00:00:01', src='{from_mac}')/IPv6(src='2001:db8:1::2', dst='ff02::1:ff00:1', hlim=255)\
         /ICMPv6ND_NS(tgt='ff02::1')"
    );
    let fragment =
        |of: &str| format!("{to_gateway}/IP(src='{host}', dst='{gateway}', flags=1, proto=17, {of})");
    let overlap = format!(
        "[{}/Raw(b'y' * 64) for at in (0, 4, 12)]",
        fragment("id=3, frag=at")
    );
    // The first alone.
    let incomplete = format!(
        "[{}/Raw(bytes([n]) * 1400) for n in range(20)]",
        fragment("id=100 + n")
    );
    let far = frame(hosts, "203.0.113.7", "", "UDP(dport=7)/b'lost'");
    let late = frame(hosts, TwoHosts::ADDRESS_B, ", ttl=1", "UDP(dport=7)/b'late'");
    let bad = frame(hosts, TwoHosts::ADDRESS_B, ", chksum=1", "UDP(dport=7)/b'bad'");
    let good = frame(hosts, TwoHosts::ADDRESS_B, "", "UDP(dport=9)/b'good'");
    sent(
        hosts,
        &[
            (late, 20),
            (far, 30),
            (bad, 10),
            (good, 5),
            (arp, 6),
            (solicitation, 7),
            (overlap, 1),
            (incomplete, 1),
        ],
    );
}

#[test]
fn each_drop_that_is_counted_is_seen_with_its_reason_and_stage_and_the_number_that_it_came_in_with() {
    let hosts = hosts();
    let limits = format!("[limits]\nattachments = 10\nreassemblies = {REASSEMBLIES}");
    let primary = warm(hosts.primary("gw").toml(&limits), &hosts);
    primary.tell("addr add 2001:db8:1::1/64 dev a0");
    primary.wait_for_addresses().unwrap();
    let before = owned(primary.counters_at_rest().unwrap().drops());
    let all = primary
        .watch(at(&[CapturePoint::Rx, CapturePoint::Drop]))
        .unwrap();
    let of = |reason: &str| {
        let request = CaptureRequest {
            drop_reasons: vec![reason.to_owned()],
            ..at(&[CapturePoint::Drop])
        };
        primary.watch(request).unwrap()
    };
    let (expired, malformed, overlapping) =
        (of("ttl_expired"), of("arp_malformed"), of("reassembly_overlap"));
    send_what_is_dropped(&hosts);
    let waiting = |counters: tests::Counters| counters.sum(|interface| interface.waiting);
    assert_eq!(waiting(primary.counters_at_rest().unwrap()), REASSEMBLIES);
    wait_until("that fragments are not waited for any more", 5 * LIMIT, || {
        Ok((waiting(primary.counters()?) == 0).then_some(()))
    })
    .unwrap();
    let counted = counted(&primary, &before);
    let (all, counts) = all.finish().unwrap();
    accounted(&all, counts);
    assert_eq!(counts.lost, 0);
    let seen = seen(&all);
    assert_eq!(
        seen.iter()
            .map(|(reason, count)| (*reason, *count))
            .collect::<Vec<_>>(),
        counted
            .iter()
            .map(|(reason, count)| (reason.as_str(), *count))
            .collect::<Vec<_>>(),
        "what is counted is what is seen"
    );
    assert_eq!((seen["ttl_expired"], seen["no_route"]), (20, 30));
    assert_eq!((seen["arp_malformed"], seen["nd_malformed"]), (6, 7));
    assert_eq!(
        (
            seen["reassembly_overlap"],
            seen["reassembly_full"],
            seen["reassembly_timeout"]
        ),
        (3, 20 - REASSEMBLIES, REASSEMBLIES)
    );
    assert!(seen.len() >= 8, "wrong checksums are dropped: {seen:?}");
    for (watch, count, end) in [
        (expired, 20, &b"late"[..]),
        (malformed, 6, &[]),
        (overlapping, 3, b"yyyy"),
    ] {
        let (packets, counts) = watch.finish().unwrap();
        assert_eq!(
            (packets.len(), counts.seen),
            (count, count as u64),
            "other drops are not looked at"
        );
        assert!(packets.iter().all(|packet| packet.data.ends_with(end)));
    }
}

#[test]
fn what_the_kernel_refuses_is_seen_as_dropped() {
    const TAPS: [&str; 2] = ["k-a0", "k-b0"];
    const COUNT: u64 = 5;
    let hosts = hosts();
    let interfaces = hosts.interfaces().into_iter().zip(TAPS);
    let builder = interfaces.fold(hosts.portless("gw"), |builder, (interface, tap)| {
        builder.interface(interface.tap(tap))
    });
    let mut primary = warm(builder, &hosts);
    hosts
        .gateway
        .run("removes a tap", &["ip", "link", "delete", TAPS[0]])
        .unwrap();
    primary
        .process()
        .wait_for_stderr("that it is lost", LIMIT, |line| {
            line.contains("tap") && line.contains("is lost")
        })
        .unwrap();
    let before = owned(primary.counters_at_rest().unwrap().drops());
    let all = primary
        .watch(at(&[CapturePoint::Rx, CapturePoint::Drop]))
        .unwrap();
    let knock = frame(&hosts, TwoHosts::GATEWAY_A, "", "UDP(dport=9)/b'knock'");
    sent(&hosts, &[(knock, COUNT as usize)]);
    let counted = counted(&primary, &before);
    assert_eq!(counted, [("kernel_refused".to_owned(), COUNT)].into());
    let (all, counts) = all.finish().unwrap();
    accounted(&all, counts);
    assert_eq!(seen(&all), [("kernel_refused", COUNT)].into());
}
