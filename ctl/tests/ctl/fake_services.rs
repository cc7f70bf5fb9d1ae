//! What the primary without packets says of services and connections.

use std::net::IpAddr;

use control::connections::Writer;
use control::message::{
    Answer, ConnectionFilter, ConnectionInfo, ControlError, ErrorCode, LocalAddress, LocalInfo, RealServer,
    Reply, Request, Scheduler, ServerInfo, Service, ServiceId, ServiceInfo, ServiceOptions, ServicePage,
    ServiceProtocol, TrafficCounts,
};
use control::server::Response;

/// Connections beside the three that are always there.
pub(crate) const MANY: u32 = 20_000;

fn is_refused(service: &Service) -> bool {
    service.id.address == IpAddr::from([10, 66, 0, 1])
}

/// The answer to what is about services and connections; `before` is how often the same was asked before.
pub(crate) fn answer(request: &Request, before: usize) -> Option<Response> {
    let answer = match request {
        // One service a page, so that there is more than one.
        Request::ServiceShow { after } => {
            let mut behind = services()
                .into_iter()
                .filter(|service| after.is_none_or(|after| service.id > after));
            let services = behind.next().into_iter().collect();
            let more = behind.next().is_some();
            Ok(Reply::Services(ServicePage { services, more }))
        }
        // 10.66.0.1 stands for what the primary refuses.
        Request::ServiceAdd(services) if services.iter().any(is_refused) => Err(ControlError::new(
            ErrorCode::LimitReached,
            "no room for 10.66.0.1",
        )),
        // Another tool's request is under way at first.
        Request::ConnectionShow(_) if before == 0 => Err(ControlError::new(
            ErrorCode::Busy,
            "another tool looks at connections",
        )),
        Request::ConnectionShow(_) => Ok(Reply::ConnectionsComing),
        Request::ConnectionResult if before == 0 => Ok(Reply::ConnectionsComing),
        Request::ConnectionResult => {
            let mut writer = Writer::new().unwrap();
            for connection in connections() {
                writer.push(&connection).unwrap();
            }
            let mut response = Response::from(Answer::Ok(Reply::Connections(writer.count())));
            response.descriptors.push(writer.finish().unwrap());
            return Some(response);
        }
        _ => return None,
    };
    Some(answer.into())
}

/// What `conn show` asks for with nothing said.
pub(crate) fn any() -> ConnectionFilter {
    ConnectionFilter::default()
}

/// The services of the tutorial, and one of ICMP.
fn services() -> Vec<ServiceInfo> {
    let service = |protocol, address: &str, port, servers: &[(&str, u16)], local: &str| ServiceInfo {
        id: ServiceId {
            protocol,
            address: address.parse().unwrap(),
            port,
        },
        options: ServiceOptions::new(Scheduler::Rr),
        servers: servers
            .iter()
            .map(|(server, weight)| ServerInfo {
                server: RealServer {
                    weight: *weight,
                    ..RealServer::new(server.parse().unwrap(), port)
                },
                active: 0,
                inactive: 0,
                counts: TrafficCounts::default(),
            })
            .collect(),
        locals: vec![LocalInfo {
            local: LocalAddress {
                address: local.parse().unwrap(),
                interface: "lan".into(),
            },
            connections: 0,
            ports_used: 0,
            ports_free: 64_511,
            misses: 0,
        }],
        counts: TrafficCounts {
            connections: 12,
            in_packets: 120,
            out_packets: 108,
            in_bytes: 999_999_999,
            out_bytes: 1080,
            errors_in: 0,
            errors_out: 0,
        },
        drops: vec![("service_no_server".into(), 3)],
    };
    let (tcp, icmp) = (ServiceProtocol::Tcp, ServiceProtocol::Icmp);
    let two = [("192.168.100.3", 1), ("192.168.100.2", 1)];
    vec![
        service(tcp, "10.0.0.100", 80, &two, "192.168.100.200"),
        service(
            tcp,
            "2001:db8::100",
            80,
            &[("2001:db8:1::2", 0)],
            "2001:db8:1::200",
        ),
        service(icmp, "10.0.0.100", 0, &[("192.168.100.2", 1)], "192.168.100.200"),
    ]
}

fn connections() -> impl Iterator<Item = ConnectionInfo> {
    let connection =
        |protocol, client: (u8, u16), service, local, server, state: &str, bytes| ConnectionInfo {
            worker: 1,
            protocol,
            icmp_type: (protocol == ServiceProtocol::Icmp).then_some(8),
            client: ([10, 0, 0, client.0], client.1).into(),
            service: ([10, 0, 0, 100], service).into(),
            local: ([192, 168, 100, 200], local).into(),
            server: ([192, 168, 100, 2], server).into(),
            state: state.into(),
            expires_ms: 57_000,
            in_packets: 5,
            in_bytes: bytes,
            out_packets: 4,
            out_bytes: 0,
        };
    let (tcp, udp, icmp) = (ServiceProtocol::Tcp, ServiceProtocol::Udp, ServiceProtocol::Icmp);
    let first = [
        connection(tcp, (48, 37177), 80, 1025, 80, "established", 7_000),
        connection(icmp, (48, 7), 0, 4711, 0, "normal", 8_000),
        connection(udp, (49, 5353), 53, 1026, 53, "normal", 9_000),
    ];
    let others = (0..MANY).map(move |number| {
        let port = u16::try_from(number).unwrap();
        connection(udp, (50, port), 53, port, 53, "normal", u64::from(number % 100))
    });
    first.into_iter().chain(others)
}
