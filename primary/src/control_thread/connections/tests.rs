//! Tools ask, workers fill parts when they come to it.

use control::connections::Rows;

use super::*;
use crate::balancer::{BalancerNews, news};
use crate::worker::doorbell;

/// Workers with a few connections each, and the control thread's end of them.
struct Gateway {
    connections: Connections,
    controls: Vec<BalancerControl>,
    workers: Vec<(BalancerNews, Vec<Row>)>,
    _sleeper: doorbell::Sleeper,
}

fn row(worker: usize, number: usize) -> Row {
    let at = |third: usize, port: usize| {
        ([10, third as u8, (number >> 8) as u8, number as u8], port as u16).into()
    };
    Row {
        kind: if number.is_multiple_of(2) {
            Kind::Tcp
        } else {
            Kind::Udp
        },
        query_type: None,
        client: at(worker, 40_000),
        service: ([192, 0, 2, 1], 80).into(),
        local: at(100, 5000),
        server: at(200, 80),
        state: if number.is_multiple_of(2) {
            lb::State::Established
        } else {
            lb::State::Normal
        },
        expires_ms: 7,
        in_packets: number as u64,
        in_bytes: 0,
        out_packets: 0,
        out_bytes: 0,
    }
}

impl Gateway {
    fn new(rows: &[usize]) -> Self {
        let (bell, sleeper) = doorbell::pair().unwrap();
        let (controls, workers) = rows
            .iter()
            .enumerate()
            .map(|(worker, count)| {
                let (control, its) = news(bell.clone());
                (
                    control,
                    (its, (0..*count).map(|number| row(worker, number)).collect()),
                )
            })
            .unzip();
        Self {
            connections: Connections::default(),
            controls,
            workers,
            _sleeper: sleeper,
        }
    }

    fn ask(&mut self, connection: u64, filter: ConnectionFilter) -> Result<(), ControlError> {
        self.connections.begin(connection, filter, self.controls.len())
    }

    /// A round of the control thread, and one of a worker, which copies at most 100 connections.
    fn round_of(&mut self, worker: usize) {
        self.connections.collect(&mut self.controls);
        let (news, rows) = &mut self.workers[worker];
        news.take(|prepared| prepared);
        news.fill(|cursor, into| {
            let room = (into.capacity() - into.len()).min(100);
            let end = rows.len().min(*cursor as usize + room);
            into.extend(&rows[*cursor as usize..end]);
            *cursor = end as u32;
            end == rows.len()
        });
        self.connections.collect(&mut self.controls);
    }

    fn rounds(&mut self, count: usize) {
        for round in 0..count {
            self.round_of(round % self.workers.len());
        }
    }

    fn answer(&mut self, connection: u64) -> Result<Option<Vec<ConnectionInfo>>, ControlError> {
        let Response { answer, descriptors } = self.connections.result(connection);
        match answer? {
            Reply::ConnectionsComing => Ok(None),
            Reply::Connections(count) => {
                let rows = Rows::read(descriptors.into_iter().next().unwrap(), count).unwrap();
                Ok(Some(rows.map(Result::unwrap).collect()))
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_tool_gets_the_connections_of_all_workers_once_they_have_given_them() {
    let mut gateway = Gateway::new(&[1500, 0, 700]);
    gateway.ask(1, ConnectionFilter::default()).unwrap();
    for _ in 0..20 {
        gateway.round_of(0);
        gateway.round_of(1);
    }
    assert_eq!(gateway.answer(1).unwrap(), None, "one worker has not been round");
    gateway.rounds(60);
    let rows = gateway.answer(1).unwrap().unwrap();
    let of = |worker: u16| rows.iter().filter(move |row| row.worker == worker);
    assert_eq!((of(0).count(), of(1).count(), of(2).count()), (1500, 0, 700));
    let numbers: Vec<_> = of(0).map(|row| row.in_packets).collect();
    assert_eq!(numbers, (0..1500).collect::<Vec<_>>());
    let (first, expected) = (of(2).next().unwrap(), row(2, 0));
    assert_eq!(
        (first.client, first.server, first.state.as_str()),
        (expected.client, expected.server, "established")
    );
    assert_eq!(
        gateway.answer(1).unwrap_err().code,
        ErrorCode::NotFound,
        "it was given once"
    );
}

#[test]
fn only_what_fits_comes_and_no_more_than_was_asked_for() {
    let mut gateway = Gateway::new(&[1000, 1000]);
    let mut ask = |filter| {
        gateway.ask(1, filter).unwrap();
        gateway.rounds(60);
        gateway.answer(1).unwrap().unwrap()
    };
    let all = ConnectionFilter::default;
    let tcp = ask(ConnectionFilter {
        protocol: Some(ServiceProtocol::Tcp),
        ..all()
    });
    assert_eq!(tcp.len(), 1000);
    let state = ask(ConnectionFilter {
        state: Some("normal".to_owned()),
        ..all()
    });
    assert_eq!(state.len(), 1000);
    assert!(state.iter().all(|row| row.protocol == ServiceProtocol::Udp));
    let client = ask(ConnectionFilter {
        client: Some("10.1.0.0/24".parse().unwrap()),
        ..all()
    });
    assert_eq!(client.len(), 256);
    let server = ask(ConnectionFilter {
        server: Some("10.200.0.7/32".parse().unwrap()),
        ..all()
    });
    assert_eq!(server.len(), 2);
    let other = ask(ConnectionFilter {
        service_port: Some(81),
        ..all()
    });
    assert!(other.is_empty());
    let other = ask(ConnectionFilter {
        service: Some("192.0.2.2".parse().unwrap()),
        ..all()
    });
    assert!(other.is_empty());
    for limit in [0, 1, 700, 1999, 5000] {
        let limited = ask(ConnectionFilter {
            limit: Some(limit),
            ..all()
        });
        assert_eq!(limited.len(), limit.min(2000) as usize);
    }
    let error = gateway
        .ask(
            1,
            ConnectionFilter {
                state: Some("up".to_owned()),
                ..all()
            },
        )
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert!(error.message.contains("syn_recv"), "{}", error.message);
}

#[test]
fn several_tools_are_served_and_those_that_go_are_forgotten() {
    let mut gateway = Gateway::new(&[20_000, 20_000]);
    gateway.ask(1, ConnectionFilter::default()).unwrap();
    gateway.rounds(40);
    // A small question behind a great one.
    let small = ConnectionFilter {
        limit: Some(5),
        ..ConnectionFilter::default()
    };
    gateway.ask(2, small).unwrap();
    gateway.ask(3, ConnectionFilter::default()).unwrap();
    gateway.rounds(40);
    assert_eq!(gateway.answer(2).unwrap().unwrap().len(), 5);
    gateway.connections.closed(&[3]);
    // Asked anew before the first answer was there.
    gateway.ask(1, ConnectionFilter::default()).unwrap();
    gateway.rounds(1000);
    assert_eq!(gateway.answer(1).unwrap().unwrap().len(), 40_000);
    assert_eq!(gateway.answer(3).unwrap_err().code, ErrorCode::NotFound);
    assert!(gateway.connections.asked.is_empty());
}
