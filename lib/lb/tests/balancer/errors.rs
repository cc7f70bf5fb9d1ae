//! ICMP errors about connections (REQ-ICMP-3, 4, 14 to 16).

use lb::{Count, Refused, Verdict};

use crate::bed::{Bed, at, quoted, udp, udp_of, unreachable};
use crate::dns;

const CLIENT: &str = "10.0.0.48:37177";
const VIP: &str = "10.0.0.100:53";

#[test]
fn req_icmp_3_4_errors_of_either_side_quote_what_their_receiver_sent() {
    let mut bed = Bed::new(1, 8, vec![dns()]);
    let question = bed.client_sends(udp(CLIENT, VIP));
    let (local, server) = question.flow();
    let error = bed.server_sends(unreachable("192.168.100.254", &question.frame));
    let (from, to) = error.flow();
    assert_eq!((from.ip(), to.ip()), (at(VIP).ip(), at(CLIENT).ip()));
    assert_eq!(quoted(&error.frame), (at(CLIENT), at(VIP)));
    let answer = bed.server_sends(udp_of(server, local));
    let error = bed.client_sends(unreachable("10.0.0.1", &answer.frame));
    let (from, to) = error.flow();
    assert_eq!((from.ip(), to.ip()), (local.ip(), server.ip()));
    assert_eq!(quoted(&error.frame), (server, local));
    assert_eq!(
        [Count::ErrorsIn, Count::ErrorsOut].map(|what| bed.counts(0).sum(what)),
        [1, 1]
    );
    assert_eq!(
        [Count::InPackets, Count::OutPackets].map(|what| bed.counts(0).sum(what)),
        [1, 1]
    );
}

#[test]
fn req_icmp_14_errors_about_no_connection_are_dropped() {
    let mut bed = Bed::new(1, 8, vec![dns()]);
    for about in [
        udp("192.168.100.200:2000", "192.168.100.2:5353"),
        udp(VIP, "10.0.0.48:1"),
    ] {
        let sent = bed.client_sends(unreachable("10.0.0.1", &about));
        assert_eq!(sent.verdict, Verdict::Drop(Refused::ErrorNoConnection));
    }
    assert_eq!(
        bed.counts(0).drops(Refused::ErrorNoConnection),
        1,
        "the one that names the service"
    );
    for own in [
        udp("10.0.0.100:500", "10.0.0.48:500"),
        udp("192.168.100.200:179", "192.168.100.2:5353"),
    ] {
        let sent = bed.client_sends(unreachable("10.0.0.1", &own));
        assert_eq!(
            sent.verdict,
            Verdict::NotOurs,
            "it is about a packet of the gateway itself"
        );
    }
}

#[test]
fn req_icmp_15_errors_find_a_connection_for_a_while_after_its_end() {
    for grace in [0, 3, 10] {
        let mut bed = Bed::new(1, 8, vec![dns()]);
        bed.config.policy.err_grace_s = grace;
        bed.configure();
        let question = bed.client_sends(udp(CLIENT, VIP));
        let error = unreachable("192.168.100.254", &question.frame);
        bed.config.services[0] = {
            let mut service = (*bed.config.services[0]).clone();
            service.servers.clear();
            service.into()
        };
        bed.configure();
        bed.settle();
        assert_eq!(bed.rows().len(), 0, "its server is gone");
        bed.pass(u64::from(grace) * 1000 / 2);
        if grace > 0 {
            let sent = bed.server_sends(error.clone());
            assert_eq!(sent.flow().1.ip(), at(CLIENT).ip());
            assert_eq!(quoted(&sent.frame), (at(CLIENT), at(VIP)));
        }
        bed.pass(u64::from(grace) * 1000 / 2 + 500);
        let sent = bed.server_sends(error);
        assert!(
            !matches!(sent.verdict, Verdict::Forward { .. }),
            "{:?}",
            sent.verdict
        );
        bed.assert_idle();
    }
}

#[test]
fn req_icmp_16_errors_change_nothing_of_the_connection() {
    let mut bed = Bed::new(1, 8, vec![dns()]);
    let question = bed.client_sends(udp(CLIENT, VIP));
    let before = bed.rows();
    bed.pass(299_000);
    for _ in 0..10 {
        bed.server_sends(unreachable("192.168.100.254", &question.frame))
            .flow();
    }
    assert_eq!(bed.rows()[0].expires_ms, 1_000);
    assert_eq!(
        (bed.rows()[0].in_packets, bed.rows()[0].out_packets),
        (before[0].in_packets, 0)
    );
    bed.pass(1_500);
    assert_eq!(bed.rows().len(), 0);
}

#[test]
fn req_icmp_2_12_what_is_configured_is_dropped() {
    let mut bed = Bed::new(1, 8, vec![dns()]);
    let question = bed.client_sends(udp(CLIENT, VIP));
    let mut quench = unreachable("192.168.100.254", &question.frame);
    quench[34] = 4;
    quench[35] = 0;
    // A router that counted the TTL down, and quotes that.
    let mut odd = unreachable("192.168.100.254", &question.frame);
    odd[34 + 8 + 8] -= 1;
    for error in [&mut quench, &mut odd] {
        error[36..38].fill(0);
        let sum = packet::checksum::checksum(&error[34..]);
        error[36..38].copy_from_slice(&sum.to_be_bytes());
    }
    assert!(matches!(
        bed.server_sends(quench.clone()).verdict,
        Verdict::Forward { .. }
    ));
    assert!(matches!(
        bed.server_sends(odd.clone()).verdict,
        Verdict::Forward { .. }
    ));
    bed.config.policy.source_quench_forward = false;
    bed.config.policy.strict_inner_csum = true;
    bed.configure();
    assert_eq!(
        bed.server_sends(quench).verdict,
        Verdict::Drop(Refused::SourceQuench)
    );
    assert_eq!(bed.server_sends(odd).verdict, Verdict::Drop(Refused::BadInner));
}
