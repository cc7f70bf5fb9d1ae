//! TCP: states and their timeouts, numbers, and the client's address.

use std::net::SocketAddr;

use lb::{Count, Kind, Refused, State, Verdict};
use packet::Tcp;
use packet::tcp::TcpFlags;

use crate::bed::{self, ACK, Bed, FIN, RST, SYN, SYN_ACK, at, service, tcp_of};

const CLIENT: &str = "10.0.0.48:37177";
const VIP: &str = "10.0.0.100:80";

fn web() -> lb::Service {
    let servers = [("192.168.100.2:8080", 1), ("192.168.100.3:8080", 1)];
    service(1, Kind::Tcp, VIP, &servers, &["192.168.100.200"])
}

fn client(flags: TcpFlags) -> Vec<u8> {
    bed::tcp(CLIENT, VIP, flags)
}

/// A connection whose handshake is done, with the addresses that its server sees.
fn open(bed: &mut Bed) -> (SocketAddr, SocketAddr) {
    let (local, server) = bed.client_sends(client(SYN)).flow();
    bed.server_sends(tcp_of(server, local, SYN_ACK, 1999, 1)).flow();
    bed.client_sends(client(ACK)).flow();
    (local, server)
}

#[test]
fn each_state_ends_after_its_own_time() {
    use bed::Sent;
    type Step = fn(&mut Bed, SocketAddr, SocketAddr) -> Sent;
    let client_fin: Step = |bed, _, _| bed.client_sends(client(FIN));
    let client_ack: Step = |bed, _, _| bed.client_sends(client(ACK));
    let client_rst: Step = |bed, _, _| bed.client_sends(client(RST));
    let server_fin: Step = |bed, local, server| bed.server_sends(bed::tcp_of(server, local, FIN, 1, 1));
    let server_rst: Step = |bed, local, server| bed.server_sends(bed::tcp_of(server, local, RST, 1, 1));
    for (steps, state, seconds) in [
        (&[][..], State::Established, 90),
        (&[client_fin], State::CloseWait, 7),
        (&[client_fin, server_fin], State::LastAck, 7),
        (&[client_fin, server_fin, client_ack], State::Close, 3),
        (&[server_fin], State::FinWait, 7),
        (&[server_fin, client_ack, client_fin], State::TimeWait, 7),
        (&[client_rst], State::Close, 3),
        (&[server_rst], State::Close, 3),
    ] {
        let mut bed = Bed::new(1, 8, vec![web()]);
        let (local, server) = open(&mut bed);
        for step in steps {
            step(&mut bed, local, server).flow();
        }
        let rows = bed.rows();
        assert_eq!((rows[0].state, rows[0].expires_ms), (state, seconds * 1000));
        let is_active = u64::from(state == State::Established);
        assert_eq!(bed.counts(0).sum(Count::Active), is_active);
        assert_eq!(bed.counts(0).sum(Count::Inactive), 1 - is_active);
        bed.pass(seconds * 1000 - 100);
        assert_eq!(bed.rows().len(), 1, "{state:?} is over early");
        bed.pass(600);
        assert_eq!(bed.rows().len(), 0, "{state:?} is over late");
        bed.pass(3_500);
        bed.assert_idle();
    }
}

#[test]
fn half_open_connection_ends_after_thirty_seconds_whatever_the_client_invents() {
    let mut bed = Bed::new(1, 8, vec![web()]);
    bed.client_sends(client(SYN)).flow();
    assert_eq!(
        (bed.rows()[0].state, bed.rows()[0].expires_ms),
        (State::SynRecv, 30_000)
    );
    assert_eq!(bed.counts(0).sum(Count::Inactive), 1);
    for (second, flags) in (1..30).zip([SYN, ACK].into_iter().cycle()) {
        bed.pass(1_000);
        bed.client_sends(client(flags)).flow();
        assert_eq!(
            (bed.rows()[0].state, bed.rows()[0].expires_ms),
            (State::SynRecv, 30_000 - second * 1_000)
        );
    }
    bed.pass(1_600);
    assert_eq!(bed.rows().len(), 0);
    assert_eq!(bed.counts(0).sum(Count::Connections), 1);
    // The next SYN begins another.
    bed.client_sends(client(SYN)).flow();
    assert_eq!(bed.rows()[0].expires_ms, 30_000);
}

#[test]
fn server_s_answer_gives_the_client_its_time_once() {
    let mut bed = Bed::new(1, 8, vec![web()]);
    let (local, server) = bed.client_sends(client(SYN)).flow();
    bed.pass(20_000);
    let answer = tcp_of(server, local, SYN_ACK, 1999, 1);
    bed.server_sends(answer.clone()).flow();
    assert_eq!(bed.rows()[0].expires_ms, 30_000);
    // It is sent again, and so is the SYN.
    for second in 1..30 {
        bed.pass(1_000);
        bed.server_sends(answer.clone()).flow();
        bed.client_sends(client(SYN)).flow();
        assert_eq!(bed.rows()[0].expires_ms, 30_000 - second * 1_000);
    }
    bed.client_sends(client(ACK)).flow();
    assert_eq!(
        (bed.rows()[0].state, bed.rows()[0].expires_ms),
        (State::Established, 90_000)
    );
}

