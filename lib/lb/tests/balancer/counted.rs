//! What a worker counts of ICMP (REQ-ICMP-44).

use lb::{IcmpCount, Kind, Refused, Verdict};

use crate::bed::{self, Bed, echo, service, udp, udp_of, unreachable};
use crate::dns;

const VIP: &str = "10.0.0.100:53";

fn ping(weight: u16) -> lb::Service {
    let servers = [("192.168.100.2:0", weight)];
    service(2, Kind::Icmp, "10.0.0.100:0", &servers, &["192.168.100.200"])
}

/// What worker `worker` has counted that is not 0.
fn counted(bed: &Bed, worker: usize) -> Vec<(IcmpCount, u64)> {
    let all = IcmpCount::ALL.map(|what| (what, bed.workers[worker].icmp(what)));
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn req_icmp_44_queries_and_replies_are_counted_by_what_becomes_of_them() {
    use IcmpCount::*;
    let mut bed = Bed::new(1, 8, vec![ping(1)]);
    let asked = echo("10.0.0.48", "10.0.0.100", 7, false);
    let (local, _) = bed.client_sends(asked.clone()).flow();
    assert_eq!(
        counted(&bed, 0),
        [(QueriesNew, 1), (SisoMisses, 1)],
        "no server has sent yet"
    );
    bed.server_sends(echo("192.168.100.2", "192.168.100.200", local.port(), true))
        .flow();
    bed.client_sends(asked).flow();
    let then = [
        (QueriesNew, 1),
        (QueriesIn, 1),
        (QueriesOut, 1),
        (SisoHits, 2),
        (SisoMisses, 1),
    ];
    assert_eq!(counted(&bed, 0), then);
    let unasked = bed.server_sends(echo("192.168.100.2", "192.168.100.200", 2000, true));
    assert_eq!(unasked.verdict, Verdict::Drop(Refused::Unsolicited));
    let own = bed.server_sends(echo("192.168.100.2", "192.168.100.200", 1, false));
    assert_eq!(own.verdict, Verdict::NotOurs);
    assert_eq!(
        [Unsolicited, QueriesLocal].map(|what| bed.workers[0].icmp(what)),
        [1, 1]
    );
    // No way is learned for a service that does not want one.
    bed.change(0, |service| service.fast_xmit = false);
    bed.client_sends(echo("10.0.0.48", "10.0.0.100", 7, false)).flow();
    assert_eq!(
        [SisoHits, SisoMisses].map(|what| bed.workers[0].icmp(what)),
        [2, 2]
    );
}

#[test]
fn req_icmp_44_queries_that_nobody_can_take_are_told_apart() {
    use IcmpCount::*;
    let asked = || echo("10.0.0.48", "10.0.0.100", 7, false);
    let mut bed = Bed::new(1, 8, vec![ping(0)]);
    bed.client_sends(asked());
    assert_eq!(counted(&bed, 0), [(QueriesNoServer, 1)]);
    bed.change(0, |service| {
        service.locals.clear();
        service.servers = ping(1).servers;
    });
    assert_eq!(bed.client_sends(asked()).verdict, Verdict::Drop(Refused::NoPort));
    assert_eq!(counted(&bed, 0), [(QueriesNoServer, 1), (IdMisses, 1)]);
}

#[test]
fn req_icmp_44_errors_are_counted_by_what_becomes_of_them() {
    use IcmpCount::*;
    let mut bed = Bed::new(1, 8, vec![dns()]);
    let question = bed.client_sends(udp("10.0.0.48:1", VIP));
    let (local, server) = question.flow();
    let answer = bed.server_sends(udp_of(server, local));
    assert_eq!(counted(&bed, 0), [], "nothing but ICMP counts");
    let about_question = unreachable("192.168.100.254", &question.frame);
    bed.server_sends(about_question.clone()).flow();
    bed.client_sends(unreachable("10.0.0.1", &answer.frame)).flow();
    let unknown = unreachable("10.0.0.1", &udp(VIP, "10.0.0.49:1"));
    bed.client_sends(unknown);
    let mut wrong = about_question.clone();
    wrong[36] ^= 1;
    assert_eq!(
        bed.server_sends(wrong).verdict,
        Verdict::Drop(Refused::BadChecksum)
    );
    let mut short = unreachable("192.168.100.254", &question.frame);
    // As long as its header says, which is within the quote.
    short.truncate(34 + 8 + 20 + 4);
    let length = (short.len() as u16 - 14).to_be_bytes();
    short[16..18].copy_from_slice(&length);
    for (field, from, to) in [(24, 14, 34), (36, 34, short.len())] {
        short[field..field + 2].fill(0);
        let sum = packet::checksum::checksum(&short[from..to]);
        short[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    }
    assert_eq!(bed.server_sends(short).verdict, Verdict::Drop(Refused::IcmpShort));
    let errors = [
        (ErrorsIn, 5),
        (ErrorsToServers, 1),
        (ErrorsToClients, 1),
        (ErrorsNoConnection, 1),
        (ErrorsBadChecksum, 1),
        (ErrorsShort, 1),
        (SisoHits, 2),
    ];
    assert_eq!(counted(&bed, 0), errors);
    bed.config.policy.strict_inner_csum = true;
    bed.configure();
    let mut odd = about_question;
    odd[34 + 8 + 8] -= 1;
    odd[36..38].fill(0);
    let sum = packet::checksum::checksum(&odd[34..]);
    odd[36..38].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(bed.server_sends(odd).verdict, Verdict::Drop(Refused::BadInner));
    assert_eq!(
        [ErrorsIn, ErrorsBadInner].map(|what| bed.workers[0].icmp(what)),
        [6, 1]
    );
}

#[test]
fn req_icmp_44_an_error_counts_once_however_many_workers_had_it() {
    use IcmpCount::*;
    let mut bed = Bed::new(4, 8, vec![dns()]);
    let question = bed.send(1, bed::WAN, udp("10.0.0.48:1", VIP));
    let (local, server) = question.flow();
    let answer = bed.send(1, bed::LAN, udp_of(server, local));
    // Worker 2 knows that worker 1 has the port; 3 only that it has no such client.
    let to_client = bed.send(2, bed::LAN, unreachable("192.168.100.254", &question.frame));
    let to_server = bed.send(3, bed::WAN, unreachable("10.0.0.1", &answer.frame));
    assert_eq!((to_client.asked, to_server.asked), (vec![2, 1], vec![3, 0, 1]));
    assert_eq!(
        counted(&bed, 1),
        [
            (ErrorsIn, 2),
            (ErrorsToServers, 1),
            (ErrorsToClients, 1),
            (SisoHits, 2)
        ]
    );
    for other in [0, 2, 3] {
        assert_eq!(counted(&bed, other), [], "what is redirected the caller counts");
    }
}
