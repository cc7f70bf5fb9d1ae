//! Several workers: each reply and each error finds the connection, whoever receives it.

use lb::{Kind, Refused, Verdict};

use crate::bed::{self, Bed, at, echo, service, udp, udp_of, unreachable};

const VIP: &str = "10.0.0.100:53";

#[test]
fn req_icmp_20_37_each_of_1000_flows_finds_its_connection_from_any_worker() {
    for workers in [1, 2, 4] {
        let servers = [("192.168.100.2:53", 1), ("192.168.100.3:53", 1)];
        let pings = [("192.168.100.2:0", 1)];
        let locals = ["192.168.100.200"];
        let services = vec![
            service(1, Kind::Udp, VIP, &servers, &locals),
            service(2, Kind::Icmp, "10.0.0.100:0", &pings, &locals),
        ];
        let mut bed = Bed::new(workers, 2000, services);
        for flow in 0..1000_usize {
            let owner = flow * 7 % workers;
            let client = format!("10.0.{}.{}:{}", flow / 250, flow % 250 + 1, 2000 + flow);
            let question = bed.send(owner, bed::WAN, udp(&client, VIP));
            let (local, server) = question.flow();
            assert_eq!(question.asked, [owner]);
            assert_eq!(usize::from(local.port()) % workers, owner);
            let ping = bed.send(
                owner,
                bed::WAN,
                echo("10.0.0.48", "10.0.0.100", flow as u16, false),
            );
            let (id, _) = ping.flow();
            for receiver in 0..workers {
                let direct = if receiver == owner {
                    vec![owner]
                } else {
                    vec![receiver, owner]
                };
                let answer = bed.send(receiver, bed::LAN, udp_of(server, local));
                assert_eq!((answer.flow().1, &answer.asked), (at(&client), &direct));
                let reply = bed.send(
                    receiver,
                    bed::LAN,
                    echo("192.168.100.2", "192.168.100.200", id.port(), true),
                );
                assert_eq!((reply.flow().1.port(), &reply.asked), (flow as u16, &direct));
                let error = bed.send(
                    receiver,
                    bed::LAN,
                    unreachable("192.168.100.254", &question.frame),
                );
                assert_eq!((error.flow().1.ip(), &error.asked), (at(&client).ip(), &direct));
                let error = bed.send(receiver, bed::WAN, unreachable("10.0.0.1", &answer.frame));
                assert_eq!(error.flow().1.ip(), server.ip());
                assert_eq!(*error.asked.last().unwrap(), owner);
            }
        }
        assert_eq!(bed.rows().len(), 2000);
    }
}

#[test]
fn error_about_a_client_that_nobody_knows_is_asked_of_all_and_of_none_twice() {
    let servers = [("192.168.100.2:53", 1)];
    let mut bed = Bed::new(
        4,
        20,
        vec![service(1, Kind::Udp, VIP, &servers, &["192.168.100.200"])],
    );
    let sent = bed.send(2, bed::WAN, unreachable("10.0.0.1", &udp(VIP, "10.0.0.48:1")));
    assert_eq!((sent.verdict, sent.asked), (Verdict::Next, vec![2, 3, 0, 1]));
    let sent = bed.send(
        2,
        bed::WAN,
        unreachable("10.0.0.1", &udp("192.168.100.200:4001", "192.168.100.2:53")),
    );
    assert_eq!(
        (sent.verdict, sent.asked),
        (Verdict::Drop(Refused::ErrorNoConnection), vec![2, 1])
    );
}