#[test]
fn timeouts_are_those_of_the_configuration_and_the_service() {
    let mut bed = Bed::new(1, 8, vec![web()]);
    bed.config.timeouts.tcp_established = 500;
    bed.config.timeouts.tcp_close_wait = 2;
    bed.configure();
    open(&mut bed);
    assert_eq!(bed.rows()[0].expires_ms, 500_000);
    bed.change(0, |service| service.timeout = Some(1000));
    bed.client_sends(client(ACK)).flow();
    assert_eq!(bed.rows()[0].expires_ms, 1_000_000, "longer than the wheel turns");
    bed.pass(999_000);
    assert_eq!(bed.rows().len(), 1);
    bed.client_sends(client(FIN)).flow();
    assert_eq!(bed.rows()[0].expires_ms, 2_000);
    bed.pass(2_500);
    assert_eq!(bed.rows().len(), 0);
}

#[test]
fn segment_that_begins_nothing_and_belongs_to_nothing_is_dropped() {
    let mut bed = Bed::new(1, 8, vec![web()]);
    for flags in [ACK, FIN, RST, SYN_ACK, SYN.and(TcpFlags::FIN)] {
        let sent = bed.client_sends(client(flags));
        assert_eq!(sent.verdict, Verdict::Drop(Refused::NoConnection));
    }
    assert_eq!(bed.counts(0).drops(Refused::NoConnection), 5);
    bed.assert_idle();
}

#[test]
fn client_may_begin_anew_once_both_ends_are_done() {
    let mut bed = Bed::new(1, 8, vec![web()]);
    let (local, server) = open(&mut bed);
    bed.client_sends(client(SYN)).flow();
    assert_eq!(bed.rows().len(), 1, "a SYN within a connection is its own");
    assert_eq!(bed.counts(0).sum(Count::Connections), 1);
    bed.server_sends(tcp_of(server, local, FIN, 1, 1)).flow();
    bed.client_sends(client(FIN)).flow();
    let (again, other) = bed.client_sends(client(SYN)).flow();
    assert_ne!(
        (again, other),
        (local, server),
        "another port, and the next server"
    );
    assert_eq!(bed.rows().len(), 1);
    assert_eq!(bed.counts(0).sum(Count::Connections), 2);
    assert_eq!(
        bed.server_sends(tcp_of(server, local, ACK, 1, 1)).verdict,
        Verdict::NotOurs
    );
}

#[test]
fn numbers_of_the_client_are_others_for_the_server_and_come_back_as_they_were() {
    let mut bed = Bed::new(1, 8, vec![web()]);
    let syn = bed.client_sends(tcp_of(at(CLIENT), at(VIP), SYN, 5000, 0));
    let (local, server) = syn.flow();
    let number = Tcp::parse(&syn.frame[34..]).unwrap().sequence();
    assert_ne!(number, 5000);
    let answer = bed.server_sends(tcp_of(server, local, SYN_ACK, 70_000, number.wrapping_add(1)));
    answer.flow();
    let seen = Tcp::parse(&answer.frame[34..]).unwrap();
    assert_eq!((seen.sequence(), seen.acknowledgment()), (70_000, 5001));
    let ack = bed.client_sends(tcp_of(at(CLIENT), at(VIP), ACK, 5001, 70_001));
    ack.flow();
    let seen = Tcp::parse(&ack.frame[34..]).unwrap();
    assert_eq!(
        (seen.sequence(), seen.acknowledgment()),
        (number.wrapping_add(1), 70_001)
    );
}

#[test]
fn client_address_is_in_the_first_segments_and_in_no_later_one() {
    let mut service = web();
    service.toa = true;
    let mut bed = Bed::new(1, 8, vec![service]);
    let address = [254, 8, 0x91, 0x39, 10, 0, 0, 48];
    let syn = bed.client_sends(client(SYN));
    let (local, server) = syn.flow();
    assert_eq!(Tcp::parse(&syn.frame[34..]).unwrap().options(), address);
    bed.server_sends(tcp_of(server, local, SYN_ACK, 1999, 1)).flow();
    let ack = bed.client_sends(client(ACK));
    ack.flow();
    assert_eq!(Tcp::parse(&ack.frame[34..]).unwrap().options(), address);
    let later = bed.client_sends(tcp_of(at(CLIENT), at(VIP), ACK, 1001, 2005));
    later.flow();
    assert_eq!(Tcp::parse(&later.frame[34..]).unwrap().options(), []);
}
